"""The buckets survive the stack, and the next stack can use them again."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.end_to_end.stack import Stack
from tests.support.drawing import jpeg, photo
from toolbox.local.aws import LocalAws
from toolbox.local.package_cache import sls_environment
from toolbox.stack import ROOT

UPLOADED = jpeg(photo(300, 200))


@pytest.fixture
def own_aws() -> Iterator[LocalAws]:
    with LocalAws.start(retry_seconds=0.5) as aws:
        yield aws


def test_a_removed_stack_leaves_buckets_that_the_next_stack_uses(own_aws: LocalAws) -> None:
    first = Stack(own_aws)
    first.upload("before.jpg", UPLOADED)
    first.eventually(lambda: first.keys_of("before.jpg") == first.expected_keys("before.jpg"), "the renditions")
    run = subprocess.run(
        [Path(sys.executable).with_name("image-scaler"), "remove", "--stage", "local"],
        cwd=ROOT,
        env=sls_environment() | own_aws.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Deploy with existingSourceBucket and existingDestinationBucket to use them again" in run.stdout
    notifications = first.s3.get_bucket_notification_configuration(Bucket=first.source)
    assert notifications.get("LambdaFunctionConfigurations", []) == []

    own_aws.deploy([f"existingSourceBucket={first.source}", f"existingDestinationBucket={first.destination}"])
    second = Stack(own_aws)
    assert (second.source, second.destination) == (first.source, first.destination)
    second.upload("after.jpg", UPLOADED)
    second.eventually(lambda: second.keys_of("after.jpg") == second.expected_keys("after.jpg"), "the renditions")
    assert second.keys_of("before.jpg") == second.expected_keys("before.jpg")

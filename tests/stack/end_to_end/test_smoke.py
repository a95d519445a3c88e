"""`make smoke` tries a deployed stack, and leaves nothing behind."""

import pytest
from typer.testing import CliRunner

from image_scaler.renditions.toml import parse_recipe
from tests.stack.end_to_end.stack import Stack
from toolbox.aws.deployed import find_stack
from toolbox.aws.session import open_session
from toolbox.cli import main
from toolbox.commands.smoke import Smoke

CHECKS = 6


def test_a_working_stack_passes_every_check_and_keeps_nothing_of_them(stack: Stack) -> None:
    stack.upload("smoke-neighbour.jpg", b"of somebody else, and no image")
    neighbour = stack.eventually(lambda: _records(stack), "the record of the neighbour")
    run = CliRunner().invoke(main, ["smoke", "--stage=local"], env=stack.env)
    assert run.exit_code == 0, run.output
    assert sum(" ok " in line for line in run.output.splitlines()) == CHECKS, run.output
    for bucket in (stack.source, stack.destination):
        found = stack.s3.list_object_versions(Bucket=bucket)
        keys = [entry["Key"] for kind in ("Versions", "DeleteMarkers") for entry in found.get(kind, [])]
        assert [key for key in keys if "smoke/" in key] == []
    assert _records(stack) == neighbour  # the records of others stay


def _records(stack: Stack) -> list[str]:
    answer = stack.sqs.receive_message(QueueUrl=stack.rejected_queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in answer.get("Messages", []) if "smoke" in message["Body"]]


def test_a_missing_stack_is_said(stack: Stack) -> None:
    run = CliRunner().invoke(main, ["smoke", "--stage=nowhere"], env=stack.env)
    assert run.exit_code == 2
    assert "cannot read the outputs of the stack image-scaler-nowhere" in run.output


def test_a_rendition_that_the_stack_does_not_make_fails_the_check(stack: Stack) -> None:
    never_deployed = parse_recipe("[renditions.other]\nwidth = 10")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in stack.env.items():
            environment.setenv(name, value)
        aws = open_session()
        tried = Smoke(find_stack("local", aws), never_deployed, aws, max_seconds=90)
        check = next(tried.run())
    assert check.problem is not None
    assert "does not list other/smoke/" in check.problem

from collections.abc import Iterator

import pytest

from tests.stack.end_to_end.stack import Stack
from toolbox.local.aws import LocalAws


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Our stack, deployed by `sls deploy` to a local AWS that enforces IAM."""
    with LocalAws.start(retry_seconds=0.5) as aws:
        yield Stack(aws)


@pytest.fixture(scope="session", autouse=True)
def _keys_of_the_local_aws() -> Iterator[None]:
    """Use the local AWS's keys: the commands prefer a profile."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("AWS_PROFILE", raising=False)
        yield

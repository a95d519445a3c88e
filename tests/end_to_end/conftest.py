from collections.abc import Iterator

import pytest

from tests.end_to_end.stack import Stack
from toolbox.local.aws import LocalAws


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Our stack, deployed by `sls deploy` to a local AWS that enforces IAM."""
    with LocalAws.start(retry_seconds=0.5) as aws:
        yield Stack(aws)

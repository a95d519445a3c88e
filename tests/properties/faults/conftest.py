from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.properties.faults.proxy import Proxy
from tests.properties.faults.uploads import Uploads
from toolbox.local.aws import LocalAws


@pytest.fixture(scope="session")
def local_aws() -> Iterator[LocalAws]:
    with LocalAws.launch() as aws:
        yield aws


@pytest.fixture(scope="session")
def proxy(local_aws: LocalAws) -> Iterator[Proxy]:
    with Proxy(local_aws.env["AWS_ENDPOINT_URL"]).serving() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def uploads(local_aws: LocalAws, proxy: Proxy) -> Iterator[Uploads]:
    with ExitStack() as exits:
        yield Uploads(local_aws, proxy, exits)

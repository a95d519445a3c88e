"""An AWS in memory, which moto makes."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws


@cache
def _session() -> boto3.Session:
    """Return the session of all clients: the first of each service takes 0.1 s, the others share what it has read."""
    return boto3.Session("testing", "testing", region_name="us-east-1")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """The default session, in an account without anything."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.DEFAULT_SESSION = _session()  # moto puts the old one back
        yield boto3.DEFAULT_SESSION


@pytest.fixture
def s3(aws: boto3.Session) -> Any:
    """A client, with the buckets `source` and `destination`."""
    client = aws.client("s3")
    for bucket in ("source", "destination"):
        client.create_bucket(Bucket=bucket)
    return client

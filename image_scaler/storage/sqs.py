"""SqsFailureQueue: failure records in Amazon SQS. With s3, the only module that uses boto3."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3

from image_scaler.exceptions import StorageError
from image_scaler.storage.s3 import CALL_ERRORS, CLIENT_CONFIG

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsFailureQueue:
    """Failure records in Amazon SQS."""

    def __init__(self, url: str, client: "SQSClient | None" = None) -> None:
        self._url = url
        self._given_client = client

    @cached_property
    def _client(self) -> "SQSClient":
        # Made on the first failure: most executions never need it, and it costs time at a cold start.
        return self._given_client or boto3.client("sqs", config=CLIENT_CONFIG)

    def send(self, record: Mapping[str, Any]) -> None:
        """Send the record; see FailureQueue.send."""
        try:
            self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(record))
        except CALL_ERRORS as error:
            raise StorageError(f"could not send a failure record to {self._url}: {error}") from error

"""Failure records: what is kept of a source that could not be processed, and the queue that keeps them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import boto3

from image_scaler.exceptions import ImageScalerError, StorageError
from image_scaler.storage.base import ObjectRef
from image_scaler.storage.s3 import CALL_ERRORS, CLIENT_CONFIG

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class FailureQueue(Protocol):
    """Keeps failure records until somebody reads them."""

    def send(self, record: Mapping[str, Any]) -> None:
        """Keep a record; raises StorageError if that fails."""
        ...


class SqsFailureQueue:
    """Failure records in Amazon SQS."""

    def __init__(self, url: str, client: "SQSClient | None" = None) -> None:
        self._url = url
        self._given_client = client

    @cached_property
    def _client(self) -> "SQSClient":
        # Created on the first failure: most execution environments never need it, and it costs time at a cold start.
        return self._given_client or boto3.client("sqs", config=CLIENT_CONFIG)

    def send(self, record: Mapping[str, Any]) -> None:
        """Send the record; see FailureQueue.send."""
        try:
            self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(record))
        except CALL_ERRORS as error:
            raise StorageError(f"cannot send a failure record to {self._url}: {error}") from error


def failure_record(
    payload: Mapping[str, Any],
    source: ObjectRef | None,
    error: ImageScalerError,
    written: Sequence[str],
    *,
    is_final: bool,
) -> dict[str, Any]:
    """Return the record of a source: its event, the reason, and the keys that were written anyway.

    `is_final`: no retry can succeed, and the condition is `Rejected`; otherwise it is `Failed`.

    The record has the shape of the one that Lambda sends to an on-failure destination (requestPayload,
    responsePayload), so that one reader understands both. Sending requestPayload to the function again repeats the
    work.
    """
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "requestContext": {"condition": "Rejected" if is_final else "Failed"},
        "requestPayload": payload,
        "responsePayload": {"errorType": type(error).__name__, "errorMessage": str(error)},
        "source": source._asdict() if source else None,
        "code": error.code,
        "reason": str(error),
        "written": list(written),
    }

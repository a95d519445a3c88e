"""Read the failure queue, and send its events to the function again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import boto3

from toolbox.aws_errors import CallError, call_errors
from toolbox.failure_records import Record, read_record

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient

HOLD_SECONDS = 120
"""The visibility timeout of the messages that are read: other readers do not see them for so long."""


class Failed(NamedTuple):
    """A message of the failure queue."""

    receipt: str
    record: Record


class FailureQueueReader:
    """The failure queue of a stack, and its function."""

    def __init__(self, queue_url: str, function: str, session: boto3.Session) -> None:
        self._url = queue_url
        self._function = function
        with call_errors(f"connect to {queue_url}"):
            self._sqs: SQSClient = session.client("sqs")
            self._lambda: LambdaClient = session.client("lambda")

    @contextmanager
    def held(self, max_records: int) -> Iterator[list[Failed]]:
        """Yield messages of the queue, hidden from other readers; show those again that still exist at the end."""
        found: list[Failed] = []
        try:
            with call_errors(f"read {self._url}"):
                while len(found) < max_records:
                    # Long polling asks all of SQS's servers, short polling only some.
                    answer = self._sqs.receive_message(
                        QueueUrl=self._url,
                        MaxNumberOfMessages=min(10, max_records - len(found)),
                        VisibilityTimeout=HOLD_SECONDS,
                        WaitTimeSeconds=1,
                    )
                    if not (messages := answer.get("Messages")):
                        break
                    found += [Failed(message["ReceiptHandle"], read_record(message["Body"])) for message in messages]
            yield found
        finally:
            with call_errors(f"release the messages of {self._url}"):
                for failed in found:
                    try:
                        self._sqs.change_message_visibility(
                            QueueUrl=self._url, ReceiptHandle=failed.receipt, VisibilityTimeout=0
                        )
                    except self._sqs.exceptions.ClientError:
                        continue  # send() deleted it

    def send(self, failed: Failed) -> None:
        """Send the event to the function again, then delete its message."""
        sources = ", ".join(str(source.ref) for source in failed.record.sources)
        with call_errors(f"send {sources or 'an event'} to {self._function}"):
            # Asynchronous, as S3 does it: Lambda retries the event, and keeps a failure record.
            answer = self._lambda.invoke(
                FunctionName=self._function, InvocationType="Event", Payload=json.dumps(failed.record.event).encode()
            )
        if answer["StatusCode"] != 202:
            raise CallError(f"{self._function} did not accept the event: status code {answer['StatusCode']}")
        with call_errors(f"delete a message of {self._url}"):
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=failed.receipt)

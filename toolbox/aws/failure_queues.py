"""Read the failure queue and the queue of rejected uploads, and send their events to the function again."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import boto3

from toolbox.aws.errors import CallError, call_errors
from toolbox.aws.failure_records import Record, read_record

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient

HOLD_SECONDS = 120
"""The visibility timeout of the messages that are read: other readers do not see them for so long."""


class FailedMessage(NamedTuple):
    """A message of one of the queues."""

    queue_url: str
    receipt: str
    record: Record


class FailureQueueReader:
    """The queues of failure records of a stack, and its function."""

    def __init__(self, queue_urls: Sequence[str], function: str, session: boto3.Session) -> None:
        self._urls = queue_urls
        self._function = function
        with call_errors(f"connect to {', '.join(queue_urls)}"):
            self._sqs: SQSClient = session.client("sqs")
            self._lambda: LambdaClient = session.client("lambda")

    @contextmanager
    def held(self, max_records: int) -> Iterator[list[FailedMessage]]:
        """Yield messages of the queues, hidden from other readers; show those again that still exist at the end."""
        found: list[FailedMessage] = []
        try:
            for url in self._urls:
                with call_errors(f"read {url}"):
                    found += self._receive(url, max_records - len(found))
            yield found
        finally:
            for failed in found:
                with call_errors(f"release a message of {failed.queue_url}"):
                    try:
                        self._sqs.change_message_visibility(
                            QueueUrl=failed.queue_url, ReceiptHandle=failed.receipt, VisibilityTimeout=0
                        )
                    except self._sqs.exceptions.ClientError:
                        continue  # it was deleted

    def _receive(self, url: str, max_records: int) -> list[FailedMessage]:
        found: list[FailedMessage] = []
        while len(found) < max_records:
            # Long polling asks all of SQS's servers, short polling only some.
            answer = self._sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(10, max_records - len(found)),
                VisibilityTimeout=HOLD_SECONDS,
                WaitTimeSeconds=1,
            )
            if not (messages := answer.get("Messages")):
                break
            found += [
                FailedMessage(url, message["ReceiptHandle"], read_record(message["Body"])) for message in messages
            ]
        return found

    def send(self, failed: FailedMessage) -> None:
        """Send the event to the function again, then delete its message."""
        sources = ", ".join(str(source.ref) for source in failed.record.sources)
        with call_errors(f"send {sources or 'an event'} to {self._function}"):
            # Asynchronous, as S3 does it: Lambda retries the event, and keeps a failure record.
            answer = self._lambda.invoke(
                FunctionName=self._function, InvocationType="Event", Payload=json.dumps(failed.record.event).encode()
            )
        if answer["StatusCode"] != 202:
            raise CallError(f"{self._function} did not accept the event: status code {answer['StatusCode']}")
        self.discard(failed)

    def discard(self, failed: FailedMessage) -> None:
        """Delete the message."""
        with call_errors(f"delete a message of {failed.queue_url}"):
            self._sqs.delete_message(QueueUrl=failed.queue_url, ReceiptHandle=failed.receipt)

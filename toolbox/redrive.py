"""What is in the failure queue, and sending it to the function again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import boto3

from toolbox.aws_errors import CallError, explained
from toolbox.failure_records import Record, read_record

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient

HOLD_SECONDS = 120
"""How long a record is kept from other readers of the queue while it is looked at here."""


class Failed(NamedTuple):
    """A message of the failure queue."""

    receipt: str
    record: Record


class FailureQueueReader:
    """The failure queue of a stack, and its function."""

    def __init__(
        self,
        queue_url: str,
        function: str,
        sqs: "SQSClient | None" = None,
        lambda_: "LambdaClient | None" = None,
    ) -> None:
        self._url = queue_url
        self._function = function
        with explained(f"look for {queue_url}"):
            self._sqs: SQSClient = sqs or boto3.client("sqs")
            self._lambda: LambdaClient = lambda_ or boto3.client("lambda")

    @contextmanager
    def held(self, at_most: int) -> Iterator[list[Failed]]:
        """Hold messages of the queue; at the end, those that are still in it are there for everybody again."""
        found: list[Failed] = []
        try:
            with explained(f"read {self._url}"):
                while len(found) < at_most:
                    # Waiting a second asks all of SQS's servers, not some.
                    answer = self._sqs.receive_message(
                        QueueUrl=self._url,
                        MaxNumberOfMessages=min(10, at_most - len(found)),
                        VisibilityTimeout=HOLD_SECONDS,
                        WaitTimeSeconds=1,
                    )
                    if not (messages := answer.get("Messages")):
                        break
                    found += [Failed(message["ReceiptHandle"], read_record(message["Body"])) for message in messages]
            yield found
        finally:
            with explained(f"give back the messages of {self._url}"):
                for failed in found:
                    try:
                        self._sqs.change_message_visibility(
                            QueueUrl=self._url, ReceiptHandle=failed.receipt, VisibilityTimeout=0
                        )
                    except self._sqs.exceptions.ClientError:
                        continue  # it was deleted

    def send(self, failed: Failed) -> None:
        """Send the event to the function again, and then delete its message."""
        sources = ", ".join(str(source.ref) for source in failed.record.sources)
        with explained(f"send {sources or 'an event'} to {self._function}"):
            # As S3 does, not waiting for it: with the retries and the failure record of such an event.
            answer = self._lambda.invoke(
                FunctionName=self._function, InvocationType="Event", Payload=json.dumps(failed.record.event).encode()
            )
        if answer["StatusCode"] != 202:
            raise CallError(f"expected {self._function} to accept the event but it answered {answer['StatusCode']}")
        with explained(f"delete a message of {self._url}"):
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=failed.receipt)

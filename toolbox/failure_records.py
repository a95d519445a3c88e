"""Read the messages of the failure queue: our own records, and those of Lambda after its last retry."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from image_scaler import events
from image_scaler.events import SourceEvent
from image_scaler.exceptions import EventError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Record:
    """A failure record."""

    sources: list[SourceEvent] = field(default_factory=list)
    """Empty if the event names none, or cannot be read."""
    reason: str = "not a failure record"
    is_rejected: bool = False
    """Whether no retry can succeed."""
    event: Any = None
    """The event to send to the function again; None if the message is not a failure record."""


def take(sqs: "SQSClient", queue_url: str) -> Iterator[str]:
    """Yield the body of each message in a queue; delete the message when the next one is requested."""
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            yield message["Body"]
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])


def read_record(body: str) -> Record:
    """Return the failure record in the body of a message, or an empty record if the body is something else."""
    try:
        record = json.loads(body)
        event, response, context = (record.get(n) for n in ("requestPayload", "responsePayload", "requestContext"))
    except (ValueError, RecursionError, AttributeError):
        return Record()
    if event is None:
        return Record()
    try:
        sources = [part for part in events.parse(event).records if isinstance(part, SourceEvent)]
    except EventError:
        sources = []
    condition = context.get("condition") if isinstance(context, dict) else None
    reason = (isinstance(response, dict) and response.get("errorMessage")) or condition or "no reason given"
    return Record(sources, str(reason), condition == "Rejected", event)

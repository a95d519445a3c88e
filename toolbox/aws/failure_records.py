"""Read the messages of the failure queues.

They are records of the function, records of Lambda after its last retry, and events that EventBridge could not deliver
or that were received too often from the buffer: SQS and EventBridge move those as they are.
"""

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
    error_type: str | None = None
    """The class of the exception; None if the record has none."""
    is_rejected: bool = False
    """Whether no retry can succeed."""
    event: Any = None
    """The event to send to the function again; None if the message is not a failure record."""


def take(sqs: "SQSClient", *queue_urls: str) -> Iterator[str]:
    """Yield the body of each message in the queues; delete the message when the next one is requested."""
    for url in queue_urls:
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                yield message["Body"]
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


_UNDELIVERED = "the event could not be delivered, or failed each time; the log says why"


def read_record(body: str) -> Record:
    """Return the failure record in the body of a message, or an empty record if the body is something else."""
    try:
        record = json.loads(body)
        event, response, context = (record.get(n) for n in ("requestPayload", "responsePayload", "requestContext"))
    except (ValueError, RecursionError, AttributeError):
        return Record()
    if event is None:
        sources = _sources(record)
        return Record(sources, _UNDELIVERED, event=record) if sources else Record()
    sources = _sources(event)
    condition = context.get("condition") if isinstance(context, dict) else None
    error = response if isinstance(response, dict) else {}
    reason = error.get("errorMessage") or condition or "no reason given"
    return Record(sources, str(reason), error.get("errorType"), condition == "Rejected", event)


def _sources(event: object) -> list[SourceEvent]:
    """Return the sources of an event; empty if it names none, or cannot be read."""
    try:
        return [part for part in events.parse(event).records if isinstance(part, SourceEvent)]
    except EventError:
        return []

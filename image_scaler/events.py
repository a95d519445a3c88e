"""Any AWS event -> SourceEvents. Keys are decoded here, and nowhere else."""

import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from image_scaler.exceptions import EventError
from image_scaler.storage.base import ObjectRef
from image_scaler.text import on_one_line

EXPECTED = (
    "an S3 notification (by itself, or in SNS, SQS, or both), an EventBridge event of S3, "
    'a task of S3 Batch Operations, or a direct call ({"bucket": "...", "keys": ["..."]})'
)


class EventSource(enum.Enum):
    """The service that sent an event; it decides what the response must be."""

    NOTIFICATION = enum.auto()
    """S3, SNS or EventBridge: the response is discarded; Lambda retries if the function raises."""
    SQS = enum.auto()
    """Lambda's event source mapping of a queue: expects the messages to keep for a retry."""
    S3_BATCH_OPERATIONS = enum.auto()
    """Expects a result for each task."""
    DIRECT = enum.auto()
    """A direct call of the function, whose caller reads the response."""


@dataclass(frozen=True, kw_only=True)
class SourceEvent:
    """One object that was created in a source bucket, or removed from it."""

    ref: ObjectRef
    is_removed: bool = False
    etag: str | None = None
    """Without quotes. None if the event has no ETag; any stored version then matches."""
    size: int | None = None
    """In bytes."""
    sequencer: str | None = None
    """Orders the events of one key: hexadecimal, compared after padding the shorter with zeros on the right."""
    payload: Mapping[str, Any]
    """An event with this source alone; sent to the function, it repeats the work."""
    id: str = ""
    """Of the SQS message or the Batch Operations task that it came in."""
    is_retry: bool = False
    """Whether SQS has delivered it before."""


@dataclass(frozen=True, kw_only=True)
class InvalidRecord:
    """A record of no known kind; it does not affect the other records."""

    payload: Mapping[str, Any]
    error: EventError
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """The work that an event asks for."""

    event_source: EventSource
    records: Sequence[SourceEvent | InvalidRecord]
    """In the order of the event; empty for S3's test event."""
    event: Mapping[str, Any]


def parse(event: object) -> Invocation:
    """Return the work that an event asks for.

    Raises EventError for any other event than those of EXPECTED. An invalid record among valid ones does not raise: it
    becomes an InvalidRecord.
    """
    if not isinstance(event, dict):
        raise EventError(f"expected {EXPECTED} but received {_outline(event)}")
    match event:
        case {"bucket": str(bucket), "keys": [*keys]}:
            return Invocation(
                event_source=EventSource.DIRECT, records=[_from_call(bucket, key) for key in keys], event=event
            )
        case {"invocationSchemaVersion": str(), "tasks": [*tasks]}:
            return Invocation(
                event_source=EventSource.S3_BATCH_OPERATIONS, records=[_from_task(task) for task in tasks], event=event
            )
        case {"Records": [{"eventSource": "aws:sqs"}, *_] as messages}:
            records = [record for message in messages for record in _from_message(message)]
            return Invocation(event_source=EventSource.SQS, records=records, event=event)
    return Invocation(event_source=EventSource.NOTIFICATION, records=list(_from_notification(event)), event=event)


def _from_notification(event: Mapping[str, Any]) -> Iterator[SourceEvent | InvalidRecord]:
    """Yield the sources of what S3, SNS or EventBridge sends; raises EventError for anything else."""
    match event:
        case {"Event": "s3:TestEvent"}:
            return
        case {"source": "aws.s3", "detail-type": str(), "detail": dict()}:
            yield from _from_event_bridge(event)
        case {"Type": "Notification", "Message": str(message)}:  # the envelope of SNS in an SQS message
            yield from _from_notification(_json(message))
        case {"Records": [*records]}:
            for record in records:
                yield from _from_record(record)
        case _:
            raise EventError(f"expected {EXPECTED} but received {_outline(event)}")


_CREATIONS = ("ObjectCreated:",)
_REMOVALS = ("ObjectRemoved:", "LifecycleExpiration:")
"""By a request, or by a lifecycle rule of the bucket."""


def _from_record(record: Any) -> Iterator[SourceEvent | InvalidRecord]:
    """Yield the source of a record; nothing for an event that is neither a creation nor a removal (tags, restore)."""
    match record:
        case {"eventName": str(name), "s3": dict()} if not name.removeprefix("s3:").startswith(_CREATIONS + _REMOVALS):
            return
        case {"s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **details}}}:
            yield SourceEvent(
                ref=ObjectRef(bucket, unquote_plus(key)),
                is_removed=str(record.get("eventName")).removeprefix("s3:").startswith(_REMOVALS),
                etag=_optional(details.get("eTag"), str),
                size=_optional(details.get("size"), int),
                sequencer=_optional(details.get("sequencer"), str),
                payload={"Records": [record]},
            )
        case {"Sns": {"Message": str(message)}}:
            yield from _or_invalid({"Records": [record]}, message)
        case _:
            error = EventError(
                f"expected a record with s3.bucket.name and s3.object.key but received {_outline(record)}"
            )
            yield InvalidRecord(payload={"Records": [record]}, error=error)


def _from_event_bridge(event: Mapping[str, Any]) -> Iterator[SourceEvent]:
    if event["detail-type"] not in ("Object Created", "Object Deleted"):  # tags, storage class, restore, ACL
        return
    match event:
        case {
            "detail-type": "Object Created" | "Object Deleted" as kind,
            "detail": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **details}},
        }:
            yield SourceEvent(
                # Keys are raw here; in S3's own notifications they are form-encoded.
                ref=ObjectRef(bucket, key),
                is_removed=kind == "Object Deleted",
                etag=_optional(details.get("etag"), str),
                size=_optional(details.get("size"), int),
                sequencer=_optional(details.get("sequencer"), str),
                payload=event,
            )
        case _:
            raise EventError(
                f"expected detail.bucket.name and detail.object.key in the EventBridge event {event['detail-type']!r} "
                f"but received {_outline(event.get('detail'))}"
            )


def _from_message(message: Any) -> Iterator[SourceEvent | InvalidRecord]:
    """Yield the sources of an SQS message, each with the message's id."""
    fields: Mapping[str, Any] = message if isinstance(message, dict) else {}
    is_retry = False
    match fields:
        case {"attributes": {"ApproximateReceiveCount": count}}:
            is_retry = count != "1"
    for record in _or_invalid({"Records": [message]}, fields.get("body")):
        record = _with_id(record, str(fields.get("messageId", "")))
        yield replace(record, is_retry=is_retry) if isinstance(record, SourceEvent) else record


def _or_invalid(payload: Mapping[str, Any], text: object) -> Iterator[SourceEvent | InvalidRecord]:
    """Yield the sources of a notification in JSON, or one InvalidRecord if it is not one."""
    try:
        records = list(_from_notification(_json(text)))
    except EventError as error:
        records = [InvalidRecord(payload=payload, error=error)]
    yield from records


def _from_task(task: Any) -> SourceEvent | InvalidRecord:
    match task:
        case {"taskId": str(number), "s3Key": str(key), "s3BucketArn": str(arn)}:
            bucket = arn.rpartition(":")[2]  # some ARNs have a region and an account, and so no `:::`
        case {"taskId": str(number), "s3Key": str(key), "s3Bucket": str(bucket)}:
            pass
        case _:
            error = EventError(
                f"expected a task with taskId, s3Key and s3BucketArn or s3Bucket but received {_outline(task)}"
            )
            number = str(task.get("taskId", "")) if isinstance(task, dict) else ""
            return InvalidRecord(payload={"tasks": [task]}, error=error, id=number)
    return _with_id(_from_call(bucket, unquote_plus(key)), number)


def _from_call(bucket: str, key: object) -> SourceEvent | InvalidRecord:
    payload = {"bucket": bucket, "keys": [key]}
    if not isinstance(key, str) or not key:
        return InvalidRecord(payload=payload, error=EventError(f"expected keys as text but received {key!r}"))
    return SourceEvent(ref=ObjectRef(bucket, key), payload=payload)


def _json(text: object) -> Any:
    try:
        value = json.loads(text if isinstance(text, str) else "")
    except (ValueError, RecursionError) as error:
        raise EventError(f"expected a notification in JSON but received {str(text)[:60]!r}") from error
    if not isinstance(value, dict):
        raise EventError(f"expected {EXPECTED} but received {_outline(value)}")
    return value


Record = TypeVar("Record", SourceEvent, InvalidRecord, SourceEvent | InvalidRecord)
T = TypeVar("T")


def _with_id(record: Record, number: str) -> Record:
    return replace(record, id=number)


def _optional(value: object, type_: type[T]) -> T | None:
    return value if isinstance(value, type_) else None


def _outline(value: object) -> str:
    """Return a value's outer shape: enough to recognise it, without its content."""
    if isinstance(value, dict):
        return f"an object with {', '.join(sorted(on_one_line(str(name)) for name in value))[:200] or 'no fields'}"
    return type(value).__name__

"""Any event -> source references. Keys are decoded here, and nowhere else."""

import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from image_scaler.exceptions import EventError
from image_scaler.storage.base import ObjectRef, on_one_line

EXPECTED = (
    "an S3 notification (by itself, or in SNS, SQS, or both), an EventBridge event of S3, "
    'a task of S3 Batch Operations, or a direct call ({"bucket": "...", "keys": ["..."]})'
)


class Sender(enum.Enum):
    """Who sent an event, which decides what is answered."""

    NOTIFICATION = enum.auto()
    """S3, SNS or EventBridge: nobody reads the answer; Lambda retries what raises."""
    SQS = enum.auto()
    """Lambda's poller of a queue: wants to know which messages to keep for another try."""
    BATCH = enum.auto()
    """S3 Batch Operations: wants a result for each task."""
    CALLER = enum.auto()
    """Somebody who called the function directly, and reads the answer."""


@dataclass(frozen=True, kw_only=True)
class SourceEvent:
    """One object that was created in a source bucket, or removed from it."""

    ref: ObjectRef
    is_removed: bool = False
    etag: str | None = None
    """Without quotes. None where the event does not say it: whatever is stored is then meant."""
    size: int | None = None
    """In bytes."""
    sequencer: str | None = None
    """Orders the events of one key: hexadecimal, compared after padding the shorter with zeros on the right."""
    payload: Mapping[str, Any]
    """An event with this source alone, which does the same again when it is sent to the function."""
    id: str = ""
    """Of the SQS message or the Batch Operations task that it came in."""


@dataclass(frozen=True, kw_only=True)
class UnreadableEvent:
    """A part of an event that is of no known kind; the other parts are not touched by it."""

    payload: Mapping[str, Any]
    error: EventError
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What an event asks for."""

    sender: Sender
    parts: Sequence[SourceEvent | UnreadableEvent]
    """In the order of the event; none for S3's test event."""
    event: Mapping[str, Any]


def parse(event: object) -> Invocation:
    """Return what an event asks for.

    Raises EventError for any other event than those of EXPECTED. A bad record among good ones does not
    raise: it comes as an UnreadableEvent.
    """
    if not isinstance(event, dict):
        raise EventError(f"expected {EXPECTED} but received {_outline(event)}")
    match event:
        case {"bucket": str(bucket), "keys": [*keys]}:
            return Invocation(sender=Sender.CALLER, parts=[_from_call(bucket, key) for key in keys], event=event)
        case {"invocationSchemaVersion": str(), "tasks": [*tasks]}:
            return Invocation(sender=Sender.BATCH, parts=[_from_task(task) for task in tasks], event=event)
        case {"Records": [{"eventSource": "aws:sqs"}, *_] as messages}:
            parts = [part for message in messages for part in _from_message(message)]
            return Invocation(sender=Sender.SQS, parts=parts, event=event)
    return Invocation(sender=Sender.NOTIFICATION, parts=list(_from_notification(event)), event=event)


def _from_notification(event: Mapping[str, Any]) -> Iterator[SourceEvent | UnreadableEvent]:
    """Yield the sources of what S3, SNS or EventBridge sends; raises EventError for anything else."""
    match event:
        case {"Event": "s3:TestEvent"}:
            return
        case {"source": "aws.s3", "detail-type": str(), "detail": dict()}:
            yield _from_event_bridge(event)
        case {"Type": "Notification", "Message": str(message)}:  # SNS's envelope, as it lies in an SQS message
            yield from _from_notification(_json(message))
        case {"Records": [*records]}:
            for record in records:
                yield from _from_record(record)
        case _:
            raise EventError(f"expected {EXPECTED} but received {_outline(event)}")


_REMOVALS = ("ObjectRemoved:", "LifecycleExpiration:")
"""By somebody, or by a rule of the bucket."""


def _from_record(record: Any) -> Iterator[SourceEvent | UnreadableEvent]:
    match record:
        case {"s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **details}}}:
            yield SourceEvent(
                ref=ObjectRef(bucket, unquote_plus(key)),
                is_removed=str(record.get("eventName")).startswith(_REMOVALS),
                etag=_optional(details.get("eTag"), str),
                size=_optional(details.get("size"), int),
                sequencer=_optional(details.get("sequencer"), str),
                payload={"Records": [record]},
            )
        case {"Sns": {"Message": str(message)}}:
            yield from _or_unreadable({"Records": [record]}, message)
        case _:
            error = EventError(
                f"expected a record with s3.bucket.name and s3.object.key but received {_outline(record)}"
            )
            yield UnreadableEvent(payload={"Records": [record]}, error=error)


def _from_event_bridge(event: Mapping[str, Any]) -> SourceEvent:
    match event:
        case {
            "detail-type": "Object Created" | "Object Deleted" as kind,
            "detail": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **details}},
        }:
            return SourceEvent(
                # Here keys stand as they are; in S3's own notifications they are form-encoded.
                ref=ObjectRef(bucket, key),
                is_removed=kind == "Object Deleted",
                etag=_optional(details.get("etag"), str),
                size=_optional(details.get("size"), int),
                sequencer=_optional(details.get("sequencer"), str),
                payload=event,
            )
    raise EventError(
        f"expected an EventBridge event 'Object Created' or 'Object Deleted' with detail.bucket.name and "
        f"detail.object.key but received {event.get('detail-type')!r} with {_outline(event.get('detail'))}"
    )


def _from_message(message: Any) -> Iterator[SourceEvent | UnreadableEvent]:
    """Yield the sources of an SQS message, each with the message's id."""
    number = str(message.get("messageId", "")) if isinstance(message, dict) else ""
    body = message.get("body") if isinstance(message, dict) else None
    for part in _or_unreadable({"Records": [message]}, body):
        yield _with_id(part, number)


def _or_unreadable(payload: Mapping[str, Any], text: object) -> Iterator[SourceEvent | UnreadableEvent]:
    """Yield the sources of a notification in JSON, or one UnreadableEvent where it is none."""
    try:
        parts = list(_from_notification(_json(text)))
    except EventError as error:
        parts = [UnreadableEvent(payload=payload, error=error)]
    yield from parts


def _from_task(task: Any) -> SourceEvent | UnreadableEvent:
    match task:
        case {"taskId": str(number), "s3Key": str(key), "s3BucketArn": str(arn)}:
            bucket = arn.rpartition(":::")[2]
        case {"taskId": str(number), "s3Key": str(key), "s3Bucket": str(bucket)}:
            pass
        case _:
            error = EventError(
                f"expected a task with taskId, s3Key and s3BucketArn or s3Bucket but received {_outline(task)}"
            )
            number = str(task.get("taskId", "")) if isinstance(task, dict) else ""
            return UnreadableEvent(payload={"tasks": [task]}, error=error, id=number)
    return _with_id(_from_call(bucket, unquote_plus(key)), number)


def _from_call(bucket: str, key: object) -> SourceEvent | UnreadableEvent:
    payload = {"bucket": bucket, "keys": [key]}
    if not isinstance(key, str) or not key:
        return UnreadableEvent(payload=payload, error=EventError(f"expected keys as text but received {key!r}"))
    return SourceEvent(ref=ObjectRef(bucket, key), payload=payload)


def _json(text: object) -> Any:
    try:
        value = json.loads(text if isinstance(text, str) else "")
    except (ValueError, RecursionError) as error:
        raise EventError(f"expected a notification in JSON but received {str(text)[:60]!r}") from error
    if not isinstance(value, dict):
        raise EventError(f"expected {EXPECTED} but received {_outline(value)}")
    return value


Part = TypeVar("Part", SourceEvent, UnreadableEvent, SourceEvent | UnreadableEvent)
T = TypeVar("T")


def _with_id(part: Part, number: str) -> Part:
    return replace(part, id=number)


def _optional(value: object, type_: type[T]) -> T | None:
    return value if isinstance(value, type_) else None


def _outline(value: object) -> str:
    """Return a value's outer shape: enough to recognise it, without what it holds."""
    if isinstance(value, dict):
        return f"an object with {', '.join(sorted(on_one_line(str(name)) for name in value))[:200] or 'nothing in it'}"
    return type(value).__name__

"""Any event -> source references. Keys are decoded here, and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote_plus

from image_scaler.exceptions import EventError
from image_scaler.store import ObjectRef

EXPECTED = (
    'an S3 notification ({"Records": [{"eventSource": "aws:s3", "s3": {...}}]}) '
    'or a direct call ({"bucket": "...", "keys": ["..."]})'
)


@dataclass(frozen=True, kw_only=True)
class SourceEvent:
    """One object that was created in a source bucket."""

    ref: ObjectRef
    etag: str | None = None
    """Without quotes. None where the event does not say it: whatever is stored is then meant."""
    size: int | None = None
    """In bytes."""
    sequencer: str | None = None
    """Orders the events of one key: hexadecimal, compared after padding the shorter with zeros on the right."""
    payload: Mapping[str, Any]
    """An event with this source alone, which does the same again when it is sent to the function."""


class Invocation(NamedTuple):
    """What an event asks for."""

    sources: list[SourceEvent]
    is_direct: bool = False
    """Whether somebody called the function directly and reads the answer, as nobody does of a notification."""


def parse(event: object) -> Invocation:
    """Return the sources of an event, in its order; none for S3's test event.

    Raises EventError for any other event than those of EXPECTED.
    """
    match event:
        case {"Event": "s3:TestEvent"}:
            return Invocation([])
        case {"Records": [*records]}:
            return Invocation([_from_record(record) for record in records])
        case {"bucket": str(bucket), "keys": [*keys]}:
            return Invocation([_from_call(bucket, key) for key in keys], is_direct=True)
    raise EventError(f"expected {EXPECTED} but received {_outline(event)}")


def _from_record(record: object) -> SourceEvent:
    match record:
        case {"s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **details}}}:
            return SourceEvent(
                ref=ObjectRef(bucket, unquote_plus(key)),
                etag=_optional(details.get("eTag"), str),
                size=_optional(details.get("size"), int),
                sequencer=_optional(details.get("sequencer"), str),
                payload={"Records": [record]},
            )
    raise EventError(f"expected S3 records with s3.bucket.name and s3.object.key but received {_outline(record)}")


def _from_call(bucket: str, key: object) -> SourceEvent:
    if not isinstance(key, str):
        raise EventError(f"expected keys as strings but received {key!r}")
    return SourceEvent(ref=ObjectRef(bucket, key), payload={"bucket": bucket, "keys": [key]})


T = TypeVar("T")


def _optional(value: object, type_: type[T]) -> T | None:
    return value if isinstance(value, type_) else None


def _outline(value: object) -> str:
    """Return an event's outer shape: enough to recognise it, without what it holds."""
    if isinstance(value, dict):
        return f"an object with {', '.join(sorted(map(str, value))) or 'nothing in it'}"
    return f"{type(value).__name__}"

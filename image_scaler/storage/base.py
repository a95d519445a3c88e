"""Where objects are kept: a reference to one, and what the service needs of a store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from image_scaler.exceptions import ObjectNotFoundError


def on_one_line(text: str) -> str:
    """Return a text from outside as it can be shown: escaped is what breaks a line, moves a cursor or is no text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ObjectRef(NamedTuple):
    """One object. The key is always already decoded: `my photo+1.jpg`, never `my+photo%2B1.jpg`.

    As text it stands on one line, whatever its key holds: no key can forge a line of the log.
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{on_one_line(self.key)}"


@dataclass(frozen=True, kw_only=True)
class Head:
    """What is stored beside an object's content."""

    etag: str
    """As S3 gives it in events: without quotes."""
    size: int
    """In bytes."""
    content_type: str
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The user metadata (`x-amz-meta-*`), its names in lower case without that prefix."""


@dataclass(frozen=True, kw_only=True)
class StoredObject(Head):
    """An object, whose content is not fetched before it is read."""

    read: Callable[[], bytes] = field(compare=False)
    """Return the whole content; raises StorageError where it does not arrive whole. To be called once."""


class ObjectStore(Protocol):
    """Reads and writes objects.

    Every method raises ObjectNotFoundError, PreconditionFailedError, or StorageError for anything else that a
    retry may mend.
    """

    def head(self, ref: ObjectRef) -> Head:
        """Return what is stored beside the object's content."""
        ...

    def get(self, ref: ObjectRef, *, if_match: str | None = None) -> StoredObject:
        """Return the object; with `if_match` only while it has that ETag."""
        ...

    def put(
        self,
        ref: ObjectRef,
        body: bytes,
        *,
        content_type: str,
        cache_control: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Write the object, or write over it; return its ETag.

        With `if_none_match` only where there is none yet, with `if_match` only over one of that ETag.
        """
        ...

    def copy(
        self, source: ObjectRef, destination: ObjectRef, *, if_match: str | None = None, size: int | None = None
    ) -> int:
        """Copy the object with its content type, cache control and user metadata, byte for byte.

        With `if_match` only while the source has that ETag. `size` in bytes spares the store asking for it.
        Returns the size in bytes.
        """
        ...

    def delete(self, ref: ObjectRef, *, if_match: str) -> None:
        """Delete the object while it has that ETag."""
        ...


def head_if_there(store: ObjectStore, ref: ObjectRef) -> Head | None:
    """Return what is stored beside an object's content; None where there is no such object."""
    try:
        return store.head(ref)
    except ObjectNotFoundError:
        return None

"""Objects in a store: ObjectRef, ObjectHead, and the ObjectStore protocol."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import NamedTuple, Protocol

from image_scaler.exceptions import ObjectNotFoundError
from image_scaler.text import on_one_line


class ObjectRef(NamedTuple):
    """One object. The key is always already decoded: `my photo+1.jpg`, never `my+photo%2B1.jpg`.

    As text it is on one line, whatever its key contains: no key can forge a line of the log.
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{on_one_line(self.key)}"


@dataclass(frozen=True, kw_only=True)
class ObjectHeaders:
    """The metadata that S3 stores with an object and sends as HTTP headers."""

    content_type: str
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The user metadata (`x-amz-meta-*`), its names in lower case without that prefix."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The tags to write; empty in what a store returns, because S3 has them in another request."""


@dataclass(frozen=True, kw_only=True)
class ObjectHead(ObjectHeaders):
    """An object without its content: what HeadObject returns."""

    etag: str
    """Without quotes, as in S3's events."""
    size: int
    """In bytes."""
    last_modified: datetime | None = None
    """When it was written, to the second; None if the store does not tell. Tells uploads of the same bytes apart."""

    @property
    def headers(self) -> ObjectHeaders:
        """The metadata alone."""
        return ObjectHeaders(**{item.name: getattr(self, item.name) for item in fields(ObjectHeaders)})


@dataclass(frozen=True, kw_only=True)
class StoredObject(ObjectHead):
    """An object whose content is fetched when it is read."""

    read: Callable[[], bytes] = field(compare=False)
    """Return the complete content; raises StorageError if it does not arrive completely. Call it once."""


class ObjectStore(Protocol):
    """Reads and writes objects.

    Every method raises ObjectNotFoundError, PreconditionFailedError, or StorageError for anything else; then a retry
    may succeed.
    """

    def head(self, ref: ObjectRef) -> ObjectHead:
        """Return the object without its content."""
        ...

    def get(self, ref: ObjectRef, *, if_match: str | None = None) -> StoredObject:
        """Return the object; with `if_match` only while it has that ETag."""
        ...

    def put(
        self,
        ref: ObjectRef,
        body: bytes,
        headers: ObjectHeaders,
        *,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Create or overwrite the object with these headers; return its ETag.

        With `if_none_match` only if it does not exist; with `if_match` only if it exists with that ETag.
        """
        ...

    def copy(
        self,
        source: ObjectRef,
        destination: ObjectRef,
        headers: ObjectHeaders,
        *,
        if_match: str,
        size: int,
        overwrites: str | None,
    ) -> None:
        """Copy the content of an object, byte for byte, and store it with these headers.

        Only while the source has the ETag `if_match`, and the destination the ETag `overwrites`, or while there is none
        if that is None. `size`: the size of the source in bytes.
        """
        ...

    def delete(self, ref: ObjectRef, *, if_match: str) -> None:
        """Delete the object while it has that ETag."""
        ...

    def list(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with a prefix, in any order."""
        ...


def head_or_none(store: ObjectStore, ref: ObjectRef) -> ObjectHead | None:
    """Return an object without its content; None if it does not exist."""
    try:
        return store.head(ref)
    except ObjectNotFoundError:
        return None

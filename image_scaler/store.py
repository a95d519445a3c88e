"""Where objects are kept: a reference to one, and what the service needs of a store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class ObjectRef(NamedTuple):
    """One object. The key is always already decoded: `my photo+1.jpg`, never `my+photo%2B1.jpg`."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object's content and what is stored beside it."""

    body: bytes
    etag: str
    """As S3 gives it in events: without quotes."""
    content_type: str
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The user metadata (`x-amz-meta-*`), its names in lower case without that prefix."""


class ObjectStore(Protocol):
    """Reads and writes objects.

    Every method raises ObjectNotFoundError, PreconditionFailedError, or StorageError for anything else
    that a retry may mend.
    """

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
    ) -> None:
        """Write the object, or write over it."""
        ...

    def copy(
        self,
        source: ObjectRef,
        destination: ObjectRef,
        *,
        if_match: str | None = None,
        size: int | None = None,
    ) -> int:
        """Copy the object with its content type, cache control and user metadata, byte for byte.

        With `if_match` only while the source has that ETag. `size` in bytes spares the store asking for it.
        Returns the size in bytes.
        """
        ...

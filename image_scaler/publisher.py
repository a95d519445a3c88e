"""Write a rendition so that an older source never replaces a newer one.

S3 delivers events more than once, late and out of order, and Lambda retries them; several may work on one key at the
same time. There is no lock and no database. Each rendition carries its provenance in its metadata (which source, which
recipe), and every write is conditional:

- The first write of a key is `If-None-Match: *`: a new image costs no extra request.
- If the key exists, the higher `sequencer` wins, and the write is `If-Match` on what was seen. S3 gives each event of a
  key a sequencer; padded with zeros on the right they sort in the order of the events.
- An ETag is the same for the same bytes, so a condition on it cannot tell two versions apart that have the same pixels.
  After an overwrite the reconciler therefore looks at the source once more.
- Sequencers of two sources cannot be compared. Under a key that two sources could have (`shared_stems`), the rendition
  names its source, and only that source may replace or remove it.
- A server-side copy carries only what its source has. After a copy the publisher looks at the source once more.

An object of the same version and recipe stays: it is the same, or a search for its quality was cut short in one of two
tries. What is listed is what is stored, so its size is returned if its bytes are others.
"""

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import quote, unquote

from image_scaler.exceptions import ObjectNotFoundError, PreconditionFailedError, SharedKeyError, StorageError
from image_scaler.outcomes import WriteStatus
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, ObjectStore, head_or_none
from image_scaler.text import on_one_line

MAX_TRIES = 8
"""How often a conditional write is tried; each time that it fails, another event has made progress."""
MIN_PAUSE, MAX_PAUSE = 0.05, 0.2
"""Seconds before each try from the third on. Random, so two competing events do not stay in step. The second try
follows at once: usually the rendition of an older source exists, and no other event is running."""

SUPERSEDED = "superseded"
"""The metadata of a rendition that no manifest lists any more, and the tag by which a lifecycle rule finds it."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a rendition was made from, and how; stored in its user metadata."""

    source_etag: str
    sequencer: str | None = None
    """None: the rendition was not made for an event that has one."""
    fingerprint: str
    """Of its recipe."""
    focal_point: str | None = None
    """As the source's metadata says it; None without one."""
    source_key: str | None = None
    """Only under a key that another source could have too; None under others."""
    asked: str | None = None
    """Only of a manifest: the renditions that the source's metadata asks for; None if it does not say."""

    def as_metadata(self) -> dict[str, str]:
        """Return it as user metadata."""
        metadata = {"source-etag": self.source_etag, "recipe": self.fingerprint}
        source_key = None if self.source_key is None else quote(self.source_key)  # metadata is ASCII
        optional = {
            "source-sequencer": self.sequencer,
            "source-focal-point": self.focal_point,
            "source-key": source_key,
            "source-renditions": self.asked,
        }
        return metadata | {name: value for name, value in optional.items() if value}

    @classmethod
    def of(cls, head: ObjectHead) -> "Provenance | None":
        """Return the provenance of an object; None if it is not a rendition."""
        metadata = head.metadata
        if "recipe" not in metadata or "source-etag" not in metadata:
            return None
        return cls(
            source_etag=metadata["source-etag"],
            sequencer=metadata.get("source-sequencer"),
            fingerprint=metadata["recipe"],
            focal_point=metadata.get("source-focal-point"),
            source_key=unquote(metadata["source-key"]) if "source-key" in metadata else None,
            asked=metadata.get("source-renditions"),
        )

    def is_of_other(self, source_key: str) -> bool:
        """Return whether the rendition belongs to another source than this."""
        return self.source_key not in (None, source_key)

    def is_of_version(self, other: "Provenance") -> bool:
        """Return whether both are of the same version of the source."""
        own, others = ((one.source_etag, one.focal_point, one.asked) for one in (self, other))
        return own == others

    def is_of_version_and_recipe(self, other: "Provenance") -> bool:
        """Return whether both are of the same version and the same recipe, whatever their events."""
        return self.is_of_version(other) and self.fingerprint == other.fingerprint

    def is_same(self, other: "Provenance") -> bool:
        """Return whether both are equal; if `other` has no sequencer, whatever the event of this one."""
        return other in (self, replace(self, sequencer=None))


class PutResult(NamedTuple):
    """The result of writing a rendition."""

    status: WriteStatus
    stored_bytes: int | None = None
    """The size of the object if it is up to date but has other bytes; else None."""


def is_later(one: str | None, other: str | None) -> bool:
    """Return whether the event of sequencer `one` happened after that of `other`; False if either is not known.

    Both are of the same key.
    """
    if not one or not other:
        return False
    length = max(len(one), len(other))
    return one.upper().ljust(length, "0") > other.upper().ljust(length, "0")


class Publisher:
    """Writes, copies and removes the objects of the destination bucket."""

    def __init__(self, store: ObjectStore, bucket: str, sleep: Callable[[float], None] = time.sleep) -> None:
        """`sleep` waits for the given number of seconds before a write is tried again."""
        self._store = store
        self._bucket = bucket
        self._sleep = sleep
        self._etags_are_digests = True

    def put(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        provenance: Provenance,
        is_same: Callable[[Provenance, Provenance], bool] | None = None,
    ) -> PutResult:
        """Write a rendition, unless the same or a newer one exists; raises StorageError.

        The provenance is stored with the metadata of the headers. `is_same` returns whether the provenance of an
        existing object and this one are of equal renditions; another one is then overwritten, whatever its event. None:
        they are if the version, the recipe and the event are equal, and the later event wins. Raises SharedKeyError if
        the object belongs to another source.
        """
        ref = ObjectRef(self._bucket, key)
        headers = replace(headers, metadata={**headers.metadata, **provenance.as_metadata()})
        if_match: str | None = None
        for tried in range(MAX_TRIES):
            self._pause(tried)
            try:
                etag = self._store.put(ref, body, headers, if_none_match=if_match is None, if_match=if_match)
            except (ObjectNotFoundError, PreconditionFailedError):
                head = head_or_none(self._store, ref)
            else:
                self._etags_are_digests = etag == _digest(body)  # not with KMS keys
                return PutResult(WriteStatus.OVERWRITTEN if if_match else WriteStatus.CREATED)
            existing = Provenance.of(head) if head and not is_superseded(head) else None
            if existing and existing.source_key != provenance.source_key:
                if existing.source_key is not None and provenance.source_key is not None:
                    raise SharedKeyError(f"{ref} is of {on_one_line(existing.source_key)}", existing.source_key)
                existing = None  # of a recipe with other keys: the sequencers may be those of two sources
            if head and existing and (is_same or Provenance.is_same)(existing, provenance):
                # If a write was carried out but its response was lost, then this is the object that it wrote.
                status = WriteStatus.OVERWRITTEN if if_match else WriteStatus.UP_TO_DATE
                return PutResult(status, None if self._has_bytes(head, body) else head.size)
            if existing and is_same is None and is_later(existing.sequencer, provenance.sequencer):
                return PutResult(WriteStatus.STALE)
            if_match = head.etag if head else None
        raise StorageError(f"cannot write {ref}: other events wrote it {MAX_TRIES} times in the meantime")

    def copy(self, source: ObjectRef, head: ObjectHead, key: str, headers: ObjectHeaders) -> WriteStatus:
        """Copy this version of the source, unless the same copy exists.

        Raises ObjectNotFoundError and PreconditionFailedError if the source was deleted or replaced, and StorageError.
        """
        ref = ObjectRef(self._bucket, key)
        for tried in range(MAX_TRIES):
            self._pause(tried)
            existing = head_or_none(self._store, ref)
            if is_copy(existing, head, headers):
                return WriteStatus.UP_TO_DATE
            overwrites = existing.etag if existing else None
            try:
                self._store.copy(source, ref, headers, if_match=head.etag, size=head.size, overwrites=overwrites)
            except PreconditionFailedError:
                current = head_or_none(self._store, source)
                if current and current.etag != head.etag:
                    raise
                continue  # another event wrote the copy
            current = head_or_none(self._store, source)
            # The event of a newer version may have been processed before this copy was written.
            is_stale = current is not None and current.etag != head.etag
            return WriteStatus.STALE if is_stale else WriteStatus.CREATED
        raise StorageError(f"cannot write {ref}: other events wrote it {MAX_TRIES} times in the meantime")

    def put_copy(self, key: str, body: bytes, headers: ObjectHeaders, is_newest: Callable[[], bool]) -> WriteStatus:
        """Write the copy of a source that was deleted in the meantime, while `is_newest` says so; raises StorageError.

        A copy has no provenance that says of which event it is.
        """
        ref = ObjectRef(self._bucket, key)
        for tried in range(MAX_TRIES):
            self._pause(tried)
            existing = head_or_none(self._store, ref)
            if not is_newest():
                return WriteStatus.STALE
            if_match = existing.etag if existing else None
            with suppress(ObjectNotFoundError, PreconditionFailedError):
                self._store.put(ref, body, headers, if_none_match=if_match is None, if_match=if_match)
                return WriteStatus.CREATED
        raise StorageError(f"cannot write {ref}: other events wrote it {MAX_TRIES} times in the meantime")

    def has(self, key: str, provenance: Provenance) -> bool:
        """Return whether an object has exactly this provenance; raises StorageError."""
        head = head_or_none(self._store, ObjectRef(self._bucket, key))
        return head is not None and Provenance.of(head) == provenance

    def exists(self, key: str) -> bool:
        """Return whether any version of a rendition is stored; raises StorageError."""
        return head_or_none(self._store, ObjectRef(self._bucket, key)) is not None

    def remove(
        self,
        key: str,
        source: ObjectRef,
        may_remove: Callable[[ObjectHead | None], bool] = lambda current: current is None,
        *,
        is_shared: bool = False,
    ) -> bool:
        """Delete an object if its source is gone; return whether it was deleted.

        `may_remove` returns whether the current source, None if there is none, counts as gone. `is_shared`: another
        source could have this key; then only its own rendition is deleted.
        """
        ref = ObjectRef(self._bucket, key)
        head = head_or_none(self._store, ref)
        if head is None:
            return False
        if is_shared and (provenance := Provenance.of(head)) and provenance.is_of_other(source.key):
            return False
        # Look at the source after the rendition: whatever is written from now on has another ETag.
        if not may_remove(head_or_none(self._store, source)):
            return False
        try:
            self._store.delete(ref, if_match=head.etag)
        except (ObjectNotFoundError, PreconditionFailedError):
            return False
        return True

    def mark(self, key: str, *, is_superseded: bool, tags: Mapping[str, str]) -> bool:
        """Mark a rendition, or remove its mark; return whether that was needed. A deleted one stays deleted.

        It is copied onto itself, with a tag, after which a lifecycle rule deletes it, and with metadata that says so:
        S3 counts the days of a rule from the last write, not from the tag. `tags`: those that it has anyway.
        """
        ref = ObjectRef(self._bucket, key)
        head = head_or_none(self._store, ref)
        if head is None or (SUPERSEDED in head.metadata) == is_superseded:
            return False
        provenance = Provenance.of(head)
        # Drop a copy's other metadata: together with the mark it could exceed S3's 2 KB.
        metadata = provenance.as_metadata() if provenance else {}
        mark = {SUPERSEDED: "true"} if is_superseded else {}
        headers = replace(head.headers, metadata=metadata | mark, tags={**tags, **mark})
        try:
            self._store.copy(ref, ref, headers, if_match=head.etag, size=head.size, overwrites=head.etag)
        except (ObjectNotFoundError, PreconditionFailedError):
            return False
        return True

    def _pause(self, tried: int) -> None:
        if tried >= 2:
            self._sleep(random.uniform(MIN_PAUSE, MAX_PAUSE))  # noqa: S311  nothing secret

    def _has_bytes(self, head: ObjectHead, body: bytes) -> bool:
        """Return whether an object has these bytes, as far as its size and its digest say."""
        return head.size == len(body) and not (self._etags_are_digests and head.etag != _digest(body))


def is_superseded(head: ObjectHead) -> bool:
    """Return whether a rendition is marked: no manifest listed it when it was, and it will be deleted."""
    return SUPERSEDED in head.metadata


def is_copy(existing: ObjectHead | None, source: ObjectHead, headers: ObjectHeaders) -> bool:
    """Return whether an object is the copy of this version of the source, with these headers."""
    return existing is not None and (existing.etag, existing.headers) == (source.etag, headers)


def _digest(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()

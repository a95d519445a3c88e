"""Write a rendition so that an older source never replaces a newer one.

S3 delivers events more than once, late and out of order, and Lambda retries them; several may work on one key at the
same time. There is no lock and no database. Each rendition carries its provenance in its metadata (which source, which
recipe), and every write is conditional:

- The first write of a key is `If-None-Match: *`: a new image costs no extra request.
- If the key exists, the higher `sequencer` wins, and the write is `If-Match` on what was seen. S3 gives each event of a
  key a sequencer; padded with zeros on the right they sort in the order of the events.
- An ETag is the same for the same bytes, so a condition on it cannot tell two versions apart that have the same pixels.
  After an overwrite the reconciler therefore looks at the source once more.
- A server-side copy carries only what its source has. After a copy the publisher looks at the source once more.

A key with a hash of the source's version and the recipe never gets other content, so nothing has to be decided: it is
written once. When another manifest replaces the one that lists it, it is marked as superseded: copied onto itself with
a tag, after which a lifecycle rule deletes it, and with metadata that says so. (S3 counts the days of a rule from the
last write, not from the tag.) If the version comes back, the mark is overwritten.
"""

import enum
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from image_scaler.exceptions import ObjectNotFoundError, PreconditionFailedError, StorageError
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, ObjectStore, head_or_none

MAX_TRIES = 8
"""How often a conditional write is tried; each time that it fails, another event has made progress."""
MIN_PAUSE, MAX_PAUSE = 0.05, 0.2
"""Seconds before each try from the third on. They are random, so that events that met once do not meet again. The
second try follows at once: usually the rendition of an older source exists, and no other event is running."""


SUPERSEDED = "superseded"
"""The metadata of a rendition that no manifest lists any more, and the tag by which a lifecycle rule finds it."""


class WriteResult(enum.Enum):
    """The result of writing a rendition."""

    CREATED = enum.auto()
    OVERWRITTEN = enum.auto()
    """Another object existed. In the meantime it may have been replaced by a newer one with equal bytes."""
    UP_TO_DATE = enum.auto()
    """The same rendition of the same source existed."""
    LEFT_OUT = enum.auto()
    """It is not worth its bytes, and no older version of it existed: nothing was written."""
    STALE = enum.auto()
    """The rendition of a newer source exists, or the source has changed; nothing was written, or a stale copy."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a rendition was made from, and how; stored in its user metadata."""

    source_etag: str
    sequencer: str | None
    """None: the rendition was not made for an event that has one."""
    fingerprint: str
    """Of its recipe."""

    def as_metadata(self) -> dict[str, str]:
        """Return it as user metadata."""
        metadata = {"source-etag": self.source_etag, "recipe": self.fingerprint}
        return metadata | ({"source-sequencer": self.sequencer} if self.sequencer else {})

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
        )


def is_later(one: str | None, other: str | None) -> bool:
    """Return whether the event of sequencer `one` happened after that of `other`; False if either is not known.

    Both are of the same key.
    """
    if not one or not other:
        return False
    length = max(len(one), len(other))
    return one.upper().ljust(length, "0") > other.upper().ljust(length, "0")


class Publisher:
    """Writes, copies and removes the renditions of one source."""

    def __init__(self, store: ObjectStore, source: ObjectRef, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """`sleep` waits for the given number of seconds before a write is tried again."""
        self._store = store
        self._source = source
        self._sleep = sleep

    def put(
        self,
        ref: ObjectRef,
        body: bytes,
        headers: ObjectHeaders,
        provenance: Provenance,
        *,
        is_versioned: bool = False,
        before_overwrite: Callable[[str], None] = lambda etag: None,
    ) -> WriteResult:
        """Write a rendition, unless the same or a newer one exists; raises StorageError.

        The provenance is stored with the metadata of the headers.
        `is_versioned`: the key has a hash of the version and the recipe, so any object of them is the same.
        `before_overwrite` is called with the ETag of the object that is overwritten next.
        """
        headers = replace(headers, metadata={**headers.metadata, **provenance.as_metadata()})
        if_match: str | None = None
        for tried in range(MAX_TRIES):
            if tried >= 2:
                self._sleep(random.uniform(MIN_PAUSE, MAX_PAUSE))  # noqa: S311  nothing secret
            try:
                self._store.put(ref, body, headers, if_none_match=if_match is None, if_match=if_match)
            except (ObjectNotFoundError, PreconditionFailedError):
                head = head_or_none(self._store, ref)
            else:
                return WriteResult.OVERWRITTEN if if_match else WriteResult.CREATED
            existing = Provenance.of(head) if head and not is_superseded(head) else None
            if existing and is_versioned:
                existing = replace(existing, sequencer=provenance.sequencer)
            if existing and _is_same(existing, provenance):
                # If a write was carried out but its response was lost, then this is the object that it wrote.
                return WriteResult.OVERWRITTEN if if_match else WriteResult.UP_TO_DATE
            if existing and is_later(existing.sequencer, provenance.sequencer):
                return WriteResult.STALE
            if_match = head.etag if head else None
            if if_match:
                before_overwrite(if_match)
        raise StorageError(f"cannot write {ref}: other events wrote it {MAX_TRIES} times in the meantime")

    def exists(self, ref: ObjectRef) -> bool:
        """Return whether any version of a rendition is stored; raises StorageError."""
        return head_or_none(self._store, ref) is not None

    def copy(self, ref: ObjectRef, source: ObjectHead, headers: ObjectHeaders) -> WriteResult:
        """Copy this version of the source, unless the same copy exists.

        Raises ObjectNotFoundError, PreconditionFailedError and StorageError.
        """
        existing = head_or_none(self._store, ref)
        if existing and (existing.etag, existing.headers) == (source.etag, headers):
            return WriteResult.UP_TO_DATE
        self._store.copy(self._source, ref, headers, if_match=source.etag, size=source.size)
        current = head_or_none(self._store, self._source)
        # The event of a newer version may have been processed before this copy was written.
        is_stale = current is not None and current.etag != source.etag
        return WriteResult.STALE if is_stale else WriteResult.CREATED

    def supersede(self, ref: ObjectRef) -> bool:
        """Mark a rendition whose key has a hash, so that it is deleted later; return whether it was not marked yet.

        A deleted one stays deleted.
        """
        head = head_or_none(self._store, ref)
        if head is None or is_superseded(head):
            return False
        provenance = Provenance.of(head)
        # Not the other metadata of a copy: with the mark it could be more than S3 allows.
        metadata = {**(provenance.as_metadata() if provenance else {}), SUPERSEDED: "true"}
        try:
            self._store.copy(
                ref,
                ref,
                replace(head.headers, metadata=metadata),
                if_match=head.etag,
                size=head.size,
                tags={SUPERSEDED: "true"},
            )
        except (ObjectNotFoundError, PreconditionFailedError):
            return False
        return True

    def remove(self, ref: ObjectRef) -> bool:
        """Delete a rendition if its source is gone; return whether it was deleted."""
        head = head_or_none(self._store, ref)
        # Look at the source after the rendition: whatever is written from now on has another ETag.
        if head is None or head_or_none(self._store, self._source) is not None:
            return False
        try:
            self._store.delete(ref, if_match=head.etag)
        except (ObjectNotFoundError, PreconditionFailedError):
            return False
        return True


def is_superseded(head: ObjectHead) -> bool:
    """Return whether a rendition is marked: no manifest listed it when it was, and it will be deleted."""
    return SUPERSEDED in head.metadata


def _is_same(existing: Provenance, mine: Provenance) -> bool:
    """Return whether both are of the same version of the source and the same recipe, as far as that is known."""
    if mine.sequencer is None:
        return (existing.source_etag, existing.fingerprint) == (mine.source_etag, mine.fingerprint)
    return existing == mine

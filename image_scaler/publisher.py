"""Write a rendition so that an older source never replaces a newer one.

S3 delivers events more than once, late and out of order, and Lambda retries them; several may be at work on
one key at a time. Nothing is locked and no database is asked: each rendition carries, in its metadata, which
source it was made from and by which recipe, every write is conditional, and who comes second looks at what
is there. The rules, with what they rest on:

- The source is read with the event's ETag as condition, so that a late event finds out by itself.
- The first write of a key is `If-None-Match: *`: a new image costs no extra request.
- Where something is there already, the higher `sequencer` wins. S3 gives each event of a key one; padded with
  zeros on the right they sort like the events happened. A caller without one asks the source itself: while that
  has the ETag that was read, nobody knows better.
- Who was superseded looks whether it left anything behind, and then makes the renditions of the newer source too
  (see upkeep): an ETag is the same for the same bytes, so that a condition on it cannot tell a newer rendition from
  the one that was looked at, where both have the same pixels.
- A copy within S3 carries nothing but what its source does. Who has copied looks at the source once more, and
  copies again where that has changed meanwhile.
"""

import enum
from dataclasses import dataclass

from image_scaler.exceptions import ObjectNotFoundError, PreconditionFailedError, StorageError
from image_scaler.storage.base import Head, ObjectRef, ObjectStore, head_if_there

_TRIES = 8
"""How often a write is tried that others come before; each time another event has made progress."""


class Published(enum.Enum):
    """What became of a rendition."""

    WRITTEN = enum.auto()
    REPLACED = enum.auto()
    """Written over another one. S3's ETag tells contents apart, not what is stored beside them: what was there may
    have become newer, with the same bytes, since it was looked at. So look at the source once more."""
    UNCHANGED = enum.auto()
    """The same rendition of the same source was there."""
    SUPERSEDED = enum.auto()
    """A newer source is there, or the source has changed."""


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What a rendition was made from, and how."""

    source_etag: str
    sequencer: str | None
    """None: made by a direct call, which has none."""
    recipe: str

    def as_metadata(self) -> dict[str, str]:
        """Return the user metadata that says it."""
        metadata = {"source-etag": self.source_etag, "recipe": self.recipe}
        return metadata | ({"source-sequencer": self.sequencer} if self.sequencer else {})

    @classmethod
    def of(cls, head: Head) -> "Stamp | None":
        """Return the stamp of an object; None where it is not a rendition."""
        metadata = head.metadata
        if "recipe" not in metadata or "source-etag" not in metadata:
            return None
        return cls(
            source_etag=metadata["source-etag"],
            sequencer=metadata.get("source-sequencer"),
            recipe=metadata["recipe"],
        )


def is_later(one: str, other: str) -> bool:
    """Return whether the event of sequencer `one` happened after that of `other`, of the same key."""
    length = max(len(one), len(other))
    return one.upper().ljust(length, "0") > other.upper().ljust(length, "0")


class Publisher:
    """Writes and removes the renditions of one source."""

    def __init__(self, store: ObjectStore, source: ObjectRef) -> None:
        self._store = store
        self._source = source

    def put(
        self, ref: ObjectRef, body: bytes, stamp: Stamp, *, content_type: str, cache_control: str | None = None
    ) -> Published:
        """Write a rendition, unless a newer one is there."""
        if_match: str | None = None
        for _ in range(_TRIES):
            try:
                self._store.put(
                    ref,
                    body,
                    content_type=content_type,
                    cache_control=cache_control,
                    metadata=stamp.as_metadata(),
                    if_none_match=if_match is None,
                    if_match=if_match,
                )
            except (ObjectNotFoundError, PreconditionFailedError):
                head = head_if_there(self._store, ref)
            else:
                return Published.REPLACED if if_match else Published.WRITTEN
            if head is not None and (settled := self._settled_by(head, stamp)):
                # After a write that was carried out and whose answer was lost, it is ours that is there.
                return Published.REPLACED if if_match and settled is Published.UNCHANGED else settled
            if_match = head.etag if head else None
        raise StorageError(f"could not write {ref}: others wrote it {_TRIES} times meanwhile")

    def copy(self, ref: ObjectRef, etag: str | None, size: int | None) -> tuple[Published, str, int]:
        """Copy the source as it is now, while it has `etag` at first; return the ETag and size in bytes copied, too."""
        copied = head_if_there(self._store, ref)
        current = self._store.head(self._source) if copied or etag is None else None
        if copied and copied == current:
            return Published.UNCHANGED, copied.etag, copied.size
        if etag is None and current:
            etag, size = current.etag, current.size
        assert etag is not None  # noqa: S101  the source was looked at then
        for _ in range(_TRIES):
            copied_size = self._store.copy(self._source, ref, if_match=etag, size=size)
            current = head_if_there(self._store, self._source)
            if current is None or current.etag == etag:
                return Published.WRITTEN, etag, copied_size
            # It was replaced while it was copied, and the event of that may have come before: copy that.
            etag, size = current.etag, current.size
        raise StorageError(f"could not copy {self._source}: it was replaced {_TRIES} times meanwhile")

    def remove(self, ref: ObjectRef, sequencer: str | None, *, is_copy: bool = False) -> Published:
        """Delete a rendition of a source that is gone, unless it was made by a later event.

        What stands beside a copy is its source's, and says nothing of when it was made.
        """
        head = head_if_there(self._store, ref)
        if head is None:
            return Published.UNCHANGED
        stamp = None if is_copy else Stamp.of(head)
        if stamp and stamp.sequencer and sequencer and is_later(stamp.sequencer, sequencer):
            return Published.SUPERSEDED
        # After the look at the rendition: what is written from now on has another ETag.
        if head_if_there(self._store, self._source) is not None:
            return Published.SUPERSEDED
        try:
            self._store.delete(ref, if_match=head.etag)
        except (ObjectNotFoundError, PreconditionFailedError):
            return Published.SUPERSEDED
        return Published.WRITTEN

    def _settled_by(self, head: Head, mine: Stamp) -> Published | None:
        """Return what makes a write needless, or None where mine is to replace what is there."""
        theirs = Stamp.of(head)
        if theirs is None:
            return None  # a copy or a stranger's object, from before this key was a rendition's
        if theirs == mine:
            return Published.UNCHANGED
        if theirs.sequencer and mine.sequencer and theirs.sequencer != mine.sequencer:
            return Published.SUPERSEDED if is_later(theirs.sequencer, mine.sequencer) else None
        if theirs.sequencer == mine.sequencer and mine.sequencer is not None:
            return None  # the same source under another recipe
        if (theirs.source_etag, theirs.recipe) == (mine.source_etag, mine.recipe) and mine.sequencer is None:
            return Published.UNCHANGED
        current = head_if_there(self._store, self._source)
        return Published.SUPERSEDED if current is None or current.etag != mine.source_etag else None

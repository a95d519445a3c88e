"""What was done for a source event, and how long it took."""

import enum
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

from image_scaler.exceptions import ImageScalerError
from image_scaler.images.quality_search import SearchEffort
from image_scaler.renditions.made import MadeRendition
from image_scaler.storage.base import ObjectRef

T = TypeVar("T")


class Stage(enum.StrEnum):
    """A part of the work on one source."""

    FETCH = "fetch"
    """Waiting for S3, and the download."""
    RENDER = "render"
    """Decoding, scaling and encoding."""
    STORE = "store"
    """Writing and copying, summed over all objects. They are written in parallel and while others are still encoded,
    so this overlaps with `render` and with itself: it says how fast S3 is, not what it adds to the total."""
    TOTAL = "total"
    """From the first to the last; less than the sum of the others, by what overlaps."""


class StageTimer:
    """Adds up the time of each stage, in any thread."""

    def __init__(self, seconds: Mapping[Stage, float] | None = None) -> None:
        """`seconds`: what was measured before."""
        self._seconds = dict(seconds or {})
        self._lock = Lock()

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Add the time that the block takes, even if it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - start

    def each(self, stage: Stage, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, and add the time that each takes to be produced."""
        iterator = iter(items)
        while True:
            with self.timed(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    @property
    def milliseconds(self) -> Mapping[Stage, float]:
        """The time of each stage that was reached."""
        return {stage: round(self._seconds[stage] * 1000, 1) for stage in Stage if stage in self._seconds}


class WriteStatus(enum.Enum):
    """The result of writing one object."""

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
class Write:
    """A rendition or a copy, and whether this event wrote it."""

    rendition: MadeRendition
    status: WriteStatus

    @property
    def is_new(self) -> bool:
        """Whether this event wrote it; otherwise it existed already."""
        return self.status in (WriteStatus.CREATED, WriteStatus.OVERWRITTEN)

    @property
    def is_stored(self) -> bool:
        """Whether the destination has it, in this version of the source."""
        return self.status not in (WriteStatus.STALE, WriteStatus.LEFT_OUT)


class Status(enum.StrEnum):
    """How the work on one source ended."""

    OK = "ok"
    REJECTED = "rejected"
    """No retry can succeed."""
    FAILED = "failed"
    """A retry may succeed."""
    SUPERSEDED = "superseded"
    """The source was replaced or deleted in the meantime: a newer event does the work."""
    IGNORED = "ignored"
    """There was nothing to do: the source is a rendition itself, or no image although any upload invokes the function.

    Or the event is a removal, and renditions are kept.
    """


@dataclass
class Report:
    """What was done for one source so far; it is filled step by step, so that it is right even after an exception."""

    source_bytes: int = 0
    """The size of the source in bytes; 0 if that is not known."""
    unknown_renditions: tuple[str, ...] = ()
    """What the source's metadata asks for without effect, because the rules allow no rendition of this name."""
    writes: list[Write] = field(default_factory=list)
    """What the destination has of this version of the source, in the order of the plan's targets."""
    removed: list[str] = field(default_factory=list)
    """The keys of the renditions that were deleted: with their source, or because it does not ask for them."""
    search: SearchEffort = field(default_factory=SearchEffort)
    timer: StageTimer = field(default_factory=StageTimer)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one record of an event."""

    source: ObjectRef | None
    """None for a record that could not be read."""
    status: Status
    error: ImageScalerError | None = None
    """Why it was rejected or failed."""
    id: str = ""
    """Of the SQS message or the Batch Operations task that the record came in."""
    is_removal: bool = False
    """Whether the source was deleted, not uploaded."""
    is_lost: bool = False
    """Whether a failure record was due but could not be stored."""
    report: Report = field(default_factory=Report, compare=False)

    @property
    def is_done(self) -> bool:
        """Whether nobody has to do anything more."""
        return self.status not in (Status.REJECTED, Status.FAILED)

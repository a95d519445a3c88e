"""What processing one source took: the bytes that it has, and the time of each stage."""

import enum
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

from image_scaler.exceptions import ImageScalerError
from image_scaler.storage.base import ObjectRef

T = TypeVar("T")


class Stage(enum.StrEnum):
    """A part of the work on one source."""

    FETCH = "fetch"
    """Waiting for S3, and the download."""
    RENDER = "render"
    """Decoding, scaling and encoding."""
    STORE = "store"
    """Writing and copying, added up over all objects. They are stored side by side and while others are still
    encoded, so that this overlaps with `render` and with itself: it says how fast S3 is, not what it adds."""
    TOTAL = "total"
    """From the first to the last; less than the sum, by what overlaps."""


class Measurements:
    """Adds up what one source takes, in any thread."""

    def __init__(self) -> None:
        self.bytes_in = 0
        """What the source has; 0 where that never came to light."""
        self._seconds: dict[Stage, float] = {}
        self._lock = Lock()

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Add the time that the block takes, also when it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - start

    def each(self, stage: Stage, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, and add the time that each takes to come."""
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


class Status(enum.StrEnum):
    """What became of one source."""

    OK = "ok"
    REJECTED = "rejected"
    """No retry can mend it."""
    FAILED = "failed"
    """A retry may mend it."""
    SUPERSEDED = "superseded"
    """It was replaced or deleted meanwhile: a newer event does the work."""
    IGNORED = "ignored"
    """Nothing was to be done: it is a rendition itself, or a removal that is to change nothing."""


@dataclass(frozen=True)
class Written:
    """One object that is in the destination now."""

    name: str
    key: str
    width: int | None
    """In pixels, as the height; None for a copy, which is never looked into."""
    height: int | None
    bytes: int
    type: str | None
    """Its Content-Type; None for a copy: the source's."""
    is_new: bool = True
    """Whether it was written just now; otherwise the same one was there."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one part of an event."""

    source: ObjectRef | None
    """None for a part that could not be read."""
    status: Status
    written: Sequence[Written] = ()
    removed: Sequence[str] = ()
    """The keys of renditions that went with their source."""
    error: ImageScalerError | None = None
    id: str = ""
    is_lost: bool = False
    """Whether a failure record of it was due and could not be kept."""
    is_removal: bool = False
    """Whether the source was deleted, not uploaded."""
    measured: Measurements = field(default_factory=Measurements, compare=False)

    @property
    def is_good(self) -> bool:
        """Whether nothing is left to be done, by anybody."""
        return self.status not in (Status.REJECTED, Status.FAILED)

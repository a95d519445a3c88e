"""Scaler: fetch a source, render it, publish the renditions, report."""

import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from image_scaler import events
from image_scaler.answers import Outcome, Status, Written, answer
from image_scaler.config import Settings
from image_scaler.decoding import set_svg_allowed
from image_scaler.events import Invocation, Sender, SourceEvent, UnreadableEvent
from image_scaler.exceptions import (
    ImageScalerError,
    LoopError,
    ObjectNotFoundError,
    OutOfTimeError,
    PreconditionFailedError,
    RejectedError,
)
from image_scaler.failures import FailureQueue, failure_record
from image_scaler.geometry import Point
from image_scaler.imaging import Rendition, SourceImage
from image_scaler.publishing import Published, Publisher, Stamp
from image_scaler.renditions import Target
from image_scaler.store import Head, ObjectRef, ObjectStore, StoredObject

logger = logging.getLogger(__name__)

DEFAULT_CACHE_CONTROL = "public, max-age=86400"
"""Of renditions where neither renditions.toml nor the source says one. A key's content changes when its
source is replaced, so that it is not for ever."""

UPLOADS_AT_ONCE = 4
"""Renditions that are being stored while the next is encoded: each waits for the network, not the processor."""

TIME_TO_END = 5.0
"""Seconds before the function's deadline after which nothing new is begun, so as to end by itself and not be killed."""


class Scaler:
    """Makes the renditions of sources; knows its stores by their protocols only."""

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        failure_queue: FailureQueue | None = None,
        executor: Callable[[], Executor] = lambda: ThreadPoolExecutor(UPLOADS_AT_ONCE),
    ) -> None:
        self._settings = settings
        self._store = store
        self._failure_queue = failure_queue
        self._executor = executor
        set_svg_allowed(settings.renditions.allow_svg)

    def handle(self, event: object, seconds_left: Callable[[], float] = lambda: 900.0) -> dict[str, Any]:
        """Process every source of an event and return the answer to whoever sent it.

        A direct caller gets `statusCode` 200, or 500 with the body "Error moving image"; so does a
        notification, where nobody reads it. SQS gets the messages to try again, S3 Batch Operations a result
        for each task. Every source is tried, whatever happened to those before it, until `seconds_left` says
        that the function's time is nearly over.

        Raises RetryError at the end where a source of a notification failed that a retry may mend, so that
        Lambda retries the event: a returned 500 would count as success there. Raises EventError for an event
        of no known kind.
        """
        invocation = events.parse(event)
        outcomes = [self._handle_part(invocation, part, seconds_left) for part in invocation.parts]
        return answer(invocation, outcomes)

    def _handle_part(
        self, invocation: Invocation, part: SourceEvent | UnreadableEvent, seconds_left: Callable[[], float]
    ) -> Outcome:
        """Process one part of an event, and keep a record of it where it is not tried again."""
        if isinstance(part, UnreadableEvent):
            outcome = Outcome(source=None, status=Status.REJECTED, error=part.error, id=part.id)
        else:
            outcome = self.scale(part, seconds_left)
        _log(outcome)
        is_last_try = outcome.status is Status.REJECTED or invocation.sender is Sender.CALLER
        if outcome.error is None or not is_last_try or self._failure_queue is None:
            return outcome
        record = failure_record(part.payload, outcome.source, outcome.error, [item.key for item in outcome.written])
        try:
            self._failure_queue.send(record)
        except ImageScalerError as error:
            logger.exception("no failure record could be kept of %s", outcome.source)
            return Outcome(
                source=outcome.source, status=Status.FAILED, written=outcome.written, error=error, id=outcome.id
            )
        return outcome

    def scale(self, source: SourceEvent, seconds_left: Callable[[], float] = lambda: 900.0) -> Outcome:
        """Make and store all renditions of one source, or remove them with it; never raises an ImageScalerError."""
        written: list[Written] = []
        removed: list[str] = []
        error: ImageScalerError | None = None
        try:
            status = self._settle(source, written, removed, seconds_left)
        except (RejectedError, ObjectNotFoundError) as reason:
            status, error = Status.REJECTED, reason
        except ImageScalerError as reason:
            status, error = Status.FAILED, reason
        return Outcome(source=source.ref, status=status, written=written, removed=removed, error=error, id=source.id)

    def _settle(
        self, source: SourceEvent, written: list[Written], removed: list[str], seconds_left: Callable[[], float]
    ) -> Status:
        """Make the destination what the source says; adds to `written` and `removed`, also when it raises."""
        self._refuse_loop(source)
        targets = self._settings.renditions.targets(source.ref.key)
        goes_along = self._settings.renditions.on_source_delete == "remove"
        if source.is_removed:
            return self._remove_all(source, targets, removed, seconds_left) if goes_along else Status.IGNORED
        missing: ObjectNotFoundError | None = None
        try:
            status = self._write_all(source, targets, written, seconds_left)
        except PreconditionFailedError:
            status = Status.SUPERSEDED
        except ObjectNotFoundError as gone:
            status, missing = Status.SUPERSEDED, gone
        if status is Status.SUPERSEDED:
            self._repair(source, targets, seconds_left, at_once=False)
        # It may have gone while its renditions were made, and the event of that may have come before they were.
        if goes_along and self._head(source.ref) is None:
            status = self._remove_all(source, targets, removed, seconds_left)
        if missing and source.etag is None:  # nobody said which version is meant: then there should be one
            raise missing
        return status

    def _repair(
        self, source: SourceEvent, targets: Sequence[Target], seconds_left: Callable[[], float], *, at_once: bool
    ) -> None:
        """Make the renditions of the source as it is by now, where this event left what is not of that.

        Mostly a newer event has done so or will. But this one, or a try of it that was killed, may have
        overwritten what that one wrote: see publishing on what a condition on an ETag cannot tell. `at_once`:
        without looking whether it left anything.
        """
        mine = [source]
        while current := self._head(source.ref):
            if not at_once and not any(self._is_left_by(mine, target, current) for target in targets):
                return
            at_once = False
            mine.append(SourceEvent(ref=source.ref, etag=current.etag, size=current.size, payload=source.payload))
            try:
                if self._write_all(mine[-1], targets, [], seconds_left) is not Status.SUPERSEDED:
                    return
            except RejectedError:
                return  # its own event tells of that
            except (ObjectNotFoundError, PreconditionFailedError):
                continue  # it has changed again

    def _is_left_by(self, mine: Sequence[SourceEvent], target: Target, current: Head) -> bool:
        """Return whether a rendition was made by one of these events from another source than the current."""
        head = self._head(ObjectRef(self._settings.destination_bucket, target.key))
        if head is None:
            return False
        if target.spec.is_copy:
            return head.etag != current.etag and any(event.etag in (None, head.etag) for event in mine)
        stamp = Stamp.of(head)
        return (
            stamp is not None
            and stamp.source_etag != current.etag
            and any(event.sequencer == stamp.sequencer for event in mine)
        )

    def _remove_all(
        self, source: SourceEvent, targets: Sequence[Target], removed: list[str], seconds_left: Callable[[], float]
    ) -> Status:
        """Remove the renditions of a source that is gone, and add their keys to `removed`."""
        publisher = Publisher(self._store, source.ref)
        for target in targets:
            ref = ObjectRef(self._settings.destination_bucket, target.key)
            if publisher.remove(ref, source.sequencer) is Published.WRITTEN:
                removed.append(target.key)
        if removed:  # it may be back by now, and its renditions may have been there already
            self._repair(source, targets, seconds_left, at_once=True)
        return Status.OK

    def _head(self, ref: ObjectRef) -> Head | None:
        try:
            return self._store.head(ref)
        except ObjectNotFoundError:
            return None

    def _refuse_loop(self, source: SourceEvent) -> None:
        if source.ref.bucket == self._settings.destination_bucket:
            raise LoopError(
                f"expected a source outside the destination bucket but received {source.ref}: "
                "its renditions would be taken for uploads"
            )

    def _write_all(
        self,
        source: SourceEvent,
        targets: Sequence[Target],
        written: list[Written],
        seconds_left: Callable[[], float],
    ) -> Status:
        """Write the targets; adds what was written, in the order of `targets`, also when it raises."""
        publisher = Publisher(self._store, source.ref)
        copies = [target for target in targets if target.spec.is_copy]
        scaled = [target for target in targets if not target.spec.is_copy]
        jobs: dict[Target, Future[tuple[Published, Written]]] = {}
        _refuse_when_late(seconds_left, targets)
        try:
            with self._executor() as pool:
                if scaled:
                    stored = self._store.get(source.ref, if_match=source.etag)
                    if Stamp.of(stored):
                        return Status.IGNORED  # a rendition that came back: nothing was downloaded yet
                    self._settings.limits.check_bytes(stored.size)
                    image = SourceImage(stored.read(), self._settings.limits)
                    # The first rendition comes when the pixels are decoded: a source that is rejected
                    # then leaves nothing behind in the destination.
                    for rendition in image.render(scaled, _focal_point(stored)):
                        jobs[rendition.target] = pool.submit(self._put, publisher, rendition, source, stored)
                        _refuse_when_late(seconds_left, [target for target in targets if target not in jobs])
                for target in copies:
                    jobs[target] = pool.submit(self._copy, publisher, source, target)
        finally:
            done = [jobs[target] for target in targets if target in jobs]
            published = [job.result() for job in done if not job.exception()]
            written += [item for result, item in published if result is not Published.SUPERSEDED]
        for job in done:
            job.result()
        results = {result for result, _ in published}
        if Published.REPLACED in results:
            current = self._head(source.ref)
            if current is None or current.etag != stored.etag:
                return Status.SUPERSEDED
        return Status.SUPERSEDED if Published.SUPERSEDED in results else Status.OK

    def _put(
        self, publisher: Publisher, rendition: Rendition, source: SourceEvent, stored: StoredObject
    ) -> tuple[Published, Written]:
        spec, key, format = rendition.target
        assert format is not None  # noqa: S101  only copies have none
        result = publisher.put(
            ObjectRef(self._settings.destination_bucket, key),
            rendition.body,
            Stamp(source_etag=stored.etag, sequencer=source.sequencer, recipe=spec.recipe),
            content_type=format.content_type,
            cache_control=spec.cache_control or stored.cache_control or DEFAULT_CACHE_CONTROL,
        )
        is_new = result in (Published.WRITTEN, Published.REPLACED)
        size = len(rendition.body)
        return result, Written(spec.name, key, *rendition.size, size, format.content_type, is_new)

    def _copy(self, publisher: Publisher, source: SourceEvent, target: Target) -> tuple[Published, Written]:
        ref = ObjectRef(self._settings.destination_bucket, target.key)
        result, size = publisher.copy(ref, source.etag, source.size)
        return result, Written(target.spec.name, target.key, None, None, size, None, result is Published.WRITTEN)


def _refuse_when_late(seconds_left: Callable[[], float], open_targets: Sequence[Target]) -> None:
    if open_targets and seconds_left() < TIME_TO_END:
        left = ", ".join(target.key for target in open_targets)
        raise OutOfTimeError(f"the function's time is over before {left} could be made: raise its timeout or memory")


def _log(outcome: Outcome) -> None:
    details = {
        "source": outcome.source._asdict() if outcome.source else None,
        "status": outcome.status,
        "written": [written.key for written in outcome.written if written.is_new],
        "removed": list(outcome.removed),
    }
    if outcome.error is None:
        logger.info("source %s: %s", outcome.source, outcome.status, extra=details)
    else:
        logger.error("source %s: %s: %s", outcome.source, outcome.status, outcome.error, extra=details)


_FRACTION = r"\s*(0(?:\.\d+)?|1(?:\.0+)?)\s*"


def _focal_point(stored: StoredObject) -> Point | None:
    """Return the point that the source's user metadata names as `focal-point: 0.3,0.7`; None without a valid one."""
    match = re.fullmatch(f"{_FRACTION},{_FRACTION}", stored.metadata.get("focal-point", ""))
    return Point(float(match[1]), float(match[2])) if match else None

"""Scaler: fetch a source, render it, publish the renditions, report."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

from image_scaler import events, manifest, placeholders
from image_scaler.answers import Outcome, Status, Written, answer
from image_scaler.config import Settings
from image_scaler.decoding import set_svg_allowed, set_vcpus
from image_scaler.events import Invocation, Sender, SourceEvent, UnreadableEvent
from image_scaler.exceptions import (
    ImageScalerError,
    LoopError,
    ObjectNotFoundError,
    OutOfTimeError,
    PreconditionFailedError,
    RejectedError,
    StorageError,
)
from image_scaler.failures import FailureQueue, failure_record
from image_scaler.geometry import Point
from image_scaler.imaging import Rendition, SourceImage
from image_scaler.measuring import Measurements, Stage
from image_scaler.publishing import Published, Publisher, Stamp
from image_scaler.renditions import Target
from image_scaler.store import Head, ObjectRef, ObjectStore, StoredObject

DEFAULT_CACHE_CONTROL = "public, max-age=86400"
"""Of renditions where neither renditions.toml nor the source says one. A key's content changes when its
source is replaced, so that it is not for ever."""

UPLOADS_AT_ONCE = 4
"""Renditions that are being stored while the next is encoded: each waits for the network, not the processor."""

TIME_TO_END = 5.0
"""Seconds before the function's deadline after which nothing new is begun, so as to end by itself and not be killed."""


class _Made(NamedTuple):
    """What became of one target."""

    result: Published
    written: Written
    source_etag: str
    source_size: int
    """In bytes."""


class Scaler:
    """Makes the renditions of sources; knows its stores by their protocols only."""

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        failure_queue: FailureQueue | None = None,
        executor: Callable[[], Executor] = lambda: ThreadPoolExecutor(UPLOADS_AT_ONCE),
        observe: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """`observe` gets what became of each source, once it is settled."""
        self._settings = settings
        self._store = store
        self._failure_queue = failure_queue
        self._executor = executor
        self._observe = observe
        set_svg_allowed(settings.renditions.allow_svg)
        if settings.vcpus:
            set_vcpus(settings.vcpus)

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
        is_last_try = outcome.status is Status.REJECTED or invocation.sender is Sender.CALLER
        if outcome.error is not None and is_last_try:
            outcome = self._kept(outcome, outcome.error, part.payload)
        self._observe(outcome)
        return outcome

    def _kept(self, outcome: Outcome, reason: ImageScalerError, payload: Mapping[str, Any]) -> Outcome:
        """Keep a failure record; a source of which none could be kept has failed, so that it is not lost."""
        if self._failure_queue is None:
            return outcome
        record = failure_record(payload, outcome.source, reason, [item.key for item in outcome.written])
        try:
            self._failure_queue.send(record)
        except ImageScalerError as error:
            lost = StorageError(f"{reason}; and no failure record could be kept of that: {error}")
            return replace(outcome, status=Status.FAILED, error=lost)
        return outcome

    def scale(self, source: SourceEvent, seconds_left: Callable[[], float] = lambda: 900.0) -> Outcome:
        """Make and store all renditions of one source, or remove them with it; never raises an ImageScalerError."""
        written: list[Written] = []
        removed: list[str] = []
        measured = Measurements()
        error: ImageScalerError | None = None
        try:
            with measured.timed(Stage.TOTAL):
                status = self._settle(source, written, removed, measured, seconds_left)
        except (RejectedError, ObjectNotFoundError) as reason:
            status, error = Status.REJECTED, reason
        except ImageScalerError as reason:
            status, error = Status.FAILED, reason
        return Outcome(
            source=source.ref,
            status=status,
            written=written,
            removed=removed,
            error=error,
            id=source.id,
            is_removal=source.is_removed,
            measured=measured,
        )

    def _settle(
        self,
        source: SourceEvent,
        written: list[Written],
        removed: list[str],
        measured: Measurements,
        seconds_left: Callable[[], float],
    ) -> Status:
        """Make the destination what the source says; adds to `written`, `removed`, `measured`, also when it raises."""
        self._refuse_loop(source)
        targets = self._settings.renditions.targets(source.ref.key)
        self._settings.renditions.manifest_key(source.ref.key)  # refuses a key too long before anything is written
        goes_along = self._settings.renditions.on_source_delete == "remove"
        if source.is_removed:
            return self._remove_all(source, targets, removed, seconds_left) if goes_along else Status.IGNORED
        missing: ObjectNotFoundError | None = None
        try:
            status = self._write_all(source, targets, written, measured, seconds_left)
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
        copies = {target.key for target in targets if target.spec.is_copy}
        keys = self._settings.renditions.destination_keys(source.ref.key)
        while current := self._head(source.ref):
            if not at_once and not any(self._is_left_by(mine, key, key in copies, current) for key in keys):
                return
            at_once = False
            mine.append(SourceEvent(ref=source.ref, etag=current.etag, size=current.size, payload=source.payload))
            try:
                if self._write_all(mine[-1], targets, [], Measurements(), seconds_left) is not Status.SUPERSEDED:
                    return
            except RejectedError:
                return  # its own event tells of that
            except (ObjectNotFoundError, PreconditionFailedError):
                continue  # it has changed again

    def _is_left_by(self, mine: Sequence[SourceEvent], key: str, is_copy: bool, current: Head) -> bool:
        """Return whether one of these events made a rendition, or the manifest, of another source than the current."""
        head = self._head(ObjectRef(self._settings.destination_bucket, key))
        if head is None:
            return False
        if is_copy:
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
        """Remove the manifest and the renditions of a source that is gone, and add their keys to `removed`."""
        publisher = Publisher(self._store, source.ref)
        keys = self._settings.renditions.destination_keys(source.ref.key)[::-1]
        is_first = True
        while True:
            results = {
                key: publisher.remove(ObjectRef(self._settings.destination_bucket, key), source.sequencer)
                for key in keys
            }
            gone = [key for key, result in results.items() if result is Published.WRITTEN]
            removed += gone
            # Of a source that is there, what is missing may have been removed by a try of this event that was killed.
            is_missing = is_first and Published.UNCHANGED in results.values() and self._head(source.ref) is not None
            if not gone and not is_missing:
                return Status.OK
            is_first = False
            # It may be back by now, and its renditions may have been there already; and then gone once more.
            self._repair(source, targets, seconds_left, at_once=True)

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
        measured: Measurements,
        seconds_left: Callable[[], float],
    ) -> Status:
        """Write the targets, and then the manifest.

        Adds what was written of the targets, in their order, also when it raises.
        """
        publisher = Publisher(self._store, source.ref)
        copies = [target for target in targets if target.spec.is_copy]
        scaled = [target for target in targets if not target.spec.is_copy]
        jobs: dict[Target, Future[_Made]] = {}
        image: SourceImage | None = None
        _refuse_when_late(seconds_left, targets)
        try:
            with self._executor() as pool:
                if scaled:
                    with measured.timed(Stage.FETCH):
                        stored = self._store.get(source.ref, if_match=source.etag)
                    measured.bytes_in = stored.size
                    if Stamp.of(stored):
                        return Status.IGNORED  # a rendition that came back: nothing was downloaded yet
                    self._settings.limits.check_bytes(stored.size)
                    with measured.timed(Stage.FETCH):
                        body = stored.read()
                    with measured.timed(Stage.RENDER):
                        image = SourceImage(body, self._settings.limits)
                    # The first rendition comes when the pixels are decoded: a source that is rejected
                    # then leaves nothing behind in the destination.
                    for rendition in measured.each(Stage.RENDER, image.render(scaled, _focal_point(stored))):
                        jobs[rendition.target] = pool.submit(self._put, publisher, rendition, source, stored, measured)
                        _refuse_when_late(seconds_left, [target for target in targets if target not in jobs])
                for target in copies:
                    jobs[target] = pool.submit(self._copy, publisher, source, target, measured)
        finally:
            done = [jobs[target] for target in targets if target in jobs]
            made = [job.result() for job in done if not job.exception()]
            written += [item.written for item in made if item.result is not Published.SUPERSEDED]
        for job in done:
            job.result()
        results = {item.result for item in made}
        etags = {item.source_etag for item in made}
        if Published.SUPERSEDED in results or len(etags) > 1:
            return Status.SUPERSEDED
        results.add(self._put_manifest(publisher, source, targets, image, made, measured))
        if Published.REPLACED in results:
            current = self._head(source.ref)
            if current is None or current.etag not in etags:
                return Status.SUPERSEDED
        return Status.SUPERSEDED if Published.SUPERSEDED in results else Status.OK

    def _put(
        self,
        publisher: Publisher,
        rendition: Rendition,
        source: SourceEvent,
        stored: StoredObject,
        measured: Measurements,
    ) -> _Made:
        spec, key, format = rendition.target
        assert format is not None  # noqa: S101  only copies have none
        with measured.timed(Stage.STORE):
            result = publisher.put(
                ObjectRef(self._settings.destination_bucket, key),
                rendition.body,
                Stamp(source_etag=stored.etag, sequencer=source.sequencer, recipe=spec.recipe),
                content_type=format.content_type,
                cache_control=spec.cache_control or stored.cache_control or DEFAULT_CACHE_CONTROL,
            )
        is_new = result in (Published.WRITTEN, Published.REPLACED)
        size = len(rendition.body)
        written = Written(spec.name, key, *rendition.size, size, format.content_type, is_new)
        return _Made(result, written, stored.etag, stored.size)

    def _copy(self, publisher: Publisher, source: SourceEvent, target: Target, measured: Measurements) -> _Made:
        ref = ObjectRef(self._settings.destination_bucket, target.key)
        with measured.timed(Stage.STORE):
            result, etag, size = publisher.copy(ref, source.etag, source.size)
        measured.bytes_in = size
        written = Written(target.spec.name, target.key, None, None, size, None, result is Published.WRITTEN)
        return _Made(result, written, etag, size)

    def _put_manifest(
        self,
        publisher: Publisher,
        source: SourceEvent,
        targets: Sequence[Target],
        image: SourceImage | None,
        made: Sequence[_Made],
        measured: Measurements,
    ) -> Published:
        """Write the manifest, if there is to be one, of targets that were all made from one version of the source."""
        key = self._settings.renditions.manifest_key(source.ref.key)
        if key is None:
            return Published.UNCHANGED
        ladder = self._settings.renditions.ladder(source.ref.key)
        body = _manifest(source.ref.key, image, made, ladder)
        with measured.timed(Stage.STORE):
            return publisher.put(
                ObjectRef(self._settings.destination_bucket, key),
                body,
                Stamp(
                    source_etag=made[0].source_etag,
                    sequencer=source.sequencer,
                    recipe=manifest.recipe(targets, ladder),
                ),
                content_type=manifest.CONTENT_TYPE,
                cache_control=manifest.CACHE_CONTROL,
            )


def _refuse_when_late(seconds_left: Callable[[], float], open_targets: Sequence[Target]) -> None:
    if open_targets and seconds_left() < TIME_TO_END:
        left = ", ".join(target.key for target in open_targets)
        raise OutOfTimeError(f"the function's time is over before {left} could be made: raise its timeout or memory")


def _manifest(key: str, image: SourceImage | None, made: Sequence[_Made], ladder: Collection[str]) -> bytes:
    source = manifest.Source(key=key, etag=made[0].source_etag, bytes=made[0].source_size)
    written = [item.written for item in made]
    if image is None:  # it was only copied
        return manifest.manifest(source, written, ladder)
    preview = image.preview()
    return manifest.manifest(
        replace(source, width=image.size.width, height=image.size.height, format=image.format.lower()),
        written,
        ladder,
        thumbhash=placeholders.thumbhash(*preview.size, preview.rgba),
        dominant_colour=placeholders.dominant_colour(preview.rgba),
    )


_FRACTION = r"\s*(0(?:\.\d+)?|1(?:\.0+)?)\s*"


def _focal_point(stored: StoredObject) -> Point | None:
    """Return the point that the source's user metadata names as `focal-point: 0.3,0.7`; None without a valid one."""
    match = re.fullmatch(f"{_FRACTION},{_FRACTION}", stored.metadata.get("focal-point", ""))
    return Point(float(match[1]), float(match[2])) if match else None

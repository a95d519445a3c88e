"""Make the destination what the source says: write, remove, and repair what events of the past have left."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from image_scaler.events import SourceEvent
from image_scaler.exceptions import LoopError, ObjectNotFoundError, PreconditionFailedError, RejectedError
from image_scaler.outcomes import Measurements, Status
from image_scaler.pipeline import Job, Writer
from image_scaler.publisher import Published, Publisher, Stamp
from image_scaler.settings import Settings
from image_scaler.storage.base import Head, ObjectRef, ObjectStore, head_if_there


class Upkeep:
    """Settles one event of a source after the other; keeps no state of one."""

    def __init__(self, settings: Settings, store: ObjectStore, executor: Callable[[], Executor]) -> None:
        """`executor` gives what stores renditions while the next are encoded."""
        self._settings = settings
        self._store = store
        self._writer = Writer(settings, store, executor)

    def settle(self, job: Job) -> Status:
        """Make the destination what the source says by now; adds to the job what was done, also when it raises.

        Returns OK, SUPERSEDED or IGNORED. Raises RejectedError, ObjectNotFoundError where a source without an ETag is
        missing, and StorageError.
        """
        source = job.source
        self._refuse_loop(source)
        self._settings.renditions.destination_keys(source.ref.key)  # refuses keys too long before anything is written
        goes_along = self._settings.renditions.on_source_delete == "remove"
        if source.is_removed:
            return self._remove_all(job) if goes_along else Status.IGNORED
        missing: ObjectNotFoundError | None = None
        try:
            status = self._writer.write(job)
        except PreconditionFailedError:
            status = Status.SUPERSEDED
        except ObjectNotFoundError as gone:
            status, missing = Status.SUPERSEDED, gone
        if status is Status.SUPERSEDED:
            self._repair(job, at_once=False)
        # It may have gone while its renditions were made, and the event of that may have come before they were.
        if goes_along and head_if_there(self._store, source.ref) is None:
            status = self._remove_all(job)
        if missing and source.etag is None:  # nobody said which version is meant: then there should be one
            raise missing
        return status

    def _repair(self, job: Job, *, at_once: bool) -> None:
        """Make the renditions of the source as it is by now, where this event left what is not of that.

        Mostly a newer event has done so or will. But this one, or a try of it that was killed, may have
        overwritten what that one wrote: see publishing on what a condition on an ETag cannot tell. `at_once`:
        without looking whether it left anything.
        """
        mine = [job.source]
        while current := head_if_there(self._store, job.source.ref):
            if not at_once and not any(
                head and not is_current and self._is_left_by(mine, head)
                for head, is_current in self._looks(job, current)
            ):
                return
            at_once = False
            mine.append(replace(job.source, etag=current.etag, size=current.size, sequencer=None, is_removed=False))
            again = replace(job, source=mine[-1], written=[], removed=[], measured=Measurements())
            try:
                if self._writer.write(again) is not Status.SUPERSEDED:
                    return
            except RejectedError:
                return  # its own event tells of that
            except (ObjectNotFoundError, PreconditionFailedError):
                continue  # it has changed again

    def _looks(self, job: Job, current: Head) -> Iterator[tuple[Head | None, bool]]:
        """Yield what is stored beside each rendition and the manifest, and whether it is of the current source.

        A copy of a multipart upload or an object under a KMS key never has its source's ETag, and then is never taken
        for current: it is copied again once too often, rather than not at all.
        """
        copies = self._copies(job.source)
        for key in self._settings.renditions.destination_keys(job.source.ref.key):
            head = head_if_there(self._store, ObjectRef(self._settings.destination_bucket, key))
            stamp = Stamp.of(head) if head and key not in copies else None
            etag = stamp.source_etag if stamp else head.etag if head else None
            yield head, etag == current.etag

    def _copies(self, source: SourceEvent) -> set[str]:
        return {target.key for target in self._settings.renditions.targets(source.ref.key) if target.spec.is_copy}

    def _is_left_by(self, mine: Sequence[SourceEvent], head: Head) -> bool:
        """Return whether one of these events may have made what is there; a copy does not say which has."""
        stamp = Stamp.of(head)
        return stamp is None or any(event.sequencer == stamp.sequencer for event in mine)

    def _remove_all(self, job: Job) -> Status:
        """Remove the manifest and the renditions of a source that is gone, and add their keys to the job."""
        source = job.source
        publisher = Publisher(self._store, source.ref)
        keys = self._settings.renditions.destination_keys(source.ref.key)[::-1]
        copies = self._copies(source)
        is_first = True
        while True:
            results = {
                key: publisher.remove(
                    ObjectRef(self._settings.destination_bucket, key), source.sequencer, is_copy=key in copies
                )
                for key in keys
            }
            gone = [key for key, result in results.items() if result is Published.WRITTEN]
            job.removed.extend(gone)
            # A source may be there all the same: come back, and a try of this event that was killed has removed what
            # is missing; or an older version of it, which is the current one again.
            current = head_if_there(self._store, source.ref) if is_first and not gone else None
            is_whole = current is None or all(is_current for _, is_current in self._looks(job, current))
            if not gone and is_whole:
                return Status.OK
            is_first = False
            # It may be back by now, and its renditions may have been there already; and then gone once more.
            self._repair(job, at_once=True)

    def _refuse_loop(self, source: SourceEvent) -> None:
        if source.ref.bucket == self._settings.destination_bucket:
            raise LoopError(
                f"expected a source outside the destination bucket but received {source.ref}: "
                "its renditions would be taken for uploads"
            )

"""Bring the destination in line with the current source: write, remove, and look again."""

from collections.abc import Callable

from image_scaler.announcements import Announcer
from image_scaler.deadline import Deadline
from image_scaler.events import SourceEvent
from image_scaler.exceptions import (
    AccessDeniedError,
    ObjectNotFoundError,
    PreconditionFailedError,
    RejectedError,
    SourceInDestinationError,
)
from image_scaler.history import History
from image_scaler.outcomes import Report, Status
from image_scaler.pipeline import RenditionPipeline, RunResult
from image_scaler.publisher import Publisher, is_superseded
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectHead, ObjectRef, ObjectStore, head_or_none
from image_scaler.upload import SourceVersion, Upload, version_of_head
from image_scaler.versions import Versions


class Reconciler:
    """Handles one source event after the other; keeps no state of one."""

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        publisher: Publisher,
        announcer: Announcer,
        history: History,
        pipeline: RenditionPipeline,
    ) -> None:
        self._settings = settings
        self._store = store
        self._publisher = publisher
        self._announcer = announcer
        self._history = history
        self._pipeline = pipeline
        self._versions = Versions(settings, store, publisher, history)
        self._removes = settings.recipe.on_source_delete == "remove"

    def reconcile(self, event: SourceEvent, deadline: Deadline, report: Report) -> Status:
        """Bring the destination in line with the current source; returns OK, SUPERSEDED or IGNORED.

        What was done for the event is added to the report, even if this raises. Raises RejectedError, StorageError,
        DeadlineExceededError, and ObjectNotFoundError if there is no source although the event names no version of it.

        Render the version that the event names; for a new image that is all. If another event may have interfered,
        compare the destination with the current source, fix what is outdated, and repeat until nothing is.
        """
        if event.ref.bucket == self._settings.destination_bucket:
            raise SourceInDestinationError(
                f"{event.ref} is in the destination bucket: its renditions would be uploads again"
            )
        if event.is_removed and not self._removes:
            return Status.IGNORED
        result, missing = RunResult(), None
        if not event.is_removed:
            try:
                result = self._pipeline.run(SourceVersion.of_event(event), deadline, report)
            except PreconditionFailedError:
                pass
            except ObjectNotFoundError as error:
                missing = error
        if result.is_rendition:
            return Status.IGNORED
        if result.rejection and not self._removes:
            raise result.rejection
        if result.is_final and not (self._removes and self._may_have_leftovers(event.ref, result)):
            status = Status.OK
        else:
            is_current = self._converge(event, result, deadline, report, is_gone=missing is not None)
            status = Status.OK if is_current or event.is_removed else Status.SUPERSEDED
        if result.rejection:
            raise result.rejection
        if missing and event.etag is None:  # nobody knows of a newer event
            raise missing
        return status

    def _may_have_leftovers(self, ref: ObjectRef, result: RunResult) -> bool:
        """Return whether there may be renditions to remove.

        An earlier version may have asked for more, or a removal may have been handled before all renditions of this run
        existed. If the source was replaced and not deleted, the newer event sees to everything, unless it was rejected
        or asks for less, or a newer recipe makes nothing of it: then what a removal in between deleted is missing.
        """
        if result.asks_for_less:
            return True
        current = head_or_none(self._store, ref)
        if current is None:
            return True
        if version_of_head(current) == result.version:
            return self._is_other_upload(result, current)
        return (
            self._upload_of(ref, current).asks_for_less
            or self._history.has_rejected(ref.key, current.etag)
            or self._has_gaps(ref.key)
        )

    def _is_other_upload(self, result: RunResult, current: ObjectHead) -> bool:
        """Return whether the source was uploaded again: a removal between the two may have deleted anything."""
        return self._removes and result.uploaded != current.last_modified

    def _converge(
        self, event: SourceEvent, result: RunResult, deadline: Deadline, report: Report, *, is_gone: bool
    ) -> bool:
        """Look at the source and act, until nothing is left to do; return whether `result` is of the current version.

        A version that was rejected has no renditions: those of an earlier one stay, unless a removal has begun with
        them. `is_gone`: there was no source when the event was processed, so this may be a removal.
        """
        has_begun = self._removes and (event.is_removed or is_gone)
        has_removed = has_begun or (self._removes and result.version is None)
        was_current: bool | None = None
        while True:
            current = head_or_none(self._store, event.ref)
            is_done = current is not None and version_of_head(current) == result.version
            if current and is_done and self._is_other_upload(result, current):
                is_done, has_removed = False, True
            was_current = is_done if was_current is None else was_current
            is_rejected = is_done and result.rejection is not None
            has_begun = has_begun or (is_rejected and self._removes and self._has_gaps(event.ref.key))
            if self._removes and (current is None or (is_rejected and has_begun)):
                removed = self._remove(event.ref, current.etag if current else None)
                report.removed.extend(removed)
                has_begun = has_removed = True
                if removed or _etag(head_or_none(self._store, event.ref)) != _etag(current):
                    continue
                if current is None and (event.is_removed or event.etag or report.removed):
                    self._announcer.removed(event)
                return was_current
            if current is None or is_done or self._is_converged(event, current, has_removed=has_removed):
                if current and self._removes and not is_rejected:
                    removed = self._remove_unasked(event.ref, current, is_done=is_done)
                    report.removed.extend(removed)
                    if removed:
                        has_removed = True
                        continue
                if not self._versions.align(event.ref):
                    return was_current
            else:
                result = self._render_current(event.ref, current, deadline)

    def _render_current(self, ref: ObjectRef, current: ObjectHead, deadline: Deadline) -> RunResult:
        """Render the current source; return the result, without an ETag if it has changed again.

        Its own event reports what is written, and why it was rejected.
        """
        version = SourceVersion(ref=ref, etag=current.etag, is_repair=True)
        try:
            return self._pipeline.run(version, deadline, Report())
        except RejectedError as error:
            return RunResult(version=version_of_head(current), uploaded=current.last_modified, rejection=error)
        except (ObjectNotFoundError, PreconditionFailedError):
            return RunResult()

    def _is_converged(self, event: SourceEvent, current: ObjectHead, *, has_removed: bool) -> bool:
        """Return whether the destination has nothing outdated that this event may be the cause of.

        An event that removed something may have deleted anything: a removal, or a try of it that was killed, or an
        upload that found its source gone. Any other upload can only have written: what it wrote has its sequencer, or
        none if it was written for the current source by this function.

        A copy that does not have its source's ETag counts as outdated: it is copied once too often rather than not at
        all.
        """
        upload = self._upload_of(event.ref, current)
        for key in self._keys_of(upload):
            head = head_or_none(self._store, ObjectRef(self._settings.destination_bucket, key))
            if head and is_superseded(head):
                return False  # an event of another version may have marked it
            provenance = upload.stored_provenance(key, head) if head else None
            if provenance and provenance.is_of_other(event.ref.key):
                continue  # its events are those of the other source
            if head and upload.is_source_of(key, head):
                continue
            may_be_mine = head is not None and (provenance is None or provenance.sequencer in (None, event.sequencer))
            if has_removed or may_be_mine:
                return False
        return True

    def _upload_of(self, ref: ObjectRef, current: ObjectHead) -> Upload:
        return Upload.of(SourceVersion(ref=ref, etag=current.etag), current, self._settings.recipe)

    def _has_gaps(self, source_key: str) -> bool:
        """Return whether the manifest of a source lists an object that does not exist."""
        key = self._settings.recipe.plan_for(source_key).manifest_key
        listing = self._versions.read_manifest(key) if key else None
        return listing is not None and not all(map(self._publisher.exists, listing.keys))

    def _keys_of(self, upload: Upload) -> list[str]:
        """Return the keys that the destination should have: with a hash, those that the current manifest lists.

        Its recipe may be another one than ours, which an event that comes late is not to replace.
        """
        keys = list(upload.plan.keys)
        if upload.plan.is_versioned and upload.plan.manifest_key:
            listing = self._versions.read_manifest(upload.plan.manifest_key)
            if listing and listing.is_of_version(upload.manifest_provenance("")):
                return [*(key for key in keys if not upload.plan.has_version(key)), *listing.keys]
        return keys

    def _remove(self, source: ObjectRef, rejected: str | None) -> list[str]:
        """Remove everything that any recipe has written for a source that is gone; return the keys.

        `rejected`: the ETag of a source that counts as gone; None for another. The manifest goes first: from then on no
        reader is told of what is deleted next.
        """
        plans = self._history.plans_for(source.key)
        manifests = [plan.manifest_key for plan in plans if plan.manifest_key]
        targets = [target for plan in plans for target in plan.targets[::-1]]
        plain = [target.key for target in targets if not target.spec.template.has_hash]
        shared = {target.key for target in targets if not target.spec.template.is_whole}
        records = [] if rejected else self._history.keys_of(source.key)
        keys = [*manifests, *self._versions.find(plans), *plain, *records]

        def is_gone(current: ObjectHead | None) -> bool:
            return current is None or current.etag == rejected

        return [
            key
            for key in dict.fromkeys(keys)
            if not self._history.is_of_another(key, source) and self._remove_one(key, source, is_gone, key in shared)
        ]

    def _remove_unasked(self, source: ObjectRef, current: ObjectHead, *, is_done: bool) -> list[str]:
        """Remove what an earlier version asked for, and the current one does not; return the keys.

        Not before the current version has its own renditions: if it is rejected, those of an earlier one stay.
        `is_done`: it has. Keys with a hash are marked as always.
        """
        upload = self._upload_of(source, current)
        if not upload.asks_for_less or not (is_done or self._is_published(upload)):
            return []
        unasked = [target for target in upload.allowed.targets if target not in upload.asked.targets]
        version = version_of_head(current)

        def is_current(found: ObjectHead | None) -> bool:
            return found is not None and version_of_head(found) == version

        return [
            target.key
            for target in unasked
            if not target.spec.template.has_hash
            and self._remove_one(target.key, source, is_current, not target.spec.template.is_whole)
        ]

    def _is_published(self, upload: Upload) -> bool:
        """Return whether the renditions of a version exist: its manifest, or without manifests all of them."""
        keys = [upload.plan.manifest_key] if upload.plan.manifest_key else upload.plan.keys
        heads = {key: head_or_none(self._store, ObjectRef(self._settings.destination_bucket, key)) for key in keys}
        return all(head is not None and upload.is_source_of(key, head) for key, head in heads.items())

    def _remove_one(
        self, key: str, source: ObjectRef, may_remove: Callable[[ObjectHead | None], bool], is_shared: bool
    ) -> bool:
        try:
            return self._publisher.remove(key, source, may_remove, is_shared=is_shared)
        except AccessDeniedError:
            if key in self._settings.recipe.plan_for(source.key).keys:
                raise
            return False  # a key of an earlier recipe, in a bucket that the stack did not create


def _etag(head: ObjectHead | None) -> str | None:
    return head.etag if head else None

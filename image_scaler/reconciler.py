"""Bring the destination in line with the current source: write, remove, and look again."""

from image_scaler.announcements import Announcer
from image_scaler.events import SourceEvent
from image_scaler.exceptions import (
    ObjectNotFoundError,
    PreconditionFailedError,
    RejectedError,
    SourceInDestinationError,
)
from image_scaler.history import History
from image_scaler.outcomes import Report, Status
from image_scaler.pipeline import Deadline, PipelineResult, RenditionPipeline, SourceVersion, version_of
from image_scaler.publisher import Provenance, Publisher, is_superseded
from image_scaler.renditions.recipe import SourcePlan
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectHead, ObjectRef, ObjectStore, head_or_none


class Reconciler:
    """Handles one source event after the other; keeps no state of one."""

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        pipeline: RenditionPipeline,
        announcer: Announcer,
        history: History,
    ) -> None:
        self._settings = settings
        self._store = store
        self._pipeline = pipeline
        self._announcer = announcer
        self._history = history
        self._removes = settings.recipe.on_source_delete == "remove"

    def reconcile(self, event: SourceEvent, deadline: Deadline, report: Report) -> Status:
        """Bring the destination in line with the current source; returns OK, SUPERSEDED or IGNORED.

        What was done for the event is added to the report, even if this raises. Raises RejectedError, StorageError,
        DeadlineExceededError, and ObjectNotFoundError if there is no source although the event names no version of it.

        The event's word is taken first: its version is rendered without a look at anything, which for a new image is
        all. Only if another event may have had an influence, this looks at the source as it is, renders or removes
        what is outdated, and looks again, until a look finds nothing to do. In detail: an event that was superseded
        leaves the newer version to the newer event, unless this event (or a try of it that was killed) wrote or removed
        something after that one.
        """
        plan = self._settings.recipe.plan_for(event.ref.key)
        if event.ref.bucket == self._settings.destination_bucket:
            raise SourceInDestinationError(
                f"{event.ref} is in the destination bucket: its renditions would be uploads again"
            )
        if event.is_removed and not self._removes:
            return Status.IGNORED
        missing: ObjectNotFoundError | None = None
        result = PipelineResult()
        if not event.is_removed:
            try:
                result = self._pipeline.run(SourceVersion.of_event(event), plan, deadline, report)
            except PreconditionFailedError:
                pass
            except ObjectNotFoundError as error:
                missing = error
            else:
                if result.is_rendition:
                    return Status.IGNORED
                # A source may be deleted while its renditions are made, and its removal be handled before they exist.
                if result.is_final and (not self._removes or head_or_none(self._store, event.ref)):
                    return Status.OK
        is_current = self._converge(event, plan, result.etag, deadline, report)
        if missing and event.etag is None:  # nobody knows of a newer event
            raise missing
        return Status.OK if is_current or event.is_removed else Status.SUPERSEDED

    def _converge(
        self, event: SourceEvent, plan: SourcePlan, rendered: str | None, deadline: Deadline, report: Report
    ) -> bool:
        """Look at the source and act, until nothing is left to do; return whether it still is the `rendered` one.

        `rendered`: the ETag of the version of which everything was written.
        """
        looks = 0
        while True:
            looks += 1
            current = head_or_none(self._store, event.ref)
            if not (current is None and self._removes) and self._supersede_own(event, plan, current):
                continue
            if current is None:
                removed = self._remove(event, plan) if self._removes else []
                report.removed.extend(removed)
                # A source that has come back kept this from removing what an event of another version wrote.
                if not removed and not (plan.is_versioned and head_or_none(self._store, event.ref)):
                    if self._removes and (event.is_removed or event.etag or report.removed):
                        self._announcer.removed(event)
                    return False
                rendered = None
            elif current.etag == rendered or self._is_converged(
                event, plan, current, has_removed=event.is_removed or bool(report.removed)
            ):
                return looks == 1 and current.etag == rendered
            else:
                rendered = self._render_current(event.ref, plan, current, deadline)

    def _render_current(self, ref: ObjectRef, plan: SourcePlan, current: ObjectHead, deadline: Deadline) -> str | None:
        """Render the source as it is; return its ETag, or None if it has changed again.

        Its own event reports what is written, and why it was rejected.
        """
        try:
            return self._pipeline.run(SourceVersion.of_head(ref, current), plan, deadline, Report()).etag
        except RejectedError:
            return current.etag
        except (ObjectNotFoundError, PreconditionFailedError):
            return None

    def _is_converged(self, event: SourceEvent, plan: SourcePlan, current: ObjectHead, *, has_removed: bool) -> bool:
        """Return whether the destination has nothing outdated that this event may be the cause of.

        An event that removed something may have deleted anything: a removal, or a try of it that was killed, or an
        upload that found its source gone. Any other upload can only have written: what it wrote has its sequencer, or
        none if it was written for the current source by this function.

        A copy of a multipart upload, or of an object under a KMS key, never has its source's ETag and counts as
        outdated: it is copied once too often rather than not at all.
        """
        plan = plan.of_version(version_of(current))
        copies = {target.key for target in plan.copies}
        for key in plan.keys:
            head = head_or_none(self._store, ObjectRef(self._settings.destination_bucket, key))
            if head and is_superseded(head):
                return False  # an event of another version may have marked it
            provenance = Provenance.of(head) if head and key not in copies else None
            if head and (provenance.source_etag if provenance else head.etag) == current.etag:
                continue
            may_be_mine = head is not None and (provenance is None or provenance.sequencer in (None, event.sequencer))
            if has_removed or may_be_mine:
                return False
        return True

    def _supersede_own(self, event: SourceEvent, plan: SourcePlan, current: ObjectHead | None) -> bool:
        """Mark what an event of a replaced version has written under keys with a hash; return whether it had.

        If no manifest lists it, nobody else would. The version may be uploaded again in the meantime and find its
        renditions without the mark: look again.
        """
        if not plan.is_versioned or event.etag in (None, current and current.etag):
            return False
        listed = self._pipeline.listed_versions(plan)
        keys = [key for key in self._own_versions(event, plan) if key not in listed]
        return self._pipeline.supersede(Publisher(self._store, event.ref), keys)

    def _own_versions(self, event: SourceEvent, plan: SourcePlan) -> list[str]:
        """Return the keys with a hash that an event leads to, as far as the event says it: without a focal point."""
        targets = plan.of_version(event.etag).targets if event.etag else ()
        return [target.key for target in targets if target.spec.template.has_hash]

    def _remove(self, event: SourceEvent, plan: SourcePlan) -> list[str]:
        """Remove the manifest and the renditions of a source that is gone; return their keys.

        What has a hash in its key goes before the manifest, which alone lists it; all else after it.
        """
        publisher = Publisher(self._store, event.ref)
        versions = [*self._pipeline.listed_versions(plan), *self._own_versions(event, plan)]
        plain = [target.key for target in plan.targets if not target.spec.template.has_hash]
        manifest = [plan.manifest_key] if plan.manifest_key else []
        keys = [*dict.fromkeys(versions), *manifest, *reversed(plain), *self._history.keys_of(event.ref.key)]
        return [key for key in keys if publisher.remove(ObjectRef(self._settings.destination_bucket, key))]

"""Scaler: every source of an event is settled, and nothing that went wrong is lost."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from image_scaler import events
from image_scaler.events import Invocation, Sender, SourceEvent, UnreadableEvent
from image_scaler.exceptions import ImageScalerError, ObjectNotFoundError, RejectedError, StorageError, UnforeseenError
from image_scaler.images.decoding import set_svg_allowed, set_vcpus
from image_scaler.outcomes import Outcome, Stage, Status
from image_scaler.pipeline import Job
from image_scaler.reconciler import Upkeep
from image_scaler.responses import answer
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectStore
from image_scaler.storage.failure_queue import FailureQueue, failure_record

UPLOADS_AT_ONCE = 4
"""Renditions that are being stored while the next is encoded: each waits for the network, not the processor."""


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
        self._upkeep = Upkeep(settings, store, executor)
        self._failure_queue = failure_queue
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
        Lambda retries the event: a returned 500 would count as success there. So too where no failure record could
        be kept, whoever has sent the event. Raises EventError for an event of no known kind.
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
        record = failure_record(
            payload,
            outcome.source,
            reason,
            [item.key for item in outcome.written],
            is_final=outcome.status is Status.REJECTED,
        )
        try:
            self._failure_queue.send(record)
        except ImageScalerError as error:
            lost = StorageError(f"{reason}; and no failure record could be kept of that: {error}")
            return replace(outcome, status=Status.FAILED, error=lost, is_lost=True)
        return outcome

    def scale(self, source: SourceEvent, seconds_left: Callable[[], float] = lambda: 900.0) -> Outcome:
        """Make and store all renditions of one source, or remove them with it; raises nothing."""
        job = Job(source, seconds_left)
        error: ImageScalerError | None = None
        try:
            with job.measured.timed(Stage.TOTAL):
                status = self._upkeep.settle(job)
        except (RejectedError, ObjectNotFoundError) as reason:
            status, error = Status.REJECTED, reason
        except ImageScalerError as reason:
            status, error = Status.FAILED, reason
        except Exception as reason:  # or else one source would take all others of its event with it
            status, error = Status.FAILED, UnforeseenError(f"{type(reason).__name__}: {reason}")
            error.__cause__ = reason
        return Outcome(
            source=source.ref,
            status=status,
            written=job.written,
            removed=job.removed,
            error=error,
            id=source.id,
            is_removal=source.is_removed,
            measured=job.measured,
        )

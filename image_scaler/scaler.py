"""Scaler: handles every source of an event, keeps failure records, and returns the response."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

from image_scaler import events
from image_scaler.announcements import Announcer
from image_scaler.deadline import NO_DEADLINE, Deadline
from image_scaler.events import EventSource, InvalidRecord, Invocation, SourceEvent
from image_scaler.exceptions import (
    ImageScalerError,
    ObjectNotFoundError,
    RejectedError,
    StorageError,
    UnexpectedError,
    UnsupportedImageError,
)
from image_scaler.history import History
from image_scaler.outcomes import Outcome, Report, Stage, Status
from image_scaler.pipeline import RenditionPipeline
from image_scaler.publisher import Publisher
from image_scaler.reconciler import Reconciler
from image_scaler.renditions.keys import is_image_key
from image_scaler.responses import response
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectStore
from image_scaler.storage.event_bus import EventBus
from image_scaler.storage.failure_queue import FailureQueue, failure_record

MAX_PARALLEL_WRITES = 4
"""Renditions that are written while the next one is encoded: each waits for the network, not for the processor."""


class FailureQueues(NamedTuple):
    """Where the records of what was not done go; None: nowhere."""

    failed: FailureQueue | None = None
    rejected: FailureQueue | None = None
    """None: to `failed`."""


class Scaler:
    """Makes the renditions of sources."""

    def __init__(
        self,
        reconciler: Reconciler,
        announcer: Announcer,
        queues: FailureQueues = FailureQueues(),  # noqa: B008  it never changes
        observe: Callable[[Outcome], None] = lambda outcome: None,
        any_suffix: bool = False,
    ) -> None:
        """`observe` receives the outcome of each record; `any_suffix`: some sources are no images, and are ignored."""
        self._reconciler = reconciler
        self._announcer = announcer
        self._queues = queues
        self._observe = observe
        self._any_suffix = any_suffix

    def handle(self, event: object, deadline: Deadline = NO_DEADLINE) -> dict[str, Any]:
        """Process every source of an event and return the response that its event source expects.

        A direct caller receives `statusCode` 200, or 500 with the body "Error moving image"; so does a notification,
        whose response is discarded. SQS receives the messages to retry, S3 Batch Operations a result for each task.
        Every source is tried, whatever happened to the sources before it, until the deadline is near.

        Raises RetryError at the end if a source of a notification failed and a retry may succeed, so that Lambda
        retries the event: there, a returned 500 would count as success. It is also raised if a failure record could not
        be stored, whatever the event source. Raises EventError for an event of no known kind.
        """
        invocation = events.parse(event)
        return response(
            invocation, [self._handle_record(invocation, record, deadline) for record in invocation.records]
        )

    def _handle_record(
        self, invocation: Invocation, record: SourceEvent | InvalidRecord, deadline: Deadline
    ) -> Outcome:
        """Process one record, and keep a failure record if it is not tried again."""
        if isinstance(record, InvalidRecord):
            outcome = Outcome(source=None, status=Status.REJECTED, error=record.error, id=record.id)
        else:
            outcome = self.scale(record, deadline)
        is_last_try = outcome.status is Status.REJECTED or invocation.event_source is EventSource.DIRECT
        if outcome.error is not None and is_last_try:
            outcome = self._keep_failure(outcome, outcome.error, record.payload)
        self._observe(outcome)
        return outcome

    def _keep_failure(self, outcome: Outcome, reason: ImageScalerError, payload: Mapping[str, Any]) -> Outcome:
        """Send a failure record; a source whose record could not be sent has failed, so that it is not lost."""
        is_rejected = outcome.status is Status.REJECTED
        queue = (self._queues.rejected if is_rejected else None) or self._queues.failed
        if queue is None:
            return outcome
        keys = [write.rendition.key for write in outcome.report.writes]
        try:
            queue.send(failure_record(payload, outcome.source, reason, keys, is_final=is_rejected))
        except ImageScalerError as error:
            lost = StorageError(f"{reason}; and its failure record could not be stored: {error}")
            return replace(outcome, status=Status.FAILED, error=lost, is_lost=True)
        return outcome

    def _announce_rejection(self, event: SourceEvent, reason: ImageScalerError) -> tuple[Status, ImageScalerError]:
        """Tell others of a rejected source; return its status: if that fails, it has failed, so that it is retried."""
        try:
            self._announcer.rejected(event, reason)
        except StorageError as error:
            return Status.FAILED, StorageError(f"{reason}; and {error}")
        return Status.REJECTED, reason

    def _is_no_image(self, event: SourceEvent, reason: ImageScalerError) -> bool:
        """Return whether a source was rejected that nobody said to be an image: not even the suffix of its key does."""
        is_unsupported = isinstance(reason, UnsupportedImageError) and reason.code != "damaged"
        return self._any_suffix and is_unsupported and not is_image_key(event.ref.key)

    def scale(self, event: SourceEvent, deadline: Deadline = NO_DEADLINE) -> Outcome:
        """Make and write all renditions of one source, or remove them with it; raises nothing."""
        report = Report()
        error: ImageScalerError | None = None
        try:
            with report.timer.timed(Stage.TOTAL):
                status = self._reconciler.reconcile(event, deadline, report)
        except (RejectedError, ObjectNotFoundError) as reason:
            if self._is_no_image(event, reason):
                status = Status.IGNORED
            else:
                status, error = self._announce_rejection(event, reason)
        except ImageScalerError as reason:
            status, error = Status.FAILED, reason
        except Exception as reason:  # an unexpected error in one source must not stop the other sources of the event
            status, error = Status.FAILED, UnexpectedError(f"{type(reason).__name__}: {reason}")
            error.__cause__ = reason
        return Outcome(
            source=event.ref,
            status=status,
            error=error,
            id=event.id,
            is_removal=event.is_removed,
            report=report,
        )


def build_scaler(
    settings: Settings,
    store: ObjectStore,
    *,
    queues: FailureQueues = FailureQueues(),  # noqa: B008  it never changes
    event_bus: EventBus | None = None,
    observe: Callable[[Outcome], None] = lambda outcome: None,
    executor: Callable[[], Executor] = lambda: ThreadPoolExecutor(MAX_PARALLEL_WRITES),
    sleep: Callable[[float], None] = time.sleep,
) -> Scaler:
    """Return a scaler with all that it needs, on a store; see Scaler, RenditionPipeline and Publisher."""
    publisher = Publisher(store, settings.destination_bucket, sleep)
    announcer = Announcer(event_bus)
    history = History(settings, store, publisher)
    pipeline = RenditionPipeline(settings, store, publisher, announcer, history, executor)
    reconciler = Reconciler(settings, store, publisher, announcer, history, pipeline)
    return Scaler(reconciler, announcer, queues, observe, any_suffix=settings.any_suffix)

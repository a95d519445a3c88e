"""Scaler: fetch a source, render it, publish the renditions, report."""

import logging
import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from image_scaler import events
from image_scaler.config import Settings
from image_scaler.decoding import set_svg_allowed
from image_scaler.events import SourceEvent
from image_scaler.exceptions import (
    ImageScalerError,
    LoopError,
    ObjectNotFoundError,
    PreconditionFailedError,
    RejectedError,
    RetryError,
)
from image_scaler.failures import FailureQueue, failure_record
from image_scaler.geometry import Point
from image_scaler.imaging import Rendition, SourceImage
from image_scaler.renditions import Target
from image_scaler.store import ObjectRef, ObjectStore, StoredObject

logger = logging.getLogger(__name__)

DEFAULT_CACHE_CONTROL = "public, max-age=86400"
"""Of renditions where neither renditions.toml nor the source says one. A key's content changes when its
source is replaced, so that it is not for ever."""

UPLOADS_AT_ONCE = 4
"""Renditions that are being stored while the next is encoded; each waits for the network, not the processor."""

Status = Literal["ok", "rejected", "failed", "superseded"]


@dataclass(frozen=True)
class Written:
    """One object that was written to the destination."""

    name: str
    key: str
    width: int | None
    """In pixels, as the height; None for a copy, which is never looked into."""
    height: int | None
    bytes: int
    type: str | None
    """Its Content-Type; None for a copy: the source's."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one source."""

    source: ObjectRef
    status: Status
    """`superseded`: it was replaced or deleted meanwhile, and a newer event does the work."""
    written: Sequence[Written] = ()
    error: ImageScalerError | None = None


class Scaler:
    """Makes the renditions of sources; knows its stores by their protocols only."""

    def __init__(self, settings: Settings, store: ObjectStore, failure_queue: FailureQueue | None = None) -> None:
        self._settings = settings
        self._store = store
        self._failure_queue = failure_queue
        set_svg_allowed(settings.renditions.allow_svg)

    def handle(self, event: object) -> dict[str, Any]:
        """Process every source of an event and return the answer to whoever sent it.

        The answer has `statusCode` 200, or 500 with the body "Error moving image" where a source was
        rejected. Every source is tried, whatever happened to those before it. Raises RetryError at the end
        where a source failed that a retry may mend, so that Lambda retries the event (a returned 500 counts
        as success there, and would lose it); a direct caller gets the 500 instead, and the failure queue the
        record. Raises EventError for an event of no known kind.
        """
        invocation = events.parse(event)
        outcomes = [self._scale_and_record(source, invocation.is_direct) for source in invocation.sources]
        failed = [outcome for outcome in outcomes if outcome.status == "failed"]
        if failed and not invocation.is_direct:
            reasons = "; ".join(f"{outcome.source}: {outcome.error}" for outcome in failed)
            raise RetryError(f"{len(failed)} of {len(outcomes)} sources failed: {reasons}")
        refused = [outcome for outcome in outcomes if outcome.status in ("failed", "rejected")]
        written = sum(len(outcome.written) for outcome in outcomes)
        return {
            "statusCode": 500 if refused else 200,
            "body": "Error moving image" if refused else f"{len(outcomes)} images, {written} renditions written",
        }

    def _scale_and_record(self, source: SourceEvent, is_direct: bool) -> Outcome:
        outcome = self.scale(source)
        details = {
            "source": {"bucket": source.ref.bucket, "key": source.ref.key},
            "status": outcome.status,
            "written": [written.key for written in outcome.written],
        }
        if outcome.error is None:
            logger.info("source processed", extra=details)
            return outcome
        logger.error("source %s: %s", outcome.status, outcome.error, extra=details)
        if self._failure_queue and (outcome.status == "rejected" or is_direct):
            record = failure_record(source, outcome.error, [written.key for written in outcome.written])
            try:
                self._failure_queue.send(record)
            except ImageScalerError as error:
                logger.exception("no failure record could be kept", extra=details)
                return Outcome(source=source.ref, status="failed", written=outcome.written, error=error)
        return outcome

    def scale(self, source: SourceEvent) -> Outcome:
        """Make and store all renditions of one source; never raises an ImageScalerError."""
        written: list[Written] = []
        try:
            if source.ref.bucket == self._settings.destination_bucket:
                raise LoopError(
                    f"expected a source outside the destination bucket but received {source.ref}: "
                    "its renditions would be taken for uploads"
                )
            self._write_all(source, self._settings.renditions.targets(source.ref.key), written)
        except (ObjectNotFoundError, PreconditionFailedError) as error:
            if source.etag is None:  # nobody said which version is meant: then there should be one
                return Outcome(source=source.ref, status="rejected", written=written, error=error)
            return Outcome(source=source.ref, status="superseded", written=written)
        except RejectedError as error:
            return Outcome(source=source.ref, status="rejected", written=written, error=error)
        except ImageScalerError as error:
            return Outcome(source=source.ref, status="failed", written=written, error=error)
        return Outcome(source=source.ref, status="ok", written=written)

    def _write_all(self, source: SourceEvent, targets: Sequence[Target], written: list[Written]) -> None:
        """Write the targets; adds what was written, in the order of `targets`, also when it raises."""
        copies = [target for target in targets if target.spec.is_copy]
        scaled = [target for target in targets if not target.spec.is_copy]
        jobs: dict[Target, Future[Written]] = {}
        try:
            with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
                if scaled:
                    stored = self._store.get(source.ref, if_match=source.etag)
                    # The first rendition comes when the pixels are decoded: a source that is rejected
                    # then leaves nothing behind in the destination.
                    for rendition in SourceImage(stored.body, self._settings.limits).render(
                        scaled, _focal_point(stored)
                    ):
                        jobs[rendition.target] = pool.submit(self._put, rendition, stored)
                for target in copies:
                    jobs[target] = pool.submit(self._copy, source, target)
        finally:
            done = [jobs[target] for target in targets if target in jobs]
            written += [job.result() for job in done if not job.exception()]
        for job in done:
            job.result()

    def _put(self, rendition: Rendition, source: StoredObject) -> Written:
        spec, key, format = rendition.target
        assert format is not None  # noqa: S101  only copies have none
        self._store.put(
            ObjectRef(self._settings.destination_bucket, key),
            rendition.body,
            content_type=format.content_type,
            cache_control=spec.cache_control or source.cache_control or DEFAULT_CACHE_CONTROL,
        )
        return Written(spec.name, key, *rendition.size, len(rendition.body), format.content_type)

    def _copy(self, source: SourceEvent, target: Target) -> Written:
        size = self._store.copy(
            source.ref,
            ObjectRef(self._settings.destination_bucket, target.key),
            if_match=source.etag,
            size=source.size,
        )
        return Written(target.spec.name, target.key, None, None, size, None)


_FRACTION = r"\s*(0(?:\.\d+)?|1(?:\.0+)?)\s*"


def _focal_point(stored: StoredObject) -> Point | None:
    """Return the point that the source's user metadata names as `focal-point: 0.3,0.7`; None without a valid one."""
    match = re.fullmatch(f"{_FRACTION},{_FRACTION}", stored.metadata.get("focal-point", ""))
    return Point(float(match[1]), float(match[2])) if match else None

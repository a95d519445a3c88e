"""A line of the log and metrics for each upload: the only user of Powertools, plugged in by handler.py.

Both are lines of JSON on stdout, which Lambda takes as they are. CloudWatch makes metrics of those in its embedded
metric format.
"""

import enum
import json
from functools import cached_property
from typing import TYPE_CHECKING

from image_scaler.exceptions import UnexpectedError
from image_scaler.outcomes import Outcome, Stage, Status

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

# Powertools is imported where it is used and not up here: it takes as long as a tenth of a cold start, and
# nothing needs it before the first source is done.

NAMESPACE = "ImageScaler"


class Metric(enum.StrEnum):
    """What is counted, for each function; `Rejected` also for each reason, which is the class of the error.

    Few, as each costs by the month: what Lambda counts anyway (invocations, their duration) is not among them.
    """

    UPLOADS = "Uploads"
    REJECTED = "Rejected"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"
    WRITTEN = "RenditionsWritten"
    BYTES_SAVED = "BytesSaved"
    """By how much each new rendition is smaller than its source, added up; copies save nothing."""
    FETCH_TIME = "FetchTime"
    RENDER_TIME = "RenderTime"
    STORE_TIME = "StoreTime"


_OF_STATUS = {
    Status.REJECTED: Metric.REJECTED,
    Status.FAILED: Metric.FAILED,
    Status.SUPERSEDED: Metric.SUPERSEDED,
}
_OF_STAGE = {
    Stage.FETCH: Metric.FETCH_TIME,
    Stage.RENDER: Metric.RENDER_TIME,
    Stage.STORE: Metric.STORE_TIME,
}


class Telemetry:
    """Tells what became of each source; `service` is the name under which the metrics are found."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._invocations = 0
        self._request_id: str | None = None

    def begin(self, request_id: str | None) -> None:
        """Take note that an invocation begins: the first one of an execution environment is its cold start."""
        self._invocations += 1
        self._request_id = request_id

    def observe(self, outcome: Outcome) -> None:
        """Write the line of a source, and its metrics."""
        self._log(outcome)
        if outcome.status is not Status.IGNORED:
            self._count(outcome)

    @cached_property
    def _logger(self) -> "Logger":
        from aws_lambda_powertools import Logger

        # All but ASCII is escaped: no key breaks a line for any reader, or cannot be encoded.
        return Logger(service=self._service, json_serializer=json.dumps, use_rfc3339=True, utc=True, location=None)

    def _log(self, outcome: Outcome) -> None:
        error = outcome.error
        write = self._logger.info if error is None else self._logger.error
        write(
            f"source {outcome.source}: {outcome.status}",
            extra={
                "source": outcome.source._asdict() if outcome.source else None,
                "status": outcome.status,
                "written": [written.key for written in outcome.written if written.is_new],
                "removed": list(outcome.removed),
                "bytes_in": outcome.source_bytes,
                "bytes_out": _bytes_out(outcome),
                "ms": outcome.timings,
                "cold_start": self._invocations <= 1,
                "request_id": self._request_id,
                "error": {"type": type(error).__name__, "text": str(error)} if error else None,
            },
            # Where it went wrong, of what only a programmer can mend.
            exc_info=error.__cause__ if isinstance(error, UnexpectedError) else None,
        )

    def _count(self, outcome: Outcome) -> None:
        from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

        metrics = EphemeralMetrics(namespace=NAMESPACE, service=self._service)
        if not outcome.is_removal:
            metrics.add_metric(Metric.UPLOADS, MetricUnit.Count, 1)
            metrics.add_metric(Metric.WRITTEN, MetricUnit.Count, sum(written.is_new for written in outcome.written))
            metrics.add_metric(Metric.BYTES_SAVED, MetricUnit.Bytes, _bytes_saved(outcome))
            for stage, name in _OF_STAGE.items():
                if stage in outcome.timings:
                    metrics.add_metric(name, MetricUnit.Milliseconds, outcome.timings[stage])
        if outcome.status in _OF_STATUS:
            metrics.add_metric(_OF_STATUS[outcome.status], MetricUnit.Count, 1)
        if metrics.metric_set:
            metrics.flush_metrics()
        if outcome.status is Status.REJECTED:
            # On a line of its own: on one line all metrics have the same dimensions.
            reasons = EphemeralMetrics(namespace=NAMESPACE, service=self._service)
            reasons.add_dimension("reason", type(outcome.error).__name__)
            reasons.add_metric(Metric.REJECTED, MetricUnit.Count, 1)
            reasons.flush_metrics()


def _bytes_out(outcome: Outcome) -> int:
    return sum(written.bytes for written in outcome.written if written.is_new)


def _bytes_saved(outcome: Outcome) -> int:
    return sum(
        outcome.source_bytes - written.bytes
        for written in outcome.written
        if written.is_new and written.width is not None
    )

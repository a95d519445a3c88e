"""Write one line of JSON for each source: the log entry, with its metrics in CloudWatch's embedded metric format.

Lambda passes lines of JSON on stdout to CloudWatch Logs unchanged, and filters them by their `level`; CloudWatch Logs
turns what `_aws` names into metrics. The format:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import enum
import json
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from image_scaler.exceptions import RejectedError, UnexpectedError
from image_scaler.outcomes import Outcome, Stage, Status
from image_scaler.renditions.made import MadeRendition

NAMESPACE = "ImageScaler"


class Metric(enum.StrEnum):
    """The metrics of the function; `Rejected` also has the dimension `reason`, the class of the error.

    CloudWatch charges for each metric, so what Lambda measures anyway (invocations, their duration) is not in here.
    """

    UPLOADS = "Uploads"
    REJECTED = "Rejected"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"
    IGNORED = "Ignored"
    WRITTEN = "RenditionsWritten"
    BYTES_SAVED = "BytesSaved"
    """The bytes by which new renditions are smaller than their source, added up; copies save nothing."""
    FETCH_TIME = "FetchTime"
    RENDER_TIME = "RenderTime"
    STORE_TIME = "StoreTime"

    @property
    def unit(self) -> str:
        """The unit of the values, in CloudWatch's words."""
        if self is Metric.BYTES_SAVED:
            return "Bytes"
        return "Milliseconds" if self in _STAGE_METRICS.values() else "Count"


_STATUS_METRICS = {
    Status.REJECTED: Metric.REJECTED,
    Status.FAILED: Metric.FAILED,
    Status.SUPERSEDED: Metric.SUPERSEDED,
    Status.IGNORED: Metric.IGNORED,
}
_STAGE_METRICS = {
    Stage.FETCH: Metric.FETCH_TIME,
    Stage.RENDER: Metric.RENDER_TIME,
    Stage.STORE: Metric.STORE_TIME,
}


class Telemetry:
    """Logs the outcome of each source."""

    def __init__(self, service: str, sdk: Mapping[str, str] | None = None) -> None:
        """`service` is the dimension that all metrics have; `sdk`: the versions of the AWS SDK, by package."""
        self._service = service
        self._sdk = sdk
        self._invocations = 0
        self._request_id: str | None = None

    def begin(self, request_id: str | None) -> None:
        """Begin an invocation: the first one of an execution environment is its cold start."""
        self._invocations += 1
        self._request_id = request_id

    def observe(self, outcome: Outcome) -> None:
        """Write the line of a source to stdout."""
        fields = self._log_fields(outcome) | self._metric_fields(outcome)
        line = {name: value for name, value in fields.items() if value is not None}
        # ASCII only, in one write: no key can break a line, and no other thread can write into it.
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def _log_fields(self, outcome: Outcome) -> dict[str, Any]:
        error = outcome.error
        is_cold_start = self._invocations <= 1
        fields: dict[str, Any] = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": "ERROR" if error else "INFO",
            "message": f"source {outcome.source}: {outcome.status}",
            "service": self._service,
            "request_id": self._request_id,
            "cold_start": is_cold_start,
            "sdk": self._sdk if is_cold_start else None,
            "source": outcome.source._asdict() if outcome.source else None,
            "status": outcome.status,
            "written": [made.key for made in _new(outcome)],
            "removed": list(outcome.report.removed),
            "unknown_renditions": outcome.report.unknown_renditions or None,
            "bytes_in": outcome.report.source_bytes,
            "bytes_out": sum(made.bytes for made in _new(outcome)),
            "ms": outcome.report.timer.milliseconds,
            "search": _search_fields(outcome),
        }
        if error:
            fields["error"] = error.as_json()
        if isinstance(error, RejectedError) and error.detail:
            fields["error"]["detail"] = error.detail
        if isinstance(error, UnexpectedError) and error.__cause__:
            fields["error"]["traceback"] = "".join(traceback.format_exception(error.__cause__))
        return fields

    def _metric_fields(self, outcome: Outcome) -> dict[str, Any]:
        """Return the values, and under `_aws` what CloudWatch makes of them; nothing for an ignored removal."""
        values = _metric_values(outcome)
        if not values:
            return {}
        directives = [_directive(values, "service")]
        fields: dict[str, Any] = {metric.value: value for metric, value in values.items()}
        if outcome.status is Status.REJECTED:
            directives.append(_directive([Metric.REJECTED], "reason", "service"))
            fields["reason"] = type(outcome.error).__name__
        return fields | {"_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": directives}}


def _new(outcome: Outcome) -> list[MadeRendition]:
    """Return what this event wrote."""
    return [write.rendition for write in outcome.report.writes if write.is_new]


def _search_fields(outcome: Outcome) -> dict[str, Any] | None:
    """Return what the searches for a quality took; None if there were none."""
    search = outcome.report.search
    if not search.seconds:
        return None
    fields: dict[str, Any] = {"trials": search.trials, "ms": round(search.seconds * 1000, 1)}
    return fields | ({"error": search.error} if search.error else {})


def _metric_values(outcome: Outcome) -> dict[Metric, float]:
    values: dict[Metric, float] = {}
    if outcome.status is not Status.IGNORED and not outcome.is_removal:
        new = _new(outcome)
        timings = outcome.report.timer.milliseconds
        values[Metric.UPLOADS] = 1
        values[Metric.WRITTEN] = len(new)
        values[Metric.BYTES_SAVED] = sum(
            outcome.report.source_bytes - made.bytes for made in new if made.width is not None
        )
        for stage, metric in _STAGE_METRICS.items():
            if stage in timings:
                values[metric] = timings[stage]
    is_kept = outcome.status is Status.IGNORED and outcome.is_removal
    if outcome.status in _STATUS_METRICS and not is_kept:
        values[_STATUS_METRICS[outcome.status]] = 1
    return values


def _directive(metrics: Iterable[Metric], *dimensions: str) -> dict[str, Any]:
    return {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": metric, "Unit": metric.unit} for metric in metrics],
    }

"""The alarms and the dashboard: each uses a metric that exists."""

import json
import re
from typing import Any

from image_scaler.telemetry import NAMESPACE, Metric
from tests.stack.packaging.conftest import ALARM_TOPIC
from tests.stack.packaging.packages import REGION, Package

AWS_METRICS = {
    ("AWS/Lambda", metric, "FunctionName", "<ResizeLambdaFunction>")
    for metric in ("ConcurrentExecutions", "Duration", "Errors", "Throttles")
} | {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", f"<{queue}.QueueName>")
    for queue in ("FailureQueue", "RejectedQueue")
}
"""The metrics of AWS on the dashboard."""

DAY = 24 * 60 * 60
WATCHED = {
    "failures": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "FailureQueue.QueueName", "Maximum", 0),
    "old-failures": ("AWS/SQS", "ApproximateAgeOfOldestMessage", "FailureQueue.QueueName", "Maximum", 10 * DAY),
    "dropped-events": ("AWS/Lambda", "AsyncEventsDropped", "ResizeLambdaFunction", "Sum", 0),
    "lost-records": ("AWS/Lambda", "DestinationDeliveryFailures", "ResizeLambdaFunction", "Sum", 0),
    "waiting-events": ("AWS/Lambda", "AsyncEventAge", "ResizeLambdaFunction", "Maximum", 60 * 60 * 1000),
}
"""The metric, what it is of, the statistic and the threshold of each alarm."""
BUFFER_ALARM = {"buffer": ("AWS/SQS", "ApproximateAgeOfOldestMessage", "BufferQueue.QueueName", "Maximum", 10 * DAY)}

OWN_METRICS = {(NAMESPACE, metric.value, "service", "<ResizeLambdaFunction>") for metric in Metric}
"""The metrics of the function, under its own name."""


def alarms(package: Package) -> dict[str, dict[str, Any]]:
    """The properties of the alarms by their names without the stage."""
    found = [package.properties(name) for name in package.of_type("AWS::CloudWatch::Alarm")]
    return {alarm["AlarmName"].split("-", 3)[3]: alarm for alarm in found}


def widgets(package: Package) -> list[dict[str, Any]]:
    body = json.loads(package.properties("Dashboard")["DashboardBody"])
    found: list[dict[str, Any]] = body["widgets"]
    return found


def watched(alarm: dict[str, Any]) -> tuple[object, ...]:
    (dimension,) = alarm["Dimensions"]
    thing = dimension["Value"].strip("<>")
    return (alarm["Namespace"], alarm["MetricName"], thing, alarm["Statistic"], alarm["Threshold"])


def test_an_alarm_exists_for_everything_that_needs_a_person_and_for_nothing_that_users_do(
    arm64: Package, with_everything_between: Package
) -> None:
    assert {name: watched(alarm) for name, alarm in alarms(arm64).items()} == WATCHED
    found = {name: watched(alarm) for name, alarm in alarms(with_everything_between).items()}
    assert found == WATCHED | BUFFER_ALARM


def test_an_alarm_goes_off_above_its_threshold_and_not_without_data(with_everything_between: Package) -> None:
    for alarm in alarms(with_everything_between).values():
        assert (alarm["ComparisonOperator"], alarm["Period"]) == ("GreaterThanThreshold", 300)
        assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (1, "notBreaching")


def test_alarms_tell_the_given_topic_when_they_begin_and_end_and_none_by_default(
    arm64: Package, with_own_settings: Package, with_everything_between: Package
) -> None:
    for alarm in alarms(arm64).values():
        assert not alarm.keys() & {"AlarmActions", "OKActions"}
    for package in (with_own_settings, with_everything_between):
        for alarm in alarms(package).values():
            assert alarm["AlarmActions"] == alarm["OKActions"] == [ALARM_TOPIC]


def test_the_dashboard_shows_existing_metrics_and_every_metric_of_the_function(arm64: Package) -> None:
    shown = {
        tuple(part for part in metric if isinstance(part, str))
        for widget in widgets(arm64)
        for metric in widget["properties"]["metrics"]
    } - {()}
    own = {metric for metric in shown if metric[0] == NAMESPACE}
    assert own == OWN_METRICS
    assert shown - own == AWS_METRICS


def test_the_dashboard_finds_every_reason_of_a_rejection(arm64: Package) -> None:
    (search,) = [
        metric[0]["expression"]
        for widget in widgets(arm64)
        for metric in widget["properties"]["metrics"]
        if isinstance(metric[0], dict)
    ]
    schema, filters = re.fullmatch(r"SEARCH\('\{(.*?)\} (.*)', 'Sum', 300\)", search).groups()  # type: ignore[union-attr]
    assert schema == f"{NAMESPACE},reason,service"
    assert filters == f'MetricName="{Metric.REJECTED}" service="<ResizeLambdaFunction>"'


def test_the_dashboard_shows_the_slow_stages_too(arm64: Package) -> None:
    metrics = [metric for widget in widgets(arm64) for metric in widget["properties"]["metrics"]]
    for stage in (Metric.FETCH_TIME, Metric.RENDER_TIME, Metric.STORE_TIME):
        assert [metric[4]["stat"] for metric in metrics if stage in metric] == ["p50", "p95"]


def test_the_widgets_of_the_dashboard_are_in_this_region_and_do_not_overlap(arm64: Package) -> None:
    taken: set[tuple[int, int]] = set()
    for widget in widgets(arm64):
        assert (widget["type"], widget["properties"]["region"]) == ("metric", REGION)
        x, y, width, height = (widget[name] for name in ("x", "y", "width", "height"))
        cells = {(x + i, y + j) for i in range(width) for j in range(height)}
        assert x + width <= 24
        assert not taken & cells
        taken |= cells


def test_the_names_of_the_dashboard_and_the_alarms_have_the_stage(with_own_settings: Package) -> None:
    assert with_own_settings.properties("Dashboard")["DashboardName"] == f"image-scaler-prod-{REGION}"
    assert with_own_settings.properties("FailuresAlarm")["AlarmName"] == "image-scaler-prod-failures"

"""The alarms and the dashboard: each uses a metric that exists."""

import json
import re
from typing import Any

import pytest

from image_scaler.telemetry import NAMESPACE, Metric
from tests.packaging.conftest import ALARM_TOPIC
from tests.packaging.packages import REGION, Package

AWS_METRICS = {
    ("AWS/Lambda", metric, "FunctionName", "<ResizeLambdaFunction>")
    for metric in ("ConcurrentExecutions", "Duration", "Errors", "Throttles")
} | {("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "<FailureQueue.QueueName>")}
"""The metrics of AWS on the dashboard."""

OWN_METRICS = {(NAMESPACE, metric.value, "service", "<ResizeLambdaFunction>") for metric in Metric}
"""The metrics of the function, under its own name."""


@pytest.fixture
def alarms(arm64: Package) -> dict[str, dict[str, Any]]:
    return {name: arm64.properties(name) for name in arm64.of_type("AWS::CloudWatch::Alarm")}


def widgets(package: Package) -> list[dict[str, Any]]:
    body = json.loads(package.properties("Dashboard")["DashboardBody"])
    found: list[dict[str, Any]] = body["widgets"]
    return found


def watched(alarm: dict[str, Any]) -> tuple[str, ...]:
    """Return the metric of an alarm as the dashboard writes it."""
    (dimension,) = alarm["Dimensions"]
    return (alarm["Namespace"], alarm["MetricName"], dimension["Name"], dimension["Value"])


def test_an_alarm_exists_for_everything_that_needs_a_person(alarms: dict[str, dict[str, Any]]) -> None:
    assert {alarm["AlarmName"]: watched(alarm)[1] for alarm in alarms.values()} == {
        "image-scaler-dev-failure-queue": "ApproximateNumberOfMessagesVisible",
        "image-scaler-dev-errors": "Errors",
        "image-scaler-dev-throttles": "Throttles",
    }


def test_every_alarm_watches_the_function_or_the_queue_of_this_stack(alarms: dict[str, dict[str, Any]]) -> None:
    assert {watched(alarm) for alarm in alarms.values()} <= AWS_METRICS


def test_an_alarm_goes_off_at_the_first_value_and_not_without_data(alarms: dict[str, dict[str, Any]]) -> None:
    for name, alarm in alarms.items():
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
        assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (1, "notBreaching")
        assert alarm["Statistic"] == ("Maximum" if name == "FailureQueueAlarm" else "Sum")
        assert alarm["Period"] == 300


def test_alarms_notify_the_given_topic_and_none_by_default(
    alarms: dict[str, dict[str, Any]], with_own_settings: Package
) -> None:
    assert all("AlarmActions" not in alarm for alarm in alarms.values())
    for name in alarms:
        assert with_own_settings.properties(name)["AlarmActions"] == [ALARM_TOPIC]


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
    assert with_own_settings.properties("ErrorsAlarm")["AlarmName"] == "image-scaler-prod-errors"

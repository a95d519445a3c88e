"""The line of each source on stdout, as Lambda receives it."""

import json
from datetime import datetime
from itertools import count
from typing import Any

import pytest

from image_scaler.exceptions import RetryError, UnexpectedError
from image_scaler.images.quality_search import SearchEffort
from image_scaler.outcomes import Outcome, Report, Status
from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import FailureQueues, build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef
from image_scaler.telemetry import NAMESPACE, Metric, Telemetry
from tests.support import drawing
from tests.support.stores import AS_JPEG, InMemoryQueue, InMemoryStore

COPY = "[renditions.resized]\n"
WEB = '[renditions.web]\nwidths = [50, 100]\nformat = "webp"\n'
JPEG = drawing.jpeg()
NUMBERS = count()
SDK = {"boto3": "1.43.0", "botocore": "1.43.1"}


class Watched:
    """A scaler between two buckets whose telemetry is read from stdout."""

    def __init__(self, stdout: pytest.CaptureFixture[str], renditions: str = COPY + WEB) -> None:
        self._stdout = stdout
        self.store, self.queue = InMemoryStore(), InMemoryQueue()
        self.telemetry = Telemetry("function", SDK)
        settings = Settings(destination_bucket="destination", recipe=parse_recipe(renditions))
        self._scaler = build_scaler(
            settings, self.store, queues=FailureQueues(self.queue), observe=self.telemetry.observe
        )

    def upload(self, key: str, body: bytes = JPEG) -> None:
        self.store.put(ObjectRef("source", key), body, AS_JPEG)

    def notify(self, *keys: str, name: str = "ObjectCreated:Put", **details: Any) -> None:
        self.telemetry.begin("request-1")
        records = [
            {"eventSource": "aws:s3", "eventName": name, "s3": {"bucket": {"name": "source"}, "object": thing}}
            for thing in ({"key": key, "sequencer": f"{next(NUMBERS):08X}", **details} for key in keys)
        ]
        try:
            self._scaler.handle({"Records": records})
        except RetryError:
            return

    def call(self, *keys: str) -> None:
        self.telemetry.begin("request-1")
        self._scaler.handle({"bucket": "source", "keys": list(keys)})

    def read(self) -> list[dict[str, Any]]:
        """Return the lines since the last call."""
        return [json.loads(line) for line in self._stdout.readouterr().out.split("\n")[:-1]]


def metrics(line: dict[str, Any]) -> dict[tuple[str, ...], dict[str, float]]:
    """Return the metrics in a line by the values of their dimensions, as CloudWatch reads them."""
    if "_aws" not in line:
        return {}
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == NAMESPACE
        for dimensions in directive["Dimensions"]:
            values = {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]}
            assert all(isinstance(value, int | float) for value in values.values())
            found[tuple(line[name] for name in dimensions)] = values
    return found


@pytest.fixture
def watched(capsys: pytest.CaptureFixture[str]) -> Watched:
    return Watched(capsys)


def test_an_upload_is_one_line_with_everything_about_it(watched: Watched) -> None:
    watched.upload("dir/a.jpg")
    watched.notify("dir/a.jpg")
    (line,) = watched.read()
    stored = {ref.key: stored.size for ref, stored in watched.store.objects.items() if ref.bucket == "destination"}
    del stored["manifests/dir/a.jpg.json"]  # it lists the renditions, and is not one of them
    assert sorted(stored) == ["resized/dir/a.jpg", "web-100/dir/a.jpg.webp", "web-50/dir/a.jpg.webp"]
    assert sorted(line.pop("written")) == sorted(stored)
    assert line.pop("ms").keys() == {"fetch", "render", "store", "total"}
    assert line.pop("timestamp").endswith("+00:00")
    for name in (*Metric, "_aws"):
        line.pop(name, None)
    assert line == {
        "level": "INFO",
        "message": "source s3://source/dir/a.jpg: ok",
        "service": "function",
        "source": {"bucket": "source", "key": "dir/a.jpg"},
        "status": "ok",
        "removed": [],
        "bytes_in": len(JPEG),
        "bytes_out": sum(stored.values()),
        "cold_start": True,
        "sdk": SDK,
        "request_id": "request-1",
    }


def test_the_stages_of_one_thread_take_no_longer_than_the_total(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.notify("a.jpg")
    (line,) = watched.read()
    assert 0 < line["ms"]["fetch"] + line["ms"]["render"] <= line["ms"]["total"] + 0.2  # each is rounded


def test_a_copy_is_neither_fetched_nor_rendered_but_has_its_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(capsys, COPY)
    watched.upload("a.jpg")
    watched.notify("a.jpg")
    (line,) = watched.read()
    assert line["ms"].keys() == {"store", "total"}
    assert (line["bytes_in"], line["bytes_out"]) == (len(JPEG), len(JPEG))
    assert metrics(line)["function",][Metric.BYTES_SAVED] == 0


def test_an_existing_rendition_is_not_counted_as_written(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.call("a.jpg")
    watched.read()
    watched.call("a.jpg")
    (line,) = watched.read()
    assert (line["written"], line["bytes_out"]) == ([], 0)
    counted = metrics(line)["function",]
    assert (counted[Metric.UPLOADS], counted[Metric.WRITTEN]) == (1, 0)


def test_a_rejected_upload_has_its_reason_in_the_log_and_in_the_metrics(watched: Watched) -> None:
    watched.upload("a.jpg", b"no image")
    watched.notify("a.jpg")
    (line,) = watched.read()
    assert (line["level"], line["status"]) == ("ERROR", "rejected")
    assert (line["error"]["type"], line["error"]["text"]) == (
        "UnsupportedImageError",
        watched.queue.records[0]["reason"],
    )
    assert "VipsForeignLoad" in line["error"]["detail"]
    counted = metrics(line)
    assert counted.keys() == {("function",), ("UnsupportedImageError", "function")}
    assert (counted["function",][Metric.UPLOADS], counted["function",][Metric.REJECTED]) == (1, 1)
    assert counted["UnsupportedImageError", "function"] == {Metric.REJECTED: 1}


def test_a_failed_upload_has_its_reason_and_the_renditions_that_were_written(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.store.broken.add("web-50/a.jpg.webp")
    watched.notify("a.jpg")
    (line,) = watched.read()
    assert (line["level"], line["status"], line["error"]["type"]) == ("ERROR", "failed", "StorageError")
    assert line["written"] == ["resized/a.jpg", "web-100/a.jpg.webp"]
    assert metrics(line)["function",][Metric.FAILED] == 1


def test_an_unexpected_error_has_its_traceback(watched: Watched) -> None:
    error = UnexpectedError("a mistake in the program")
    with pytest.raises(KeyError) as caught:
        {}["width"]
    error.__cause__ = caught.value
    watched.telemetry.observe(Outcome(source=ObjectRef("source", "a.jpg"), status=Status.FAILED, error=error))
    (line,) = watched.read()
    assert line["error"]["traceback"].startswith("Traceback (most recent call last)")
    assert line["error"]["traceback"].endswith("KeyError: 'width'\n")


def test_a_rejection_without_failure_record_is_one_line_with_both_reasons(watched: Watched) -> None:
    watched.queue.is_broken = True
    watched.upload("a.jpg", b"no image")
    watched.notify("a.jpg")
    (line,) = watched.read()
    assert line["status"] == "failed"
    assert "its 8 bytes" in line["error"]["text"]
    assert "the queue does not answer" in line["error"]["text"]
    assert Metric.REJECTED not in metrics(line)["function",]


def test_a_superseded_upload_is_counted_as_such(watched: Watched) -> None:
    watched.notify("gone.jpg", eTag="0")
    (line,) = watched.read()
    assert (line["level"], line["status"]) == ("INFO", "superseded")
    assert metrics(line)["function",][Metric.SUPERSEDED] == 1


def test_an_invalid_record_of_an_event_has_a_line(watched: Watched) -> None:
    watched.telemetry.begin("request-1")
    watched._scaler.handle({"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": "?"}]})
    (line,) = watched.read()
    assert (line["status"], "source" in line) == ("rejected", False)
    assert line["error"]["type"] == "EventError"
    assert ("EventError", "function") in metrics(line)


def test_a_deletion_has_a_line_but_is_no_upload(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(capsys, 'on_source_delete = "remove"\n' + WEB)
    watched.upload("a.jpg")
    watched.notify("a.jpg")
    watched.read()
    del watched.store.objects[ObjectRef("source", "a.jpg")]
    watched.notify("a.jpg", name="ObjectRemoved:Delete")
    (line,) = watched.read()
    assert line["removed"] == ["manifests/a.jpg.json", "web-100/a.jpg.webp", "web-50/a.jpg.webp"]
    assert metrics(line) == {}


def test_an_ignored_source_has_a_line_and_counts_as_ignored_alone(watched: Watched) -> None:
    watched.telemetry.observe(Outcome(source=ObjectRef("source", "a"), status=Status.IGNORED))
    (line,) = watched.read()
    assert (line["status"], line["level"], line["Ignored"]) == ("ignored", "INFO", 1)
    assert metrics(line)["function",] == {"Ignored": 1}


def test_an_ignored_deletion_is_not_counted(watched: Watched) -> None:
    watched.telemetry.observe(Outcome(source=ObjectRef("source", "a"), status=Status.IGNORED, is_removal=True))
    (line,) = watched.read()
    assert metrics(line) == {}


def test_bytes_saved_are_those_by_which_renditions_are_smaller_than_their_source(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.notify("a.jpg")
    (line,) = watched.read()
    sizes = {ref.key.partition("/")[0]: stored.size for ref, stored in watched.store.objects.items()}
    assert metrics(line)["function",][Metric.BYTES_SAVED] == 2 * len(JPEG) - sizes["web-50"] - sizes["web-100"]


@pytest.mark.parametrize(
    "key",
    [
        'a\n{"_aws": {}, "level": "ERROR"}.jpg',
        "a\r\x1b[31m\x00.jpg",
        "a\u2028\u2029\x85\x0b.jpg",
        '"}, "status": "forged".jpg',
        "%(message)s {} ${x} \\n.jpg",
        "\U0001f600.jpg",
    ],
)
def test_no_key_forges_a_line_or_a_field(watched: Watched, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    watched.upload(key)
    watched.upload("bad" + key, b"no image")
    watched.call(key, "bad" + key)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.isascii()
    good, bad = (json.loads(line) for line in captured.out.splitlines())
    assert (good["source"]["key"], good["status"]) == (key, "ok")
    assert (bad["source"]["key"], bad["status"]) == ("bad" + key, "rejected")


def test_a_key_with_an_unpaired_surrogate_is_logged(watched: Watched) -> None:
    watched.telemetry.observe(Outcome(source=ObjectRef("source", "\ud800.jpg"), status=Status.SUPERSEDED))
    (line,) = watched.read()
    assert line["source"]["key"] == "\ud800.jpg"


def test_every_upload_of_the_first_invocation_is_a_cold_start_and_no_later_one(watched: Watched) -> None:
    for key in ("a.jpg", "b.jpg"):
        watched.upload(key)
    watched.notify("a.jpg", "b.jpg")
    watched.notify("a.jpg")
    lines = watched.read()
    assert [line["cold_start"] for line in lines] == [True, True, False]
    assert [line.get("sdk") for line in lines] == [SDK, SDK, None]


def test_metrics_have_their_units(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.notify("a.jpg")
    (line,) = watched.read()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == {
        "Uploads": "Count",
        "RenditionsWritten": "Count",
        "BytesSaved": "Bytes",
        "FetchTime": "Milliseconds",
        "RenderTime": "Milliseconds",
        "StoreTime": "Milliseconds",
    }


def test_the_time_of_a_metric_is_that_of_its_line_in_milliseconds(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.notify("a.jpg")
    (line,) = watched.read()
    logged = datetime.fromisoformat(line["timestamp"]).timestamp()
    assert abs(line["_aws"]["Timestamp"] / 1000 - logged) < 60


def test_every_metric_is_one_that_some_upload_emits(watched: Watched) -> None:
    watched.upload("good.jpg")
    watched.upload("rejected.jpg", b"no image")
    watched.upload("failed.jpg")
    watched.store.broken.add("web-50/failed.jpg.webp")
    watched.notify("good.jpg", "rejected.jpg", "failed.jpg")
    watched.notify("superseded.jpg", eTag="0")
    watched.telemetry.observe(Outcome(source=ObjectRef("source", "a"), status=Status.IGNORED))
    found = [metrics(line)["function",] for line in watched.read()]
    assert {name for values in found for name in values} == set(Metric)


def test_a_search_for_a_quality_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    source = ObjectRef("source", "a.jpg")
    for effort in (SearchEffort(trials=9, seconds=0.18133), SearchEffort(1, 0.02, "Error: bad"), SearchEffort()):
        Telemetry("x").observe(Outcome(source=source, status=Status.OK, report=Report(search=effort)))
    found = [json.loads(line).get("search") for line in capsys.readouterr().out.splitlines()]
    assert found == [{"trials": 9, "ms": 181.3}, {"trials": 1, "ms": 20.0, "error": "Error: bad"}, None]

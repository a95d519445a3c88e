"""What is told of each upload: the lines on stdout, as Lambda gets them."""

import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from image_scaler.exceptions import RetryError
from image_scaler.outcomes import Outcome, Status
from image_scaler.renditions.toml import parse_renditions
from image_scaler.scaler import Scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef
from image_scaler.telemetry import NAMESPACE, Metric, Telemetry
from tests import drawing
from tests.stores import InMemoryQueue, InMemoryStore

COPY = "[renditions.resized]\n"
WEB = '[renditions.web]\nwidths = [50, 100]\nformat = "webp"\n'
JPEG = drawing.jpeg()
NUMBERS = count()


@dataclass(frozen=True)
class Blob:
    """One line of CloudWatch's embedded metric format."""

    dimensions: dict[str, str]
    values: dict[str, float]
    units: dict[str, str]


class Watched:
    """A scaler between two buckets whose telemetry is read from stdout."""

    def __init__(self, stdout: pytest.CaptureFixture[str], renditions: str = COPY + WEB) -> None:
        self._stdout = stdout
        self.store, self.queue = InMemoryStore(), InMemoryQueue()
        # Python keeps one logger for each name, and that keeps the stdout of the test that was first to use it.
        self.name = f"function-{next(NUMBERS)}"
        self.telemetry = Telemetry(self.name)
        settings = Settings(destination_bucket="destination", renditions=parse_renditions(renditions))
        self._scaler = Scaler(settings, self.store, self.queue, observe=self.telemetry.observe)

    def upload(self, key: str, body: bytes = JPEG) -> None:
        self.store.put(ObjectRef("source", key), body, content_type="image/jpeg")

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

    def read(self) -> tuple[list[dict[str, Any]], list[Blob]]:
        """Return the lines of the log and those of metrics, since the last time."""
        lines = [json.loads(line) for line in self._stdout.readouterr().out.split("\n")[:-1]]
        blobs = [blob(line) for line in lines if "_aws" in line]
        return [line for line in lines if "_aws" not in line], blobs


def blob(line: dict[str, Any]) -> Blob:
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == NAMESPACE
    (dimensions,) = directive["Dimensions"]
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert line.keys() == {"_aws", *dimensions, *names}
    return Blob(
        {name: line[name] for name in dimensions},
        {name: value for name in names for value in line[name]},
        {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]},
    )


@pytest.fixture
def watched(capsys: pytest.CaptureFixture[str]) -> Watched:
    return Watched(capsys)


def test_an_upload_is_one_line_that_tells_all_of_it(watched: Watched) -> None:
    watched.upload("dir/a.jpg")
    watched.notify("dir/a.jpg")
    (line,), _ = watched.read()
    stored = {ref.key: stored.size for ref, stored in watched.store.objects.items() if ref.bucket == "destination"}
    del stored["manifests/dir/a.jpg.json"]  # it lists the renditions, and is none itself
    assert sorted(stored) == ["resized/dir/a.jpg", "web-100/dir/a.jpg.webp", "web-50/dir/a.jpg.webp"]
    assert sorted(line.pop("written")) == sorted(stored)
    assert line.pop("ms").keys() == {"fetch", "render", "store", "total"}
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "message": "source s3://source/dir/a.jpg: ok",
        "service": watched.name,
        "source": {"bucket": "source", "key": "dir/a.jpg"},
        "status": "ok",
        "removed": [],
        "bytes_in": len(JPEG),
        "bytes_out": sum(stored.values()),
        "cold_start": True,
        "request_id": "request-1",
    }


def test_the_stages_of_one_thread_keep_within_the_total(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.notify("a.jpg")
    (line,), _ = watched.read()
    assert 0 < line["ms"]["fetch"] + line["ms"]["render"] <= line["ms"]["total"] + 0.2  # each is rounded


def test_a_copy_is_neither_fetched_nor_rendered_but_has_its_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(capsys, COPY)
    watched.upload("a.jpg")
    watched.notify("a.jpg")
    (line,), (metrics,) = watched.read()
    assert line["ms"].keys() == {"store", "total"}
    assert (line["bytes_in"], line["bytes_out"]) == (len(JPEG), len(JPEG))
    assert metrics.values[Metric.BYTES_SAVED] == 0


def test_what_is_there_already_is_not_counted_as_written(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.call("a.jpg")
    watched.read()
    watched.call("a.jpg")
    (line,), (metrics,) = watched.read()
    assert (line["written"], line["bytes_out"]) == ([], 0)
    assert (metrics.values[Metric.UPLOADS], metrics.values[Metric.WRITTEN]) == (1, 0)


def test_a_rejected_upload_tells_why_and_is_counted_by_its_reason(watched: Watched) -> None:
    watched.upload("a.jpg", b"no image")
    watched.notify("a.jpg")
    (line,), (metrics, reason) = watched.read()
    assert (line["level"], line["status"]) == ("ERROR", "rejected")
    assert line["error"] == {"type": "UnsupportedImageError", "text": watched.queue.records[0]["reason"]}
    assert (metrics.values[Metric.UPLOADS], metrics.values[Metric.REJECTED]) == (1, 1)
    assert reason.dimensions == {"service": watched.name, "reason": "UnsupportedImageError"}
    assert reason.values == {Metric.REJECTED: 1}


def test_a_failed_upload_tells_why_and_what_was_written_all_the_same(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.store.broken.add("web-50/a.jpg.webp")
    watched.notify("a.jpg")
    (line,), (metrics,) = watched.read()
    assert (line["level"], line["status"], line["error"]["type"]) == ("ERROR", "failed", "StorageError")
    assert line["written"] == ["resized/a.jpg", "web-100/a.jpg.webp"]
    assert metrics.values[Metric.FAILED] == 1


def test_a_rejected_upload_of_which_no_record_could_be_kept_is_still_one_line_with_both_reasons(
    watched: Watched,
) -> None:
    watched.queue.is_broken = True
    watched.upload("a.jpg", b"no image")
    watched.notify("a.jpg")
    (line,), (metrics,) = watched.read()
    assert line["status"] == "failed"
    assert "its 8 bytes" in line["error"]["text"]
    assert "the queue does not answer" in line["error"]["text"]
    assert Metric.REJECTED not in metrics.values


def test_a_superseded_upload_is_counted_as_such(watched: Watched) -> None:
    watched.notify("gone.jpg", eTag="0")
    (line,), (metrics,) = watched.read()
    assert (line["level"], line["status"]) == ("INFO", "superseded")
    assert metrics.values[Metric.SUPERSEDED] == 1


def test_a_part_of_an_event_that_cannot_be_read_is_told_of_too(watched: Watched) -> None:
    watched.telemetry.begin("request-1")
    watched._scaler.handle({"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": "?"}]})
    (line,), (_, reason) = watched.read()
    assert (line["status"], "source" in line) == ("rejected", False)
    assert reason.dimensions["reason"] == line["error"]["type"] == "EventError"


def test_a_deletion_has_a_line_but_is_no_upload(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(capsys, 'on_source_delete = "remove"\n' + WEB)
    watched.upload("a.jpg")
    watched.notify("a.jpg")
    watched.read()
    del watched.store.objects[ObjectRef("source", "a.jpg")]
    watched.notify("a.jpg", name="ObjectRemoved:Delete")
    (line,), metrics = watched.read()
    assert line["removed"] == ["manifests/a.jpg.json", "web-100/a.jpg.webp", "web-50/a.jpg.webp"]
    assert metrics == []


def test_what_is_ignored_has_a_line_but_is_not_counted(watched: Watched) -> None:
    watched.telemetry.observe(Outcome(source=ObjectRef("source", "a.jpg"), status=Status.IGNORED))
    (line,), metrics = watched.read()
    assert (line["status"], metrics) == ("ignored", [])


def test_bytes_saved_are_those_by_which_renditions_are_smaller_than_their_source(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.notify("a.jpg")
    _, (metrics,) = watched.read()
    sizes = {ref.key.partition("/")[0]: stored.size for ref, stored in watched.store.objects.items()}
    assert metrics.values[Metric.BYTES_SAVED] == 2 * len(JPEG) - sizes["web-50"] - sizes["web-100"]


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
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert ["_aws" in line for line in lines] == [False, True, False, True, True]
    good, bad = lines[0], lines[2]
    assert (good["source"]["key"], good["status"]) == (key, "ok")
    assert (bad["source"]["key"], bad["status"]) == ("bad" + key, "rejected")


def test_a_key_that_no_encoding_knows_is_told_of_all_the_same(watched: Watched) -> None:
    watched.telemetry.observe(Outcome(source=ObjectRef("source", "\ud800.jpg"), status=Status.SUPERSEDED))
    (line,), _ = watched.read()
    assert line["source"]["key"] == "\ud800.jpg"


def test_every_upload_of_the_first_invocation_is_a_cold_start_and_no_later_one(watched: Watched) -> None:
    for key in ("a.jpg", "b.jpg"):
        watched.upload(key)
    watched.notify("a.jpg", "b.jpg")
    watched.notify("a.jpg")
    lines, _ = watched.read()
    assert [line["cold_start"] for line in lines] == [True, True, False]


def test_metrics_have_few_dimensions_and_the_right_units(watched: Watched) -> None:
    watched.upload("a.jpg")
    watched.upload("b.jpg", b"no image")
    watched.notify("a.jpg", "b.jpg")
    _, metrics = watched.read()
    assert [tuple(sorted(found.dimensions)) for found in metrics] == [("service",), ("service",), ("reason", "service")]
    for found in metrics:
        assert found.dimensions["service"] == watched.name
        for name, unit in found.units.items():
            assert unit == ("Bytes" if name.startswith("Bytes") else "Milliseconds" if "Time" in name else "Count")


def test_every_metric_is_one_that_some_upload_emits(watched: Watched) -> None:
    watched.upload("good.jpg")
    watched.upload("rejected.jpg", b"no image")
    watched.upload("failed.jpg")
    watched.store.broken.add("web-50/failed.jpg.webp")
    watched.notify("good.jpg", "rejected.jpg", "failed.jpg")
    watched.notify("superseded.jpg", eTag="0")
    _, metrics = watched.read()
    assert {name for found in metrics for name in found.values} == set(Metric)


def test_powertools_does_not_slow_down_the_cold_start() -> None:
    program = (
        "import sys, image_scaler.scaler, image_scaler.storage.s3, image_scaler.telemetry\n"
        "image_scaler.telemetry.Telemetry('function').begin('request-1')\n"
        "sys.exit('aws_lambda_powertools' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

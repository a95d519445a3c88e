"""The function as Lambda calls it: the environment, an event, an answer."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import botocore
import pytest

from image_scaler.exceptions import ConfigError
from image_scaler.storage.sdk import MIN_VERSION
from tests import ROOT
from tests.support import drawing

SOURCE, DESTINATION = "image-scaler-local-source-123456789012-us-east-1", "renditions"
EVENTS = ROOT / "events"
KEY = "Lighthouse at dusk.JPG"
"""Of the sample in the events."""


@pytest.fixture
def s3(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client with both buckets, and the environment that the stack gives the function."""
    client = aws.client("s3")
    client.create_bucket(Bucket=SOURCE)
    client.create_bucket(Bucket=DESTINATION)
    monkeypatch.setenv("SOURCE_BUCKET", SOURCE)
    monkeypatch.setenv("DESTINATION_BUCKET", DESTINATION)
    monkeypatch.setenv("FAILURE_QUEUE_URL", aws.client("sqs").create_queue(QueueName="failures")["QueueUrl"])
    return client


def cold_start() -> ModuleType:
    """Import the handler as a new execution environment does."""
    sys.modules.pop("handler", None)
    return importlib.import_module("handler")


def event(name: str) -> Any:
    return json.loads((EVENTS / name).read_text(encoding="utf-8"))


def keys(client: Any) -> list[str]:
    return [stored["Key"] for stored in client.list_objects_v2(Bucket=DESTINATION).get("Contents", [])]


def test_an_upload_is_copied_byte_for_byte_and_made_into_renditions(s3: Any) -> None:
    body = drawing.jpeg()
    s3.put_object(Bucket=SOURCE, Key=KEY, Body=body, ContentType="image/jpeg", Metadata={"album": "Holidays"})
    answer = cold_start().lambda_handler(event("s3-put.json"), None)
    assert answer["statusCode"] == 200
    copy = s3.get_object(Bucket=DESTINATION, Key=f"resized/{KEY}")
    assert copy["Body"].read() == body
    assert (copy["ContentType"], copy["Metadata"]) == ("image/jpeg", {"album": "Holidays"})
    assert f"thumbnail/{KEY}.webp" in keys(s3)
    assert f"web-640/{KEY}.avif" in keys(s3)


def test_an_upload_that_is_not_an_image_returns_500(s3: Any) -> None:
    s3.put_object(Bucket=SOURCE, Key=KEY, Body=b"text")
    answer = cold_start().lambda_handler(event("s3-put.json"), None)
    assert answer == {"statusCode": 500, "body": "Error moving image"}
    assert keys(s3) == [f"rejected/{KEY}.json"]


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("DESTINATION_BUCKET", "", "DESTINATION_BUCKET is not set"),
        ("DESTINATION_BUCKET", SOURCE, "SOURCE_BUCKET and DESTINATION_BUCKET are both"),
    ],
)
def test_a_wrong_environment_is_refused_at_the_cold_start(
    s3: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=sentence):
        cold_start()


def test_an_sdk_that_is_too_old_is_refused_at_the_cold_start(tmp_path: Path) -> None:
    # botocore as it is, but for its version.
    installed = Path(str(botocore.__file__)).parent
    (tmp_path / "botocore").mkdir()
    for path in installed.iterdir():
        if path.name != "__init__.py":
            (tmp_path / "botocore" / path.name).symlink_to(path)
    source = (installed / "__init__.py").read_text(encoding="utf-8")
    older = source.replace(f"'{botocore.__version__}'", "'1.35.99'")
    (tmp_path / "botocore" / "__init__.py").write_text(older, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", "import handler"],
        cwd=EVENTS.parent,
        env={
            "PYTHONPATH": f"{tmp_path}:{Path(boto3.__file__).parents[1]}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "DESTINATION_BUCKET": DESTINATION,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == (
        "image_scaler.exceptions.ConfigError: botocore 1.35.99 is too old, it must be "
        f"{MIN_VERSION} or newer: choose a newer Lambda runtime with the parameter python"
    )


def test_the_line_of_a_cold_start_has_the_version_of_the_sdk(s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    handler = cold_start()
    for _ in range(2):
        handler.lambda_handler({"bucket": SOURCE, "keys": ["a.jpg"]}, None)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    versions = {"boto3": boto3.__version__, "botocore": botocore.__version__}
    assert [line.get("sdk") for line in lines] == [versions, None]


@pytest.mark.parametrize("name", sorted(path.name for path in EVENTS.glob("*.json")))
def test_every_example_of_an_event_succeeds_when_the_samples_are_uploaded(s3: Any, name: str) -> None:
    for key in (KEY, "owl.jpg", "badge.png"):
        s3.put_object(Bucket=SOURCE, Key=key, Body=drawing.jpeg(drawing.photo(60, 40)), ContentType="image/jpeg")
    answer = cold_start().lambda_handler(event(name), None)
    if name.startswith("sqs"):
        assert answer == {"batchItemFailures": []}
    elif name.startswith("batch"):
        assert [result["resultCode"] for result in answer["results"]] == ["Succeeded"]
    else:
        assert answer["statusCode"] == 200

"""`image-scaler url` prints links that work, or why there are none."""

import urllib.parse
from typing import Any

import boto3
import pytest

from image_scaler.history import rejection_key
from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.s3 import S3Store
from tests.support.drawing import jpeg, photo
from toolbox.aws.deployed import DeployedStack
from toolbox.commands.url import Options, url

RECIPE = """
[renditions.thumbnail]
width = 20
format = "webp"
[renditions.web]
width = 40
key = "web/{key}.{hash}"
[[rules]]
match = "raw/**"
renditions = []
"""
DEPLOYED = DeployedStack("source", "destination", "", "", "resize")
NOW = Options(wait=0)


class Stack:
    """Two buckets, and the function's own scaler."""

    def __init__(self, session: boto3.Session, s3: Any) -> None:
        self.session = session
        self.s3 = s3
        self.recipe = parse_recipe(RECIPE)

    def upload(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket="source", Key=key, Body=body)

    def process(self, key: str) -> None:
        settings = Settings(destination_bucket="destination", recipe=self.recipe, keeps_history=True)
        build_scaler(settings, S3Store(self.s3)).handle({"bucket": "source", "keys": [key]})

    def url(self, key: str, options: Options = NOW, **more: Any) -> int:
        return url(self.session, DEPLOYED, self.recipe, key, options, **more)


@pytest.fixture
def stack(aws: boto3.Session, s3: Any) -> Stack:
    return Stack(aws, s3)


def test_each_rendition_and_the_manifest_have_a_link(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.upload("my photo+1.jpg", jpeg(photo(60, 40)))
    stack.process("my photo+1.jpg")
    assert stack.url("my photo+1.jpg") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "thumbnail  20 x 13 image/webp"
    assert [line.split()[0] for line in lines[::2]] == ["thumbnail", "web", "manifest"]
    for line in lines[1::2]:
        address = urllib.parse.urlsplit(line)
        key = urllib.parse.unquote(address.path).removeprefix("/")
        stack.s3.head_object(Bucket="destination", Key=key)
        query = urllib.parse.parse_qs(address.query)
        assert (query["X-Amz-Expires"], query["X-Amz-Algorithm"]) == (["3600"], ["AWS4-HMAC-SHA256"])


def test_one_rendition_is_printed_alone_for_a_program(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.upload("a b.jpg", jpeg(photo(60, 40)))
    stack.process("a b.jpg")
    assert stack.url("a b.jpg", Options(name="thumbnail", base="https://images.example.com/", wait=0)) == 0
    assert capsys.readouterr().out == "https://images.example.com/thumbnail/a%20b.jpg.webp\n"
    assert stack.url("a b.jpg", Options(name="large", wait=0)) == 1
    assert "has no rendition large: choose one of thumbnail, web, manifest" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "body", "sentence"),
    [
        ("gone.jpg", None, "s3://source has no object with this key"),
        ("text.jpg", b"text", "rejected: its 4 bytes are not an image"),
        ("5f0c71b2", jpeg(photo(60, 40)), "an upload invokes nothing"),
        ("raw/a.jpg", jpeg(photo(60, 40)), "a rule of renditions.toml makes nothing of this key"),
        ("late.jpg", jpeg(photo(60, 40)), "the renditions do not exist yet"),
    ],
)
def test_an_upload_without_renditions_has_the_reason(
    stack: Stack, capsys: pytest.CaptureFixture[str], key: str, body: bytes | None, sentence: str
) -> None:
    if body:
        stack.upload(key, body)
    if key == "text.jpg":
        stack.process(key)
    assert stack.url(key) == 1
    assert sentence in capsys.readouterr().err


def test_it_waits_for_an_upload_that_is_processed_now(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.upload("a.jpg", jpeg(photo(60, 40)))
    assert stack.url("a.jpg", Options(name="thumbnail"), sleep=lambda seconds: stack.process("a.jpg")) == 0
    assert "thumbnail/a.jpg.webp" in capsys.readouterr().out


def test_the_renditions_and_the_rejection_of_a_replaced_version_do_not_count(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.upload("a.jpg", b"text")
    stack.process("a.jpg")
    stack.s3.head_object(Bucket="destination", Key=rejection_key("a.jpg"))
    stack.upload("a.jpg", jpeg(photo(60, 40)))
    assert stack.url("a.jpg") == 1
    assert "do not exist yet" in capsys.readouterr().err
    stack.process("a.jpg")
    stack.upload("a.jpg", jpeg(photo(50, 40)))
    assert stack.url("a.jpg") == 1

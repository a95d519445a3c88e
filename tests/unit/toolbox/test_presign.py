"""`image-scaler presign` prints a request for one key, one type and a size; S3 itself is in the end-to-end tests."""

import base64
import json
import shlex
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from image_scaler.renditions.toml import parse_recipe
from toolbox.aws.deployed import DeployedStack
from toolbox.commands.presign import Options, presign
from toolbox.console import CommandError

RECIPE = """
[limits]
source_bytes = 1000
[renditions.thumbnail]
width = 20
[[rules]]
match = "raw/**"
renditions = []
"""


@pytest.fixture(scope="module")
def _session() -> boto3.Session:
    return boto3.Session("testing", "testing", region_name="eu-central-1")


@pytest.fixture
def session(aws: boto3.Session, _session: boto3.Session) -> boto3.Session:
    configuration: Any = {"LocationConstraint": "eu-central-1"}
    _session.client("s3").create_bucket(Bucket="source", CreateBucketConfiguration=configuration)
    return _session


def presigned(
    session: boto3.Session,
    capsys: pytest.CaptureFixture[str],
    key: str,
    *,
    as_json: bool = True,
    any_suffix: str = "false",
    **options: Any,
) -> str:
    deployed = DeployedStack("source", "destination", "", "", "resize", any_suffix=any_suffix)
    assert presign(session, deployed, parse_recipe(RECIPE), key, Options(**options), as_json=as_json) == 0
    return capsys.readouterr().out


def conditions_of(form: dict[str, Any]) -> list[Any]:
    conditions: list[Any] = json.loads(base64.b64decode(form["fields"]["policy"]))["conditions"]
    return conditions


def test_a_post_is_bound_to_one_key_one_type_and_the_largest_source(
    session: boto3.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    form = json.loads(presigned(session, capsys, "a b.JPG", is_post=True))
    assert form.keys() == {"method", "url", "fields"}
    assert form["fields"]["key"] == "a b.JPG"
    assert form["fields"]["Content-Type"] == "image/jpeg"
    bounds = [
        one for one in conditions_of(form) if not isinstance(one, dict) or not next(iter(one)).startswith("x-amz")
    ]
    assert bounds == [
        {"Content-Type": "image/jpeg"},
        ["content-length-range", 1, 1000],
        {"bucket": "source"},
        {"key": "a b.JPG"},
    ]


@pytest.mark.parametrize("overwrites", [False, True])
def test_a_put_is_bound_to_one_type_and_an_exact_size_and_overwrites_only_if_asked_to(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], overwrites: bool
) -> None:
    request = json.loads(presigned(session, capsys, "a.png", size=500, overwrites=overwrites, expires=60))
    condition = {} if overwrites else {"If-None-Match": "*"}
    assert request["headers"] == {"Content-Type": "image/png", "Content-Length": "500"} | condition
    query = parse_qs(urlsplit(request["url"]).query)
    signed = query["X-Amz-SignedHeaders"][0].split(";")
    assert set(signed) == {"host", *(name.lower() for name in request["headers"])}
    assert query["X-Amz-Expires"] == ["60"]


@pytest.mark.parametrize("options", [{"is_post": True}, {"size": 5}])
def test_a_request_goes_to_the_region_of_the_bucket_because_a_page_cannot_follow_a_redirect(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    request = json.loads(presigned(session, capsys, "a.png", **options))
    assert urlsplit(request["url"]).netloc == "source.s3.eu-central-1.amazonaws.com"


@pytest.mark.parametrize("options", [{"is_post": True}, {"size": 5}])
def test_without_json_it_is_a_command_for_a_shell(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    words = shlex.split(presigned(session, capsys, "it's $HOME.png", as_json=False, **options))
    assert words[:2] == ["curl", "--fail-with-body"]
    assert ("key=it's $HOME.png" in words) is ("is_post" in options)
    assert "Content-Length: 5" not in words  # curl would send two


@pytest.mark.parametrize("options", [{"is_post": True}, {"size": 5}])
def test_a_key_that_exists_is_signed_only_if_it_may_be_overwritten(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    session.client("s3").put_object(Bucket="source", Key="a.png", Body=b"x")
    with pytest.raises(CommandError, match="exists: use another key, or --overwrite"):
        presigned(session, capsys, "a.png", **options)
    assert presigned(session, capsys, "a.png", overwrites=True, **options)


@pytest.mark.parametrize(
    ("key", "options", "sentence"),
    [
        ("a.png", {}, "a PUT is signed for an exact size: give it with --bytes, or use --post"),
        ("a.png", {"size": 1001}, "has 1,001 bytes but the limit is 1,000"),
        ("a.txt", {"is_post": True}, "an upload invokes nothing"),
        ("raw/a.png", {"is_post": True}, "a rule of renditions.toml makes nothing of this key"),
        ("x" * 1020 + ".png", {"is_post": True}, "but S3 allows 1024"),
        ("a.png", {"is_post": True, "type": "text/html"}, "but received 'text/html'"),
        ("${filename}.png", {"is_post": True}, r"which would let the uploader choose it"),
        ("5f0c71b2", {"is_post": True, "any_suffix": "true"}, "give it with --type"),
        ("a.png", {"is_post": True, "only": "thumb"}, "some of thumbnail, or none, for --only but received 'thumb'"),
        ("a.png", {"is_post": True, "only": "thumbnail Web"}, "for --only but received 'Web'"),
    ],
)
def test_a_request_that_would_lead_to_nothing_or_allow_too_much_is_not_signed(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], key: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        presigned(session, capsys, key, **options)


def test_a_key_without_a_suffix_needs_a_type(session: boto3.Session, capsys: pytest.CaptureFixture[str]) -> None:
    form = json.loads(presigned(session, capsys, "5f0c71b2", is_post=True, type="image/webp", any_suffix="true"))
    assert {"Content-Type": "image/webp"} in conditions_of(form)


@pytest.mark.parametrize(
    ("only", "value"), [("thumbnail", "thumbnail"), (" thumbnail,", "thumbnail"), ("none", "none"), ("", "none")]
)
def test_the_renditions_of_an_upload_are_signed(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], only: str, value: str
) -> None:
    form = json.loads(presigned(session, capsys, "a.png", is_post=True, only=only))
    assert form["fields"]["x-amz-meta-renditions"] == value
    assert {"x-amz-meta-renditions": value} in conditions_of(form)
    request = json.loads(presigned(session, capsys, "a.png", size=5, only=only))
    assert request["headers"]["x-amz-meta-renditions"] == value
    assert "x-amz-meta-renditions" in parse_qs(urlsplit(request["url"]).query)["X-Amz-SignedHeaders"][0].split(";")

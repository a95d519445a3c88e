"""The stack's own distribution on the local AWS: what its edge sends, and to which pages."""

import json
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import pytest
import urllib3

from image_scaler.recipe_file import load_recipe
from image_scaler.renditions.spec import CopyTarget
from tests import ROOT
from tests.stack.end_to_end.stack import Stack
from tests.support.drawing import jpeg

KEY = "cdn/a b+c.jpg"


@pytest.fixture(scope="module")
def renditions(stack: Stack) -> dict[str, bytes]:
    """The objects that the function made of an upload, by their keys."""
    stack.upload(KEY, jpeg())
    stack.manifest(KEY)
    return {key: stack.read(key)["Body"] for key in stack.expected_keys(KEY)}


@pytest.fixture
def ask(images: str) -> Callable[..., urllib3.BaseHTTPResponse]:
    """Returns the edge's response to a request for a key. The edge knows the distribution by the host."""
    host = urlsplit(images).netloc

    def ask(key: str, method: str = "GET", **headers: str) -> urllib3.BaseHTTPResponse:
        address = f"http://127.0.0.1:{host.rpartition(':')[2]}/{quote(key, safe='/?=')}"
        return urllib3.request(method, address, headers={"Host": host} | headers, retries=False)

    return ask


def test_it_sends_every_rendition_and_the_manifest_and_no_copy(
    ask: Callable[..., urllib3.BaseHTTPResponse], renditions: dict[str, bytes]
) -> None:
    plan = load_recipe(ROOT / "renditions.toml").plan_for(KEY)
    copies = {target.key for target in plan.targets if isinstance(target, CopyTarget)}
    assert copies
    for key, body in renditions.items():
        response = ask(key)
        assert (response.status, response.data == body) == ((403, False) if key in copies else (200, True)), key


def test_it_sends_why_an_upload_was_rejected(stack: Stack, ask: Callable[..., urllib3.BaseHTTPResponse]) -> None:
    stack.upload("cdn/text.jpg", b"text")
    stack.eventually(lambda: ask("rejected/cdn/text.jpg.json").status == 200, "the rejection")
    record = json.loads(ask("rejected/cdn/text.jpg.json").data)
    assert record["source"]["key"] == "cdn/text.jpg"
    assert record["error"]["code"] == "not_an_image"


@pytest.mark.parametrize("key", ["", "?list-type=2", "recipes/", "recipes/manifests.jsonl.gz", "resized/x.jpg", KEY])
def test_it_lists_nothing_and_sends_nothing_else(
    stack: Stack, ask: Callable[..., urllib3.BaseHTTPResponse], key: str
) -> None:
    if "?" not in key and key.rstrip("/") == key and key:
        stack.s3.put_object(Bucket=stack.destination, Key=key, Body=b"x")
    assert ask(key).status == 403


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_it_only_reads(ask: Callable[..., urllib3.BaseHTTPResponse], method: str) -> None:
    assert ask("thumbnail/a.jpg", method).status == 403


def test_what_does_not_exist_yet_is_403_which_no_cache_keeps(ask: Callable[..., urllib3.BaseHTTPResponse]) -> None:
    response = ask("manifests/later.jpg.json")
    assert response.status == 403
    assert "Cache-Control" not in response.headers


def test_a_browser_never_runs_what_it_sends_and_every_page_may_show_it(
    ask: Callable[..., urllib3.BaseHTTPResponse], renditions: dict[str, bytes]
) -> None:
    headers = ask(f"thumbnail/{KEY}.webp").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "max-age" in headers["Strict-Transport-Security"]


def test_only_pages_of_the_given_origins_may_fetch_manifests(
    ask: Callable[..., urllib3.BaseHTTPResponse], renditions: dict[str, bytes]
) -> None:
    for origin, allowed in (("http://127.0.0.1:8000", True), ("https://evil.example", False), ("null", False)):
        headers = ask(f"manifests/{KEY}.json", Origin=origin).headers
        assert headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        assert "Access-Control-Allow-Credentials" not in headers

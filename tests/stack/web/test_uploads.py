"""What a page may do with what its backend has signed, tried from the outside, as an attacker would."""

import base64
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError

from tests import ROOT
from tests.stack.end_to_end.stack import Stack
from tests.stack.web.conftest import Presign
from tests.support.drawing import jpeg
from toolbox.commands.demo import PAGE

Form = dict[str, Any]
SIGN_IN_JAVASCRIPT = """
import { signUpload } from "./examples/page/sign.mjs";
console.log(JSON.stringify(await signUpload("me", "image/jpeg")));
"""


def ask(address: str, body: object, **headers: str) -> urllib3.BaseHTTPResponse:
    """Send a request to the example's backend, as its page does."""
    return urllib3.request("POST", f"{address}uploads", body=json.dumps(body), headers=headers, retries=False)


@pytest.fixture
def form(address: str) -> Form:
    """A form for a JPEG, signed by the backend, which has the rights of signer.json."""
    signed = ask(address, {"type": "image/jpeg"}, Origin=address.rstrip("/"))
    assert signed.status == 200
    found: Form = signed.json()
    return found


def send(form: Form, body: bytes, **changes: str | None) -> urllib3.BaseHTTPResponse:
    """Send a form with some fields changed, added, or left out (None)."""
    fields = {name: value for name, value in (form["fields"] | changes).items() if value is not None}
    return urllib3.request("POST", form["url"], fields=fields | {"file": ("a.jpg", body)}, retries=False)


@pytest.fixture
def is_stored(stack: Stack) -> Callable[[str], bool]:
    def is_stored(key: str) -> bool:
        return bool(stack.s3.list_objects_v2(Bucket=stack.source, Prefix=key).get("Contents"))

    return is_stored


def test_a_signed_form_uploads_an_image_whose_manifest_has_the_etag_of_the_response(stack: Stack, form: Form) -> None:
    response = send(form, jpeg())
    assert response.status == 204
    assert stack.manifest(form["fields"]["key"])["source"]["etag"] == response.headers["ETag"].strip('"')


def test_the_signer_in_javascript_signs_the_same_form_which_uploads_an_image(stack: Stack, form: Form) -> None:
    signed = subprocess.run(
        ["node", "--input-type=module", "--no-warnings", "-e", SIGN_IN_JAVASCRIPT],
        env=stack.env | {"PATH": "/usr/local/bin:/usr/bin:/bin", "AWS_ENDPOINT_URL_S3": stack.env["AWS_ENDPOINT_URL"]},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    other: Form = json.loads(signed.stdout)
    assert send(other, jpeg(), key="uploads/somebody/a.jpg").status == 403
    assert send(other, jpeg()).status == 204
    for one in (form, other):
        policy = json.loads(base64.b64decode(next(v for name, v in one["fields"].items() if name.lower() == "policy")))
        bounds = [condition for condition in policy["conditions"] if "x-amz" not in str(condition).lower()]
        key = one["fields"]["key"]
        assert key.startswith("uploads/me/")
        expected = [{"Content-Type": "image/jpeg"}, ["content-length-range", 1, 20_000_000]]
        assert [one for one in bounds if one not in ({"bucket": stack.source}, {"key": key})] == expected


CHANGES = {
    "the key of another user": {"key": "uploads/somebody/a.jpg"},
    "another folder": {"key": "a.jpg"},
    "a web page as the type": {"Content-Type": "text/html"},
    "a redirect": {"success_action_redirect": "https://example.com/"},
    "metadata": {"x-amz-meta-focal-point": "0,0"},
    "headers for caches": {"Cache-Control": "max-age=31536000"},
    "public access": {"acl": "public-read"},
    "an earlier time": {"x-amz-date": "20260101T000000Z"},
    "another signature": {"x-amz-signature": "0" * 64},
    "no signature": {"x-amz-signature": None},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_changed_form_is_refused_and_nothing_is_stored(
    form: Form, is_stored: Callable[[str], bool], changes: dict[str, str | None]
) -> None:
    assert send(form, jpeg(), **changes).status in (400, 403)
    assert not is_stored(form["fields"]["key"])
    assert not (changes.get("key") and is_stored(str(changes["key"])))


def test_a_changed_policy_is_refused(form: Form, is_stored: Callable[[str], bool]) -> None:
    policy = base64.b64decode(form["fields"]["policy"]).decode().replace("20000000", "90000000")
    assert send(form, jpeg(), policy=base64.b64encode(policy.encode()).decode()).status == 403
    assert not is_stored(form["fields"]["key"])


def test_a_form_is_for_one_bucket(stack: Stack, form: Form) -> None:
    other = form | {"url": form["url"].replace(stack.source, stack.destination)}
    assert send(other, jpeg()).status == 403
    assert stack.keys_of(form["fields"]["key"]) == set()


def test_a_request_expires(presign: Presign, is_stored: Callable[[str], bool]) -> None:
    body = jpeg()
    form = presign("late/post.jpg", "--post", "--expires", 1)
    request = presign("late/put.jpg", "--bytes", len(body), "--expires", 1)
    time.sleep(2)
    assert send(form, body).status == 403
    assert put(request, body) == 403
    assert not is_stored("late/")


@pytest.mark.parametrize("size", [0, 20_000_001])
def test_a_file_that_is_too_large_or_empty_is_refused(form: Form, is_stored: Callable[[str], bool], size: int) -> None:
    assert send(form, bytes(size)).status == 400
    assert not is_stored(form["fields"]["key"])


def test_the_backend_signs_for_no_page_of_another_origin_and_for_no_other_type(address: str) -> None:
    own = address.rstrip("/")
    port = urlsplit(own).port
    for origin in ("https://evil.example", f"http://localhost:{port}", "null"):
        assert ask(address, {"type": "image/jpeg"}, Origin=origin).status == 403
    assert ask(address, {"type": "image/jpeg"}).status == 403
    for body in ({"type": "text/html"}, {"type": "image/svg+xml"}, {}, [], {"type": ["image/jpeg"]}):
        assert ask(address, body, Origin=own).status == 400
    for path in ("sign.py", "signer.json", "../../serverless.yml", "%2e%2e/%2e%2e/renditions.toml"):
        assert urllib3.request("GET", own + "/" + path, retries=False).status == 404


def test_the_signer_may_do_nothing_else(stack: Stack, address: str) -> None:
    key = stack.aws.client("iam").create_access_key(UserName="signer")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=stack.env["AWS_ENDPOINT_URL"])
    s3.put_object(Bucket=stack.source, Key="uploads/signer.txt", Body=b"x")
    for forbidden in (
        lambda: s3.put_object(Bucket=stack.source, Key="elsewhere.jpg", Body=b"x"),
        lambda: s3.put_object(Bucket=stack.destination, Key="uploads/a.jpg", Body=b"x"),
        lambda: s3.get_object(Bucket=stack.source, Key="uploads/signer.txt"),
        lambda: s3.delete_object(Bucket=stack.source, Key="uploads/signer.txt"),
        lambda: s3.list_objects_v2(Bucket=stack.source),
        lambda: s3.put_object_acl(Bucket=stack.source, Key="uploads/signer.txt", ACL="public-read"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            forbidden()


def test_nobody_lists_or_reads_a_bucket_without_a_signature(stack: Stack, form: Form) -> None:
    assert send(form, jpeg()).status == 204
    for bucket in (stack.source, stack.destination):
        root = f"{stack.env['AWS_ENDPOINT_URL']}/{bucket}"
        for path in ("", "/?list-type=2", "/" + form["fields"]["key"], "/?cors", "/?policy"):
            assert urllib3.request("GET", root + path, retries=False).status == 403, path
        assert urllib3.request("PUT", f"{root}/a.jpg", body=jpeg(), retries=False).status == 403


def put(request: dict[str, Any], body: bytes, **headers: str) -> int:
    sent = request["headers"] | headers
    return urllib3.request("PUT", request["url"], body=body, headers=sent, retries=False).status


def test_a_presigned_put_is_for_one_size_one_type_and_one_key_and_overwrites_nothing(
    presign: Presign, is_stored: Callable[[str], bool]
) -> None:
    body = jpeg()
    request = presign("put/a.jpg", "--bytes", len(body))
    assert put(request, body + b"x", **{"Content-Length": str(len(body) + 1)}) == 403
    assert put(request, body, **{"Content-Type": "text/html"}) == 403
    assert put(request | {"url": request["url"].replace("put/a.jpg", "put/b.jpg")}, body) == 403
    assert put(request | {"headers": {"Content-Type": "image/jpeg"}}, body) == 403  # without If-None-Match
    assert not is_stored("put/")
    assert put(request, body) == 200
    assert put(request, body) == 412
    assert put(presign("put/a.jpg", "--bytes", len(body), "--overwrite"), body) == 200


def test_a_presigned_put_lets_its_sender_choose_how_long_caches_keep_the_renditions(
    stack: Stack, presign: Presign
) -> None:
    body = jpeg()
    assert put(presign("put/cached.jpg", "--bytes", len(body)), body, **{"Cache-Control": "max-age=5"}) == 200
    renditions = stack.renditions("put/cached.jpg")
    assert renditions["thumbnail/put/cached.jpg.webp"]["CacheControl"] == "max-age=5"


def test_a_presigned_post_of_the_command_line_uploads_an_image(
    presign: Presign, is_stored: Callable[[str], bool]
) -> None:
    form = presign("post/a b.jpg", "--post")
    assert send(form, jpeg(), key="post/b.jpg").status == 403
    assert send(form, jpeg()).status == 204
    assert is_stored("post/a b.jpg")


def test_the_docs_show_the_signers_of_the_example() -> None:
    text = (ROOT / "docs" / "upload.md").read_text(encoding="utf-8")
    for name in ("sign.py", "sign.mjs", "signer.json"):
        assert (PAGE / name).read_text(encoding="utf-8") in text, name

"""One contract, held by every store."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from image_scaler.exceptions import (
    AccessDeniedError,
    ArchivedObjectError,
    ObjectNotFoundError,
    PreconditionFailedError,
    RejectedError,
    StorageError,
)
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, ObjectStore
from image_scaler.storage.failure_queue import SqsFailureQueue
from image_scaler.storage.s3 import S3Store
from tests.support.stores import AS_JPEG, InMemoryQueue, InMemoryStore
from toolbox.file_store import FileStore


@dataclass
class Case:
    store: ObjectStore
    source: str
    destination: str
    keeps_headers: bool = True

    def put(self, key: str, body: bytes = b"pixels", headers: ObjectHeaders = AS_JPEG) -> ObjectRef:
        ref = ObjectRef(self.source, key)
        self.store.put(ref, body, headers)
        return ref


@pytest.fixture(params=["in memory", "files", "S3"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    match request.param:
        case "in memory":
            return Case(InMemoryStore(), "source", "destination")
        case "files":
            (tmp_path / "source").mkdir()
            return Case(FileStore(), str(tmp_path / "source"), str(tmp_path / "destination"), keeps_headers=False)
        case _:
            return Case(S3Store(request.getfixturevalue("s3")), "source", "destination")


@pytest.mark.parametrize("key", ["a.jpg", "dir/my photo+1.jpg", "100%/ä€😀.jpg", "a%2Fb.jpg", "x" * 200])
def test_a_put_object_can_be_read(case: Case, key: str) -> None:
    stored = case.store.get(case.put(key))
    assert (stored.read(), stored.size) == (b"pixels", 6)
    assert case.store.head(ObjectRef(case.source, key)).etag == stored.etag


HEADERS = ObjectHeaders(
    content_type="image/png",
    cache_control="no-store",
    content_disposition='attachment; filename="a.png"',
    content_encoding="br",
    content_language="de",
    metadata={"focal-point": "0.3,0.7"},
)


@pytest.mark.parametrize("headers", [AS_JPEG, HEADERS])
def test_a_put_object_has_the_headers_that_are_given(case: Case, headers: ObjectHeaders) -> None:
    ref = case.put("a.jpg", headers=HEADERS)
    case.put("a.jpg", headers=headers)
    if case.keeps_headers:
        assert case.store.head(ref).headers == headers
    assert case.store.get(ref).read() == b"pixels"


def test_a_second_put_replaces_the_first(case: Case) -> None:
    ref = case.put("a.jpg", b"old")
    case.put("a.jpg", b"new")
    assert case.store.get(ref).read() == b"new"


def test_a_put_for_a_new_object_never_replaces_one(case: Case) -> None:
    ref = ObjectRef(case.destination, "a.jpg")
    first = case.store.put(ref, b"first", AS_JPEG, if_none_match=True)
    with pytest.raises(PreconditionFailedError):
        case.store.put(ref, b"second", AS_JPEG, if_none_match=True)
    assert case.store.get(ref).read() == b"first"
    assert case.store.head(ref).etag == first


def test_a_put_over_an_object_replaces_that_one_and_no_other(case: Case) -> None:
    ref = ObjectRef(case.destination, "a.jpg")
    old = case.store.put(ref, b"old", AS_JPEG)
    new = case.store.put(ref, b"new", AS_JPEG, if_match=old)
    with pytest.raises(PreconditionFailedError):
        case.store.put(ref, b"late", AS_JPEG, if_match=old)
    assert case.store.head(ref).etag == new


def test_a_put_over_an_object_that_is_gone_fails(case: Case) -> None:
    with pytest.raises((ObjectNotFoundError, PreconditionFailedError)):
        case.store.put(ObjectRef(case.destination, "a.jpg"), b"", AS_JPEG, if_match="0" * 32)


def test_delete_deletes_the_given_version_of_the_object_and_no_other(case: Case) -> None:
    ref = ObjectRef(case.destination, "a.jpg")
    old = case.store.put(ref, b"old", AS_JPEG)
    new = case.store.put(ref, b"new", AS_JPEG)
    with pytest.raises(PreconditionFailedError):
        case.store.delete(ref, if_match=old)
    case.store.delete(ref, if_match=new)
    with pytest.raises(ObjectNotFoundError):
        case.store.head(ref)


def test_a_missing_object_is_not_found(case: Case) -> None:
    with pytest.raises(ObjectNotFoundError):
        case.store.get(ObjectRef(case.source, "nothing.jpg"))
    with pytest.raises(ObjectNotFoundError):
        case.store.head(ObjectRef(case.source, "nothing.jpg"))
    with pytest.raises(ObjectNotFoundError):
        copy(case, ObjectRef(case.source, "nothing.jpg"), ObjectHead(etag="e", size=3, content_type="image/jpeg"))


def test_get_with_the_etag_of_the_object_gives_it(case: Case) -> None:
    ref = case.put("a.jpg")
    assert case.store.get(ref, if_match=case.store.get(ref).etag).read() == b"pixels"


def test_get_of_an_object_that_has_changed_fails_its_precondition(case: Case) -> None:
    ref = case.put("a.jpg", b"old")
    old = case.store.get(ref).etag
    case.put("a.jpg", b"new")
    with pytest.raises(PreconditionFailedError):
        case.store.get(ref, if_match=old)


def copy(case: Case, ref: ObjectRef, source: ObjectHead, headers: ObjectHeaders | None = None) -> ObjectRef:
    copied = ObjectRef(case.destination, f"resized/{ref.key}")
    case.store.copy(ref, copied, headers or source.headers, if_match=source.etag, size=source.size, overwrites=None)
    return copied


def test_a_copy_has_the_bytes_of_its_source(case: Case) -> None:
    ref = case.put("dir/my photo+1.jpg")
    copied = copy(case, ref, case.store.head(ref))
    assert case.store.get(copied).read() == b"pixels"
    assert case.store.head(copied) == case.store.head(ref)


def test_a_copy_has_the_headers_that_are_given(case: Case) -> None:
    ref = case.put("a.jpg")
    copied = copy(case, ref, case.store.head(ref), HEADERS)
    if case.keeps_headers:
        assert case.store.head(copied).headers == HEADERS
    assert case.store.get(copied).read() == b"pixels"


def test_an_object_can_be_copied_onto_itself_with_other_metadata(case: Case) -> None:
    ref = case.put("a.jpg")
    head = case.store.head(ref)
    mark = {"superseded": "true"}
    headers = replace(head.headers, metadata=mark, tags=mark)
    case.store.copy(ref, ref, headers, if_match=head.etag, size=head.size, overwrites=head.etag)
    assert case.store.get(ref).read() == b"pixels"
    if case.keeps_headers:
        assert case.store.head(ref).metadata == {"superseded": "true"}


def test_s3_stores_the_tags_that_a_copy_is_given(s3: Any) -> None:
    case = Case(S3Store(s3), "source", "source")
    ref = case.put("a.jpg")
    head = case.store.head(ref)
    headers = replace(head.headers, tags={"superseded": "true"})
    case.store.copy(ref, ref, headers, if_match=head.etag, size=head.size, overwrites=head.etag)
    assert s3.get_object_tagging(Bucket="source", Key="a.jpg")["TagSet"] == [{"Key": "superseded", "Value": "true"}]


def test_keys_are_listed_by_their_prefix(case: Case) -> None:
    for key in ("a/b.jpg", "a/c/d.jpg", "ab.jpg", "b.jpg"):
        case.put(key)
    assert sorted(case.store.list(case.source, "a/")) == ["a/b.jpg", "a/c/d.jpg"]
    assert list(case.store.list(case.source, "nothing")) == []


def test_copy_of_an_object_that_has_changed_fails_its_precondition_and_writes_nothing(case: Case) -> None:
    ref = case.put("a.jpg", b"old")
    old = case.store.head(ref)
    case.put("a.jpg", b"new")
    if isinstance(case.store, S3Store):
        pytest.skip("moto ignores CopySourceIfMatch; tests/properties/faults/test_conditions.py holds S3Store to it")
    with pytest.raises(PreconditionFailedError):
        copy(case, ref, old)
    with pytest.raises(ObjectNotFoundError):
        case.store.get(ObjectRef(case.destination, f"resized/{ref.key}"))


def test_above_its_limit_s3_copies_in_parts_and_keeps_the_metadata(s3: Any) -> None:
    body = bytes(range(256)) * 4096 * 12
    s3.put_object(
        Bucket="source", Key="big.tif", Body=body, ContentType="image/tiff", Metadata={"a": "b"}, Tagging="k=v"
    )
    store = S3Store(s3, max_copy_bytes=6 * 1024**2, copy_part_bytes=5 * 1024**2)
    head = store.head(ObjectRef("source", "big.tif"))
    store.copy(
        ObjectRef("source", "big.tif"),
        ObjectRef("destination", "big.tif"),
        head.headers,
        if_match=head.etag,
        size=head.size,
        overwrites=None,
    )
    copied = s3.get_object(Bucket="destination", Key="big.tif")
    assert copied["Body"].read() == body
    assert (copied["ContentType"], copied["Metadata"]) == ("image/tiff", {"a": "b"})
    assert copied["ETag"].endswith('-3"')


OWNER = {"ExpectedBucketOwner": "123456789012"}
SOURCE_OWNER = {"ExpectedSourceBucketOwner": "123456789012"}


@pytest.mark.parametrize(
    ("owned", "of_source", "of_destination", "of_copy", "of_part"),
    [
        ([], {}, {}, {}, {}),
        (["destination"], {}, OWNER, OWNER, {}),
        (["source", "destination"], OWNER, OWNER, OWNER | SOURCE_OWNER, OWNER),
    ],
    ids=["whose the buckets are is not known", "the source is of another account", "both are ours"],
)
def test_requests_to_s3_name_the_expected_bucket_owner_if_it_is_known(
    s3: Any,
    owned: list[str],
    of_source: dict[str, str],
    of_destination: dict[str, str],
    of_copy: dict[str, str],
    of_part: dict[str, str],
) -> None:
    # Neither moto nor the local AWS refuses a wrong owner, as S3 does: what is sent is looked at.
    calls: list[tuple[str, str, dict[str, str]]] = []

    def note(params: dict[str, Any], model: Any, **other: object) -> None:
        owners = {name: value for name, value in params.items() if name.endswith("BucketOwner")}
        calls.append((model.name, params["Bucket"], owners))

    s3.put_object(Bucket="source", Key="a.jpg", Body=bytes(6 * 1024**2))
    s3.meta.events.register("before-parameter-build.s3", note)
    owners = dict.fromkeys(owned, "123456789012")
    source, destination = ObjectRef("source", "a.jpg"), ObjectRef("destination", "a.jpg")
    store = S3Store(s3, owners=owners)
    store.head(source)
    store.get(source)
    etag = store.put(destination, b"pixels", AS_JPEG)
    store.delete(destination, if_match=etag)
    head = S3Store(s3).head(source)
    in_parts = S3Store(s3, owners=owners, max_copy_bytes=5 * 1024**2, copy_part_bytes=5 * 1024**2)
    calls.pop()
    for copier in (store, in_parts):
        copier.copy(source, destination, head.headers, if_match=head.etag, size=head.size, overwrites=None)
    assert calls[:5] == [
        ("HeadObject", "source", of_source),
        ("GetObject", "source", of_source),
        ("PutObject", "destination", of_destination),
        ("DeleteObject", "destination", of_destination),
        ("CopyObject", "destination", of_copy),
    ]
    assert {(name, *owners.items()) for name, _, owners in calls[5:]} == {
        (name, *of_part.items())
        for name in ("HeadObject", "CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload")
    }


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NoSuchKey", 404, ObjectNotFoundError),
        ("404", 404, ObjectNotFoundError),
        ("PreconditionFailed", 412, PreconditionFailedError),
        ("412", 412, PreconditionFailedError),
        ("AccessDenied", 403, AccessDeniedError),
        ("403", 403, AccessDeniedError),
        ("NoSuchBucket", 404, StorageError),
        ("SlowDown", 503, StorageError),
        ("SomethingNew", 418, StorageError),
    ],
)
def test_an_error_of_s3_becomes_a_storage_error_that_names_the_request(
    s3: Any, code: str, status: int, error: type[Exception]
) -> None:
    with Stubber(s3) as stubber:
        stubber.add_client_error("get_object", code, "because", status)
        with pytest.raises(error, match=r"cannot read s3://uploads/a\.jpg: .*because") as raised:
            S3Store(s3).get(ObjectRef("uploads", "a.jpg"))
        assert type(raised.value) is error


@pytest.mark.parametrize("code", ["InvalidObjectState", "ObjectNotInActiveTierError"])
def test_an_archived_source_is_rejected_with_what_to_do(s3: Any, code: str) -> None:
    with Stubber(s3) as stubber:
        stubber.add_client_error("get_object", code, "because", 403)
        with pytest.raises(ArchivedObjectError, match=r"it is in an archive \(Glacier\); restore it first") as raised:
            S3Store(s3).get(ObjectRef("uploads", "a.jpg"))
    assert isinstance(raised.value, RejectedError)


def test_a_copy_leaves_tags_and_annotations_which_need_permissions_of_their_own(s3: Any) -> None:
    sent: list[dict[str, str]] = []

    def note(request: Any, **other: object) -> None:
        sent.append(
            {name.lower(): str(value, "ascii") for name, value in request.headers.items() if isinstance(value, bytes)}
        )

    store, source = S3Store(s3), ObjectRef("source", "a.jpg")
    store.put(source, b"pixels", AS_JPEG)
    head = store.head(source)
    s3.meta.events.register_first("before-send.s3.CopyObject", note)
    store.copy(source, ObjectRef("source", "b.jpg"), head.headers, if_match=head.etag, size=head.size, overwrites=None)
    (headers,) = sent
    assert headers["x-amz-object-annotation-directive"] == "EXCLUDE"
    copy_input: Any = s3.meta.service_model.operation_model("CopyObject").input_shape
    is_known = "IfNoneMatch" in copy_input.members  # not in the oldest SDK
    assert headers.get("if-none-match") == ("*" if is_known else None)  # an object that came in the meantime stays
    assert headers["x-amz-tagging-directive"] == "REPLACE"
    assert "x-amz-object-annotation-directive" in headers["authorization"]  # signed


def test_no_answer_from_s3_is_an_error_that_is_retried(aws: boto3.Session) -> None:
    client = aws.client(
        "s3", endpoint_url="http://127.0.0.1:9", config=boto3.session.Config(retries={"total_max_attempts": 1})
    )
    with pytest.raises(StorageError, match=r"cannot write s3://renditions/a\.jpg"):
        S3Store(client).put(ObjectRef("renditions", "a.jpg"), b"", AS_JPEG)


def test_a_file_store_never_leaves_its_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="leads out of"):
        FileStore().put(ObjectRef(str(tmp_path / "out"), "../x.jpg"), b"", AS_JPEG)
    assert list(tmp_path.iterdir()) == []


def test_a_file_store_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "out" / "a.jpg").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"cannot write .*a\.jpg"):
        FileStore().put(ObjectRef(str(tmp_path / "out"), "a.jpg"), b"pixels", AS_JPEG)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.jpg"]


def test_a_failure_record_reaches_the_queue(aws: boto3.Session) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="failures")["QueueUrl"]
    SqsFailureQueue(url).send({"reason": "not an image"})
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == '{"reason": "not an image"}'


def test_a_missing_queue_is_an_error_that_is_retried(aws: boto3.Session) -> None:
    with pytest.raises(StorageError, match="cannot send a failure record"):
        SqsFailureQueue("https://sqs.us-east-1.amazonaws.com/123456789012/gone").send({})
    queue = InMemoryQueue()
    queue.is_broken = True
    with pytest.raises(StorageError):
        queue.send({})

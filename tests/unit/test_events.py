import json
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.events import EventSource, InvalidRecord, SourceEvent, parse
from image_scaler.exceptions import EventError
from image_scaler.storage.base import ObjectRef
from tests import ROOT

EVENTS = ROOT / "events"


UPLOADS = "image-scaler-local-source-123456789012-us-east-1"
DETAILS = {"size": 1024, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0A1B2C3D4E5F678901"}


def load(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / name).read_text(encoding="utf-8"))
    return event


def sources(event: object) -> list[SourceEvent]:
    parts = parse(event).records
    assert all(isinstance(part, SourceEvent) for part in parts), parts
    return [part for part in parts if isinstance(part, SourceEvent)]


def keys(event: object) -> list[str]:
    return [source.ref.key for source in sources(event)]


def test_the_examples_name_samples_and_fit_whatever_is_stored_under_their_keys() -> None:
    # With an ETag an event is stale when the object has another one. A sequencer would make later uploads stale.
    samples = {path.name for path in (ROOT / "samples").iterdir()}
    for path in EVENTS.glob("*.json"):
        for source in sources(load(path.name)):
            assert (source.ref.bucket, source.ref.key in samples) == (UPLOADS, True), path.name
            assert (source.etag, source.size, source.sequencer) == (None, None, None), path.name


def test_a_notification_gives_bucket_key_etag_size_and_sequencer() -> None:
    event = load("s3-put.json")
    event["Records"][0]["s3"]["object"] = {"key": "dir/my+photo%2B1.jpg"} | DETAILS
    (source,) = sources(event)
    assert source.ref == ObjectRef(UPLOADS, "dir/my photo+1.jpg")
    assert source.etag == "d41d8cd98f00b204e9800998ecf8427e"
    assert source.size == 1024
    assert source.sequencer == "0A1B2C3D4E5F678901"


def test_every_record_is_read_and_not_only_the_first() -> None:
    assert keys(load("s3-two-records.json")) == ["owl.jpg", "badge.png"]


@pytest.mark.parametrize("path", sorted(EVENTS.glob("*.json")), ids=lambda path: path.stem)
def test_each_source_has_an_event_that_repeats_only_this_source(path: Path) -> None:
    for source in sources(load(path.name)):
        (again,) = sources(source.payload)
        assert (again.ref, again.is_removed) == (source.ref, source.is_removed)


@pytest.mark.parametrize("name", ["s3-test-event.json", "sqs-test-event.json"])
def test_the_test_event_of_s3_has_no_sources_from_any_event_source(name: str) -> None:
    assert parse(load(name)).records == []


@pytest.mark.parametrize(
    "name",
    [
        "ObjectTagging:Put",
        "ObjectAcl:Put",
        "ObjectRestore:Completed",
        "Replication:OperationMissedThreshold",
        "ReducedRedundancyLostObject",
        "s3:ObjectTagging:Put",
    ],
)
def test_an_event_that_neither_creates_nor_removes_an_object_has_no_sources(name: str) -> None:
    event = load("s3-put.json")
    event["Records"][0]["eventName"] = name
    assert parse(event).records == []


@pytest.mark.parametrize("kind", ["Object Tags Added", "Object Restore Completed", "Object ACL Updated"])
def test_an_event_of_event_bridge_that_neither_creates_nor_removes_an_object_has_no_sources(kind: str) -> None:
    assert parse(load("event-bridge.json") | {"detail-type": kind}).records == []


@pytest.mark.parametrize("name", ["s3:ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload", None])
def test_every_kind_of_creation_has_a_source(name: str | None) -> None:
    event = load("s3-put.json")
    event["Records"][0].pop("eventName")
    event["Records"][0] |= {"eventName": name} if name else {}
    assert [source.is_removed for source in sources(event)] == [False]


@pytest.mark.parametrize("arn", ["arn:aws:s3:::uploads", "arn:aws:s3:us-east-1:123456789012:uploads"])
def test_the_bucket_of_a_batch_task_is_the_last_part_of_its_arn(arn: str) -> None:
    event = load("batch-operations-1.0.json")
    event["tasks"][0]["s3BucketArn"] = arn
    assert [source.ref.bucket for source in sources(event)] == ["uploads"]


def test_the_keys_of_a_direct_call_are_not_decoded() -> None:
    assert parse(load("direct-call.json")).event_source is EventSource.DIRECT
    assert keys({"bucket": "b", "keys": ["dir/my+photo%2B1.jpg"]}) == ["dir/my+photo%2B1.jpg"]


def test_the_keys_of_event_bridge_are_not_decoded() -> None:
    event = load("event-bridge.json")
    event["detail"]["object"] = {"key": "dir/my+photo%2B1.jpg", "etag": DETAILS["eTag"]} | DETAILS
    (source,) = sources(event)
    assert source.ref == ObjectRef(UPLOADS, "dir/my+photo%2B1.jpg")
    assert (source.etag, source.sequencer) == ("d41d8cd98f00b204e9800998ecf8427e", "0A1B2C3D4E5F678901")


def test_event_bridge_has_removals() -> None:
    event = load("event-bridge.json") | {"detail-type": "Object Deleted"}
    assert [source.is_removed for source in sources(event)] == [True]


def test_sns_and_sqs_and_both_wrap_the_same_notification() -> None:
    for name, event_source in {
        "sns.json": EventSource.NOTIFICATION,
        "sqs.json": EventSource.SQS,
        "sqs-sns.json": EventSource.SQS,
    }.items():
        event = load(name)
        assert parse(event).event_source is event_source, name
        assert "Lighthouse at dusk.JPG" in keys(event), name


def test_a_source_in_sqs_has_its_message_id() -> None:
    assert [source.id for source in sources(load("sqs.json"))] == ["message-1", "message-2"]


@pytest.mark.parametrize("name", ["batch-operations-1.0.json", "batch-operations-2.0.json"])
def test_a_task_of_batch_operations_has_its_task_id(name: str) -> None:
    (source,) = sources(load(name))
    assert parse(load(name)).event_source is EventSource.S3_BATCH_OPERATIONS
    assert source.ref == ObjectRef(UPLOADS, "Lighthouse at dusk.JPG")
    assert source.id == "task-1"


def test_removals_and_creations_are_distinguished() -> None:
    assert [source.is_removed for source in sources(load("s3-removed.json"))] == [True]
    assert [source.is_removed for source in sources(load("s3-put.json"))] == [False]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_key_in_a_notification_is_decoded_to_the_uploaded_key(key: str) -> None:
    event = {"Records": [{"s3": {"bucket": {"name": "uploads"}, "object": {"key": quote_plus(key, safe="/")}}}]}
    assert keys(event) == [key]


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "x",
        {},
        {"Records": 1},
        {"bucket": "b"},
        {"bucket": "b", "keys": "k"},
        {"source": "aws.s3", "detail-type": "Object Created", "detail": {}},
        {"source": "aws.ec2", "detail-type": "State Change", "detail": {}},
    ],
)
def test_an_unknown_event_is_refused_with_the_expected_kinds(event: object) -> None:
    with pytest.raises(EventError, match=r"expected .* but received"):
        parse(event)


@pytest.mark.parametrize("record", [None, {}, {"s3": {}}, {"s3": {"bucket": {"name": 1}, "object": {"key": "k"}}}])
def test_a_bad_record_does_not_hide_the_good_ones(record: object) -> None:
    good = load("s3-put.json")["Records"]
    first, bad, last = parse({"Records": [*good, record, *good]}).records
    assert isinstance(first, SourceEvent)
    assert isinstance(last, SourceEvent)
    assert isinstance(bad, InvalidRecord)
    assert "expected a record with s3.bucket.name" in str(bad.error)


@pytest.mark.parametrize("body", [None, "", "not json", "[]", "{}", '{"Records": 1}'])
def test_a_bad_message_does_not_hide_the_good_ones(body: object) -> None:
    event = load("sqs.json")
    event["Records"][0]["body"] = body
    bad, good = parse(event).records
    assert isinstance(bad, InvalidRecord)
    assert bad.id == "message-1"
    assert isinstance(good, SourceEvent)


@pytest.mark.parametrize("key", [1, None, ""])
def test_a_key_that_is_not_text_is_unreadable(key: object) -> None:
    bad, good = parse({"bucket": "b", "keys": [key, "k"]}).records
    assert isinstance(bad, InvalidRecord)
    assert isinstance(good, SourceEvent)


FIELDS = ["Records", "s3", "bucket", "object", "key", "name", "body", "messageId", "eventSource", "Sns", "Message"]
FIELDS += ["Type", "source", "detail", "detail-type", "tasks", "invocationSchemaVersion", "taskId", "s3Key", "keys"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_event_is_understood_or_refused_and_never_a_crash(event: object) -> None:
    try:
        parse(event)
    except EventError:
        return

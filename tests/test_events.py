import json
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.events import parse
from image_scaler.exceptions import EventError
from image_scaler.store import ObjectRef

EVENTS = Path(__file__).parent.parent / "events"


def load(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / name).read_text(encoding="utf-8"))
    return event


def test_a_notification_gives_bucket_key_etag_size_and_sequencer() -> None:
    (source,) = parse(load("s3-put.json")).sources
    assert source.ref == ObjectRef("image-scaler-local-source-123456789012", "dir/my photo+1.jpg")
    assert source.etag == "d41d8cd98f00b204e9800998ecf8427e"
    assert source.size == 1024
    assert source.sequencer == "0A1B2C3D4E5F678901"


def test_every_record_counts_not_the_first_alone() -> None:
    sources = parse(load("s3-two-records.json")).sources
    assert [source.ref.key for source in sources] == ["first.jpg", "second.png"]


def test_each_source_carries_an_event_that_repeats_it_alone() -> None:
    for source in parse(load("s3-two-records.json")).sources:
        (again,) = parse(source.payload).sources
        assert again.ref == source.ref


def test_the_test_event_of_s3_asks_for_nothing() -> None:
    assert parse(load("s3-test-event.json")).sources == []


def test_a_direct_call_has_its_keys_as_they_are() -> None:
    invocation = parse(load("direct-call.json"))
    assert invocation.is_direct
    assert [source.ref.key for source in invocation.sources] == ["dir/my photo+1.jpg"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_key_comes_out_of_a_notification_as_it_was_uploaded(key: str) -> None:
    event = {"Records": [{"s3": {"bucket": {"name": "uploads"}, "object": {"key": quote_plus(key, safe="/")}}}]}
    assert parse(event).sources[0].ref.key == key


@pytest.mark.parametrize("event", [None, [], "x", {}, {"Records": 1}, {"bucket": "b"}, {"bucket": "b", "keys": "k"}])
def test_an_unknown_event_is_refused_with_what_was_expected(event: object) -> None:
    with pytest.raises(EventError, match=r"expected an S3 notification .* but received"):
        parse(event)


@pytest.mark.parametrize("record", [None, {}, {"s3": {}}, {"s3": {"bucket": {"name": 1}, "object": {"key": "k"}}}])
def test_a_record_that_is_not_of_s3_is_refused(record: object) -> None:
    with pytest.raises(EventError, match="expected S3 records"):
        parse({"Records": [record]})


def test_a_key_that_is_not_text_is_refused() -> None:
    with pytest.raises(EventError, match="expected keys as strings but received 1"):
        parse({"bucket": "b", "keys": [1]})

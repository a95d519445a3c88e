"""When a rendition replaces another one: each rule of the publisher by itself."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from image_scaler.exceptions import PreconditionFailedError, StorageError
from image_scaler.publisher import (
    MAX_PAUSE,
    MAX_TRIES,
    MIN_PAUSE,
    SUPERSEDED,
    Provenance,
    Publisher,
    WriteResult,
    is_later,
    is_superseded,
)
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef
from tests.support.stores import AS_JPEG, InMemoryStore

SOURCE, RENDITION = ObjectRef("source", "a.jpg"), ObjectRef("destination", "small/a.jpg")


def provenance(etag: str = "e1", sequencer: str | None = "05", fingerprint: str = "r1") -> Provenance:
    return Provenance(source_etag=etag, sequencer=sequencer, fingerprint=fingerprint)


def as_rendition(of: Provenance) -> ObjectHeaders:
    return replace(AS_JPEG, metadata=of.as_metadata())


def put(store: InMemoryStore, of: Provenance, sleep: Callable[[float], None] = time.sleep) -> WriteResult:
    publisher = Publisher(store, SOURCE, sleep=sleep)
    return publisher.put(RENDITION, b"new", AS_JPEG, of)


@pytest.mark.parametrize(
    ("existing", "mine", "result"),
    [
        (None, provenance(), WriteResult.CREATED),
        (provenance(), provenance(), WriteResult.UP_TO_DATE),
        (provenance(sequencer="06"), provenance(), WriteResult.STALE),
        (provenance("e2", sequencer="06"), provenance(), WriteResult.STALE),
        (provenance(sequencer="04"), provenance(), WriteResult.OVERWRITTEN),  # the same bytes, uploaded again
        (provenance("e2", sequencer="04"), provenance(), WriteResult.OVERWRITTEN),
        (provenance(fingerprint="r2"), provenance(), WriteResult.OVERWRITTEN),
        (provenance("e2"), provenance(), WriteResult.OVERWRITTEN),
        (provenance(sequencer=None), provenance(), WriteResult.OVERWRITTEN),
        (provenance("e2", sequencer=None), provenance(), WriteResult.OVERWRITTEN),
        (provenance(sequencer="06"), provenance(sequencer=None), WriteResult.UP_TO_DATE),
        (provenance(sequencer=None), provenance(sequencer=None), WriteResult.UP_TO_DATE),
        (provenance("e2", sequencer="06"), provenance(sequencer=None), WriteResult.OVERWRITTEN),
        (provenance(sequencer="06", fingerprint="r2"), provenance(sequencer=None), WriteResult.OVERWRITTEN),
    ],
)
def test_the_later_event_wins_and_the_same_version_is_not_written_twice(
    existing: Provenance | None, mine: Provenance, result: WriteResult
) -> None:
    store = InMemoryStore()
    if existing:
        store.put(RENDITION, b"old", as_rendition(existing))
    assert put(store, mine) is result
    is_written = result in (WriteResult.CREATED, WriteResult.OVERWRITTEN)
    assert Provenance.of(store.head(RENDITION)) == (mine if is_written else existing)


@pytest.mark.parametrize("metadata", [{}, {"album": "Holidays"}, {"source-etag": "e1"}, {"recipe": "r1"}])
def test_an_object_that_is_not_a_rendition_is_overwritten(metadata: dict[str, str]) -> None:
    store = InMemoryStore()
    store.put(RENDITION, b"a copy", replace(AS_JPEG, metadata=metadata))
    assert put(store, provenance()) is WriteResult.OVERWRITTEN


@pytest.mark.parametrize("sequencer", ["05", None])
def test_a_rendition_that_is_deleted_after_the_failed_write_is_written_again(sequencer: str | None) -> None:
    class Deleted(InMemoryStore):
        def head(self, ref: ObjectRef) -> ObjectHead:
            self.objects.pop(ref)
            return super().head(ref)

    store = Deleted()
    store.put(RENDITION, b"old", as_rendition(provenance(sequencer="06")))
    assert put(store, provenance(sequencer=sequencer)) is WriteResult.CREATED


def test_a_provenance_without_sequencer_has_no_empty_one_in_its_metadata() -> None:
    assert provenance(sequencer=None).as_metadata() == {"source-etag": "e1", "recipe": "r1"}


def test_a_write_that_always_loses_its_race_raises_an_error_that_is_retried() -> None:
    class Busy(InMemoryStore):
        tries = 0

        def put(self, *arguments: object, **options: object) -> str:
            self.tries += 1
            raise PreconditionFailedError("another event was faster")

    store, pauses = Busy(), list[float]()
    with pytest.raises(StorageError, match=f"other events wrote it {MAX_TRIES} times"):
        put(store, provenance(), sleep=pauses.append)
    assert store.tries == MAX_TRIES
    assert len(pauses) == len(set(pauses)) == MAX_TRIES - 2
    assert all(MIN_PAUSE <= pause <= MAX_PAUSE for pause in pauses)


def test_the_second_try_of_a_write_follows_without_a_pause() -> None:
    store, pauses = InMemoryStore(), list[float]()
    store.put(RENDITION, b"old", as_rendition(provenance(sequencer="04")))
    assert put(store, provenance(), sleep=pauses.append) is WriteResult.OVERWRITTEN
    assert pauses == []


def test_a_write_whose_response_was_lost_counts_as_an_overwrite() -> None:
    class Lossy(InMemoryStore):
        def put(self, *arguments: object, if_match: str | None = None, **options: object) -> str:
            etag = super().put(*arguments, if_match=if_match, **options)  # type: ignore[arg-type]
            if if_match:
                raise PreconditionFailedError("the retry of a write that was carried out")
            return etag

    store = Lossy()
    store.put(RENDITION, b"old", as_rendition(provenance(sequencer="04")))
    assert put(store, provenance()) is WriteResult.OVERWRITTEN


AS_X = replace(AS_JPEG, cache_control="x")


def put_version(store: InMemoryStore, of: Provenance) -> WriteResult:
    publisher = Publisher(store, SOURCE)
    return publisher.put(RENDITION, b"new", AS_X, of, is_versioned=True)


def test_a_rendition_whose_key_has_a_hash_is_written_once_whatever_the_event() -> None:
    store = InMemoryStore()
    assert put_version(store, provenance(sequencer="05")) is WriteResult.CREATED
    for sequencer in ("04", "06", None):
        assert put_version(store, provenance(sequencer=sequencer)) is WriteResult.UP_TO_DATE
    assert put_version(store, provenance("e2", sequencer="04")) is WriteResult.OVERWRITTEN  # nobody's hash


def test_a_superseded_rendition_keeps_its_bytes_and_headers_until_a_rule_deletes_it_or_its_version_comes_back() -> None:
    store = InMemoryStore()
    put_version(store, provenance())
    publisher = Publisher(store, SOURCE)
    assert publisher.supersede(RENDITION)
    marked = store.objects[RENDITION]
    assert (marked.read(), marked.cache_control, is_superseded(marked)) == (b"new", "x", True)
    assert store.tags[RENDITION] == {SUPERSEDED: "true"}
    assert not publisher.supersede(RENDITION)  # the days are counted from the first mark
    assert put_version(store, provenance()) is WriteResult.OVERWRITTEN
    assert not is_superseded(store.objects[RENDITION])
    assert RENDITION not in store.tags


def test_a_missing_rendition_cannot_be_superseded() -> None:
    assert not Publisher(InMemoryStore(), SOURCE).supersede(RENDITION)


def test_the_caller_learns_which_object_is_overwritten_before_it_is() -> None:
    store = InMemoryStore()
    store.put(RENDITION, b"old", as_rendition(provenance(sequencer="04")))
    old = store.head(RENDITION).etag
    seen = []
    Publisher(store, SOURCE).put(
        RENDITION,
        b"new",
        AS_JPEG,
        provenance(),
        before_overwrite=lambda etag: seen.append((etag, store.head(RENDITION).etag)),
    )
    assert seen == [(old, old)]


COPY = ObjectRef("destination", "resized/a.jpg")


def copy(store: InMemoryStore, source: ObjectHead, headers: ObjectHeaders | None = None) -> WriteResult:
    return Publisher(store, SOURCE).copy(COPY, source, headers or source.headers)


def uploaded(store: InMemoryStore, body: bytes) -> ObjectHead:
    store.put(SOURCE, body, AS_JPEG)
    return store.head(SOURCE)


def test_a_copy_is_made_once_for_each_version_and_for_changed_headers() -> None:
    store = InMemoryStore()
    older = uploaded(store, b"one")
    assert copy(store, older) is WriteResult.CREATED
    assert copy(store, older) is WriteResult.UP_TO_DATE
    assert copy(store, older, replace(older.headers, content_type="image/png")) is WriteResult.CREATED
    newer = uploaded(store, b"other")
    assert copy(store, newer) is WriteResult.CREATED
    with pytest.raises(PreconditionFailedError):
        copy(store, older)
    assert store.head(COPY).etag == newer.etag


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_copy_is_stale_if_its_source_is_replaced_in_the_meantime_but_not_if_it_is_deleted(is_replaced: bool) -> None:
    class Changed(InMemoryStore):
        def copy(self, *arguments: Any, **options: Any) -> None:
            super().copy(*arguments, **options)
            del self.objects[SOURCE]
            if is_replaced:
                self.put(SOURCE, b"replaced", AS_JPEG)

    store = Changed()
    assert copy(store, uploaded(store, b"one")) is (WriteResult.STALE if is_replaced else WriteResult.CREATED)


def test_a_rendition_is_removed_only_if_its_source_is_gone() -> None:
    store = InMemoryStore()
    assert not Publisher(store, SOURCE).remove(RENDITION)
    store.put(RENDITION, b"old", as_rendition(provenance()))
    store.put(SOURCE, b"source", AS_JPEG)
    assert not Publisher(store, SOURCE).remove(RENDITION)
    del store.objects[SOURCE]
    assert Publisher(store, SOURCE).remove(RENDITION)
    assert store.keys("destination") == []


@pytest.mark.parametrize(
    ("one", "other", "is_one_later"),
    [
        ("06", "05", True),
        ("05", "06", False),
        ("05", "05", False),
        ("0500", "05", False),
        ("0501", "05", True),
        ("0A", "0a", False),
        ("0b", "0A", True),
        (None, "05", False),
        ("05", None, False),
    ],
)
def test_sequencers_are_compared_after_padding_the_shorter_with_zeros(
    one: str | None, other: str | None, is_one_later: bool
) -> None:
    assert is_later(one, other) is is_one_later

"""When a rendition replaces another one: each rule of the publisher by itself."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from image_scaler.exceptions import ObjectNotFoundError, PreconditionFailedError, SharedKeyError, StorageError
from image_scaler.outcomes import WriteStatus
from image_scaler.publisher import (
    MAX_PAUSE,
    MAX_TRIES,
    MIN_PAUSE,
    SUPERSEDED,
    Provenance,
    Publisher,
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


def put(store: InMemoryStore, of: Provenance, sleep: Callable[[float], None] = time.sleep) -> WriteStatus:
    return Publisher(store, "destination", sleep).put(RENDITION.key, b"new", AS_JPEG, of).status


@pytest.mark.parametrize(
    ("existing", "mine", "result"),
    [
        (None, provenance(), WriteStatus.CREATED),
        (provenance(), provenance(), WriteStatus.UP_TO_DATE),
        (provenance(sequencer="06"), provenance(), WriteStatus.STALE),
        (provenance("e2", sequencer="06"), provenance(), WriteStatus.STALE),
        (provenance(sequencer="04"), provenance(), WriteStatus.OVERWRITTEN),  # the same bytes, uploaded again
        (provenance("e2", sequencer="04"), provenance(), WriteStatus.OVERWRITTEN),
        (provenance(fingerprint="r2"), provenance(), WriteStatus.OVERWRITTEN),
        (provenance("e2"), provenance(), WriteStatus.OVERWRITTEN),
        (provenance(sequencer=None), provenance(), WriteStatus.OVERWRITTEN),
        (provenance("e2", sequencer=None), provenance(), WriteStatus.OVERWRITTEN),
        (provenance(sequencer="06"), provenance(sequencer=None), WriteStatus.UP_TO_DATE),
        (provenance(sequencer=None), provenance(sequencer=None), WriteStatus.UP_TO_DATE),
        (provenance("e2", sequencer="06"), provenance(sequencer=None), WriteStatus.OVERWRITTEN),
        (provenance(sequencer="06", fingerprint="r2"), provenance(sequencer=None), WriteStatus.OVERWRITTEN),
    ],
)
def test_the_later_event_wins_and_the_same_version_is_not_written_twice(
    existing: Provenance | None, mine: Provenance, result: WriteStatus
) -> None:
    store = InMemoryStore()
    if existing:
        store.put(RENDITION, b"old", as_rendition(existing))
    assert put(store, mine) is result
    is_written = result in (WriteStatus.CREATED, WriteStatus.OVERWRITTEN)
    assert Provenance.of(store.head(RENDITION)) == (mine if is_written else existing)


@pytest.mark.parametrize("metadata", [{}, {"album": "Holidays"}, {"source-etag": "e1"}, {"recipe": "r1"}])
def test_an_object_that_is_not_a_rendition_is_overwritten(metadata: dict[str, str]) -> None:
    store = InMemoryStore()
    store.put(RENDITION, b"a copy", replace(AS_JPEG, metadata=metadata))
    assert put(store, provenance()) is WriteStatus.OVERWRITTEN


@pytest.mark.parametrize("sequencer", ["05", None])
def test_a_rendition_that_is_deleted_after_the_failed_write_is_written_again(sequencer: str | None) -> None:
    class Deleted(InMemoryStore):
        def head(self, ref: ObjectRef) -> ObjectHead:
            self.objects.pop(ref)
            return super().head(ref)

    store = Deleted()
    store.put(RENDITION, b"old", as_rendition(provenance(sequencer="06")))
    assert put(store, provenance(sequencer=sequencer)) is WriteStatus.CREATED


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
    assert put(store, provenance(), sleep=pauses.append) is WriteStatus.OVERWRITTEN
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
    assert put(store, provenance()) is WriteStatus.OVERWRITTEN


AS_X = replace(AS_JPEG, cache_control="x")


def put_version(store: InMemoryStore, of: Provenance) -> WriteStatus:
    publisher = Publisher(store, "destination")
    return publisher.put(RENDITION.key, b"new", AS_X, of, is_same=Provenance.is_of_version_and_recipe).status


def test_a_rendition_whose_key_has_a_hash_is_written_once_whatever_the_event() -> None:
    store = InMemoryStore()
    assert put_version(store, provenance(sequencer="05")) is WriteStatus.CREATED
    for sequencer in ("04", "06", None):
        assert put_version(store, provenance(sequencer=sequencer)) is WriteStatus.UP_TO_DATE
    assert put_version(store, provenance("e2", sequencer="04")) is WriteStatus.OVERWRITTEN  # nobody's hash


TAGS = {"project": "shop"}


def test_a_marked_rendition_keeps_its_bytes_and_headers_until_a_rule_deletes_it_or_its_version_comes_back() -> None:
    store = InMemoryStore()
    put_version(store, provenance())
    publisher = Publisher(store, "destination")
    assert publisher.mark(RENDITION.key, is_superseded=True, tags=TAGS)
    marked = store.objects[RENDITION]
    assert (marked.read(), marked.cache_control, is_superseded(marked)) == (b"new", "x", True)
    assert store.tags[RENDITION] == {**TAGS, SUPERSEDED: "true"}
    assert not publisher.mark(RENDITION.key, is_superseded=True, tags=TAGS)  # the days are counted from the first mark
    assert put_version(store, provenance()) is WriteStatus.OVERWRITTEN
    assert not is_superseded(store.objects[RENDITION])
    assert store.tags[RENDITION] == {}


def test_a_mark_that_was_wrong_is_removed() -> None:
    store = InMemoryStore()
    put_version(store, provenance())
    publisher = Publisher(store, "destination")
    publisher.mark(RENDITION.key, is_superseded=True, tags=TAGS)
    assert publisher.mark(RENDITION.key, is_superseded=False, tags=TAGS)
    unmarked = store.objects[RENDITION]
    assert (unmarked.read(), is_superseded(unmarked), store.tags[RENDITION]) == (b"new", False, TAGS)
    assert Provenance.of(unmarked) == provenance()


def test_a_missing_rendition_cannot_be_marked() -> None:
    assert not Publisher(InMemoryStore(), "destination").mark(RENDITION.key, is_superseded=True, tags={})


def test_a_rendition_of_another_try_stays_and_its_size_is_returned() -> None:
    store = InMemoryStore()
    store.put(RENDITION, b"cut short", as_rendition(provenance()))
    result = Publisher(store, "destination").put(RENDITION.key, b"new", AS_JPEG, provenance())
    assert result == (WriteStatus.UP_TO_DATE, len(b"cut short"))
    store.put(RENDITION, b"new", as_rendition(provenance()))
    result = Publisher(store, "destination").put(RENDITION.key, b"new", AS_JPEG, provenance())
    assert result == (WriteStatus.UP_TO_DATE, None)


COPY = ObjectRef("destination", "resized/a.jpg")


def copy(store: InMemoryStore, source: ObjectHead, headers: ObjectHeaders | None = None) -> WriteStatus:
    return Publisher(store, "destination").copy(SOURCE, source, COPY.key, headers or source.headers)


def uploaded(store: InMemoryStore, body: bytes) -> ObjectHead:
    store.put(SOURCE, body, AS_JPEG)
    return store.head(SOURCE)


def test_a_copy_is_made_once_for_each_version_and_for_changed_headers() -> None:
    store = InMemoryStore()
    older = uploaded(store, b"one")
    assert copy(store, older) is WriteStatus.CREATED
    assert copy(store, older) is WriteStatus.UP_TO_DATE
    assert copy(store, older, replace(older.headers, content_type="image/png")) is WriteStatus.CREATED
    newer = uploaded(store, b"other")
    assert copy(store, newer) is WriteStatus.CREATED
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
    assert copy(store, uploaded(store, b"one")) is (WriteStatus.STALE if is_replaced else WriteStatus.CREATED)


def test_a_copy_of_an_older_version_does_not_replace_one_that_a_newer_event_has_written() -> None:
    class Late(InMemoryStore):
        """Another event writes the copy of a newer version while S3 copies this one."""

        def copy(self, *arguments: Any, **options: Any) -> None:
            if COPY not in self.objects:
                self.put(SOURCE, b"newer", AS_JPEG)
                self.put(COPY, b"newer", AS_JPEG)
                options["if_match"] = self.head(SOURCE).etag
            super().copy(*arguments, **options)

    store = Late()
    with pytest.raises(PreconditionFailedError):
        copy(store, uploaded(store, b"one"))
    assert store.get(COPY).read() == b"newer"


def test_the_copy_of_a_source_that_was_deleted_is_written_from_memory_unless_a_newer_event_was_faster() -> None:
    store = InMemoryStore()
    source = uploaded(store, b"one")
    del store.objects[SOURCE]
    with pytest.raises(ObjectNotFoundError):
        copy(store, source)
    publisher = Publisher(store, "destination")
    assert publisher.put_copy(COPY.key, b"one", source.headers, lambda: False) is WriteStatus.STALE
    assert COPY not in store.objects
    assert publisher.put_copy(COPY.key, b"one", source.headers, lambda: True) is WriteStatus.CREATED
    assert store.get(COPY).read() == b"one"


def test_a_rendition_is_removed_only_if_its_source_is_gone() -> None:
    store = InMemoryStore()
    assert not Publisher(store, "destination").remove(RENDITION.key, SOURCE)
    store.put(RENDITION, b"old", as_rendition(provenance()))
    store.put(SOURCE, b"source", AS_JPEG)
    assert not Publisher(store, "destination").remove(RENDITION.key, SOURCE)
    del store.objects[SOURCE]
    assert Publisher(store, "destination").remove(RENDITION.key, SOURCE)
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


SHARED = replace(provenance(), source_key="photos/a é.jpg")


def test_a_rendition_names_its_source_under_a_key_that_another_source_could_have() -> None:
    metadata = SHARED.as_metadata()
    assert metadata["source-key"] == "photos/a%20%C3%A9.jpg"
    assert Provenance.of(ObjectHead(content_type="", etag="e", size=1, metadata=metadata)) == SHARED
    assert "source-key" not in provenance().as_metadata()


@pytest.mark.parametrize("sequencer", ["01", "05", "09", None])
def test_the_rendition_of_another_source_is_never_replaced_whatever_the_sequencers(sequencer: str | None) -> None:
    store = InMemoryStore()
    store.put(RENDITION, b"old", as_rendition(SHARED))
    with pytest.raises(SharedKeyError, match=r"s3://destination/small/a\.jpg is of photos/a é\.jpg") as caught:
        put(store, replace(SHARED, source_key="photos/a é.png", sequencer=sequencer))
    assert caught.value.owner == "photos/a é.jpg"
    assert store.objects[RENDITION].read() == b"old"


def test_events_of_one_source_are_compared_under_a_key_that_another_source_could_have() -> None:
    store = InMemoryStore()
    store.put(RENDITION, b"old", as_rendition(SHARED))
    assert put(store, replace(SHARED, source_etag="e0", sequencer="04")) is WriteStatus.STALE
    assert put(store, replace(SHARED, source_etag="e2", sequencer="06")) is WriteStatus.OVERWRITTEN


@pytest.mark.parametrize(("old", "new"), [(SHARED, provenance("e2", "04")), (provenance("e2", "06"), SHARED)])
def test_a_rendition_of_a_recipe_with_other_keys_is_overwritten_because_its_event_may_be_of_another_source(
    old: Provenance, new: Provenance
) -> None:
    store = InMemoryStore()
    store.put(RENDITION, b"old", as_rendition(old))
    assert put(store, new) is WriteStatus.OVERWRITTEN


def test_a_source_that_is_removed_takes_only_its_own_rendition_with_it() -> None:
    store = InMemoryStore()
    store.put(RENDITION, b"old", as_rendition(SHARED))
    publisher = Publisher(store, "destination")
    assert not publisher.remove(RENDITION.key, ObjectRef("source", "photos/a é.png"), is_shared=True)
    assert publisher.remove(RENDITION.key, ObjectRef("source", "photos/a é.jpg"), is_shared=True)


def test_metadata_of_an_uploader_does_not_keep_a_copy_from_being_removed() -> None:
    store = InMemoryStore()
    store.put(RENDITION, b"copy", as_rendition(SHARED))
    assert Publisher(store, "destination").remove(RENDITION.key, SOURCE)

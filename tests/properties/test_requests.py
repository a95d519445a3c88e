"""How many requests an upload costs: the least there are for a new image, and few in every other case."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import Scaler, build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, StoredObject
from tests.support import drawing
from tests.support.stores import AS_PNG, InMemoryStore

COPY = "[renditions.resized]\n"
TWO = "[renditions.small]\nwidth = 50\n[renditions.tiny]\nwidth = 20\n"
REMOVE = 'on_source_delete = "remove"\n'


class CountingStore(InMemoryStore):
    """Counts the requests to each bucket: `Counter({"put destination": 3})`."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: Counter[str] = Counter()

    def head(self, ref: ObjectRef) -> ObjectHead:
        self.requests[f"head {ref.bucket}"] += 1
        return super().head(ref)

    def get(self, ref: ObjectRef, *, if_match: str | None = None) -> StoredObject:
        self.requests[f"get {ref.bucket}"] += 1
        return super().get(ref, if_match=if_match)

    def put(self, ref: ObjectRef, body: bytes, headers: ObjectHeaders, **options: Any) -> str:
        self.requests[f"put {ref.bucket}"] += 1
        return super().put(ref, body, headers, **options)

    def copy(self, source: ObjectRef, destination: ObjectRef, headers: ObjectHeaders, **options: Any) -> None:
        self.requests["copy"] += 1
        super().copy(source, destination, headers, **options)

    def delete(self, ref: ObjectRef, *, if_match: str) -> None:
        self.requests[f"delete {ref.bucket}"] += 1
        super().delete(ref, if_match=if_match)


def upload(
    store: InMemoryStore,
    body: bytes = b"",
    sequencer: str = "01",
    name: str = "ObjectCreated:Put",
    asked: str | None = None,
) -> Any:
    ref = ObjectRef("source", "a.png")
    metadata = {} if asked is None else {"renditions": asked}
    etag = store.put(ref, body or drawing.png(), replace(AS_PNG, metadata=metadata))
    return event(sequencer, name, eTag=etag, size=store.objects[ref].size)


def event(sequencer: str, name: str, **details: Any) -> Any:
    thing = {"key": "a.png", "sequencer": sequencer, **details}
    return {"Records": [{"eventName": name, "s3": {"bucket": {"name": "source"}, "object": thing}}]}


def scaler(toml: str, store: InMemoryStore) -> Scaler:
    return build_scaler(Settings(destination_bucket="destination", recipe=parse_recipe(toml)), store)


def requests(toml: str, store: CountingStore, event: Any) -> dict[str, int]:
    store.requests.clear()
    assert scaler(toml, store).handle(event)["statusCode"] == 200
    return dict(store.requests)


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (TWO, {"get source": 1, "put destination": 3}),
        ("manifest = false\n" + TWO, {"get source": 1, "put destination": 2}),
        (COPY, {"head destination": 1, "copy": 1, "head source": 2, "put destination": 1}),
        (COPY + TWO, {"get source": 1, "head destination": 1, "copy": 1, "head source": 1, "put destination": 3}),
        (REMOVE + TWO, {"get source": 1, "put destination": 3, "head source": 1}),
    ],
)
def test_a_new_image_costs_one_request_for_the_source_and_one_for_each_rendition(
    toml: str, expected: dict[str, int]
) -> None:
    store = CountingStore()
    assert requests(toml, store, upload(store)) == expected


def test_a_duplicate_of_an_event_looks_once_at_each_rendition() -> None:
    store = CountingStore()
    created = upload(store)
    requests(TWO, store, created)
    assert requests(TWO, store, created) == {"get source": 1, "put destination": 3, "head destination": 3}


def test_an_overwrite_looks_at_the_source_once_more() -> None:
    store = CountingStore()
    requests(TWO, store, upload(store))
    newer = upload(store, drawing.png(drawing.photo(90, 60)), sequencer="02")
    expected = {"get source": 1, "put destination": 6, "head destination": 3, "head source": 1}
    assert requests(TWO, store, newer) == expected


def test_a_late_event_writes_nothing() -> None:
    store = CountingStore()
    older = upload(store, drawing.png(drawing.photo(90, 60)))
    requests(TWO, store, upload(store, sequencer="02"))
    assert requests(TWO, store, older) == {"get source": 1, "head source": 1, "head destination": 3}


def test_a_superseded_event_leaves_the_newer_version_to_the_newer_event() -> None:
    store = CountingStore()
    older = upload(store, drawing.png(drawing.photo(90, 60)))
    upload(store, sequencer="02")
    assert requests(TWO, store, older) == {"get source": 1, "head source": 1, "head destination": 3}
    assert store.keys("destination") == []


def test_renditions_that_a_superseded_event_wrote_last_are_made_again() -> None:
    store = CountingStore()
    older = upload(store, drawing.png(drawing.photo(90, 60)), sequencer="01")
    scaler(TWO, store).handle(older)
    newer = upload(store, sequencer="02")
    # A try of the older event that was killed wrote this after the newer event's renditions.
    leftover = store.objects[ObjectRef("destination", "tiny/a.png")]
    scaler(TWO, store).handle(newer)
    store.objects[ObjectRef("destination", "tiny/a.png")] = leftover
    scaler(TWO, store).handle(older)
    source = store.head(ObjectRef("source", "a.png"))
    assert store.head(ObjectRef("destination", "tiny/a.png")).metadata["source-etag"] == source.etag


def test_a_removal_looks_at_each_rendition_and_deletes_it() -> None:
    store = CountingStore()
    requests(REMOVE + TWO, store, upload(store))
    del store.objects[ObjectRef("source", "a.png")]
    found = requests(REMOVE + TWO, store, event("02", "ObjectRemoved:Delete"))
    assert found["delete destination"] == 3
    assert found["head destination"] == 6  # each once more, as it may have been written again in the meantime
    assert found.keys() == {"delete destination", "head destination", "head source"}


@pytest.mark.parametrize(
    ("toml", "asked", "expected"),
    [
        (TWO, "small", {"get source": 1, "put destination": 2}),
        (TWO, "none", {"get source": 1, "put destination": 1}),
        (COPY, "none", {"head source": 1, "put destination": 1}),
        (REMOVE + TWO, "small tiny", {"get source": 1, "put destination": 3, "head source": 1}),
        (REMOVE + TWO, "none", {"get source": 1, "put destination": 1, "head source": 1, "head destination": 2}),
    ],
)
def test_an_image_that_asks_for_less_costs_less_and_with_removal_a_look_at_what_it_does_not_ask_for(
    toml: str, asked: str, expected: dict[str, int]
) -> None:
    store = CountingStore()
    assert requests(toml, store, upload(store, asked=asked)) == expected


def test_a_removal_of_a_source_that_exists_again_removes_nothing() -> None:
    store = CountingStore()
    requests(REMOVE + TWO, store, upload(store, sequencer="03"))
    removal = event("02", "ObjectRemoved:Delete")
    assert requests(REMOVE + TWO, store, removal) == {"head source": 1, "head destination": 3}
    assert len(store.keys("destination")) == 3

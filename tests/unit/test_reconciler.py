"""The status of an event, in each relation of the event to the current source."""

from typing import Any

import pytest

from image_scaler.events import SourceEvent
from image_scaler.outcomes import Status
from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectHeaders, ObjectRef
from tests.support import drawing
from tests.support.stores import AS_PNG, InMemoryStore

SMALL = "manifest = false\n[renditions.small]\nwidth = 50\n"
REMOVE = 'on_source_delete = "remove"\n'
SOURCE, RENDITION = ObjectRef("source", "a.png"), ObjectRef("destination", "small/a.png")
ONE, TWO = drawing.png(), drawing.png(drawing.photo(60, 40))


def upload(store: InMemoryStore, body: bytes, sequencer: str) -> SourceEvent:
    etag = store.put(SOURCE, body, AS_PNG)
    return SourceEvent(ref=SOURCE, payload={}, etag=etag, size=len(body), sequencer=sequencer)


def removal(sequencer: str) -> SourceEvent:
    return SourceEvent(ref=SOURCE, payload={}, sequencer=sequencer, is_removed=True)


def status(store: InMemoryStore, event: SourceEvent, toml: str = SMALL) -> Status:
    settings = Settings(destination_bucket="destination", recipe=parse_recipe(toml))
    return build_scaler(settings, store).scale(event).status


@pytest.mark.parametrize("toml", [SMALL, REMOVE + SMALL])
def test_the_event_of_the_current_source_is_ok_first_repeated_and_as_an_overwrite(toml: str) -> None:
    store = InMemoryStore()
    first = upload(store, ONE, "01")
    assert [status(store, first, toml) for _ in range(2)] == [Status.OK, Status.OK]
    assert status(store, upload(store, TWO, "02"), toml) is Status.OK


def test_the_event_of_a_replaced_source_is_superseded() -> None:
    store = InMemoryStore()
    first = upload(store, ONE, "01")
    newer = upload(store, TWO, "02")
    assert status(store, first) is Status.SUPERSEDED
    assert RENDITION not in store.objects  # the newer event writes it
    assert status(store, newer) is Status.OK
    assert status(store, first) is Status.SUPERSEDED


def test_the_event_of_a_deleted_source_is_superseded() -> None:
    store = InMemoryStore()
    event = upload(store, ONE, "01")
    del store.objects[SOURCE]
    assert status(store, event) is Status.SUPERSEDED
    assert status(store, event, REMOVE + SMALL) is Status.SUPERSEDED


def test_an_upload_that_is_replaced_while_it_overwrites_is_superseded_and_the_newer_one_rendered() -> None:
    class Replaced(InMemoryStore):
        def put(self, ref: ObjectRef, body: bytes, headers: ObjectHeaders, **options: Any) -> str:
            etag = super().put(ref, body, headers, **options)
            if ref == RENDITION and headers.metadata.get("source-sequencer") == "02":
                super().put(SOURCE, ONE, AS_PNG)
            return etag

    store = Replaced()
    first = upload(store, ONE, "01")
    assert status(store, first) is Status.OK
    assert status(store, upload(store, TWO, "02")) is Status.SUPERSEDED
    assert store.objects[RENDITION].metadata["source-etag"] == first.etag


def test_a_removal_is_ignored_without_a_request_unless_renditions_are_removed() -> None:
    class Untouched(InMemoryStore):
        def head(self, ref: ObjectRef) -> Any:
            raise AssertionError(ref)

    assert status(Untouched(), removal("01")) is Status.IGNORED


def test_a_removal_is_ok_whether_the_source_is_gone_or_exists_again() -> None:
    store = InMemoryStore()
    assert status(store, upload(store, ONE, "01")) is Status.OK
    assert status(store, removal("02"), REMOVE + SMALL) is Status.OK
    assert RENDITION in store.objects
    del store.objects[SOURCE]
    assert status(store, removal("02"), REMOVE + SMALL) is Status.OK
    assert RENDITION not in store.objects


def test_an_uploaded_rendition_is_ignored() -> None:
    store = InMemoryStore()
    status(store, upload(store, ONE, "01"))
    rendition = store.objects[RENDITION]
    etag = store.put(SOURCE, rendition.read(), rendition.headers)
    event = SourceEvent(ref=SOURCE, payload={}, etag=etag, size=rendition.size, sequencer="02")
    assert status(store, event) is Status.IGNORED

"""A write that was carried out, and whose answer was lost: the client's own retry is then told that it came second."""

from collections.abc import Callable
from typing import Any

from image_scaler.events import SourceEvent
from image_scaler.exceptions import PreconditionFailedError
from image_scaler.publisher import Provenance
from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectHeaders, ObjectRef
from tests.support.drawing import photo
from tests.support.stores import AS_PNG, InMemoryStore

SOURCE, RENDITION = ObjectRef("source", "a.png"), ObjectRef("destination", "small/a.png.webp")
SETTINGS = Settings(
    destination_bucket="destination",
    recipe=parse_recipe('[renditions.small]\nwidth = 40\nformat = "webp"'),
)


class LosingAnswers(InMemoryStore):
    """Carries out the next write over another object, and tells what the retry of it is told.

    `before` is what others do just before.
    """

    before: Callable[[], object] | None = None

    def put(
        self, ref: ObjectRef, body: bytes, headers: ObjectHeaders, *, if_match: str | None = None, **options: Any
    ) -> str:
        before = self.before
        if not if_match or not before:
            return super().put(ref, body, headers, if_match=if_match, **options)
        self.before = None
        before()
        super().put(ref, body, headers, if_match=if_match, **options)
        raise PreconditionFailedError(f"{ref} has another ETag")


def test_an_overwritten_newer_rendition_of_the_same_bytes_is_made_again() -> None:
    # Three versions of the source: the same pixels, and so the same rendition, in different bytes.
    versions = [bytes(photo(64, 48).pngsave_buffer(compression=level)) for level in (1, 6, 9)]
    store = LosingAnswers()
    scaler = build_scaler(SETTINGS, store)

    def upload(version: int) -> SourceEvent:
        etag = store.put(SOURCE, versions[version], AS_PNG)
        return SourceEvent(ref=SOURCE, etag=etag, sequencer=f"{version:02}", payload={})

    scaler.scale(upload(0))
    event = upload(1)
    store.before = lambda: scaler.scale(upload(2))
    scaler.scale(event)
    stamp = Provenance.of(store.head(RENDITION))
    assert stamp
    assert stamp.source_etag == store.head(SOURCE).etag

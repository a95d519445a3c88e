"""A scaler between two buckets in memory, and the records that S3 would send it."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import FailureQueues, build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef
from tests.support import drawing
from tests.support.drawing import decoded
from tests.support.stores import AS_JPEG, InMemoryBus, InMemoryQueue, InMemoryStore

RENDITIONS = """
manifest = false
[renditions.resized]
[renditions.thumbnail]
width = 50
format = "webp"
[renditions.web]
widths = [100, 200]
"""
JPEG = drawing.jpeg()


class World:
    """A scaler between two buckets."""

    def __init__(self, renditions: str = RENDITIONS, *, any_suffix: bool = False, keeps_history: bool = False) -> None:
        """`any_suffix`: whether every upload invokes the function; `keeps_history`: whether it keeps its recipes."""
        self.store = InMemoryStore()
        self.queue = InMemoryQueue()
        self.bus = InMemoryBus()
        self.time = 0
        self.any_suffix = any_suffix
        self.keeps_history = keeps_history
        self.reconfigure(renditions)

    def reconfigure(self, renditions: str) -> None:
        """Deploy another renditions.toml."""
        recipe = parse_recipe(renditions)
        self.settings = Settings(
            destination_bucket="destination",
            recipe=recipe,
            any_suffix=self.any_suffix,
            keeps_history=self.keeps_history,
        )
        self.scaler = build_scaler(
            self.settings, self.store, queues=FailureQueues(self.queue), event_bus=self.bus if recipe.events else None
        )

    def upload(self, key: str, body: bytes = JPEG, **stored: Any) -> dict[str, Any]:
        """Store an object and return the record that S3 makes of it."""
        ref = ObjectRef("source", key)
        self.store.put(ref, body, replace(AS_JPEG, **stored))
        self.store.puts = 0
        return self._record(key, "ObjectCreated:Put", size=len(body), eTag=self.store.objects[ref].etag)

    def delete(self, key: str) -> dict[str, Any]:
        """Delete an object and return the record that S3 makes of that."""
        del self.store.objects[ObjectRef("source", key)]
        return self._record(key, "ObjectRemoved:Delete")

    def _record(self, key: str, name: str, **details: Any) -> dict[str, Any]:
        self.time += 1
        thing = {"key": quote_plus(key), "sequencer": f"{self.time:X}".rjust(8, "0"), **details}
        return {"eventSource": "aws:s3", "eventName": name, "s3": {"bucket": {"name": "source"}, "object": thing}}

    def handle(self, *records: dict[str, Any]) -> dict[str, Any]:
        return self.scaler.handle({"Records": list(records)})

    def width_of(self, key: str) -> int:
        return decoded(self.store.objects[ObjectRef("destination", key)].read()).width

    @property
    def written(self) -> list[str]:
        return self.store.keys("destination")

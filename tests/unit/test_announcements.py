"""The events for others: which, when, and what if they cannot be sent."""

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from image_scaler.exceptions import ConfigError, RetryError, StorageError
from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import FailureQueues, build_scaler
from image_scaler.storage.base import ObjectRef
from image_scaler.storage.event_bus import MAX_ENTRY_BYTES, EventBridgeBus, entry_bytes
from tests.support.stores import InMemoryBus
from tests.support.world import World

SMALL = "events = true\n[renditions.small]\nwidth = 20\n"


class Told(World):
    """A world with a bus."""

    def __init__(self, renditions: str = SMALL) -> None:
        self.bus = InMemoryBus()
        super().__init__(renditions)

    def reconfigure(self, renditions: str) -> None:
        super().reconfigure(renditions)
        self.scaler = build_scaler(self.settings, self.store, queues=FailureQueues(self.queue), event_bus=self.bus)

    def content(self, key: str) -> Any:
        return json.loads(self.store.objects[ObjectRef("destination", key)].read())


def test_a_written_manifest_is_told_with_its_content() -> None:
    world = Told()
    record = world.upload("a.jpg")
    world.handle(record)
    ((kind, detail),) = world.bus.sent
    assert kind == "Renditions Ready"
    assert detail["source"] == {
        "bucket": "source",
        "key": "a.jpg",
        "etag": record["s3"]["object"]["eTag"],
        "sequencer": record["s3"]["object"]["sequencer"],
    }
    assert detail["manifest_location"] == {"bucket": "destination", "key": "manifests/a.jpg.json"}
    assert detail["manifest"] == world.content("manifests/a.jpg.json")


def test_a_repeated_event_is_told_again_with_the_same_id_and_another_upload_with_another() -> None:
    world = Told()
    record = world.upload("a.jpg")
    world.handle(record)
    world.handle(record)
    world.handle(world.upload("a.jpg"))
    first, second, third = (detail["id"] for _, detail in world.bus.sent)
    assert first == second != third


def test_a_manifest_too_large_for_an_event_is_told_by_its_key() -> None:
    world = Told(f"events = true\n[renditions.web]\nwidths = {[*range(1, 61)]}")
    key = "ä" * 450 + ".jpg"
    world.handle(world.upload(key))
    ((kind, detail),) = world.bus.sent
    assert detail["manifest"] is None
    assert entry_bytes(kind, detail | {"manifest": world.content(f"manifests/{key}.json")}) > MAX_ENTRY_BYTES
    assert detail["manifest_location"]["key"] == f"manifests/{key}.json"


def test_a_rejected_source_is_told_with_the_reason() -> None:
    world = Told()
    world.handle(world.upload("a.jpg", b"not an image"))
    ((kind, detail),) = world.bus.sent
    assert (kind, detail["error"]["type"]) == ("Source Rejected", "UnsupportedImageError")
    assert detail["error"]["code"] == world.queue.records[0]["code"] == "not_an_image"
    assert detail["error"]["text"] == world.queue.records[0]["reason"]


def test_a_removed_source_is_told_if_its_renditions_go_with_it() -> None:
    for setting, told in (("remove", ["Renditions Ready", "Source Removed"]), ("keep", ["Renditions Ready"])):
        world = Told(f'on_source_delete = "{setting}"\n{SMALL}')
        world.handle(world.upload("a.jpg"))
        world.handle(world.delete("a.jpg"))
        assert [kind for kind, _ in world.bus.sent] == told


@pytest.mark.parametrize("body", [None, b"not an image"])
def test_a_source_whose_event_cannot_be_sent_has_failed_and_is_retried(body: bytes | None) -> None:
    world = Told()
    record = world.upload("a.jpg", *([body] if body else []))
    world.bus.is_broken = True
    with pytest.raises(RetryError, match="the bus does not answer"):
        world.handle(record)
    assert world.queue.records == []
    world.bus.is_broken = False
    world.handle(record)
    assert len(world.bus.sent) == 1


def test_without_events_nothing_is_told_and_without_manifests_there_are_none() -> None:
    assert not parse_recipe("[renditions.a]").events
    with pytest.raises(ConfigError, match="events = true needs manifests"):
        parse_recipe("events = true\nmanifest = false\n[renditions.a]")


def test_an_event_reaches_the_default_bus(aws: boto3.Session) -> None:
    EventBridgeBus().send("Renditions Ready", {"id": "1"})
    client = aws.client("events")
    with Stubber(client) as stub:
        refusal = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "later"}]}
        stub.add_response("put_events", refusal)
        with pytest.raises(StorageError, match="InternalFailure: later"):
            EventBridgeBus(client).send("Renditions Ready", {"id": "1"})

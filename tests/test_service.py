from typing import Any
from urllib.parse import quote_plus

import pytest

from image_scaler.config import Settings, parse_renditions
from image_scaler.exceptions import EventError, RetryError
from image_scaler.service import DEFAULT_CACHE_CONTROL, Scaler
from image_scaler.store import ObjectRef
from tests import drawing
from tests.stores import InMemoryQueue, InMemoryStore

RENDITIONS = """
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

    def __init__(self, renditions: str = RENDITIONS) -> None:
        self.store = InMemoryStore()
        self.queue = InMemoryQueue()
        settings = Settings(destination_bucket="destination", renditions=parse_renditions(renditions))
        self.scaler = Scaler(settings, self.store, self.queue)

    def upload(self, key: str, body: bytes = JPEG, **stored: Any) -> dict[str, Any]:
        """Store an object and return the record that S3 makes of it."""
        ref = ObjectRef("source", key)
        self.store.put(ref, body, **({"content_type": "image/jpeg"} | stored))
        return {
            "s3": {
                "bucket": {"name": "source"},
                "object": {"key": quote_plus(key), "size": len(body), "eTag": self.store.objects[ref].etag},
            }
        }

    @property
    def written(self) -> list[str]:
        return self.store.keys("destination")


@pytest.fixture
def world() -> World:
    return World()


def test_an_upload_becomes_its_copy_and_its_renditions(world: World) -> None:
    answer = world.scaler.handle({"Records": [world.upload("dir/my photo+1.jpg", metadata={"a": "b"})]})
    assert answer == {"statusCode": 200, "body": "1 images, 4 renditions written"}
    assert world.written == [
        "resized/dir/my photo+1.jpg",
        "thumbnail/dir/my photo+1.jpg.webp",
        "web-100/dir/my photo+1.jpg",
        "web-200/dir/my photo+1.jpg",
    ]
    copy = world.store.objects[ObjectRef("destination", "resized/dir/my photo+1.jpg")]
    assert copy == world.store.objects[ObjectRef("source", "dir/my photo+1.jpg")]


def test_a_rendition_says_its_type_and_how_long_it_may_be_cached(world: World) -> None:
    world.scaler.handle({"Records": [world.upload("a.jpg")]})
    thumbnail = world.store.objects[ObjectRef("destination", "thumbnail/a.jpg.webp")]
    assert (thumbnail.content_type, thumbnail.cache_control) == ("image/webp", DEFAULT_CACHE_CONTROL)


def test_the_cache_control_of_the_source_is_kept_and_that_of_the_rendition_wins() -> None:
    world = World('[renditions.a]\nwidth = 1\n[renditions.b]\nwidth = 1\ncache_control = "no-store"')
    world.scaler.handle({"Records": [world.upload("x.jpg", cache_control="max-age=7")]})
    said = {ref.key: stored.cache_control for ref, stored in world.store.objects.items() if ref.bucket != "source"}
    assert said == {"a/x.jpg": "max-age=7", "b/x.jpg": "no-store"}


def test_the_source_is_read_once_for_all_renditions(world: World) -> None:
    world.scaler.handle({"Records": [world.upload("a.jpg")]})
    assert world.store.gets == 1


def test_a_copy_alone_never_reads_the_source() -> None:
    world = World("[renditions.resized]")
    world.scaler.handle({"Records": [world.upload("anything.jpg", b"not an image at all")]})
    assert world.store.gets == 0
    assert world.store.objects[ObjectRef("destination", "resized/anything.jpg")].body == b"not an image at all"


def test_every_record_of_an_event_is_processed(world: World) -> None:
    answer = world.scaler.handle({"Records": [world.upload(f"{n}.jpg") for n in range(3)]})
    assert answer["statusCode"] == 200
    assert len(world.written) == 12


@pytest.mark.parametrize("body", [b"", b"this is text", JPEG[: len(JPEG) // 2]])
def test_a_source_that_is_no_image_is_rejected_and_leaves_nothing_but_its_record(world: World, body: bytes) -> None:
    answer = world.scaler.handle({"Records": [world.upload("bad.jpg", body)]})
    assert answer == {"statusCode": 500, "body": "Error moving image"}
    assert world.written == []
    (record,) = world.queue.records
    assert record["source"] == {"bucket": "source", "key": "bad.jpg"}
    assert record["requestContext"] == {"condition": "Rejected"}
    assert record["responsePayload"]["errorMessage"] == record["reason"]
    assert record["written"] == []


def test_a_failure_record_holds_an_event_that_repeats_the_source(world: World) -> None:
    world.scaler.handle({"Records": [world.upload("good.jpg"), world.upload("bad photo+.jpg", b"x")]})
    (record,) = world.queue.records
    world.upload("bad photo+.jpg")
    del record["requestPayload"]["Records"][0]["s3"]["object"]["eTag"]
    assert world.scaler.handle(record["requestPayload"])["statusCode"] == 200
    assert "resized/bad photo+.jpg" in world.written


def test_a_rejected_source_does_not_stop_the_others(world: World) -> None:
    answer = world.scaler.handle(
        {"Records": [world.upload("bad.jpg", b"x"), world.upload("good.jpg"), world.upload("worse.jpg", b"")]}
    )
    assert answer["statusCode"] == 500
    assert len(world.written) == 4
    assert len(world.queue.records) == 2


def test_a_failed_source_raises_only_after_the_others_are_done(world: World) -> None:
    records = [world.upload("first.jpg"), world.upload("second.jpg")]
    world.store.broken.add("first.jpg")
    with pytest.raises(RetryError, match=r"1 of 2 sources failed: s3://source/first\.jpg: SlowDown"):
        world.scaler.handle({"Records": records})
    assert [key for key in world.written if "second" in key] == world.written
    assert len(world.written) == 4
    assert world.queue.records == []


def test_one_failed_rendition_does_not_stop_the_others(world: World) -> None:
    records = [world.upload("a.jpg")]
    world.store.broken.add("web-200/a.jpg")
    with pytest.raises(RetryError, match="SlowDown"):
        world.scaler.handle({"Records": records})
    assert world.written == ["resized/a.jpg", "thumbnail/a.jpg.webp", "web-100/a.jpg"]
    world.store.broken.clear()
    assert world.scaler.handle({"Records": records})["statusCode"] == 200
    assert len(world.written) == 4


def test_a_source_that_is_gone_or_replaced_is_left_to_its_newer_event(world: World) -> None:
    gone, replaced = world.upload("gone.jpg"), world.upload("replaced.jpg")
    del world.store.objects[ObjectRef("source", "gone.jpg")]
    world.upload("replaced.jpg", drawing.jpeg(drawing.photo(60, 40)))
    assert world.scaler.handle({"Records": [gone, replaced]})["statusCode"] == 200
    assert world.written == []
    assert world.queue.records == []


def test_a_direct_call_for_a_key_that_is_not_there_is_rejected(world: World) -> None:
    answer = world.scaler.handle({"bucket": "source", "keys": ["nothing.jpg"]})
    assert answer == {"statusCode": 500, "body": "Error moving image"}
    assert "no s3://source/nothing.jpg" in world.queue.records[0]["reason"]


def test_a_failure_record_that_cannot_be_kept_makes_the_source_fail_so_that_it_is_not_lost(world: World) -> None:
    world.queue.is_broken = True
    with pytest.raises(RetryError, match="the queue does not answer"):
        world.scaler.handle({"Records": [world.upload("bad.jpg", b"x")]})


def test_a_direct_caller_gets_500_and_the_queue_the_record_of_what_failed(world: World) -> None:
    world.upload("a.jpg")
    world.store.broken.add("a.jpg")
    answer = world.scaler.handle({"bucket": "source", "keys": ["a.jpg"]})
    assert answer == {"statusCode": 500, "body": "Error moving image"}
    (record,) = world.queue.records
    assert record["requestPayload"] == {"bucket": "source", "keys": ["a.jpg"]}


def test_a_source_in_the_destination_bucket_is_refused_before_it_is_read(world: World) -> None:
    answer = world.scaler.handle({"bucket": "destination", "keys": ["resized/a.jpg"]})
    assert answer["statusCode"] == 500
    assert world.store.gets == 0
    assert "outside the destination bucket" in world.queue.records[0]["reason"]


def test_a_key_too_long_for_its_renditions_is_rejected(world: World) -> None:
    answer = world.scaler.handle({"Records": [world.upload("x" * 1020 + ".jpg")]})
    assert answer["statusCode"] == 500
    assert "S3 allows 1024" in world.queue.records[0]["reason"]


def test_a_rule_can_leave_a_source_alone() -> None:
    world = World('rules = [{match = "private/**", renditions = []}]\n' + RENDITIONS)
    assert world.scaler.handle({"Records": [world.upload("private/a.jpg")]})["statusCode"] == 200
    assert world.written == []


def test_an_unknown_event_is_an_error_that_says_what_was_expected(world: World) -> None:
    with pytest.raises(EventError, match="expected an S3 notification"):
        world.scaler.handle({"hello": "world"})


def test_the_test_event_of_s3_is_a_success(world: World) -> None:
    assert world.scaler.handle({"Event": "s3:TestEvent", "Bucket": "source"})["statusCode"] == 200

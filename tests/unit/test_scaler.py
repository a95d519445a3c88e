import base64
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from image_scaler.deadline import SEARCH_MARGIN, Deadline
from image_scaler.exceptions import EventError, RetryError
from image_scaler.pipeline import DEFAULT_CACHE_CONTROL
from image_scaler.scaler import FailureQueues, build_scaler
from image_scaler.storage.base import ObjectRef
from tests.support import drawing
from tests.support.drawing import decoded
from tests.support.stores import InMemoryQueue
from tests.support.world import JPEG, RENDITIONS, World


@pytest.fixture
def world() -> World:
    return World()


def test_an_upload_becomes_its_copy_and_its_renditions(world: World) -> None:
    answer = world.scaler.handle({"Records": [world.upload("dir/my photo+1.jpg", metadata={"a": "b"})]})
    assert answer == {"statusCode": 200, "body": "1 image, 4 renditions"}
    assert world.written == [
        "resized/dir/my photo+1.jpg",
        "thumbnail/dir/my photo+1.jpg.webp",
        "web-100/dir/my photo+1.jpg",
        "web-200/dir/my photo+1.jpg",
    ]
    copy = world.store.objects[ObjectRef("destination", "resized/dir/my photo+1.jpg")]
    assert copy == world.store.objects[ObjectRef("source", "dir/my photo+1.jpg")]
    assert copy.read() == JPEG


def test_a_rendition_says_its_type_and_how_long_it_may_be_cached(world: World) -> None:
    world.scaler.handle({"Records": [world.upload("a.jpg")]})
    thumbnail = world.store.objects[ObjectRef("destination", "thumbnail/a.jpg.webp")]
    assert (thumbnail.content_type, thumbnail.cache_control) == ("image/webp", DEFAULT_CACHE_CONTROL)


def test_renditions_inherit_cache_control_unless_they_have_their_own() -> None:
    world = World('manifest = false\n[renditions.a]\nwidth = 1\n[renditions.b]\nwidth = 1\ncache_control = "no-store"')
    world.scaler.handle({"Records": [world.upload("x.jpg", cache_control="max-age=7")]})
    said = {ref.key: stored.cache_control for ref, stored in world.store.objects.items() if ref.bucket != "source"}
    assert said == {"a/x.jpg": "max-age=7", "b/x.jpg": "no-store"}


def test_renditions_and_copies_have_the_tags_of_renditions_toml() -> None:
    world = World(
        "[renditions.copy]\ntags = { a = 'copy' }\n[renditions.plain]\nwidth = 1\n"
        "[renditions.small]\nwidth = 1\ntags = { a = 'b c', d = '' }"
    )
    world.handle(world.upload("x.jpg"))
    tags = {ref.key: tags for ref, tags in world.store.tags.items() if ref.bucket == "destination" and tags}
    assert tags == {"copy/x.jpg": {"a": "copy"}, "small/x.jpg": {"a": "b c", "d": ""}}


def test_the_source_is_read_once_for_all_renditions(world: World) -> None:
    world.scaler.handle({"Records": [world.upload("a.jpg")]})
    assert world.store.gets == 1


def test_a_copy_alone_never_reads_the_source() -> None:
    world = World("[renditions.resized]")
    world.scaler.handle({"Records": [world.upload("anything.jpg", b"not an image at all")]})
    assert world.store.gets == 0
    assert world.store.objects[ObjectRef("destination", "resized/anything.jpg")].read() == b"not an image at all"


SCRIPT = JPEG + b"<script>alert(1)</script>"


@pytest.mark.parametrize("uploaded", ["image/jpeg", "text/html", "image/svg+xml", "application/octet-stream"])
def test_the_copy_of_an_image_that_was_decoded_has_the_type_of_its_bytes(world: World, uploaded: str) -> None:
    world.handle(world.upload("a.jpg", SCRIPT, content_type=uploaded, metadata={"a": "b"}))
    copy = world.store.objects[ObjectRef("destination", "resized/a.jpg")]
    assert (copy.content_type, copy.metadata, copy.read()) == ("image/jpeg", {"a": "b"}, SCRIPT)


@pytest.mark.parametrize(
    ("uploaded", "copied"),
    [
        ("image/jpeg", "image/jpeg"),
        ("image/x-canon-cr2", "image/x-canon-cr2"),
        ("IMAGE/PNG; charset=utf-8", "IMAGE/PNG; charset=utf-8"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("Image/SVG+XML; charset=utf-8", "application/octet-stream"),
        ("application/xhtml+xml", "application/octet-stream"),
    ],
)
def test_a_copy_that_is_not_decoded_keeps_the_type_of_an_image_and_no_other(uploaded: str, copied: str) -> None:
    world = World("[renditions.resized]")
    world.handle(world.upload("a.jpg", SCRIPT, content_type=uploaded))
    assert world.store.objects[ObjectRef("destination", "resized/a.jpg")].content_type == copied
    if "svg" in uploaded.lower():
        world.reconfigure("[renditions.resized]\n[inputs]\nsvg = true")
        world.handle(world.upload("b.jpg", SCRIPT, content_type=uploaded))
        assert world.store.objects[ObjectRef("destination", "resized/b.jpg")].content_type == uploaded


@pytest.mark.parametrize(
    ("uploaded", "copied"),
    [
        ("inline", "inline"),
        ('attachment; filename="a.jpg"', 'attachment; filename="a.jpg"'),
        ("Attachment", "Attachment"),
        ("form-data; name=x", None),
        ("inlined", None),
        (None, None),
    ],
)
def test_a_copy_keeps_a_content_disposition_that_browsers_know(
    world: World, uploaded: str | None, copied: str | None
) -> None:
    record = world.upload("a.jpg")
    ref = ObjectRef("source", "a.jpg")
    world.store.objects[ref] = replace(
        world.store.objects[ref], content_disposition=uploaded, content_encoding="gzip", content_language="de"
    )
    world.handle(record)
    copy = world.store.objects[ObjectRef("destination", "resized/a.jpg")]
    assert (copy.content_disposition, copy.content_language) == (copied, "de")
    assert copy.content_encoding is None  # its bytes are an image, and no encoding of one


def test_every_record_of_an_event_is_processed(world: World) -> None:
    answer = world.scaler.handle({"Records": [world.upload(f"{n}.jpg") for n in range(3)]})
    assert answer["statusCode"] == 200
    assert len(world.written) == 12


@pytest.mark.parametrize("body", [b"", b"this is text", JPEG[: len(JPEG) // 2]])
def test_a_source_that_is_not_an_image_is_rejected_and_leaves_only_its_record(world: World, body: bytes) -> None:
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


def test_a_deleted_or_replaced_source_is_left_to_its_newer_event(world: World) -> None:
    gone, replaced = world.upload("gone.jpg"), world.upload("replaced.jpg")
    del world.store.objects[ObjectRef("source", "gone.jpg")]
    world.upload("replaced.jpg", drawing.jpeg(drawing.photo(60, 40)))
    assert world.scaler.handle({"Records": [gone, replaced]})["statusCode"] == 200
    assert world.written == []
    assert world.queue.records == []


def test_a_direct_call_for_a_missing_key_is_rejected(world: World) -> None:
    answer = world.scaler.handle({"bucket": "source", "keys": ["nothing.jpg"]})
    assert answer == {"statusCode": 500, "body": "Error moving image"}
    assert "no s3://source/nothing.jpg" in world.queue.records[0]["reason"]


def test_a_rejected_source_fails_if_its_record_cannot_be_kept_so_that_it_is_not_lost(world: World) -> None:
    world.queue.is_broken = True
    with pytest.raises(RetryError, match="the queue does not answer"):
        world.scaler.handle({"Records": [world.upload("bad.jpg", b"x")]})


def test_rejected_and_failed_sources_are_recorded_in_queues_of_their_own(world: World) -> None:
    rejected = InMemoryQueue()
    scaler = build_scaler(world.settings, world.store, queues=FailureQueues(world.queue, rejected))
    world.upload("bad.jpg", b"x")
    world.upload("good.jpg")
    world.store.broken = {"resized/good.jpg"}
    scaler.handle({"bucket": "source", "keys": ["bad.jpg", "good.jpg"]})
    assert [record["source"]["key"] for record in rejected.records] == ["bad.jpg"]
    assert [record["source"]["key"] for record in world.queue.records] == ["good.jpg"]


def test_a_call_that_may_be_asynchronous_is_not_lost(world: World) -> None:
    world.upload("bad.jpg", b"x")
    world.queue.is_broken = True
    with pytest.raises(RetryError, match="the queue does not answer"):
        world.scaler.handle({"bucket": "source", "keys": ["bad.jpg"]})


def test_an_unexpected_error_fails_one_source_and_stops_no_other(world: World) -> None:
    def read() -> bytes:
        raise RuntimeError("nobody thought of this")

    records = [world.upload("a.jpg"), world.upload("b.jpg")]
    ref = ObjectRef("source", "a.jpg")
    world.store.objects[ref] = replace(world.store.objects[ref], read=read)
    with pytest.raises(RetryError, match="RuntimeError: nobody thought of this"):
        world.handle(*records)
    assert "resized/b.jpg" in world.written
    answer = world.scaler.handle({"bucket": "source", "keys": ["a.jpg", "b.jpg"]})
    assert answer == {"statusCode": 500, "body": "Error moving image"}
    (record,) = world.queue.records
    assert record["requestContext"] == {"condition": "Failed"}
    assert record["responsePayload"]["errorType"] == "UnexpectedError"


def test_a_direct_caller_gets_500_and_the_queue_gets_the_record_of_the_failure(world: World) -> None:
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
    assert "is in the destination bucket" in world.queue.records[0]["reason"]


def test_a_key_too_long_for_its_renditions_is_rejected(world: World) -> None:
    answer = world.scaler.handle({"Records": [world.upload("x" * 1020 + ".jpg")]})
    assert answer["statusCode"] == 500
    assert "S3 allows 1024" in world.queue.records[0]["reason"]


def test_a_rule_can_leave_a_source_alone() -> None:
    world = World('rules = [{match = "private/**", renditions = []}]\n' + RENDITIONS)
    assert world.scaler.handle({"Records": [world.upload("private/a.jpg")]})["statusCode"] == 200
    assert world.written == []


def test_an_unknown_event_is_an_error_with_the_expected_kinds(world: World) -> None:
    with pytest.raises(EventError, match="expected an S3 notification"):
        world.scaler.handle({"hello": "world"})


def test_the_test_event_of_s3_is_a_success(world: World) -> None:
    assert world.scaler.handle({"Event": "s3:TestEvent", "Bucket": "source"})["statusCode"] == 200


def test_a_duplicate_of_an_event_writes_nothing_a_second_time(world: World) -> None:
    record = world.upload("a.jpg")
    world.handle(record)
    assert world.store.puts == 4
    assert world.handle(record)["statusCode"] == 200
    assert world.store.puts == 4


def test_a_newer_image_of_a_key_replaces_the_older_ones_renditions(world: World) -> None:
    world.handle(world.upload("a.jpg", drawing.jpeg(drawing.photo(120, 80))))
    world.handle(world.upload("a.jpg", drawing.jpeg(drawing.photo(160, 80))))
    assert world.width_of("web-200/a.jpg") == 160
    assert world.width_of("resized/a.jpg") == 160


def test_a_late_event_replaces_nothing(world: World) -> None:
    older = world.upload("a.jpg", drawing.jpeg(drawing.photo(120, 80)))
    newer = world.upload("a.jpg", drawing.jpeg(drawing.photo(160, 80)))
    world.handle(newer)
    puts = world.store.puts
    world.handle(older)
    assert world.store.puts == puts
    assert world.width_of("web-200/a.jpg") == 160


def test_the_same_image_uploaded_again_has_the_newer_sequencer(world: World) -> None:
    first = world.upload("a.jpg")
    world.handle(first)
    again = world.upload("a.jpg")
    world.handle(again)
    stamp = world.store.objects[ObjectRef("destination", "web-200/a.jpg")].metadata
    assert stamp["source-sequencer"] == again["s3"]["object"]["sequencer"]


def test_a_changed_recipe_is_applied_and_an_unchanged_one_writes_nothing(world: World) -> None:
    record = world.upload("a.jpg")
    world.handle(record)
    world.store.puts = 0
    world.reconfigure(RENDITIONS.replace("width = 50", "width = 60"))
    world.scaler.handle({"bucket": "source", "keys": ["a.jpg"]})
    assert world.store.puts == 1
    assert world.width_of("thumbnail/a.jpg.webp") == 60


def test_an_uploaded_rendition_is_ignored_before_it_is_downloaded(world: World) -> None:
    world.handle(world.upload("a.jpg"))
    rendition = world.store.objects[ObjectRef("destination", "web-200/a.jpg")]
    world.reconfigure("[renditions.x]\nwidth = 5")
    record = world.upload("b.jpg", rendition.read(), metadata=dict(rendition.metadata))
    reads: list[str] = []
    ref = ObjectRef("source", "b.jpg")
    world.store.objects[ref] = replace(world.store.objects[ref], read=lambda: reads.append("read") or b"")
    assert world.handle(record)["statusCode"] == 200
    assert reads == []
    assert not any(key.startswith("x/") for key in world.written)


def test_the_second_source_of_a_shared_key_is_rejected_with_the_name_of_the_first() -> None:
    world = World('shared_stems = true\n[renditions.a]\nwidth = 9\nformat = "webp"\nkey = "{dir}t/{stem}.webp"')
    rejected = InMemoryQueue()
    scaler = build_scaler(world.settings, world.store, queues=FailureQueues(world.queue, rejected))
    scaler.handle({"Records": [world.upload("x/photo.jpg")]})
    scaler.handle({"Records": [world.upload("x/photo.png")]})
    (record,) = rejected.records
    assert record["source"]["key"] == "x/photo.png"
    assert record["responsePayload"]["errorMessage"] == "s3://destination/x/t/photo.webp is of x/photo.jpg"
    assert world.written == ["manifests/x/photo.jpg.json", "x/t/photo.webp"]


def test_a_source_too_large_is_rejected_before_it_is_downloaded() -> None:
    world = World(RENDITIONS + "[limits]\nsource_bytes = 100")
    record = world.upload("a.jpg")
    ref = ObjectRef("source", "a.jpg")
    world.store.objects[ref] = replace(world.store.objects[ref], read=lambda: pytest.fail("it was downloaded"))
    assert world.handle(record)["statusCode"] == 500
    assert "limits.source_bytes" in world.queue.records[0]["reason"]


def test_renditions_stay_when_their_source_is_deleted(world: World) -> None:
    world.handle(world.upload("a.jpg"))
    assert world.handle(world.delete("a.jpg"))["statusCode"] == 200
    assert len(world.written) == 4


REMOVING = 'on_source_delete = "remove"\n' + RENDITIONS


@pytest.mark.parametrize(
    "name", ["ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "LifecycleExpiration:DeleteMarkerCreated"]
)
def test_on_source_delete_remove_deletes_the_renditions_with_their_source(name: str) -> None:
    world = World(REMOVING)
    world.handle(world.upload("a.jpg"), world.upload("b.jpg"))
    assert world.handle(world.delete("a.jpg") | {"eventName": name})["statusCode"] == 200
    assert world.written == ["resized/b.jpg", "thumbnail/b.jpg.webp", "web-100/b.jpg", "web-200/b.jpg"]


def test_a_restored_older_version_has_its_renditions_again() -> None:
    world = World(REMOVING)
    world.handle(world.upload("a.jpg", drawing.jpeg(drawing.quadrants(300, 200))))
    world.handle(world.upload("a.jpg", drawing.jpeg(drawing.quadrants(150, 100))))
    removal = world.delete("a.jpg")  # of the newest version
    world.upload("a.jpg", drawing.jpeg(drawing.quadrants(300, 200)))  # of which no event tells
    assert world.width_of("web-200/a.jpg") == 150
    world.handle(removal)
    assert world.width_of("web-200/a.jpg") == 200


def test_a_copy_is_removed_with_its_source_whatever_the_metadata_of_the_source() -> None:
    world = World('on_source_delete = "remove"\n[renditions.resized]')
    said = {"source-etag": "x", "recipe": "x", "source-sequencer": "ffffffffffff"}
    world.handle(world.upload("a.jpg", metadata=said))
    assert world.written == ["manifests/a.jpg.json", "resized/a.jpg"]
    world.handle(world.delete("a.jpg"))
    assert world.written == []


def test_a_late_removal_does_not_touch_the_renditions_of_a_newer_image() -> None:
    world = World(REMOVING)
    world.handle(world.upload("a.jpg"))
    removal = world.delete("a.jpg")
    world.handle(world.upload("a.jpg"))
    world.handle(removal)
    assert len(world.written) == 4


def test_an_event_after_the_deletion_of_its_source_leaves_no_orphans() -> None:
    world = World(REMOVING)
    created = world.upload("a.jpg")
    world.handle(created)
    removal = world.delete("a.jpg")
    world.handle(removal)
    world.handle(created)
    assert world.written == []


def sqs(*, deliveries: int = 1, **records: dict[str, Any]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": number,
                "attributes": {"ApproximateReceiveCount": str(deliveries)},
                "eventSource": "aws:sqs",
                "body": json.dumps({"Records": [record]}),
            }
            for number, record in records.items()
        ]
    }


def test_the_response_to_sqs_lists_the_messages_to_retry(world: World) -> None:
    event = sqs(good=world.upload("a.jpg"), failed=world.upload("b.jpg"), rejected=world.upload("c.jpg", b"x"))
    world.store.broken.add("b.jpg")
    assert world.scaler.handle(event) == {"batchItemFailures": [{"itemIdentifier": "failed"}]}
    assert [record["source"]["key"] for record in world.queue.records] == ["c.jpg"]


def test_a_message_with_several_records_is_kept_when_one_of_them_failed(world: World) -> None:
    records = [world.upload("a.jpg"), world.upload("b.jpg")]
    world.store.broken.add("b.jpg")
    event = {
        "Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": json.dumps({"Records": records})}],
    }
    assert world.scaler.handle(event) == {"batchItemFailures": [{"itemIdentifier": "m"}]}


def test_an_invalid_record_is_kept_in_the_failure_queue_and_stops_no_other(world: World) -> None:
    answer = world.handle({"nonsense": True}, world.upload("a.jpg"))
    assert answer["statusCode"] == 500
    assert len(world.written) == 4
    assert world.queue.records[0]["requestPayload"] == {"Records": [{"nonsense": True}]}


@pytest.mark.parametrize(
    ("key", "code"), [("good.jpg", "Succeeded"), ("bad.jpg", "PermanentFailure"), ("broken.jpg", "TemporaryFailure")]
)
def test_batch_operations_get_a_result_for_each_task(world: World, key: str, code: str) -> None:
    world.upload("good.jpg")
    world.upload("bad.jpg", b"x")
    world.upload("broken.jpg")
    world.store.broken.add("broken.jpg")
    task = {"taskId": "t1", "s3Key": key, "s3BucketArn": "arn:aws:s3:::source"}
    answer = world.scaler.handle({"invocationSchemaVersion": "1.0", "invocationId": "i1", "tasks": [task]})
    assert (answer["invocationSchemaVersion"], answer["invocationId"]) == ("1.0", "i1")
    assert [(result["taskId"], result["resultCode"]) for result in answer["results"]] == [("t1", code)]


def test_near_its_deadline_the_function_stops_and_says_what_is_unfinished(world: World) -> None:
    clock = iter([60.0, 60.0, 1.0])  # at the start, after the first rendition, after the second
    with pytest.raises(RetryError, match=r"cannot make thumbnail: the function's time is over"):
        world.scaler.handle({"Records": [world.upload("a.jpg")]}, Deadline(lambda: next(clock, 1.0)))
    assert world.written == ["resized/a.jpg", "web-100/a.jpg", "web-200/a.jpg"]


def test_a_deadline_that_passes_after_the_last_rendition_stops_nothing() -> None:
    world = World("manifest = false\n[renditions.small]\nwidth = 50")
    clock = iter([60.0])  # at the start, and none left after that
    world.scaler.handle({"Records": [world.upload("a.jpg")]}, Deadline(lambda: next(clock, 1.0)))
    assert world.written == ["small/a.jpg"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.0,0.5", drawing.RED), ("1,0.5", drawing.GREEN), ("0.5 0.5", None), ("2,2", None), ("0.0,0.5,0.5", None)],
)
def test_cover_keeps_the_focal_point_in_the_metadata_of_the_upload(
    value: str, expected: tuple[int, int, int] | None
) -> None:
    world = World('manifest = false\n[renditions.square]\nwidth = 50\nheight = 50\nformat = "png"')
    world.handle(world.upload("a.png", drawing.png(drawing.quadrants(800, 100)), metadata={"focal-point": value}))
    colours = drawing.corners(decoded(world.store.objects[ObjectRef("destination", "square/a.png")].read()))
    is_centred = colours["left top"] != colours["right top"]
    assert is_centred if expected is None else drawing.is_near(colours["left top"], expected)
    assert is_centred == (expected is None)


@pytest.mark.parametrize(
    "key", ["a\nERROR forged.jpg", "a\r\x1b[31m.jpg", "../../etc/passwd.jpg", "/a.jpg", "a//b.jpg", "😀.jpg"]
)
def test_any_key_is_only_a_key(world: World, key: str) -> None:
    world.handle(world.upload(key), world.upload("x" + key, b"no image"))
    assert f"resized/{key}" in world.written
    assert f"resized/x{key}" not in world.written


def test_metadata_of_any_content_is_never_a_crash(world: World) -> None:
    for number, value in enumerate(["", "1,1", "2,2", "nan,nan", "0.5", ",", "0.5,0.5,0.5", "x" * 2000, "\u20ac"]):
        record = world.upload(f"{number}.jpg", metadata={"focal-point": value, "recipe": "a stranger's"})
        assert world.handle(record)["statusCode"] == 200
        assert f"web-200/{number}.jpg" in world.written


WITH_MANIFEST = RENDITIONS.replace("manifest = false", "")


def manifest_of(world: World, key: str) -> dict[str, Any]:
    stored = world.store.objects[ObjectRef("destination", f"manifests/{key}.json")]
    assert (stored.content_type, stored.cache_control) == ("application/json", "no-cache")
    content: dict[str, Any] = json.loads(stored.read())
    return content


def test_the_manifest_of_an_upload_lists_its_renditions() -> None:
    world = World(WITH_MANIFEST)
    record = world.upload("dir/a b.jpg")
    assert world.handle(record) == {"statusCode": 200, "body": "1 image, 4 renditions"}
    manifest = manifest_of(world, "dir/a b.jpg")
    size = {"width": 400, "height": 300}
    etag = record["s3"]["object"]["eTag"]
    known = {"aspect_ratio": 1.3333, "format": "jpeg", "has_alpha": False, "animated": False, "focal_point": None}
    assert manifest["source"] == {"key": "dir/a b.jpg", "etag": etag, "bytes": len(JPEG), **size, **known}
    there = {ref.key: stored for ref, stored in world.store.objects.items() if ref.bucket == "destination"}
    del there["manifests/dir/a b.jpg.json"]
    assert {entry["key"]: (entry["bytes"], entry["type"]) for entry in manifest["renditions"]} == {
        key: (stored.size, stored.content_type) for key, stored in there.items()
    }
    widths = {entry["name"]: entry["width"] for entry in manifest["renditions"]}
    assert widths == {"resized": 400, "thumbnail": 50, "web-100": 100, "web-200": 200}
    assert manifest["srcset"] == {"jpeg": "web-100/dir/a%20b.jpg 100w, web-200/dir/a%20b.jpg 200w"}
    assert re.fullmatch("#[0-9a-f]{6}", manifest["dominant_colour"])
    assert len(base64.b64decode(manifest["thumbhash"])) > 20


def test_the_manifest_says_what_a_page_needs_of_the_source_and_has_the_addresses_of_all_renditions() -> None:
    world = World(
        'base_url = "https://images.example.com/"\nplaceholder = true\n[renditions.web]\nwidths = [20]\nformat = "webp"'
    )
    image = drawing.png(drawing.with_alpha(drawing.quadrants(80, 60)))
    world.handle(world.upload("a b.png", image, metadata={"focal-point": "0.25,1"}))
    manifest = manifest_of(world, "a b.png")
    source = manifest["source"]
    assert (source["has_alpha"], source["animated"], source["focal_point"]) == (True, False, [0.25, 1])
    url = "https://images.example.com/web-20/a%20b.png.webp"
    assert [entry["url"] for entry in manifest["renditions"]] == [url]
    assert f'src="{url}"' in manifest["picture"]
    assert manifest["ladders"]["web"]["srcset"] == {"webp": f"{url} 20w"}
    header, _, data = manifest["placeholder"].partition(",")
    placeholder = decoded(base64.b64decode(data))
    assert (header, placeholder.width, placeholder.hasalpha()) == ("data:image/webp;base64", 20, True)
    assert len(data) < 600


def test_the_manifest_is_written_after_all_renditions() -> None:
    world = World(WITH_MANIFEST)
    record = world.upload("a.jpg")
    world.store.broken.add("web-200/a.jpg")
    with pytest.raises(RetryError):
        world.handle(record)
    assert not any(key.startswith("manifests/") for key in world.written)
    world.store.broken.clear()
    world.handle(record)
    assert list(world.store.objects)[-1].key == "manifests/a.jpg.json"


@pytest.mark.parametrize("body", [b"", b"text", JPEG[: len(JPEG) // 2]])
def test_a_rejected_source_has_no_manifest(body: bytes) -> None:
    world = World(WITH_MANIFEST)
    world.handle(world.upload("bad.jpg", body))
    assert world.written == []


def test_a_duplicate_of_an_event_does_not_write_the_manifest_again() -> None:
    world = World(WITH_MANIFEST)
    record = world.upload("a.jpg")
    world.handle(record)
    before = world.store.objects[ObjectRef("destination", "manifests/a.jpg.json")]
    assert world.store.puts == 5
    world.handle(record)
    world.scaler.handle({"bucket": "source", "keys": ["a.jpg"]})
    assert world.store.puts == 5
    assert world.store.objects[ObjectRef("destination", "manifests/a.jpg.json")] is before


@pytest.mark.parametrize("again", ["call", "batch", "message"])
@pytest.mark.parametrize("key", ["{name}/{key}", "{name}/{key}/{hash}"])
def test_a_finished_image_is_not_read_again_but_announced_again(again: str, key: str) -> None:
    world = World(f"events = true\n[renditions.copy]\n[renditions.small]\nwidth = 50\nkey = '{key}.jpg'")
    record = world.upload("a.jpg")
    world.handle(record)
    stored = dict(world.store.objects)
    source = ObjectRef("source", "a.jpg")
    world.store.objects[source] = replace(world.store.objects[source], read=lambda: pytest.fail("it was downloaded"))
    world.scaler.handle(repeated(record, again))
    assert {**world.store.objects, source: stored[source]} == stored
    first, second = [(detail_type, detail["manifest"]) for detail_type, detail in world.bus.sent]
    assert first == second


@pytest.mark.parametrize("again", ["call", "batch", "message"])
@pytest.mark.parametrize("lost", ["copy/a.jpg", "small/a.jpg", "manifests/a.jpg.json"])
def test_what_a_finished_image_has_lost_is_made_again(again: str, lost: str) -> None:
    world = World("[renditions.copy]\n[renditions.small]\nwidth = 50")
    record = world.upload("a.jpg")
    world.handle(record)
    stored = world.store.objects.pop(ObjectRef("destination", lost))
    world.scaler.handle(repeated(record, again))
    assert world.store.objects[ObjectRef("destination", lost)].etag == stored.etag


@pytest.mark.parametrize("again", ["call", "batch", "message"])
def test_an_image_is_not_finished_if_another_source_of_the_same_bytes_has_one_of_its_keys(again: str) -> None:
    world = World('shared_stems = true\n[renditions.a]\nwidth = 9\nformat = "webp"\nkey = "t/{stem}.webp"')
    record = world.upload("a.jpg")
    world.handle(record)
    shared = ObjectRef("destination", "t/a.webp")
    owner = world.store.objects[shared].metadata | {"source-key": "a.png"}
    world.store.objects[shared] = replace(world.store.objects[shared], metadata=owner)
    world.scaler.handle(repeated(record, again))
    assert "t/a.webp is of a.png" in world.queue.records[-1]["reason"]


def test_a_new_upload_pays_no_request_for_a_look_at_its_manifest() -> None:
    world = World("[renditions.small]\nwidth = 50")
    world.scaler.handle(sqs(first=world.upload("a.jpg")))
    assert world.store.gets == 1


def repeated(record: dict[str, Any], again: str) -> dict[str, Any]:
    """The event that repeats a record of `a.jpg`: a direct call, a task, or a message that is delivered again."""
    if again == "call":
        return {"bucket": "source", "keys": ["a.jpg"]}
    if again == "batch":
        task = {"taskId": "t1", "s3Key": "a.jpg", "s3BucketArn": "arn:aws:s3:::source"}
        return {"invocationSchemaVersion": "1.0", "invocationId": "i1", "tasks": [task]}
    return sqs(deliveries=2, m=record)


def test_the_manifest_follows_the_source_and_no_late_event_reverts_it() -> None:
    world = World(WITH_MANIFEST)
    older = world.upload("a.jpg", drawing.jpeg(drawing.photo(120, 80)))
    world.handle(older)
    newer = world.upload("a.jpg", drawing.jpeg(drawing.photo(160, 80)))
    world.handle(newer)
    world.handle(older)
    manifest = manifest_of(world, "a.jpg")
    assert (manifest["source"]["etag"], manifest["source"]["width"]) == (newer["s3"]["object"]["eTag"], 160)


def test_another_recipe_makes_another_manifest() -> None:
    world = World(WITH_MANIFEST)
    world.handle(world.upload("a.jpg"))
    world.reconfigure(WITH_MANIFEST + "[renditions.more]\nwidth = 70\n")
    world.scaler.handle({"bucket": "source", "keys": ["a.jpg"]})
    assert [entry["name"] for entry in manifest_of(world, "a.jpg")["renditions"]][-1] == "more"


def test_the_manifest_of_copies_lists_them_without_reading_the_source() -> None:
    world = World("[renditions.resized]")
    record = world.upload("anything.jpg", b"no image")
    world.handle(record)
    assert world.store.gets == 0
    manifest = manifest_of(world, "anything.jpg")
    assert manifest["source"] == {
        "key": "anything.jpg",
        "etag": record["s3"]["object"]["eTag"],
        "bytes": 8,
        **dict.fromkeys(
            ("width", "height", "aspect_ratio", "format", "has_alpha", "animated", "focal_point"),
        ),
    }
    assert [entry["key"] for entry in manifest["renditions"]] == ["resized/anything.jpg"]


def test_the_manifest_is_removed_with_its_source() -> None:
    world = World('on_source_delete = "remove"\n' + WITH_MANIFEST)
    world.handle(world.upload("a.jpg"))
    assert "manifests/a.jpg.json" in world.written
    world.handle(world.delete("a.jpg"))
    assert world.written == []


def test_a_key_too_long_for_its_manifest_is_rejected_before_anything_is_written() -> None:
    world = World("[renditions.a]")
    answer = world.handle(world.upload("x" * 1007 + ".jpg"))
    assert answer["statusCode"] == 500
    assert "the key of the manifest would have 1026 bytes" in world.queue.records[0]["reason"]
    assert world.written == []


@pytest.mark.parametrize(
    "field",
    [
        "width = 1",
        "height = 3\nwidth = 5",
        "width = 60\ntrim = true",
        "width = 60\nkeep_profile = true",
        "width = 60\nheight = 9\nfit = 'fill'",
        "format = 'png'",
    ],
)
def test_the_placeholder_looks_like_the_image_whatever_the_renditions(field: str) -> None:
    world = World(f"[renditions.a]\n{field}")
    blue = drawing.png(drawing.srgb(np.full((90, 120, 3), drawing.BLUE, np.uint8)))
    grey = bytes(drawing.decoded(blue).colourspace("b-w").pngsave_buffer())
    world.handle(world.upload("blue.png", blue), world.upload("grey.png", grey))
    colours = [manifest_of(world, f"{name}.png")["dominant_colour"] for name in ("blue", "grey")]
    blue_, grey_ = (tuple(bytes.fromhex(colour[1:])) for colour in colours)
    assert drawing.is_near(blue_, drawing.BLUE)
    assert max(grey_) == min(grey_)


def test_a_key_that_is_not_text_is_rejected_and_stops_no_other(world: World) -> None:
    world.upload("good.jpg")
    answer = world.scaler.handle({"bucket": "source", "keys": ["\ud800.jpg", "good.jpg"]})
    assert answer["statusCode"] == 500
    assert "resized/good.jpg" in world.written
    assert "unpaired surrogate" in world.queue.records[0]["reason"]


PROMISED = '[renditions.web]\nwidths = [100, 200]\nformats = ["webp", "jpeg"]\nquality = "high"'


def test_the_manifest_has_the_qualities_that_were_found_and_the_scores() -> None:
    world = World(PROMISED)
    world.handle(world.upload("a.png", drawing.png(drawing.photo(300, 200))))
    entries = manifest_of(world, "a.png")["renditions"]
    assert len(entries) == 4
    assert all(60 < entry["score"] < 80 and entry["searched"] for entry in entries)
    assert len({entry["quality"] for entry in entries}) > 1


def test_a_search_ends_before_the_deadline_and_the_manifest_says_so() -> None:
    world = World(PROMISED)
    event = {"Records": [world.upload("a.png", drawing.png(drawing.photo(300, 200)))]}
    world.scaler.handle(event, Deadline(lambda: SEARCH_MARGIN - 1))
    entries = manifest_of(world, "a.png")["renditions"]
    assert [(entry["score"], entry["searched"]) for entry in entries] == [(None, False)] * 4


def test_a_format_that_does_not_pay_is_neither_stored_nor_listed() -> None:
    skipping = '[renditions.web]\nwidths = [100]\nformats = ["png", "webp"]\nskip_larger = true'
    world = World(skipping)
    world.handle(world.upload("a.jpg"))
    assert world.written == ["manifests/a.jpg.json", "web-100/a.jpg.webp"]
    assert [entry["key"] for entry in manifest_of(world, "a.jpg")["renditions"]] == ["web-100/a.jpg.webp"]


def test_a_format_that_does_not_pay_is_stored_if_it_replaces_an_older_version() -> None:
    world = World('[renditions.web]\nwidths = [100]\nformats = ["png", "webp"]')
    world.handle(world.upload("a.jpg", drawing.jpeg(drawing.quadrants(300, 300))))
    world.reconfigure('[renditions.web]\nwidths = [100]\nformats = ["png", "webp"]\nskip_larger = true')
    world.handle(world.upload("a.jpg", drawing.jpeg(drawing.photo(400, 200))))
    replaced = decoded(world.store.objects[ObjectRef("destination", "web-100/a.jpg.png")].read())
    assert (replaced.width, replaced.height) == (100, 50)
    assert len(manifest_of(world, "a.jpg")["renditions"]) == 2


@pytest.mark.parametrize("key", ["5f0c71b2-a9e4", "notes.txt", "folder/"])
@pytest.mark.parametrize("body", [b"no image", b""])
def test_what_is_no_image_is_ignored_where_every_upload_invokes_the_function(key: str, body: bytes) -> None:
    world = World(any_suffix=True)
    assert world.handle(world.upload(key, body)) == {"statusCode": 200, "body": "1 image, 0 renditions"}
    assert (world.written, world.queue.records) == ([], [])


def test_a_damaged_image_is_rejected_also_if_its_key_does_not_say_that_it_is_one() -> None:
    world = World(any_suffix=True)
    assert world.handle(world.upload("5f0c71b2-a9e4", JPEG[:20]))["statusCode"] == 500
    assert world.queue.records[0]["code"] == "damaged"


def test_an_image_without_a_suffix_gets_its_renditions(world: World) -> None:
    assert world.handle(world.upload("5f0c71b2-a9e4"))["statusCode"] == 200
    assert "thumbnail/5f0c71b2-a9e4.image.webp" in world.written


@pytest.mark.parametrize(("key", "any_suffix"), [("a.jpg", True), ("scan.BMP", True), ("5f0c71b2-a9e4", False)])
def test_what_claims_to_be_an_image_is_rejected_if_it_is_none(key: str, any_suffix: bool) -> None:
    world = World(any_suffix=any_suffix)
    assert world.handle(world.upload(key, b"no image"))["statusCode"] == 500
    assert [record["source"]["key"] for record in world.queue.records] == [key]

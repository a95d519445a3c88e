"""Uploads reach the function by EventBridge and through the buffer, too."""

from collections.abc import Iterator

import pytest

from tests.properties.load.load import Fate, Load, uploads
from tests.stack.end_to_end.stack import Stack
from tests.support.drawing import jpeg, photo
from toolbox.local.aws import LocalAws

UPLOADED = jpeg(photo(300, 200))


@pytest.fixture(params=["delivery=eventbridge", "buffer=sqs"])
def delivered(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with LocalAws.start(retry_seconds=0.5, params=[request.param]) as aws:
        yield Stack(aws)


def test_every_upload_gets_its_renditions_or_a_record_of_its_rejection(delivered: Stack) -> None:
    todo = uploads(20, seed=2)
    load = Load(delivered.aws, todo)
    list(load.run())
    assert load.problems == []
    last = {upload.key: upload for upload in todo}
    assert {upload.fate for upload in last.values()} == {Fate.WRITTEN, Fate.REJECTED}

    is_by_event_bridge = "EventBridgeConfiguration" in delivered.s3.get_bucket_notification_configuration(
        Bucket=delivered.source
    )
    delivered.upload("delivered/mixed.jPG", UPLOADED)  # S3 compares suffixes to the letter, EventBridge does not
    delivered.upload("delivered/text.txt", b"not an image")
    delivered.upload("delivered/last.jpg", UPLOADED)
    delivered.renditions("delivered/last.jpg")
    if is_by_event_bridge:
        delivered.renditions("delivered/mixed.jPG")
    expected = delivered.expected_keys("delivered/mixed.jPG") if is_by_event_bridge else set()
    assert delivered.keys_of("delivered/mixed.jPG") == expected
    assert delivered.failure_records("delivered/text.txt") == []

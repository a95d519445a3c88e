"""When it fails, nothing is lost: the failure queue, retries, and the answer to a direct call."""

import json
from typing import Any

import pytest

from tests.stack.end_to_end.stack import Stack
from tests.support.drawing import jpeg, photo, png, quadrants

UPLOADED = jpeg(photo(300, 200))


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        pytest.param("text.jpg", b"Dear reader, this is not an image.", "are not an image", id="not an image"),
        pytest.param("empty.jpg", b"", "it has no bytes", id="no bytes"),
        pytest.param("half.jpg", UPLOADED[: len(UPLOADED) // 2], "is cut off", id="half of an image"),
        pytest.param("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG is read only if", id="an SVG"),
    ],
)
def test_an_upload_that_is_not_an_image_goes_to_the_failure_queue_without_a_retry(
    stack: Stack, name: str, body: bytes, reason: str
) -> None:
    key = f"rejected/{name}"
    stack.upload(key, body)
    record = stack.failure_record(key)
    assert record["source"] == {"bucket": stack.source, "key": key}
    assert reason in record["reason"]
    assert record["requestContext"]["condition"] == "Rejected"
    assert stack.keys_of(key) == set()
    stack.eventually(lambda: stack.times_logged(record["reason"]), "the reason in the log")


def test_only_failures_that_may_succeed_are_retried(stack: Stack) -> None:
    stack.upload("retries/broken.jpg", b"not an image, and of a length of its own, which the log shows")
    reason = stack.failure_record("retries/broken.jpg")["reason"]
    with stack.writes_denied("retries"):
        stack.upload("retries/fine.jpg", UPLOADED)
        # After that long a retry of the broken image would have been made too.
        stack.failure_record("retries/fine.jpg")
    stack.eventually(lambda: stack.times_logged("RetryError: ", "retries/fine.jpg") >= 1 + 2, "every try in the log")
    assert stack.times_logged("RetryError: ", "retries/fine.jpg") == 1 + 2
    assert stack.times_logged(reason) == 1
    assert len(stack.failure_records("retries/broken.jpg")) == 1
    assert len(stack.failure_records("retries/fine.jpg")) == 1


def test_an_event_that_fails_after_all_retries_is_in_the_failure_queue_and_can_be_sent_again(stack: Stack) -> None:
    with stack.writes_denied("lost"):
        stack.upload("lost/fine.jpg", UPLOADED)
        record = stack.failure_record("lost/fine.jpg")
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert "AccessDenied" in record["responsePayload"]["errorMessage"]
    assert stack.keys_of("lost/fine.jpg") == set()
    assert stack.invoke(record["requestPayload"])["statusCode"] == 200
    assert stack.renditions("lost/fine.jpg")["resized/lost/fine.jpg"]["Body"] == UPLOADED


def test_a_failing_image_does_not_delay_another(stack: Stack) -> None:
    with stack.writes_denied("stuck"):
        stack.upload("stuck/fine.jpg", UPLOADED)
        stack.upload("free/fine.jpg", UPLOADED)
        stack.renditions("free/fine.jpg")
        stack.failure_record("stuck/fine.jpg")


def test_a_retry_succeeds_after_a_temporary_failure(stack: Stack) -> None:
    with stack.writes_denied("briefly"):
        stack.upload("briefly/fine.jpg", UPLOADED)
        stack.eventually(lambda: stack.times_logged("briefly/fine.jpg"), "the failure of the first try")
    stack.renditions("briefly/fine.jpg")
    assert stack.failure_records("briefly/fine.jpg") == []


def test_a_direct_call_processes_every_key_and_returns_200(stack: Stack) -> None:
    stack.upload("call/one", UPLOADED)  # without a suffix it starts nothing by itself
    stack.upload("call/two", png(quadrants(60, 40)))
    assert stack.invoke({"bucket": stack.source, "keys": ["call/one", "call/two"]})["statusCode"] == 200
    for key in ("call/one", "call/two"):
        assert stack.keys_of(key) == stack.expected_keys(key)


def test_a_direct_call_returns_500_if_an_image_cannot_be_moved_and_processes_the_others(stack: Stack) -> None:
    stack.upload("mixed/bad", b"not an image")
    stack.upload("mixed/good", UPLOADED)
    answer = stack.invoke({"bucket": stack.source, "keys": ["mixed/bad", "mixed/good", "mixed/missing"]})
    assert answer == {"statusCode": 500, "body": "Error moving image"}
    assert stack.keys_of("mixed/") == stack.expected_keys("mixed/good")
    records = {key: stack.failure_record(key) for key in ("mixed/bad", "mixed/missing")}
    for key, record in records.items():
        assert record["requestPayload"] == {"bucket": stack.source, "keys": [key]}
    assert "does not exist" in records["mixed/missing"]["reason"]


def test_a_direct_call_cannot_reach_other_buckets(stack: Stack) -> None:
    stack.s3.create_bucket(Bucket="of-somebody-else")
    stack.s3.put_object(Bucket="of-somebody-else", Key="private.jpg", Body=UPLOADED)
    answer = stack.invoke({"bucket": "of-somebody-else", "keys": ["private.jpg"]})
    assert answer == {"statusCode": 500, "body": "Error moving image"}
    assert "AccessDenied" in stack.failure_record("private.jpg")["reason"]
    assert stack.keys_of("private.jpg") == set()


def test_a_rendition_is_never_taken_for_an_upload(stack: Stack) -> None:
    stack.upload("loop/a.jpg", UPLOADED)
    stack.renditions("loop/a.jpg")
    answer = stack.invoke({"bucket": stack.destination, "keys": ["resized/loop/a.jpg"]})
    assert answer == {"statusCode": 500, "body": "Error moving image"}
    assert stack.failure_record("resized/loop/a.jpg")["responsePayload"]["errorType"] == "SourceInDestinationError"
    assert stack.keys_of("loop/a.jpg") == stack.expected_keys("loop/a.jpg")


def test_the_test_event_of_s3_is_a_success(stack: Stack) -> None:
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": stack.source}
    assert stack.invoke(event)["statusCode"] == 200


def test_an_unknown_event_raises_an_error_with_the_expected_kinds(stack: Stack) -> None:
    answer: dict[str, Any] = stack.lambda_.invoke(FunctionName=stack.function, Payload=json.dumps({"hello": 1}))
    assert answer["FunctionError"]
    assert "but received an object with hello" in json.loads(answer["Payload"].read())["errorMessage"]

"""The messages of the failure queues: records of the function and of Lambda, and undelivered events."""

import json

import pytest

from tests import ROOT
from toolbox.aws.failure_records import read_record

EVENTS = ROOT / "events"
KEY = "Lighthouse at dusk.JPG"


def test_a_record_of_the_function_says_the_reason_and_that_no_retry_can_succeed() -> None:
    record = read_record(
        json.dumps(
            {
                "requestContext": {"condition": "Rejected"},
                "requestPayload": {"bucket": "b", "keys": ["a.jpg"]},
                "responsePayload": {
                    "errorType": "UnsupportedImageError",
                    "errorMessage": "its 3 bytes are not an image",
                },
            }
        )
    )
    assert ([source.ref.key for source in record.sources], record.is_rejected) == (["a.jpg"], True)
    assert (record.error_type, record.reason) == ("UnsupportedImageError", "its 3 bytes are not an image")


def test_a_record_of_lambda_says_its_condition_if_the_function_returned_nothing() -> None:
    event = json.loads((EVENTS / "s3-put.json").read_text())
    record = read_record(json.dumps({"requestContext": {"condition": "EventAgeExceeded"}, "requestPayload": event}))
    assert [source.ref.key for source in record.sources] == [KEY]
    assert (record.reason, record.is_rejected, record.event) == ("EventAgeExceeded", False, event)


@pytest.mark.parametrize("name", ["s3-put", "event-bridge"])
def test_an_event_that_could_not_be_delivered_is_a_record_of_itself(name: str) -> None:
    event = json.loads((EVENTS / f"{name}.json").read_text())
    record = read_record(json.dumps(event))
    assert ([source.ref.key for source in record.sources], record.event) == ([KEY], event)
    assert (record.is_rejected, "the log says why" in record.reason) == (False, True)


@pytest.mark.parametrize("body", ["hello", "7", "[]", "{}", '{"Records": []}', '{"Records": [{"s3": {}}]}'])
def test_any_other_message_is_no_record(body: str) -> None:
    record = read_record(body)
    assert (record.sources, record.event, record.reason) == ([], None, "not a failure record")

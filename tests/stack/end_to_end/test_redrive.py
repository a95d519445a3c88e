"""`image-scaler redrive` prints the failure queue and sends its events to the function again."""

import json

import pytest
from typer.testing import CliRunner, Result

from tests.stack.end_to_end.stack import Stack
from tests.support.drawing import jpeg, photo
from toolbox.cli import main

UPLOADED = jpeg(photo(300, 200))


@pytest.fixture
def queue(stack: Stack) -> str:
    """A queue for these tests only."""
    url: str = stack.sqs.create_queue(QueueName="to-redrive")["QueueUrl"]
    stack.sqs.purge_queue(QueueUrl=url)
    return url


def failed(stack: Stack, queue: str, key: str) -> None:
    """Put a failure record into the queue, of an upload that now succeeds."""
    stack.upload(key, UPLOADED)
    record = {
        "requestContext": {"condition": "RetriesExhausted"},
        "requestPayload": {"bucket": stack.source, "keys": [key]},
        "responsePayload": {"errorMessage": f"cannot write {key}"},
    }
    stack.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(record))


def messages(stack: Stack, queue: str) -> list[str]:
    answer = stack.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in answer.get("Messages", [])]


def redrive(stack: Stack, queue: str, *options: str, function: str | None = None) -> Result:
    environment = stack.env | {"FAILURE_QUEUE_URL": queue, "FUNCTION_NAME": function or stack.function}
    del environment["REJECTED_QUEUE_URL"]
    return CliRunner().invoke(main, ["redrive", *options], env=environment)


def test_it_prints_failures_with_their_reasons_and_keeps_the_records(stack: Stack, queue: str) -> None:
    failed(stack, queue, "redrive/shown")
    shown = redrive(stack, queue)
    assert shown.exit_code == 0, shown.output
    for text in (f"s3://{stack.source}/redrive/shown", "cannot write redrive/shown", "would be sent"):
        assert text in shown.output
    assert len(messages(stack, queue)) == 1
    assert stack.keys_of("redrive/shown") == set()


def test_with_send_the_function_receives_the_event_again_and_the_record_is_deleted(stack: Stack, queue: str) -> None:
    failed(stack, queue, "redrive/one")
    failed(stack, queue, "redrive/two")
    assert redrive(stack, queue, "--send").exit_code == 0
    assert messages(stack, queue) == []
    for key in ("redrive/one", "redrive/two"):
        assert stack.renditions(key)[f"resized/{key}"]["Body"] == UPLOADED


def test_rejected_records_can_be_deleted_while_failed_ones_are_sent(stack: Stack, queue: str) -> None:
    failed(stack, queue, "redrive/failed")
    rejected = {
        "requestContext": {"condition": "Rejected"},
        "requestPayload": {"bucket": stack.source, "keys": ["redrive/text.jpg"]},
        "responsePayload": {"errorMessage": "its 5 bytes are not an image"},
    }
    other: str = stack.sqs.create_queue(QueueName="rejected-to-redrive")["QueueUrl"]
    stack.sqs.send_message(QueueUrl=other, MessageBody=json.dumps(rejected))
    shown = redrive(stack, queue, f"--rejected-queue-url={other}")
    assert [" ".join(line.split()[1:2]) for line in shown.output.splitlines()[1:]] == ["failed", "rejected"]
    run = redrive(stack, queue, f"--rejected-queue-url={other}", "--send", "--discard-rejected")
    assert run.exit_code == 0, run.output
    assert (messages(stack, queue), messages(stack, other)) == ([], [])
    assert "redrive/failed" in "".join(stack.renditions("redrive/failed"))
    assert stack.keys_of("redrive/text.jpg") == set()


def test_it_reads_no_more_records_than_max(stack: Stack, queue: str) -> None:
    for number in range(3):
        failed(stack, queue, f"redrive/max-{number}")
    assert redrive(stack, queue, "--send", "--max=2").exit_code == 0
    assert len(messages(stack, queue)) == 1


def test_a_record_stays_if_the_function_does_not_accept_its_event(stack: Stack, queue: str) -> None:
    failed(stack, queue, "redrive/kept")
    run = redrive(stack, queue, "--send", function="no-such-function")
    assert run.exit_code == 2
    assert len(messages(stack, queue)) == 1


def test_a_message_that_is_not_a_failure_record_stays_in_the_queue(stack: Stack, queue: str) -> None:
    stack.sqs.send_message(QueueUrl=queue, MessageBody="hello")
    failed(stack, queue, "redrive/beside")
    run = redrive(stack, queue, "--send")
    assert run.exit_code == 1
    assert "not a failure record" in run.output
    assert messages(stack, queue) == ["hello"]


def test_it_says_that_the_queue_is_empty(stack: Stack, queue: str) -> None:
    assert "No upload has failed or was rejected" in redrive(stack, queue).output


def test_a_missing_queue_is_an_error(stack: Stack) -> None:
    run = redrive(stack, f"{stack.env['AWS_ENDPOINT_URL']}/1/none")
    assert run.exit_code == 2
    assert f"cannot read {stack.env['AWS_ENDPOINT_URL']}/1/none" in run.output


def test_the_stage_alone_is_enough(stack: Stack) -> None:
    environment = {name: value for name, value in stack.env.items() if name.startswith("AWS_")}
    nothing = CliRunner().invoke(main, ["redrive"], env=environment)
    assert (nothing.exit_code, "no stack given" in nothing.output) == (2, True)
    for command in (["redrive"], ["plan", "--prefix=nothing/"]):
        done = CliRunner().invoke(main, [*command, "--stage=local"], env=environment | {"AWS_DEFAULT_REGION": None})
        assert done.exit_code in (0, 1), done.output
    missing = CliRunner().invoke(main, ["redrive", "--stage=prod"], env=environment)
    assert missing.exit_code == 2
    assert "cannot read the outputs of the stack image-scaler-prod in us-east-1" in missing.output

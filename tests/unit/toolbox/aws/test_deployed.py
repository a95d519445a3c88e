"""What the commands know of a deployed stack, and which uploads invoke its function."""

import threading
from collections.abc import Iterator, Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest

from toolbox.aws.deployed import find_stack
from toolbox.aws.errors import CallError
from toolbox.stack import source_filter

OUTPUTS = {
    "SourceBucketName": "source",
    "DestinationBucketName": "destination",
    "FailureQueueUrl": "https://queue/failed",
    "RejectedQueueUrl": "https://queue/rejected",
    "FunctionName": "resize",
}


class CloudFormation(BaseHTTPRequestHandler):
    """Describes one stack: the smallest part of the real API."""

    outputs: Mapping[str, str]

    def do_POST(self) -> None:
        members = "".join(
            f"<member><OutputKey>{key}</OutputKey><OutputValue>{escape(value)}</OutputValue></member>"
            for key, value in self.outputs.items()
        )
        stack = f"<member><StackName>image-scaler-dev</StackName><Outputs>{members}</Outputs></member>"
        result = f"<DescribeStacksResult><Stacks>{stack}</Stacks></DescribeStacksResult>"
        body = f"<DescribeStacksResponse>{result}</DescribeStacksResponse>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """A session whose CloudFormation is on this machine."""
    with HTTPServer(("127.0.0.1", 0), CloudFormation) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield boto3.Session("testing", "testing", region_name="us-east-1")
        server.shutdown()
        thread.join()


def deploy(**outputs: str) -> None:
    CloudFormation.outputs = outputs


def test_s3_delivers_suffixes_in_lower_and_upper_case_and_capitalised() -> None:
    is_source = source_filter("s3")
    keys = ("a/photo.jpg", "a/photo.JPG", "a/photo.Jpg", "a/photo.jPG", "a/notes.txt", "a/jpg", "a/photo.jpg/")
    assert [key for key in keys if is_source(key)] == list(keys[:3])


def test_eventbridge_delivers_suffixes_in_any_case() -> None:
    is_source = source_filter("eventbridge")
    keys = ("a/photo.jpg", "a/photo.JPG", "a/photo.Jpg", "a/photo.jPG", "a/notes.txt", "a/jpg", "a/photo.jpg/")
    assert [key for key in keys if is_source(key)] == list(keys[:4])


@pytest.mark.parametrize("delivery", ["s3", "eventbridge"])
def test_a_stack_knows_how_uploads_reach_its_function(session: boto3.Session, delivery: str) -> None:
    deploy(**OUTPUTS, Delivery=delivery)
    found = find_stack("dev", session)
    assert (found.source_bucket, found.function, found.delivery) == ("source", "resize", delivery)


def test_a_stack_that_does_not_say_its_delivery_has_the_default(session: boto3.Session) -> None:
    deploy(**OUTPUTS)
    assert find_stack("dev", session).delivery == "s3"


def test_a_stack_without_one_of_its_outputs_must_be_deployed_again(session: boto3.Session) -> None:
    deploy(**{name: value for name, value in OUTPUTS.items() if name != "FunctionName"})
    with pytest.raises(CallError, match="the stack image-scaler-dev has no output 'FunctionName': deploy it again"):
        find_stack("dev", session)

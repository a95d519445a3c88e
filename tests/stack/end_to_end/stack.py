"""The deployed stack as its users see it: two buckets, a queue and a function."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import unquote_plus

import boto3
import pytest

from image_scaler.recipe_file import load_recipe
from image_scaler.renditions.keys import MANIFEST_FOLDER, REJECTION_FOLDER
from toolbox.aws.failure_records import take
from toolbox.local.aws import ACCOUNT, LocalAws
from toolbox.stack import ROOT

DEADLINE_SECONDS = 90

T = TypeVar("T")


class Stack:
    """Our stack on the local AWS, used with the rights of the root user."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.env = aws.env
        self.source = aws.env["SOURCE_BUCKET"]
        self.destination = aws.env["DESTINATION_BUCKET"]
        self.function = aws.env["FUNCTION_NAME"]
        self.failure_queue_url = aws.env["FAILURE_QUEUE_URL"]
        self.rejected_queue_url = aws.env["REJECTED_QUEUE_URL"]
        self._records: list[dict[str, Any]] = []

    @cached_property
    def s3(self) -> Any:
        return self.aws.client("s3")

    @cached_property
    def sqs(self) -> Any:
        return self.aws.client("sqs")

    @cached_property
    def lambda_(self) -> Any:
        return self.aws.client("lambda")

    @cached_property
    def logs(self) -> Any:
        return self.aws.client("logs")

    @cached_property
    def function_role(self) -> boto3.Session:
        """A session with the rights of the function's own role."""
        role = self.lambda_.get_function(FunctionName=self.function)["Configuration"]["Role"]
        assert role.startswith(f"arn:aws:iam::{ACCOUNT}:role/")
        answer = self.aws.client("sts").assume_role(RoleArn=role, RoleSessionName="test")
        return boto3.Session(
            answer["Credentials"]["AccessKeyId"],
            answer["Credentials"]["SecretAccessKey"],
            answer["Credentials"]["SessionToken"],
            region_name=self.env["AWS_REGION"],
        )

    def client_of_function(self, service: str) -> Any:
        return self.function_role.client(service, endpoint_url=self.env["AWS_ENDPOINT_URL"])  # type: ignore[call-overload]

    def upload(self, key: str, body: bytes, **options: Any) -> None:
        self.s3.put_object(Bucket=self.source, Key=key, Body=body, **options)

    def expected_keys(self, key: str) -> set[str]:
        """The destination keys of a source's renditions and its manifest."""
        return set(load_recipe(ROOT / "renditions.toml").plan_for(key).keys)

    def keys_of(self, key: str) -> set[str]:
        """Every destination key that has the source's key in it, except for the record of a rejection."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.destination)
        found = {entry["Key"] for page in pages for entry in page.get("Contents", []) if key in entry["Key"]}
        return {name for name in found if not name.startswith(REJECTION_FOLDER)}

    def renditions(self, key: str) -> dict[str, dict[str, Any]]:
        """Wait for all renditions of a source and its manifest; return the renditions, with their bytes as Body."""
        expected = self.expected_keys(key)
        self.eventually(lambda: expected <= self.keys_of(key), f"the renditions of {key}")
        return {name: self.read(name) for name in expected if not name.startswith(MANIFEST_FOLDER)}

    def manifest(self, key: str) -> dict[str, Any]:
        """Wait for the manifest of a source and return what it says."""
        name = f"{MANIFEST_FOLDER}{key}.json"
        self.eventually(lambda: name in self.keys_of(key), f"the manifest of {key}")
        content: dict[str, Any] = json.loads(self.read(name)["Body"])
        return content

    def read(self, destination_key: str) -> dict[str, Any]:
        answer = self.s3.get_object(Bucket=self.destination, Key=destination_key)
        return {**answer, "Body": answer["Body"].read()}

    def versions(self, destination_key: str) -> int:
        """How often an object was written."""
        answer = self.s3.list_object_versions(Bucket=self.destination, Prefix=destination_key)
        return sum(version["Key"] == destination_key for version in answer.get("Versions", []))

    def failure_records(self, key: str) -> list[dict[str, Any]]:
        """The records of a source that are in the two queues, or were when this was last asked."""
        self._records += map(json.loads, take(self.sqs, self.failure_queue_url, self.rejected_queue_url))
        return [record for record in self._records if key in keys_in(record)]

    def failure_record(self, key: str) -> dict[str, Any]:
        """Wait for a record of a source in the failure queue."""
        return self.eventually(lambda: self.failure_records(key), f"a failure record of {key}")[0]

    def invoke(self, event: object) -> Any:
        """Call the function and return its answer; it must not raise."""
        answer = self.lambda_.invoke(FunctionName=self.function, Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    def times_logged(self, *texts: str) -> int:
        """How many lines of the function's log hold all of some texts."""
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{self.function}")
        return sum(all(text in entry["message"] for text in texts) for page in pages for entry in page["events"])

    @contextmanager
    def writes_denied(self, folder: str) -> Iterator[None]:
        """Let the destination refuse renditions of the sources in a folder meanwhile."""
        policy = self.s3.get_bucket_policy(Bucket=self.destination)["Policy"]
        denied = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{self.destination}/*/{folder}/*",
        }
        document = json.loads(policy)
        document["Statement"].append(denied)
        self.s3.put_bucket_policy(Bucket=self.destination, Policy=json.dumps(document))
        try:
            yield
        finally:
            self.s3.put_bucket_policy(Bucket=self.destination, Policy=policy)

    def eventually(self, look: Callable[[], T], what: str) -> T:
        """Return the first result of `look` that is true; fails the test if there is none."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (found := look()):
            if time.monotonic() > deadline:
                pytest.fail(f"waited {DEADLINE_SECONDS} s for {what}; the local AWS says:\n{self.aws.log_tail()}")
            time.sleep(0.05)
        return found


def keys_in(record: dict[str, Any]) -> set[str]:
    """Return the source keys that a failure record is about, whether Lambda wrote it or the function."""
    event = record["requestPayload"]
    if "keys" in event:
        return set(event["keys"])
    return {unquote_plus(entry["s3"]["object"]["key"]) for entry in event["Records"]}

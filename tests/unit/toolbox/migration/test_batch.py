"""A job of S3 Batch Operations: what is requested, and how its report is read. No local AWS has such jobs."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from toolbox.aws.deployed import DeployedStack
from toolbox.aws.errors import CallError
from toolbox.migration.batch import BatchOperations, Status, Task
from toolbox.migration.files import Item

ROLE = "arn:aws:iam::123456789012:role/batch"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:resize"
JOB = "job-1"
REPORT = {"Enabled": True, "Prefix": "recipes/jobs/token"}


@pytest.fixture
def control(aws: boto3.Session) -> Iterator[Stubber]:
    """The responses of S3 Control; its requests are checked against the model of the service."""
    with Stubber(aws.client("s3control")) as stub:
        yield stub


@pytest.fixture
def operations(s3: Any, control: Stubber) -> BatchOperations:
    return BatchOperations(s3, control.client, FUNCTION, "source", "destination", ROLE)


def job(status: str, done: int = 0, failed: int = 0, **more: Any) -> dict[str, Any]:
    summary = {"TotalNumberOfTasks": 9, "NumberOfTasksSucceeded": done, "NumberOfTasksFailed": failed}
    return {"Job": {"JobId": JOB, "Status": status, "ProgressSummary": summary, "Report": REPORT, **more}}


def test_a_job_calls_the_function_for_each_source_of_a_list_in_the_destination(
    s3: Any, control: Stubber, operations: BatchOperations
) -> None:
    keys = ["a b+c.jpg", 'ü,"x".png']
    body = "source,a%20b%2Bc.jpg\nsource,%C3%BC%2C%22x%22.png\n"
    s3.put_object(Bucket="destination", Key="same", Body=body)
    etag = s3.head_object(Bucket="destination", Key="same")["ETag"].strip('"')
    control.add_response(
        "create_job",
        {"JobId": JOB},
        {
            "AccountId": "123456789012",
            "ConfirmationRequired": False,
            "Description": f"image-scaler apply: {FUNCTION}",
            "Operation": {"LambdaInvoke": {"FunctionArn": FUNCTION, "InvocationSchemaVersion": "2.0"}},
            "Manifest": {
                "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
                "Location": {"ObjectArn": "arn:aws:s3:::destination/recipes/jobs/token.csv", "ETag": etag},
            },
            "Report": {
                "Bucket": "arn:aws:s3:::destination",
                "Prefix": "recipes/jobs/token",
                "Format": "Report_CSV_20180820",
                "Enabled": True,
                "ReportScope": "AllTasks",
            },
            "Priority": 10,
            "RoleArn": ROLE,
            "ClientRequestToken": "token",
        },
    )
    assert operations.create([Item(key, "e", 0.0) for key in keys], "token") == JOB
    assert s3.get_object(Bucket="destination", Key="recipes/jobs/token.csv")["Body"].read().decode() == body


def test_a_job_is_followed_to_its_end(control: Stubber, operations: BatchOperations) -> None:
    for response in (job("Preparing"), job("Active", 3), job("Complete", 8, 1)):
        control.add_response("describe_job", response, {"AccountId": "123456789012", "JobId": JOB})
    pauses: list[None] = []
    assert list(operations.follow(JOB, pause=lambda: pauses.append(None))) == [
        Status("Preparing", 0, 0),
        Status("Active", 3, 0),
        Status("Complete", 8, 1),
    ]
    assert len(pauses) == 2


def test_a_job_that_fails_as_a_whole_says_why(control: Stubber, operations: BatchOperations) -> None:
    reasons = [{"FailureCode": "x", "FailureReason": "the list cannot be read"}]
    control.add_response("describe_job", job("Failed", FailureReasons=reasons))
    with pytest.raises(CallError, match="job-1 of S3 Batch Operations is failed: the list cannot be read"):
        list(operations.follow(JOB))


def test_the_report_says_what_happened_to_each_source(s3: Any, control: Stubber, operations: BatchOperations) -> None:
    control.add_response("describe_job", job("Complete"))
    rows = (
        '"source","a%20b%2Bc.jpg","","succeeded","","200","resized/a b+c.jpg"\n'
        '"source","bad.jpg","","failed","PermanentFailure","200","not an image, or damaged"\n'
        '"source","later.jpg","","failed","TemporaryFailure","200","S3 throttles"\n'
    )
    s3.put_object(Bucket="destination", Key="recipes/jobs/token/job-job-1/results/1.csv", Body=rows)
    manifest = {"Results": [{"Bucket": "destination", "Key": "recipes/jobs/token/job-job-1/results/1.csv"}]}
    s3.put_object(Bucket="destination", Key="recipes/jobs/token/job-job-1/manifest.json", Body=json.dumps(manifest))
    assert list(operations.report(JOB)) == [
        Task("a b+c.jpg", True, "", "resized/a b+c.jpg"),
        Task("bad.jpg", False, "PermanentFailure", "not an image, or damaged"),
        Task("later.jpg", False, "TemporaryFailure", "S3 throttles"),
    ]


def test_a_missing_report_is_an_error(control: Stubber, operations: BatchOperations) -> None:
    control.add_response("describe_job", job("Complete"))
    with pytest.raises(CallError, match="cannot read the report of the job job-1"):
        list(operations.report(JOB))


def test_a_stack_without_the_role_has_no_jobs() -> None:
    with pytest.raises(CallError, match="deploy it with batchOperations: true"):
        BatchOperations.connect(boto3.Session(), DeployedStack("s", "d", "q", "r", "f"))

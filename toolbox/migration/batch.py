"""`apply --via batch`: an S3 Batch Operations job calls the function for each source, while nobody watches."""

import csv
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote, unquote_plus

import boto3

from image_scaler.renditions.keys import RECIPE_FOLDER
from toolbox.aws.deployed import DeployedStack
from toolbox.aws.errors import CallError, call_errors
from toolbox.migration.files import Item

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3control import S3ControlClient

JOB_FOLDER = f"{RECIPE_FOLDER}jobs/"
"""Where the lists and the reports of jobs are, in the destination bucket."""
ENDED = ("Complete", "Failed", "Cancelled")


class Task(NamedTuple):
    """A line of a job's report."""

    key: str
    is_done: bool
    code: str
    """`PermanentFailure` if no retry can succeed."""
    reason: str


class Status(NamedTuple):
    """How far a job is."""

    name: str
    done: int
    failed: int


@dataclass(frozen=True)
class BatchOperations:
    """The jobs of one function."""

    s3: "S3Client"
    control: "S3ControlClient"
    function_arn: str
    source_bucket: str
    destination_bucket: str
    role: str
    """The ARN of the role that the stack makes with batchOperations: true."""

    @classmethod
    def connect(cls, session: boto3.Session, deployed: DeployedStack) -> Self:
        """Return the jobs of a stack's function; raises CallError, also if the stack has no role for them."""
        if deployed.batch_role is None:
            raise CallError(
                "the stack has no role for S3 Batch Operations: deploy it with batchOperations: true, and use --stage"
            )
        with call_errors("create clients for AWS"):
            s3, control, functions = session.client("s3"), session.client("s3control"), session.client("lambda")
        with call_errors(f"read the settings of {deployed.function}"):
            arn = functions.get_function_configuration(FunctionName=deployed.function)["FunctionArn"]
        return cls(s3, control, arn, deployed.source_bucket, deployed.destination_bucket, deployed.batch_role)

    @property
    def _account(self) -> str:
        return self.role.split(":")[4]

    def create(self, items: Iterable[Item], token: str) -> str:
        """Create a job that processes sources; return its id. The same token never creates a second job."""
        key = f"{JOB_FOLDER}{token}.csv"
        address = f"s3://{self.destination_bucket}/{key}"
        with tempfile.TemporaryFile() as file:
            # Keys are URL-encoded, as S3 expects it, which leaves nothing to quote.
            file.writelines(f"{self.source_bucket},{quote(item.key)}\n".encode() for item in items)
            file.seek(0)
            with call_errors(f"write {address}"):
                self.s3.upload_fileobj(file, self.destination_bucket, key)
                etag = self.s3.head_object(Bucket=self.destination_bucket, Key=key)["ETag"].strip('"')
        partition = self.role.split(":")[1]
        with call_errors("create a job of S3 Batch Operations"):
            bucket = f"arn:{partition}:s3:::{self.destination_bucket}"
            return self.control.create_job(
                AccountId=self._account,
                ConfirmationRequired=False,
                Description=f"image-scaler apply: {self.function_arn}",
                Operation={"LambdaInvoke": {"FunctionArn": self.function_arn, "InvocationSchemaVersion": "2.0"}},
                Manifest={
                    "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
                    "Location": {"ObjectArn": f"{bucket}/{key}", "ETag": etag},
                },
                Report={
                    "Bucket": bucket,
                    "Prefix": f"{JOB_FOLDER}{token}",
                    "Format": "Report_CSV_20180820",
                    "Enabled": True,
                    "ReportScope": "AllTasks",
                },
                Priority=10,
                RoleArn=self.role,
                ClientRequestToken=token,
            )["JobId"]

    def follow(self, job: str, pause: Callable[[], None] = lambda: time.sleep(10)) -> Iterator[Status]:
        """Yield how far a job is, until it ends; raises CallError if it fails as a whole."""
        while True:
            found = self._describe(job)
            progress = found.get("ProgressSummary", {})
            status = Status(
                found["Status"], progress.get("NumberOfTasksSucceeded", 0), progress.get("NumberOfTasksFailed", 0)
            )
            yield status
            if status.name in ENDED:
                break
            pause()
        if status.name != "Complete" and not status.done and not status.failed:
            reasons = "; ".join(reason.get("FailureReason", "") for reason in found.get("FailureReasons", []))
            raise CallError(f"the job {job} of S3 Batch Operations is {status.name.lower()}: {reasons or 'no reason'}")

    def report(self, job: str) -> Iterator[Task]:
        """Yield what happened to each source; raises CallError if there is no report."""
        with call_errors(f"read the report of the job {job}"):
            prefix = self._describe(job)["Report"]["Prefix"]
            manifest = self._read(f"{prefix}/job-{job}/manifest.json")
            for part in json.loads(manifest)["Results"]:
                body = self._read(part["Key"]).decode()
                for _bucket, key, _version, state, code, _http, message in csv.reader(io.StringIO(body, newline="")):
                    yield Task(unquote_plus(key), state == "succeeded", code, message)

    def _read(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.destination_bucket, Key=key)["Body"].read()

    def _describe(self, job: str) -> Any:
        with call_errors(f"look at the job {job}"):
            return self.control.describe_job(AccountId=self._account, JobId=job)["Job"]

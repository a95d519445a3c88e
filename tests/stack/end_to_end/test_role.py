"""The rights of the function's role, tried one by one with its own credentials: least privilege."""

import http.client
import urllib.parse
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.stack.end_to_end.stack import Stack

OTHER = "not-ours"
SOURCE_KEY, DESTINATION_KEY = "rights/a b+c.txt", "resized/rights/there.txt"


@dataclass(frozen=True)
class AsFunction:
    """Clients with the permissions of the role, and names for their requests."""

    stack: Stack
    s3: Any
    sqs: Any
    source: str
    destination: str
    queue: str
    other_queue: str
    version: str
    """Of the source."""

    def client(self, service: str) -> Any:
        return self.stack.client_of_function(service)

    def put(self, key: str, bucket: str | None = None, **options: Any) -> object:
        return self.s3.put_object(Bucket=bucket or self.destination, Key=key, Body=b"x", **options)

    def copy(self, bucket: str, key: str, to: str) -> object:
        return self.s3.copy_object(CopySource={"Bucket": bucket, "Key": key}, Bucket=self.destination, Key=to)

    def copy_in_parts(self) -> object:
        where = {"Bucket": self.destination, "Key": "resized/rights/parts.txt"}
        upload = self.s3.create_multipart_upload(**where)["UploadId"]
        source = {"Bucket": self.source, "Key": SOURCE_KEY}
        part = self.s3.upload_part_copy(**where, UploadId=upload, PartNumber=1, CopySource=source)
        parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
        return self.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    def abort_parts(self) -> object:
        where = {"Bucket": self.destination, "Key": "web-640/rights/parts.txt"}
        return self.s3.abort_multipart_upload(**where, UploadId=self.s3.create_multipart_upload(**where)["UploadId"])


@pytest.fixture(scope="module")
def function(stack: Stack) -> AsFunction:
    stack.s3.create_bucket(Bucket=OTHER)
    for bucket, key in ((stack.source, SOURCE_KEY), (stack.destination, DESTINATION_KEY), (OTHER, "a.jpg")):
        stack.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    return AsFunction(
        stack,
        stack.client_of_function("s3"),
        stack.client_of_function("sqs"),
        stack.source,
        stack.destination,
        stack.failure_queue_url,
        stack.sqs.create_queue(QueueName=OTHER)["QueueUrl"],
        stack.s3.head_object(Bucket=stack.source, Key=SOURCE_KEY)["VersionId"],
    )


Call = Callable[[AsFunction], object]

ALLOWED: dict[str, Call] = {
    "read a source": lambda f: f.s3.get_object(Bucket=f.source, Key=SOURCE_KEY),
    "look at a source": lambda f: f.s3.head_object(Bucket=f.source, Key=SOURCE_KEY),
    "list the sources": lambda f: f.s3.list_objects_v2(Bucket=f.source),
    "write to resized": lambda f: f.put("resized/rights/a b+c.txt"),
    "write to thumbnail": lambda f: f.put("thumbnail/rights/a.webp"),
    "write to a width of the ladder": lambda f: f.put("web-1920/rights/a.avif"),
    "write a manifest": lambda f: f.put("manifests/rights/a.jpg.json"),
    "write only what is new": lambda f: f.put("resized/rights/new.txt", IfNoneMatch="*"),
    "copy a source to resized": lambda f: f.copy(f.source, SOURCE_KEY, "resized/rights/copy.txt"),
    "copy a source in parts": AsFunction.copy_in_parts,
    "give up a copy in parts": AsFunction.abort_parts,
    "send a failure record": lambda f: f.sqs.send_message(QueueUrl=f.queue, MessageBody=RECORD),
    "send the record of a rejected upload": lambda f: f.sqs.send_message(
        QueueUrl=f.stack.rejected_queue_url, MessageBody=RECORD
    ),
    "read a rendition": lambda f: f.s3.get_object(Bucket=f.destination, Key=DESTINATION_KEY),
    "look at a rendition": lambda f: f.s3.head_object(Bucket=f.destination, Key=DESTINATION_KEY),
    "list the renditions": lambda f: f.s3.list_objects_v2(Bucket=f.destination),
    "copy a source without its tags": lambda f: f.s3.copy_object(
        CopySource={"Bucket": f.source, "Key": SOURCE_KEY},
        Bucket=f.destination,
        Key="resized/rights/bare.txt",
        TaggingDirective="REPLACE",
    ),
    "copy a rendition": lambda f: f.copy(f.destination, DESTINATION_KEY, "resized/rights/again.txt"),
}

DENIED: dict[str, Call] = {
    "read what is no rendition": lambda f: f.s3.get_object(Bucket=f.destination, Key="other/a.jpg"),
    "write a source": lambda f: f.put("a.jpg", f.source),
    "delete a source": lambda f: f.s3.delete_object(Bucket=f.source, Key=SOURCE_KEY),
    "copy a source within its bucket": lambda f: f.s3.copy_object(
        CopySource={"Bucket": f.source, "Key": SOURCE_KEY}, Bucket=f.source, Key="resized/a.jpg"
    ),
    "read the ACL of a source": lambda f: f.s3.get_object_acl(Bucket=f.source, Key=SOURCE_KEY),
    "tag a source": lambda f: f.s3.put_object_tagging(Bucket=f.source, Key=SOURCE_KEY, Tagging={"TagSet": []}),
    "read the tags of a source": lambda f: f.s3.get_object_tagging(Bucket=f.source, Key=SOURCE_KEY),
    "tag a rendition": lambda f: f.s3.put_object_tagging(
        Bucket=f.destination, Key=DESTINATION_KEY, Tagging={"TagSet": []}
    ),
    "read an older version of a source": lambda f: f.s3.get_object(
        Bucket=f.source, Key=SOURCE_KEY, VersionId=f.version
    ),
    "list the versions of the sources": lambda f: f.s3.list_object_versions(Bucket=f.source),
    "delete a version of a source": lambda f: f.s3.delete_object(Bucket=f.source, Key=SOURCE_KEY, VersionId=f.version),
    "delete a version of a rendition": lambda f: f.s3.delete_object(
        Bucket=f.destination, Key=DESTINATION_KEY, VersionId=f.version
    ),
    "change the ACL of a rendition": lambda f: f.s3.put_object_acl(
        Bucket=f.destination, Key=DESTINATION_KEY, ACL="public-read"
    ),
    "list the uploads in parts": lambda f: f.s3.list_multipart_uploads(Bucket=f.destination),
    "let the public in": lambda f: f.s3.delete_public_access_block(Bucket=f.destination),
    "change a bucket's lifecycle": lambda f: f.s3.delete_bucket_lifecycle(Bucket=f.source),
    "read a bucket's policy": lambda f: f.s3.get_bucket_policy(Bucket=f.source),
    "delete a rendition": lambda f: f.s3.delete_object(Bucket=f.destination, Key=DESTINATION_KEY),
    "write to the destination's top": lambda f: f.put("a.jpg"),
    "write to another folder": lambda f: f.put("other/a.jpg"),
    "write to a folder that is no width of the ladder": lambda f: f.put("web/a.jpg"),
    "write to a folder whose name only starts alike": lambda f: f.put("resized-2/a.jpg"),
    "copy to another folder": lambda f: f.copy(f.source, SOURCE_KEY, "other/a.jpg"),
    "start parts in another folder": lambda f: f.s3.create_multipart_upload(Bucket=f.destination, Key="other/a.jpg"),
    "read another bucket": lambda f: f.s3.get_object(Bucket=OTHER, Key="a.jpg"),
    "write to another bucket": lambda f: f.put("resized/a.jpg", OTHER),
    "copy from another bucket": lambda f: f.copy(OTHER, "a.jpg", "resized/rights/stolen.txt"),
    "list the buckets": lambda f: f.s3.list_buckets(),
    "create a bucket": lambda f: f.s3.create_bucket(Bucket="brand-new"),
    "delete a bucket": lambda f: f.s3.delete_bucket(Bucket=f.destination),
    "change a bucket's policy": lambda f: f.s3.put_bucket_policy(Bucket=f.destination, Policy="{}"),
    "delete a bucket's policy": lambda f: f.s3.delete_bucket_policy(Bucket=f.source),
    "change a bucket's notifications": lambda f: f.s3.put_bucket_notification_configuration(
        Bucket=f.source, NotificationConfiguration={}
    ),
    "stop a bucket's versioning": lambda f: f.s3.put_bucket_versioning(
        Bucket=f.source, VersioningConfiguration={"Status": "Suspended"}
    ),
    "read the failure queue": lambda f: f.sqs.receive_message(QueueUrl=f.queue),
    "empty the failure queue": lambda f: f.sqs.purge_queue(QueueUrl=f.queue),
    "send to another queue": lambda f: f.sqs.send_message(QueueUrl=f.other_queue, MessageBody="x"),
    "list the queues": lambda f: f.sqs.list_queues(),
    "invoke itself": lambda f: f.client("lambda").invoke(FunctionName=f.stack.function, Payload="{}"),
    "change its own code": lambda f: f.client("lambda").update_function_code(
        FunctionName=f.stack.function, ZipFile=b"x"
    ),
    "change its own role": lambda f: f.client("iam").put_role_policy(
        RoleName="image-scaler-local-us-east-1-lambdaRole", PolicyName="more", PolicyDocument="{}"
    ),
    "list users": lambda f: f.client("iam").list_users(),
    "read parameters": lambda f: f.client("ssm").get_parameter(Name="secret"),
    "read the logs": lambda f: f.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{f.stack.function}"),
}

RECORD = '{"requestPayload": {"bucket": "b", "keys": []}}'


@pytest.mark.parametrize("call", ALLOWED.values(), ids=ALLOWED)
def test_the_function_may(function: AsFunction, call: Call) -> None:
    call(function)


@pytest.mark.parametrize("call", DENIED.values(), ids=DENIED)
def test_the_function_may_not(function: AsFunction, call: Call) -> None:
    with pytest.raises(ClientError) as error:
        call(function)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    assert error.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "403")


def test_a_wrong_secret_opens_nothing(stack: Stack, function: AsFunction) -> None:
    credentials = stack.function_role.get_credentials()
    assert credentials
    session = boto3.Session(credentials.access_key, "x" * 40, credentials.token, region_name=stack.env["AWS_REGION"])
    s3 = session.client("s3", endpoint_url=stack.env["AWS_ENDPOINT_URL"])
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3.get_object(Bucket=function.source, Key=SOURCE_KEY)


@pytest.mark.parametrize("bucket", ["source", "destination"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_request_without_credentials_is_denied(stack: Stack, function: AsFunction, bucket: str, method: str) -> None:
    # That a request without TLS is refused, the test of the template holds: the local AWS speaks nothing else, and
    # counts what comes from this machine as if it did.
    names = {"source": (function.source, SOURCE_KEY), "destination": (function.destination, DESTINATION_KEY)}
    name, key = names[bucket]
    address = urllib.parse.urlsplit(stack.env["AWS_ENDPOINT_URL"])
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    with closing(connection):
        connection.request(method, "/" + urllib.parse.quote(f"{name}/{key}"), body=b"x" if method == "PUT" else None)
        assert connection.getresponse().status == 403

"""S3Store: objects in Amazon S3. With sqs, the only module that uses boto3."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from image_scaler.exceptions import ObjectNotFoundError, PreconditionFailedError, StorageError
from image_scaler.storage.base import Head, ObjectRef, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLIENT_CONFIG = Config(
    # Three tries: with the pauses between them, and the body after the last, the slowest request that can be ends
    # within the function's minute, and leaves it the time to end by itself.
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=3,
    read_timeout=10,
    max_pool_connections=10,
)

CALL_ERRORS = (ClientError, BotoCoreError, ResponseParserError, HTTPError, OSError)
"""What a call may raise. The last three botocore lets through: an answer that arrived garbled, and a connection that
broke in the middle of a body."""

COPY_LIMIT = 5 * 1024**3
"""The largest object in bytes that S3 copies in one request; larger ones are copied in parts."""

_KEPT_BY_COPY = {"ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "Metadata"}
"""What a copy in parts must be told to store beside the content; in one request S3 does it by itself."""

_ERRORS = {
    "NoSuchKey": ObjectNotFoundError,
    "404": ObjectNotFoundError,
    "PreconditionFailed": PreconditionFailedError,
    "412": PreconditionFailedError,
    # Another write of this key went on meanwhile: look at it again, as after a 412.
    "ConditionalRequestConflict": PreconditionFailedError,
}
"""Our errors by S3's codes. All others are StorageErrors: what is not known to be final may be mended."""


class S3Store:
    """Objects in Amazon S3.

    `owners` holds the accounts that buckets belong to: S3 refuses a call to one of these where its name has come
    into other hands. A bucket that is not in there may be anybody's.
    """

    def __init__(
        self,
        client: "S3Client | None" = None,
        *,
        owners: Mapping[str, str] | None = None,
        copy_limit: int = COPY_LIMIT,
    ) -> None:
        self._client: S3Client = client or boto3.client("s3", config=CLIENT_CONFIG)
        self._owners = owners or {}
        self._copy_limit = copy_limit

    def head(self, ref: ObjectRef) -> Head:
        """Return what is stored beside the content; see ObjectStore.head."""
        with _translated(f"look at {ref}"):
            answer = self._client.head_object(Bucket=ref.bucket, Key=ref.key, **self._owned(ref))
            return Head(**_beside(answer))

    def get(self, ref: ObjectRef, *, if_match: str | None = None) -> StoredObject:
        """Return the object; see ObjectStore.get."""
        options = self._owned(ref)
        if if_match:
            options["IfMatch"] = f'"{if_match}"'
        with _translated(f"read {ref}"):
            answer = self._client.get_object(Bucket=ref.bucket, Key=ref.key, **options)
            beside = _beside(answer)

        def read() -> bytes:
            with _translated(f"read {ref}"):
                return answer["Body"].read()

        return StoredObject(read=read, **beside)

    def put(
        self,
        ref: ObjectRef,
        body: bytes,
        *,
        content_type: str,
        cache_control: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Write the object; see ObjectStore.put."""
        options = self._owned(ref)
        if cache_control:
            options["CacheControl"] = cache_control
        if if_none_match:
            options["IfNoneMatch"] = "*"
        elif if_match:
            options["IfMatch"] = f'"{if_match}"'
        with _translated(f"write {ref}"):
            answer = self._client.put_object(
                Bucket=ref.bucket,
                Key=ref.key,
                Body=body,
                ContentType=content_type,
                Metadata=dict(metadata or {}),
                **options,
            )
            return answer["ETag"].strip('"')

    def delete(self, ref: ObjectRef, *, if_match: str) -> None:
        """Delete the object; see ObjectStore.delete."""
        with _translated(f"delete {ref}"):
            self._client.delete_object(Bucket=ref.bucket, Key=ref.key, IfMatch=f'"{if_match}"', **self._owned(ref))

    def copy(
        self,
        source: ObjectRef,
        destination: ObjectRef,
        *,
        if_match: str | None = None,
        size: int | None = None,
    ) -> int:
        """Copy within S3, no byte of it through here; see ObjectStore.copy.

        Above `copy_limit` it is copied in parts, for which the source is asked for what to store beside it.
        """
        # Tags stay behind: carrying them would need rights on tags in both buckets.
        options = {"TaggingDirective": "REPLACE"} | self._owned(destination)
        if if_match:
            options["CopySourceIfMatch"] = f'"{if_match}"'
        with _translated(f"copy {source} to {destination}"):
            if size is None or size > self._copy_limit:
                head = self._client.head_object(Bucket=source.bucket, Key=source.key, **self._owned(source))
                size = head["ContentLength"]
            owner = self._owners.get(source.bucket)
            if size <= self._copy_limit:
                if owner:
                    options["ExpectedSourceBucketOwner"] = owner
                self._client.copy_object(
                    CopySource={"Bucket": source.bucket, "Key": source.key},
                    Bucket=destination.bucket,
                    Key=destination.key,
                    **options,
                )
                return size
            options["MetadataDirective"] = "REPLACE"
            if owner != self._owners.get(destination.bucket):
                options.pop("ExpectedBucketOwner", None)  # boto3 would expect the source to be of that account too
            self._client.copy(
                {"Bucket": source.bucket, "Key": source.key},
                destination.bucket,
                destination.key,
                ExtraArgs=options | {name: value for name, value in head.items() if name in _KEPT_BY_COPY},
                Config=TransferConfig(multipart_threshold=self._copy_limit, multipart_chunksize=self._copy_limit // 10),
            )
            return size

    def _owned(self, ref: ObjectRef) -> dict[str, Any]:
        """Return the option that says whose the object's bucket must be; empty where that is not known."""
        owner = self._owners.get(ref.bucket)
        return {"ExpectedBucketOwner": owner} if owner else {}


def _beside(answer: Any) -> dict[str, Any]:
    """Return the fields of a Head from an answer of S3."""
    return {
        "etag": answer["ETag"].strip('"'),
        "size": answer["ContentLength"],
        "content_type": answer["ContentType"],
        "cache_control": answer.get("CacheControl"),
        "metadata": answer["Metadata"],
    }


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Turn botocore's errors into ours, with what was being done."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise _ERRORS.get(code, StorageError)(f"could not {doing}: {error}") from error
    except CALL_ERRORS as error:
        raise StorageError(f"could not {doing}: {error}") from error
    except KeyError as error:  # the connection broke in the middle of the head of the answer, which botocore takes
        raise StorageError(f"could not {doing}: the answer has no {error}") from error

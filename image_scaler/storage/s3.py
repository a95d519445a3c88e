"""S3Store: objects in Amazon S3."""

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
from image_scaler.storage.base import ObjectHead, ObjectRef, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLIENT_CONFIG = Config(
    # Three tries: with the pauses between them and the body after the last, the slowest possible request ends within
    # the function's minute, so that the function can end by itself.
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=3,
    read_timeout=10,
    max_pool_connections=10,
)

CALL_ERRORS = (ClientError, BotoCoreError, ResponseParserError, HTTPError, OSError)
"""The exceptions of a call. botocore passes the last three on: for a garbled response, and for a connection that broke
in the middle of a body."""

MAX_COPY_BYTES = 5 * 1024**3
"""The largest object in bytes that S3 copies in one request; larger ones are copied in parts."""

_COPIED_HEADERS = {
    "ContentType",
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "Metadata",
}
"""The headers that a copy in parts must repeat; a copy in one request carries them by itself."""

_ERRORS = {
    "NoSuchKey": ObjectNotFoundError,
    "404": ObjectNotFoundError,
    "PreconditionFailed": PreconditionFailedError,
    "412": PreconditionFailedError,
    # Another write of this key was in progress: look at the key again, as after a 412.
    "ConditionalRequestConflict": PreconditionFailedError,
}
"""Exceptions by S3's codes. All other codes become a StorageError, and are retried."""


class S3Store:
    """Objects in Amazon S3.

    `owners` maps buckets to their accounts: S3 refuses a call if such a bucket belongs to another account now. A bucket
    that is not in it may belong to anybody.
    """

    def __init__(
        self,
        client: "S3Client | None" = None,
        *,
        owners: Mapping[str, str] | None = None,
        max_copy_bytes: int = MAX_COPY_BYTES,
    ) -> None:
        self._client: S3Client = client or boto3.client("s3", config=CLIENT_CONFIG)
        self._owners = owners or {}
        self._max_copy_bytes = max_copy_bytes

    def head(self, ref: ObjectRef) -> ObjectHead:
        """Return the object without its content; see ObjectStore.head."""
        with _translate_errors(f"look at {ref}"):
            response = self._client.head_object(Bucket=ref.bucket, Key=ref.key, **self._owned(ref))
            return ObjectHead(**_parse_head(response))

    def get(self, ref: ObjectRef, *, if_match: str | None = None) -> StoredObject:
        """Return the object; see ObjectStore.get."""
        options = self._owned(ref)
        if if_match:
            options["IfMatch"] = f'"{if_match}"'
        with _translate_errors(f"read {ref}"):
            response = self._client.get_object(Bucket=ref.bucket, Key=ref.key, **options)
            head = _parse_head(response)

        def read() -> bytes:
            with _translate_errors(f"read {ref}"):
                return response["Body"].read()

        return StoredObject(read=read, **head)

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
        with _translate_errors(f"write {ref}"):
            response = self._client.put_object(
                Bucket=ref.bucket,
                Key=ref.key,
                Body=body,
                ContentType=content_type,
                Metadata=dict(metadata or {}),
                **options,
            )
            return response["ETag"].strip('"')

    def delete(self, ref: ObjectRef, *, if_match: str) -> None:
        """Delete the object; see ObjectStore.delete."""
        with _translate_errors(f"delete {ref}"):
            self._client.delete_object(Bucket=ref.bucket, Key=ref.key, IfMatch=f'"{if_match}"', **self._owned(ref))

    def copy(
        self,
        source: ObjectRef,
        destination: ObjectRef,
        *,
        if_match: str | None = None,
        size: int | None = None,
    ) -> int:
        """Copy within S3, without a download; see ObjectStore.copy.

        Above `max_copy_bytes` the object is copied in parts, which needs one more request for its headers.
        """
        # Tags are not copied: that would need rights on tags in both buckets.
        options = {"TaggingDirective": "REPLACE"} | self._owned(destination)
        if if_match:
            options["CopySourceIfMatch"] = f'"{if_match}"'
        with _translate_errors(f"copy {source} to {destination}"):
            if size is None or size > self._max_copy_bytes:
                head = self._client.head_object(Bucket=source.bucket, Key=source.key, **self._owned(source))
                size = head["ContentLength"]
            owner = self._owners.get(source.bucket)
            if size <= self._max_copy_bytes:
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
                options.pop("ExpectedBucketOwner", None)  # boto3 would expect it of the source, too
            self._client.copy(
                {"Bucket": source.bucket, "Key": source.key},
                destination.bucket,
                destination.key,
                ExtraArgs=options | {name: value for name, value in head.items() if name in _COPIED_HEADERS},
                Config=TransferConfig(
                    multipart_threshold=self._max_copy_bytes, multipart_chunksize=self._max_copy_bytes // 10
                ),
            )
            return size

    def _owned(self, ref: ObjectRef) -> dict[str, Any]:
        """Return the option that names the account of the object's bucket; empty if that is not known."""
        owner = self._owners.get(ref.bucket)
        return {"ExpectedBucketOwner": owner} if owner else {}


def _parse_head(response: Any) -> dict[str, Any]:
    """Return the fields of an ObjectHead from a response of S3."""
    return {
        "etag": response["ETag"].strip('"'),
        "size": response["ContentLength"],
        "content_type": response["ContentType"],
        "cache_control": response.get("CacheControl"),
        "metadata": response["Metadata"],
    }


@contextmanager
def _translate_errors(action: str) -> Iterator[None]:
    """Turn botocore's errors into ours; `action` is what cannot be done."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise _ERRORS.get(code, StorageError)(f"cannot {action}: {error}") from error
    except CALL_ERRORS as error:
        raise StorageError(f"cannot {action}: {error}") from error
    except KeyError as error:  # the connection broke in the middle of the headers, which botocore accepts
        raise StorageError(f"cannot {action}: the response has no {error}") from error

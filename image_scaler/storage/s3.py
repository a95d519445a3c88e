"""S3Store: objects in Amazon S3."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from image_scaler.exceptions import (
    AccessDeniedError,
    ArchivedObjectError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StorageError,
)
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, StoredObject

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

MAX_COPY_BYTES = 256 * 1024**2
"""The largest object in bytes that is copied in one request. S3 allows 5 GB, but responds only when all is copied.
Parts are copied in parallel, and each responds soon."""
COPY_PART_BYTES = 64 * 1024**2
"""The size of a part. The SDK makes parts larger if there would be more than 10,000."""

_HEADERS = {
    "ContentType": "content_type",
    "CacheControl": "cache_control",
    "ContentDisposition": "content_disposition",
    "ContentEncoding": "content_encoding",
    "ContentLanguage": "content_language",
    "Metadata": "metadata",
}
"""The names of ObjectHeaders in S3's requests and responses."""

_ERRORS = {
    "NoSuchKey": ObjectNotFoundError,
    "404": ObjectNotFoundError,
    "PreconditionFailed": PreconditionFailedError,
    "412": PreconditionFailedError,
    "AccessDenied": AccessDeniedError,
    "403": AccessDeniedError,
    # Another write of this key was in progress: look at the key again, as after a 412.
    "ConditionalRequestConflict": PreconditionFailedError,
    "InvalidObjectState": ArchivedObjectError,  # of GetObject
    "ObjectNotInActiveTierError": ArchivedObjectError,  # of CopyObject
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
        copy_part_bytes: int = COPY_PART_BYTES,
    ) -> None:
        self._client: S3Client = client or boto3.client("s3", config=CLIENT_CONFIG)
        # By an event, because older SDKs do not know the parameter AnnotationDirective.
        self._client.meta.events.register("before-call.s3.CopyObject", _exclude_annotations)
        copy_input: Any = self._client.meta.service_model.operation_model("CopyObject").input_shape
        self._copies_on_condition = "IfNoneMatch" in copy_input.members
        self._owners = owners or {}
        self._max_copy_bytes = max_copy_bytes
        self._copy_part_bytes = copy_part_bytes

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
        headers: ObjectHeaders,
        *,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Write the object; see ObjectStore.put."""
        options = self._owned(ref) | _header_options(headers)
        if if_none_match:
            options["IfNoneMatch"] = "*"
        elif if_match:
            options["IfMatch"] = f'"{if_match}"'
        with _translate_errors(f"write {ref}"):
            response = self._client.put_object(Bucket=ref.bucket, Key=ref.key, Body=body, **options)
            return response["ETag"].strip('"')

    def delete(self, ref: ObjectRef, *, if_match: str) -> None:
        """Delete the object; see ObjectStore.delete."""
        with _translate_errors(f"delete {ref}"):
            self._client.delete_object(Bucket=ref.bucket, Key=ref.key, IfMatch=f'"{if_match}"', **self._owned(ref))

    def copy(
        self,
        source: ObjectRef,
        destination: ObjectRef,
        headers: ObjectHeaders,
        *,
        if_match: str,
        size: int,
        overwrites: str | None,
    ) -> None:
        """Copy within S3, without a download, in parts above `max_copy_bytes`; see ObjectStore.copy.

        The source's tags and annotations are not copied: that would need permissions for them in both buckets. What the
        destination is expected to be is no condition for a copy in parts, or in an SDK that does not know that yet.
        """
        options: dict[str, Any] = {
            "CopySourceIfMatch": f'"{if_match}"',
            "MetadataDirective": "REPLACE",
            "TaggingDirective": "REPLACE",
            **_header_options(headers),
        }
        copy_source: Any = {"Bucket": source.bucket, "Key": source.key}
        owner, destination_owner = self._owners.get(source.bucket), self._owners.get(destination.bucket)
        with _translate_errors(f"copy {source} to {destination}"):
            if size <= self._max_copy_bytes:
                options |= self._owned(destination) | ({"ExpectedSourceBucketOwner": owner} if owner else {})
                if self._copies_on_condition:
                    options |= {"IfMatch": f'"{overwrites}"'} if overwrites else {"IfNoneMatch": "*"}
                self._client.copy_object(
                    CopySource=copy_source, Bucket=destination.bucket, Key=destination.key, **options
                )
                return
            if owner == destination_owner:  # otherwise boto3 would expect the owner of the destination for both
                options |= self._owned(destination)
            self._client.copy(
                copy_source,
                destination.bucket,
                destination.key,
                ExtraArgs=options,
                Config=TransferConfig(
                    multipart_threshold=self._max_copy_bytes, multipart_chunksize=self._copy_part_bytes
                ),
            )

    def list(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with a prefix; see ObjectStore.list."""
        pages = self._client.get_paginator("list_objects_v2")
        with _translate_errors(f"list {ObjectRef(bucket, prefix)}*"):
            for page in pages.paginate(Bucket=bucket, Prefix=prefix, **self._owned(ObjectRef(bucket, prefix))):
                yield from (item["Key"] for item in page.get("Contents", ()))

    def _owned(self, ref: ObjectRef) -> dict[str, Any]:
        """Return the option that names the account of the object's bucket; empty if that is not known."""
        owner = self._owners.get(ref.bucket)
        return {"ExpectedBucketOwner": owner} if owner else {}


def _header_options(headers: ObjectHeaders) -> dict[str, Any]:
    """Return the options of a request that writes an object with these headers."""
    options: dict[str, Any] = {name: value for name, field in _HEADERS.items() if (value := getattr(headers, field))}
    return options | ({"Tagging": urlencode(headers.tags)} if headers.tags else {})


def _parse_head(response: Any) -> dict[str, Any]:
    """Return the fields of an ObjectHead from a response of S3."""
    return {
        "etag": response["ETag"].strip('"'),
        "size": response["ContentLength"],
        "metadata": response["Metadata"],
        "content_type": response["ContentType"],
        "last_modified": response["LastModified"],
        **{field: response[name] for name, field in _HEADERS.items() if name in response},
    }


def _exclude_annotations(params: dict[str, Any], **_: Any) -> None:
    """Tell S3 not to copy annotations."""
    params["headers"]["x-amz-object-annotation-directive"] = "EXCLUDE"


@contextmanager
def _translate_errors(action: str) -> Iterator[None]:
    """Turn botocore's errors into ours; `action` is what cannot be done."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if _ERRORS.get(code) is ArchivedObjectError:
            raise ArchivedObjectError(f"cannot {action}: it is in an archive (Glacier); restore it first") from error
        raise _ERRORS.get(code, StorageError)(f"cannot {action}: {error}") from error
    except CALL_ERRORS as error:
        raise StorageError(f"cannot {action}: {error}") from error
    except KeyError as error:  # the connection broke in the middle of the headers, which botocore accepts
        raise StorageError(f"cannot {action}: the response has no {error}") from error

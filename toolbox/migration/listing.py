"""The objects of a bucket in the order of their keys, one page in memory at a time."""

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from image_scaler.renditions.keys import MANIFEST_SUFFIX
from toolbox.aws.errors import CallError, call_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
"""The storage classes whose objects must be restored before they can be read."""


class ListedObject(NamedTuple):
    """An object, as far as a listing tells."""

    key: str
    etag: str
    """Without quotes."""
    size: int
    """In bytes."""
    modified: datetime
    is_archived: bool = False


def list_objects(s3: "S3Client", bucket: str, prefix: str) -> Iterator[ListedObject]:
    """Yield the objects of a bucket whose keys start with a prefix; raises CallError."""
    with call_errors(f"list s3://{bucket}/{prefix}"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for stored in page.get("Contents", []):
                yield ListedObject(
                    stored["Key"],
                    stored["ETag"].strip('"'),
                    stored["Size"],
                    stored["LastModified"].astimezone(UTC),
                    stored.get("StorageClass") in ARCHIVES,
                )


def in_order(objects: Iterable[ListedObject], what: str) -> Iterator[ListedObject]:
    """Yield the objects; raises CallError if their keys do not come in order, which everything here relies on.

    S3 sorts keys by their bytes in UTF-8, which is the order of Python's strings.
    """
    last = ""
    for item in objects:
        if item.key <= last:
            raise CallError(f"{what} is not in the order of its keys: {item.key!r} follows {last!r}")
        last = item.key
        yield item


def in_manifest_order(sources: Iterable[ListedObject]) -> Iterator[ListedObject]:
    """Yield sources, which come in the order of their keys, in the order of their manifests.

    `a-b` is listed after `a`, but `a-b.json` before `a.json`. A source waits until no later key can come before it: as
    long as its key is the beginning of the current one, so that few ever wait.
    """
    waiting: list[tuple[str, ListedObject]] = []
    for source in sources:
        while waiting and waiting[0][0] < source.key:
            yield heapq.heappop(waiting)[1]
        heapq.heappush(waiting, (source.key + MANIFEST_SUFFIX, source))
    while waiting:
        yield heapq.heappop(waiting)[1]

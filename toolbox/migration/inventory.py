"""The sources from an S3 Inventory report, which a bucket of many millions has anyway."""

import csv
import gzip
import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote

from toolbox.aws.errors import CallError, call_errors
from toolbox.migration.listing import ARCHIVES, ListedObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NEEDED = ("Key", "Size", "ETag", "LastModifiedDate")
ROWS_IN_MEMORY = 200_000
"""Rows that are sorted in memory; more are sorted in files, because a report has no order."""


def list_inventory(s3: "S3Client", address: str, bucket: str, prefix: str) -> Iterator[ListedObject]:
    """Yield the objects of a report in the order of their keys.

    `address`: of its manifest.json, like s3://reports/my-uploads/all/2026-01-31T01-00Z/manifest.json. Raises CallError
    if it is no report of the bucket in CSV, or lacks a column.
    """
    at, _, key = address.removeprefix("s3://").partition("/")
    if not address.startswith("s3://") or not key:
        raise CallError(f"expected s3://bucket/.../manifest.json for --inventory but received {address!r}")
    with call_errors(f"read {address}"):
        report: Any = _json(s3.get_object(Bucket=at, Key=key)["Body"].read(), address)
    columns = [column.strip() for column in str(report.get("fileSchema", "")).split(",")]
    if report.get("fileFormat") != "CSV":
        raise CallError(f"the inventory {address} is in {report.get('fileFormat')}: only CSV can be read")
    if missing := [name for name in NEEDED if name not in columns]:
        raise CallError(f"the inventory {address} has no column {missing[0]}: it needs {', '.join(NEEDED)}")
    if report.get("sourceBucket") != bucket:
        raise CallError(f"the inventory {address} is of {report.get('sourceBucket')}, not of {bucket}")
    files = [str(file["key"]) for file in report.get("files", [])]
    yield from sort_rows(_rows(s3, at, files, columns, prefix))


def _json(body: bytes, address: str) -> Any:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise CallError(f"{address} is not the manifest.json of an inventory")
    return value


def _rows(s3: "S3Client", bucket: str, files: Sequence[str], columns: list[str], prefix: str) -> Iterator[ListedObject]:
    for file in files:
        with call_errors(f"read s3://{bucket}/{file}"), ExitStack() as stack:
            body = s3.get_object(Bucket=bucket, Key=file)["Body"]
            stack.callback(body.close)
            # Keys are URL-encoded, so that no line ends within a row.
            lines: Iterable[bytes] = gzip.GzipFile(fileobj=body) if file.endswith(".gz") else body.iter_lines()
            for row in csv.reader(line.decode() for line in lines):
                values = dict(zip(columns, row, strict=False))
                key = unquote(values["Key"])
                is_current = values.get("IsLatest", "true") == "true" and values.get("IsDeleteMarker") != "true"
                if is_current and key.startswith(prefix):
                    modified = datetime.fromisoformat(values["LastModifiedDate"].replace("Z", "+00:00"))
                    is_archived = values.get("StorageClass") in ARCHIVES
                    yield ListedObject(
                        key, values["ETag"].strip('"'), int(values["Size"] or 0), modified.astimezone(UTC), is_archived
                    )


def sort_rows(rows: Iterator[ListedObject], in_memory: int = ROWS_IN_MEMORY) -> Iterator[ListedObject]:
    """Yield rows in the order of their keys; those that do not fit in memory are sorted in temporary files."""
    with ExitStack() as stack:
        runs: list[Iterator[ListedObject]] = []
        while chunk := sorted(islice(rows, in_memory)):
            if len(chunk) < in_memory:
                runs.append(iter(chunk))
                break
            file = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            file.writelines(json.dumps([*row[:3], row[3].isoformat(), row[4]]) + "\n" for row in chunk)
            file.seek(0)
            runs.append(_read_run(file))
        yield from heapq.merge(*runs)


def _read_run(file: IO[str]) -> Iterator[ListedObject]:
    for line in file:
        key, etag, size, modified, is_archived = json.loads(line)
        yield ListedObject(key, etag, size, datetime.fromisoformat(modified), is_archived)

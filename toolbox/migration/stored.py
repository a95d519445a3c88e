"""What the destination bucket has: objects, and manifests in the shape that the function writes."""

from typing import TYPE_CHECKING

import msgspec

from image_scaler.renditions.made import MadeRendition
from toolbox.aws.errors import call_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class StoredSource(msgspec.Struct):
    """What a manifest says of its source."""

    etag: str


class ParsedManifest(msgspec.Struct):
    """A manifest, as far as a plan needs it."""

    source: StoredSource
    recipe: str
    renditions: list[MadeRendition]


def read_manifest(s3: "S3Client", bucket: str, key: str) -> ParsedManifest | None:
    """Return a manifest; None if it does not exist, or is damaged. Raises CallError."""
    body = read_object(s3, bucket, key)
    try:
        return msgspec.json.decode(body, type=ParsedManifest) if body is not None else None
    except msgspec.DecodeError:
        return None  # processing its source writes it again


def read_object(s3: "S3Client", bucket: str, key: str) -> bytes | None:
    """Return an object; None if it does not exist, or is in an archive. Raises CallError."""
    with call_errors(f"read s3://{bucket}/{key}"):
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except (s3.exceptions.NoSuchKey, s3.exceptions.InvalidObjectState):
            return None

"""Sign uploads; docs/upload.md explains it."""

import os
from uuid import uuid4

import boto3
from botocore.config import Config

BUCKET, MAX_BYTES = os.environ["SOURCE_BUCKET"], 20_000_000  # limits.source_bytes, or less
TYPES = {f"image/{name}": name for name in ("jpeg", "png", "webp", "gif", "avif", "heic", "tiff", "bmp")}
# Outside us-east-1 boto3 would sign for an address that redirects, which a page cannot follow.
S3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))


def sign_upload(user_id: str, media_type: str) -> dict[str, object]:
    """Return a form that uploads one image of a signed-in user; raises KeyError if the type is not allowed."""
    key = f"uploads/{user_id}/{uuid4()}.{TYPES[media_type]}"
    conditions = [{"Content-Type": media_type}, ["content-length-range", 1, MAX_BYTES]]
    return S3.generate_presigned_post(BUCKET, key, {"Content-Type": media_type}, conditions, ExpiresIn=300)

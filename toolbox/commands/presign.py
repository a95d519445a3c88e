"""`image-scaler presign`: a presigned request that uploads one source."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import boto3

from image_scaler.exceptions import DestinationKeyError, ImageTooLargeError
from image_scaler.renditions.formats import format_of_extension
from image_scaler.renditions.keys import split_extension
from image_scaler.renditions.recipe import Recipe
from image_scaler.storage.base import ObjectRef, head_or_none
from image_scaler.storage.s3 import S3Store
from image_scaler.upload import ASKED, NO_RENDITIONS, asked_words
from toolbox import stack
from toolbox.aws.deployed import DeployedStack
from toolbox.aws.errors import call_errors
from toolbox.aws.session import PRESIGNING
from toolbox.console import CommandError, out

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Options:
    """What a presigned request allows besides its key."""

    is_post: bool = False
    """A form, for any size up to the limit; else a PUT of exactly `size` bytes."""
    size: int | None = None
    type: str | None = None
    """The Content-Type; None: that of the key's extension."""
    expires: int = 300
    """Seconds for which the request can be sent."""
    overwrites: bool = False
    """Whether the key may be that of an existing source."""
    only: str | None = None
    """The names of the renditions to make of it; None: all that the rules allow."""

    @property
    def metadata(self) -> dict[str, str]:
        """The user metadata of the upload, which is signed."""
        if self.only is None:
            return {}
        return {ASKED: " ".join(asked_words({ASKED: self.only})) or NO_RENDITIONS}


class PresignedRequest(NamedTuple):
    """A request that anybody who has it may send, without credentials."""

    method: str
    url: str
    headers: dict[str, str]
    """Of a PUT: all of them are signed."""
    fields: dict[str, str]
    """Of a POST: the form's fields, before the field `file`."""

    def as_json(self) -> str:
        """Return what a program needs to send it."""
        values = {"fields": self.fields} if self.fields else {"headers": self.headers}
        return json.dumps({"method": self.method, "url": self.url} | values)

    def as_curl(self) -> str:
        """Return a command that sends it with FILE."""
        return shlex.join(["curl", "--fail-with-body", *self._arguments(), self.url])

    def _arguments(self) -> Iterator[str]:
        if self.fields:
            for name, value in self.fields.items():
                yield from ("--form-string", f"{name}={value}")
            yield from ("--form", "file=@FILE")
            return
        for name, value in self.headers.items():
            if name != "Content-Length":  # curl counts the bytes
                yield from ("--header", f"{name}: {value}")
        yield from ("--upload-file", "FILE")


def presign(
    session: boto3.Session, deployed: DeployedStack, recipe: Recipe, key: str, options: Options, *, as_json: bool
) -> int:
    """Print a presigned request that uploads one source; return 0. Raises CommandError if it would lead to nothing."""
    _check(deployed, recipe, key, options)
    with call_errors("create a client for S3"):
        s3: S3Client = session.client("s3", config=PRESIGNING)
    ref = ObjectRef(deployed.source_bucket, key)
    if not options.overwrites:
        with call_errors(f"look at {ref}"):
            if head_or_none(S3Store(s3), ref):
                raise CommandError(f"{ref} exists: use another key, or --overwrite")
    request = presigned_request(s3, ref, recipe.limits.source_bytes, options)
    out.print(request.as_json() if as_json else request.as_curl(), soft_wrap=True)
    return 0


def presigned_request(s3: "S3Client", ref: ObjectRef, max_bytes: int, options: Options) -> PresignedRequest:
    """Return a request for one key, one type, and a size; raises CallError.

    A POST may be of any size from 1 to `max_bytes`. It overwrites what exists: S3 has no condition for it.
    """
    type_ = options.type or _type_of(ref.key)
    metadata = {f"x-amz-meta-{name}": value for name, value in options.metadata.items()}
    with call_errors("sign a request"):
        if options.is_post:
            fields = {"Content-Type": type_} | metadata
            conditions = [*({name: value} for name, value in fields.items()), ["content-length-range", 1, max_bytes]]
            form = s3.generate_presigned_post(*(ref.bucket, ref.key, fields, conditions), ExpiresIn=options.expires)
            return PresignedRequest("POST", form["url"], {}, form["fields"])
        condition = {} if options.overwrites else {"IfNoneMatch": "*"}
        signed = {"ContentType": type_, "ContentLength": options.size, "Metadata": options.metadata, **condition}
        url = s3.generate_presigned_url(
            "put_object", Params={"Bucket": ref.bucket, "Key": ref.key, **signed}, ExpiresIn=options.expires
        )
    headers = {"Content-Type": type_, "Content-Length": str(options.size)} | metadata
    return PresignedRequest("PUT", url, headers | ({} if options.overwrites else {"If-None-Match": "*"}), {})


def _check(deployed: DeployedStack, recipe: Recipe, key: str, options: Options) -> None:
    """Raise CommandError if an upload would lead to no rendition, or if the request would allow more than it should."""
    if "${filename}" in key:
        raise CommandError("the key has ${filename}, which would let the uploader choose it")
    try:
        plan = recipe.plan_for(key)
        if not plan.targets:
            raise CommandError("a rule of renditions.toml makes nothing of this key")
        for name in asked_words(options.metadata):
            if name not in plan.names:
                names = ", ".join(plan.names)
                raise CommandError(f"expected some of {names}, or none, for --only but received {name!r}")
        if options.size is not None:
            recipe.limits.check_bytes(options.size)
    except (DestinationKeyError, ImageTooLargeError) as error:
        raise CommandError(f"the function would reject it: {error}") from error
    if not stack.source_filter(deployed.delivery, deployed.any_suffix)(key):
        raise CommandError(stack.INVOKES_NOTHING)
    if not options.is_post and options.size is None:
        raise CommandError("a PUT is signed for an exact size: give it with --bytes, or use --post")
    type_ = options.type or _type_of(key)
    if not type_.startswith("image/"):
        raise CommandError(f"expected a type that starts with image/ in --type but received {type_!r}")


def _type_of(key: str) -> str:
    """Return the type that a key's extension says; raises CommandError if it says none."""
    format = format_of_extension(split_extension(key)[1])
    if format is None:
        raise CommandError("the key has no extension that says a type: give it with --type")
    return format.traits.media_type

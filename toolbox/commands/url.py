"""`image-scaler url`: links to the renditions of an upload, or why there are none."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import boto3
import msgspec

from image_scaler.exceptions import DestinationKeyError
from image_scaler.history import rejection_key
from image_scaler.renditions.recipe import Recipe, SourcePlan
from image_scaler.storage.base import ObjectHead, ObjectRef, head_or_none
from image_scaler.storage.s3 import S3Store
from image_scaler.text import on_one_line
from image_scaler.upload import asked_renditions
from toolbox import stack
from toolbox.aws.deployed import DeployedStack
from toolbox.aws.errors import call_errors
from toolbox.aws.session import PRESIGNING
from toolbox.console import err, out, print_error
from toolbox.migration.stored import read_manifest, read_object

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Options:
    """Which links, and of what kind."""

    name: str | None = None
    """Of the one rendition, or `manifest`, whose link is printed alone."""
    expires: int = 3600
    """Seconds for which a link works."""
    base: str | None = None
    """The address that serves the destination bucket, for links that do not expire."""
    wait: float = 60.0
    """Seconds to wait for an upload that is processed now."""


class Link(NamedTuple):
    """An object of the destination bucket."""

    name: str
    key: str
    what: str
    """Its size and its type."""


class Uploads:
    """The uploads of a stack, and what the function made of them."""

    def __init__(self, session: boto3.Session, deployed: DeployedStack, recipe: Recipe) -> None:
        """Raise CallError if there are no credentials."""
        self._deployed = deployed
        self._recipe = recipe
        with call_errors("create clients for AWS"):
            self._s3: S3Client = session.client("s3", config=PRESIGNING)
            self._store = S3Store(session.client("s3"))

    def links(self, key: str) -> list[Link]:
        """Return the objects of the current version of a source; none if they do not all exist yet.

        Raises CallError, and DestinationKeyError if the key has no renditions.
        """
        head = self._head(key)
        if head is None:
            return []
        plan = self._recipe.plan_for(key, asked_renditions(head.metadata))
        if plan.manifest_key is None:
            return self._links_without_manifest(plan)
        manifest = read_manifest(self._s3, self._deployed.destination_bucket, plan.manifest_key)
        if manifest is None or manifest.source.etag != head.etag:
            return []
        links = [
            Link(made.name, made.key, f"{made.width} x {made.height} {made.type or ''}".strip())
            for made in manifest.renditions
        ]
        return [*links, Link("manifest", plan.manifest_key, "application/json")]

    def _links_without_manifest(self, plan: SourcePlan) -> list[Link]:
        found = []
        for target in plan.targets:
            with call_errors(f"look at {target.key}"):
                head = head_or_none(self._store, ObjectRef(self._deployed.destination_bucket, target.key))
            if head is None:
                return []
            found.append(Link(target.spec.name, target.key, head.content_type))
        return found

    def _head(self, key: str) -> ObjectHead | None:
        ref = ObjectRef(self._deployed.source_bucket, key)
        with call_errors(f"look at {ref}"):
            return head_or_none(self._store, ref)

    def final_reason(self, key: str) -> str | None:
        """Return why a source will get no renditions; None if they may still come."""
        head = self._head(key)
        if head is None:
            return f"s3://{self._deployed.source_bucket} has no object with this key"
        plan = self._recipe.plan_for(key)
        if not plan.targets:
            return "a rule of renditions.toml makes nothing of this key"
        if plan.manifest_key is None and not self._recipe.plan_for(key, asked_renditions(head.metadata)).targets:
            return "the metadata of this upload asks for no rendition"
        record = read_object(self._s3, self._deployed.destination_bucket, rejection_key(key))
        with_reason = msgspec.json.decode(record) if record else {}
        if with_reason.get("source", {}).get("etag") == head.etag:
            return f"rejected: {with_reason['error']['text']}"
        if not stack.source_filter(self._deployed.delivery, self._deployed.any_suffix)(key):
            return stack.INVOKES_NOTHING
        return None

    def address(self, key: str, options: Options) -> str:
        """Return the URL of an object of the destination bucket; raises CallError."""
        if options.base:
            return f"{options.base.rstrip('/')}/{quote(key)}"
        with call_errors("sign a URL"):
            return self._s3.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._deployed.destination_bucket, "Key": key},
                ExpiresIn=options.expires,
            )


def url(
    session: boto3.Session,
    deployed: DeployedStack,
    recipe: Recipe,
    key: str,
    options: Options,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Print links to what the function made of an upload; return the exit code. Raises CallError."""
    uploads = Uploads(session, deployed, recipe)
    try:
        links, reason = _wait(uploads, key, options.wait, sleep)
    except DestinationKeyError as error:
        links, reason = [], f"rejected: {error}"
    if not links:
        print_error(f"{key}: {reason}")
        return 1
    if options.name is None:
        for line in _lines(uploads, links, options):
            out.print(line, soft_wrap=True)
        return 0
    link = next((link for link in links if link.name == options.name), None)
    if link is None:
        names = ", ".join(dict.fromkeys(link.name for link in links))
        print_error(f"{key} has no rendition {options.name}: choose one of {names}")
        return 1
    out.print(uploads.address(link.key, options), soft_wrap=True)
    return 0


def _wait(uploads: Uploads, key: str, seconds: float, sleep: Callable[[float], None]) -> tuple[list[Link], str | None]:
    """Return the links, or the reason why there are none, after the upload was processed or so many seconds."""
    end = time.monotonic() + seconds
    with err.status(f"Waiting for the renditions of {on_one_line(key)}"):
        while True:
            if links := uploads.links(key):
                return links, None
            if reason := uploads.final_reason(key):
                return [], reason
            if time.monotonic() >= end:
                return [], (
                    "the renditions do not exist yet, and nothing says why: see docs/troubleshooting.md "
                    "(image-scaler redrive prints the uploads that failed)"
                )
            sleep(PAUSE_SECONDS)


def _lines(uploads: Uploads, links: list[Link], options: Options) -> Iterator[str]:
    for link in links:
        yield f"{link.name}  {link.what}"
        yield uploads.address(link.key, options)

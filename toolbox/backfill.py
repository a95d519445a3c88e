"""Find the sources without current renditions, and send them to the function."""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from image_scaler import manifest
from image_scaler.exceptions import RejectedError
from image_scaler.publisher import Provenance
from image_scaler.renditions.spec import Renditions
from image_scaler.storage.base import ObjectRef, head_or_none
from image_scaler.storage.s3 import CLIENT_CONFIG, S3Store
from toolbox.aws_errors import call_errors
from toolbox.deployed import DeployedStack
from toolbox.stack import suffixes

MAX_PARALLEL_HEADS = 16
"""Manifests that are checked in parallel: each check waits for the network."""

_INVOKE_CONFIG = Config(
    # Longer than any function may run: a second attempt would do all the work twice.
    read_timeout=910,
    # If the account or the function has no free execution, the client waits, longer each time.
    retries={"mode": "adaptive", "total_max_attempts": 10},
    max_pool_connections=100,
)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Source:
    """An object of the source bucket."""

    key: str
    etag: str
    size: int
    """In bytes."""


class Backfill:
    """The buckets of a stack, and its function."""

    def __init__(self, deployed: DeployedStack, renditions: Renditions, session: boto3.Session) -> None:
        self._source = deployed.source_bucket
        self._destination = deployed.destination_bucket
        self._function = deployed.function
        self._renditions = renditions
        with call_errors("create clients for AWS"):
            self._s3 = session.client("s3")
            self._lambda = session.client("lambda", config=_INVOKE_CONFIG)
            self._store = S3Store(session.client("s3", config=CLIENT_CONFIG))

    def sources(self, prefix: str) -> Iterator[Source]:
        """Yield the images of the source bucket for which renditions.toml has renditions."""
        with call_errors(f"list s3://{self._source}/{prefix}"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._source, Prefix=prefix):
                for stored in page.get("Contents", []):
                    source = Source(stored["Key"], stored["ETag"].strip('"'), stored["Size"])
                    if self._invokes(source.key) and self._has_targets(source.key):
                        yield source

    def unfinished(self, sources: Iterable[Source]) -> Iterator[Source | None]:
        """Yield each source without current renditions, and None for each of the others.

        A manifest is written after all renditions and names the version of the source and the recipe. If manifests are
        turned off, every source counts as unfinished.
        """
        for source, is_finished in _each(self._is_finished, sources, MAX_PARALLEL_HEADS):
            yield None if is_finished else source

    def send(self, sources: Iterable[Source], parallel: int) -> Iterator[tuple[Source, str | None]]:
        """Call the function for each source; yield the source, and why it failed or None."""
        yield from _each(self._send, sources, parallel)

    def _invokes(self, key: str) -> bool:
        """Return whether an upload of this key invokes the function; unlike S3, any case of a suffix counts."""
        return key.lower().endswith(tuple(suffixes()))

    def _is_finished(self, source: Source) -> bool:
        try:
            plan = self._renditions.plan_for(source.key)
        except RejectedError:
            return False  # the function will say why
        with call_errors(f"read the manifest of {source.key}"):
            ref = ObjectRef(self._destination, plan.manifest_key) if plan.manifest_key else None
            head = head_or_none(self._store, ref) if ref else None
        existing = Provenance.of(head) if head else None
        return existing is not None and (existing.source_etag, existing.recipe) == (source.etag, manifest.recipe(plan))

    def _has_targets(self, key: str) -> bool:
        try:
            return bool(self._renditions.plan_for(key).targets)
        except RejectedError:
            return True  # the function will say why

    def _send(self, source: Source) -> str | None:
        event = {"bucket": self._source, "keys": [source.key]}
        with call_errors(f"call {self._function} for {source.key}"):
            answer = self._lambda.invoke(FunctionName=self._function, Payload=json.dumps(event).encode())
            payload: Any = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            return str(payload.get("errorMessage") if isinstance(payload, dict) else payload)
        if isinstance(payload, dict) and payload.get("statusCode") == 200:
            return None
        return "rejected or failed: the log and the failure queue say why"


def _each(work: Callable[[T], R], items: Iterable[T], parallel: int) -> Iterator[tuple[T, R]]:
    """Call `work` with each item in parallel threads; yield item and result as they finish."""
    waiting = iter(items)
    with ThreadPoolExecutor(parallel) as pool:
        running: dict[Future[R], T] = {pool.submit(work, item): item for item in islice(waiting, parallel)}
        try:
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    item = running.pop(future)
                    running |= {pool.submit(work, new): new for new in islice(waiting, 1)}
                    yield item, future.result()
        finally:
            for future in running:
                future.cancel()

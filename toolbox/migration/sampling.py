"""Bytes and time of some real sources, rendered on this machine by the function's own engine.

Sources are divided into strata: by format, by size, and by which renditions they get. A few of each are rendered; the
others are taken to be like them.
"""

import hashlib
import math
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from image_scaler.events import SourceEvent
from image_scaler.exceptions import ObjectNotFoundError
from image_scaler.images import vips
from image_scaler.outcomes import Stage
from image_scaler.renditions.keys import split_extension
from image_scaler.renditions.recipe import Recipe
from image_scaler.scaler import build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, StoredObject
from toolbox.aws.errors import call_errors
from toolbox.migration.changes import Change
from toolbox.migration.stored import ParsedManifest, read_manifest, read_object
from toolbox.migration.visual_diff import VisualDiff

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DESTINATION = "sample"


@dataclass
class Stratum:
    """Sources that are alike, and some of them."""

    count: int = 0
    bytes: int = 0
    """Of the sources."""
    chosen: list[Change] = field(default_factory=list)


class SampledSource(NamedTuple):
    """One sampled source."""

    seconds: float
    """To render it and write it nowhere."""
    before: Mapping[str, int]
    """The bytes of its renditions by name, as its manifest lists them."""
    after: Mapping[str, int]


class Sample:
    """Chooses sources at random while they pass by, and tells what all of them take."""

    def __init__(self, size: int, seed: str) -> None:
        """`size`: how many sources are rendered; the same `seed` chooses the same ones."""
        self._size = size
        self._random = random.Random(seed)  # noqa: S311  not a secret
        self._strata: dict[tuple[str, int, tuple[str, ...]], Stratum] = {}

    def offer(self, change: Change) -> None:
        """Count a source, and perhaps choose it: each of its stratum is chosen with the same probability."""
        extension = split_extension(change.source.key)[1]
        magnitude = round(math.log(max(change.source.size, 1), 4))
        stratum = self._strata.setdefault((extension, magnitude, change.names), Stratum())
        stratum.count += 1
        stratum.bytes += change.source.size
        if len(stratum.chosen) < self._size:
            stratum.chosen.append(change)
        elif (place := self._random.randrange(stratum.count)) < self._size:
            stratum.chosen[place] = change

    def chosen(self) -> list[tuple[Stratum, Change]]:
        """Return the sources to render: of each stratum as many as its bytes deserve, and at least one."""
        strata = sorted(self._strata.values(), key=lambda stratum: -stratum.bytes)[: self._size]
        counts = [1] * len(strata)
        free = self._size - len(strata)
        for _ in range(free):
            # The stratum in which each rendered source speaks for the most bytes gets one more.
            open_ = [index for index, stratum in enumerate(strata) if counts[index] < len(stratum.chosen)]
            if not open_:
                break
            counts[max(open_, key=lambda index: strata[index].bytes / counts[index])] += 1
        return [
            (stratum, change)
            for stratum, count in zip(strata, counts, strict=True)
            for change in self._random.sample(stratum.chosen, count)
        ]

    def totals(self, measured: Iterable[tuple[Stratum, SampledSource]]) -> SampledSource:
        """Return seconds and bytes of all sources.

        Strata without a sample are taken to be like the others, by the byte.
        """
        by_stratum: dict[int, list[SampledSource]] = {}
        for stratum, result in measured:
            by_stratum.setdefault(id(stratum), []).append(result)
        seconds, before, after = 0.0, dict[str, float](), dict[str, float]()
        covered = 0
        for stratum in self._strata.values():
            results = by_stratum.get(id(stratum), [])
            for result in results:
                share = stratum.count / len(results)
                seconds += result.seconds * share
                for sums, found in ((before, result.before), (after, result.after)):
                    for name, size in found.items():
                        sums[name] = sums.get(name, 0.0) + size * share
            covered += stratum.bytes if results else 0
        scale = sum(stratum.bytes for stratum in self._strata.values()) / covered if covered else 1.0
        return SampledSource(
            seconds * scale,
            {name: round(size * scale) for name, size in before.items()},
            {name: round(size * scale) for name, size in after.items()},
        )


class _OneSource:
    """A store with one source; what is written is kept until the next source."""

    def __init__(self, source: StoredObject) -> None:
        self._source = source
        self.bodies: dict[str, bytes] = {}
        """The renditions by their keys."""

    def head(self, ref: ObjectRef) -> ObjectHead:
        return self.get(ref)

    def get(self, ref: ObjectRef, *, if_match: str | None = None) -> StoredObject:
        if ref.bucket == _DESTINATION:
            raise ObjectNotFoundError(f"no {ref}")
        return self._source

    def put(self, ref: ObjectRef, body: bytes, headers: ObjectHeaders, **options: Any) -> str:
        self.bodies[ref.key] = body
        return hashlib.md5(body, usedforsecurity=False).hexdigest()

    def copy(self, source: ObjectRef, destination: ObjectRef, headers: ObjectHeaders, **options: Any) -> None:
        return

    def delete(self, ref: ObjectRef, *, if_match: str) -> None:
        return

    def list(self, bucket: str, prefix: str) -> Iterator[str]:
        return iter(())


class Sampler:
    """Renders sources of a bucket."""

    def __init__(self, s3: "S3Client", bucket: str, destination: str, recipe: Recipe, *, vcpus: int) -> None:
        """`vcpus`: of the function, on which the time of a source depends."""
        self.visual_diff = VisualDiff(lambda key: read_object(s3, destination, key))
        vips.configure(allow_svg=recipe.allow_svg)
        self._s3 = s3
        self._vcpus = vcpus
        self._bucket = bucket
        self._destination = destination
        self._settings = Settings(destination_bucket=_DESTINATION, recipe=recipe)

    def measure(self, change: Change) -> SampledSource | None:
        """Render a source; return None if it does not exist any more."""
        key = change.source.key
        with call_errors(f"read s3://{self._bucket}/{key}"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key)
            except self._s3.exceptions.NoSuchKey:
                return None
            body = answer["Body"].read()
        manifest = self._manifest(change)
        source = StoredObject(
            read=lambda: body,
            etag=answer["ETag"].strip('"'),
            size=len(body),
            content_type=answer["ContentType"],
            metadata=answer["Metadata"],
        )
        store = _OneSource(source)
        event = SourceEvent(ref=ObjectRef(self._bucket, key), payload={})
        started = time.process_time()
        report = build_scaler(self._settings, store).scale(event).report
        cpu, took = time.process_time() - started, report.timer.milliseconds[Stage.TOTAL] / 1000
        made = [write.rendition for write in report.writes]
        if source.etag == change.source.etag:  # it was not replaced since it was listed
            self.visual_diff.look(change, manifest, made, store.bodies.__getitem__)
        after: dict[str, int] = {}
        for one in made:
            after[one.name] = after.get(one.name, 0) + one.bytes
        before: dict[str, int] = {}
        for one in manifest.renditions if manifest else ():
            before[one.name] = before.get(one.name, 0) + one.bytes
        # One vCPU has no second one for libvips' other thread.
        return SampledSource(cpu if self._vcpus == 1 else took, before, after)

    def _manifest(self, change: Change) -> ParsedManifest | None:
        key = change.plan.manifest_key
        return read_manifest(self._s3, self._destination, key) if key and change.has_manifest else None

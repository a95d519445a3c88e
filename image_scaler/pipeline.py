"""One version of a source -> its renditions and its manifest in the destination: fetch, render, store."""

import re
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from image_scaler import manifest
from image_scaler.events import SourceEvent
from image_scaler.exceptions import OutOfTimeError
from image_scaler.images import placeholders
from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.outcomes import Measurements, Stage, Status, Written
from image_scaler.publisher import Published, Publisher, Stamp
from image_scaler.renditions.geometry import Point
from image_scaler.renditions.spec import Target
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef, ObjectStore, StoredObject, head_if_there

DEFAULT_CACHE_CONTROL = "public, max-age=86400"
"""Of renditions where neither renditions.toml nor the source says one. A key's content changes when its
source is replaced, so that it is not for ever."""

TIME_TO_END = 5.0
"""Seconds before the function's deadline after which nothing new is begun, so as to end by itself and not be killed."""


@dataclass(frozen=True)
class Job:
    """What one event asks for, and what has come of it so far, also where an exception ends it."""

    source: SourceEvent
    seconds_left: Callable[[], float]
    """How long the function may still run."""
    written: list[Written] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """The keys of renditions that went with their source."""
    measured: Measurements = field(default_factory=Measurements)


class _Made(NamedTuple):
    """What became of one target."""

    result: Published
    written: Written
    source_etag: str
    source_size: int
    """In bytes."""


class Writer:
    """Writes what is to be made of a source; keeps no state of one."""

    def __init__(self, settings: Settings, store: ObjectStore, executor: Callable[[], Executor]) -> None:
        """`executor` gives what stores renditions while the next are encoded."""
        self._settings = settings
        self._store = store
        self._executor = executor

    def write(self, job: Job) -> Status:
        """Write all renditions of a source, and then the manifest.

        Returns OK, SUPERSEDED where a newer source was met, or IGNORED for a source that is a rendition. Adds what was
        written to the job, in the order of the targets, also when it raises. Raises RejectedError, and what
        ObjectStore raises.
        """
        publisher = Publisher(self._store, job.source.ref)
        targets = self._settings.renditions.targets(job.source.ref.key)
        scaled = [target for target in targets if not target.spec.is_copy]
        puts: dict[Target, Future[_Made]] = {}
        image: SourceImage | None = None
        _refuse_when_late(job, targets)
        try:
            with self._executor() as pool:
                if scaled:
                    with job.measured.timed(Stage.FETCH):
                        stored = self._store.get(job.source.ref, if_match=job.source.etag)
                    job.measured.bytes_in = stored.size
                    if Stamp.of(stored):
                        return Status.IGNORED  # a rendition that came back: nothing was downloaded yet
                    self._settings.limits.check_bytes(stored.size)
                    with job.measured.timed(Stage.FETCH):
                        body = stored.read()
                    with job.measured.timed(Stage.RENDER):
                        image = SourceImage(body, self._settings.limits)
                    # The first rendition comes when the pixels are decoded: a source that is rejected
                    # then leaves nothing behind in the destination.
                    for rendition in job.measured.each(Stage.RENDER, image.render(scaled, _focal_point(stored))):
                        puts[rendition.target] = pool.submit(self._put, publisher, rendition, job, stored)
                        _refuse_when_late(job, [target for target in targets if target not in puts])
                for target in targets:
                    if target.spec.is_copy:
                        puts[target] = pool.submit(self._copy, publisher, target, job)
        finally:
            done = [puts[target] for target in targets if target in puts]
            made = [put.result() for put in done if not put.exception()]
            job.written.extend(item.written for item in made if item.result is not Published.SUPERSEDED)
        for put in done:
            put.result()
        results = {item.result for item in made}
        etags = {item.source_etag for item in made}
        if Published.SUPERSEDED not in results and len(etags) == 1:
            results.add(self._put_manifest(publisher, job, targets, image, made))
        return Status.SUPERSEDED if self._is_superseded(job, results, etags) else Status.OK

    def _is_superseded(self, job: Job, results: Collection[Published], etags: Collection[str]) -> bool:
        """Return whether a newer source was met on the way, or may have been written over."""
        if Published.SUPERSEDED in results or len(etags) > 1:
            return True
        if Published.REPLACED not in results:
            return False
        current = head_if_there(self._store, job.source.ref)
        return current is None or current.etag not in etags

    def _put(self, publisher: Publisher, rendition: Rendition, job: Job, stored: StoredObject) -> _Made:
        spec, key, format = rendition.target
        assert format is not None  # noqa: S101  only copies have none
        with job.measured.timed(Stage.STORE):
            result = publisher.put(
                ObjectRef(self._settings.destination_bucket, key),
                rendition.body,
                Stamp(source_etag=stored.etag, sequencer=job.source.sequencer, recipe=spec.recipe),
                content_type=format.content_type,
                cache_control=spec.cache_control or stored.cache_control or DEFAULT_CACHE_CONTROL,
            )
        is_new = result in (Published.WRITTEN, Published.REPLACED)
        size = len(rendition.body)
        written = Written(spec.name, key, *rendition.size, size, format.content_type, is_new)
        return _Made(result, written, stored.etag, stored.size)

    def _copy(self, publisher: Publisher, target: Target, job: Job) -> _Made:
        ref = ObjectRef(self._settings.destination_bucket, target.key)
        with job.measured.timed(Stage.STORE):
            result, etag, size = publisher.copy(ref, job.source.etag, job.source.size)
        job.measured.bytes_in = size
        written = Written(target.spec.name, target.key, None, None, size, None, result is Published.WRITTEN)
        return _Made(result, written, etag, size)

    def _put_manifest(
        self,
        publisher: Publisher,
        job: Job,
        targets: Sequence[Target],
        image: SourceImage | None,
        made: Sequence[_Made],
    ) -> Published:
        """Write the manifest, if there is to be one, of targets that were all made from one version of the source."""
        source_key = job.source.ref.key
        key = self._settings.renditions.manifest_key(source_key)
        if key is None:
            return Published.UNCHANGED
        ladder = self._settings.renditions.ladder(source_key)
        source = manifest.Source(key=source_key, etag=made[0].source_etag, bytes=made[0].source_size)
        thumbhash, dominant_colour = None, None
        if image is not None:  # otherwise it was only copied
            preview = image.preview()
            source = replace(source, width=image.size.width, height=image.size.height, format=image.format.lower())
            thumbhash = placeholders.thumbhash(*preview.size, preview.rgba)
            dominant_colour = placeholders.dominant_colour(preview.rgba)
        body = manifest.manifest(
            source,
            [item.written for item in made],
            ladder,
            thumbhash=thumbhash,
            dominant_colour=dominant_colour,
        )
        with job.measured.timed(Stage.STORE):
            return publisher.put(
                ObjectRef(self._settings.destination_bucket, key),
                body,
                Stamp(
                    source_etag=made[0].source_etag,
                    sequencer=job.source.sequencer,
                    recipe=manifest.recipe(targets, ladder),
                ),
                content_type=manifest.CONTENT_TYPE,
                cache_control=manifest.CACHE_CONTROL,
            )


def _refuse_when_late(job: Job, open_targets: Sequence[Target]) -> None:
    if open_targets and job.seconds_left() < TIME_TO_END:
        left = ", ".join(target.spec.name for target in open_targets)
        raise OutOfTimeError(f"the function's time is over before {left} could be made: raise its timeout or memory")


_FRACTION = r"\s*(0(?:\.\d+)?|1(?:\.0+)?)\s*"


def _focal_point(stored: StoredObject) -> Point | None:
    """Return the point that the source's user metadata names as `focal-point: 0.3,0.7`; None without a valid one."""
    match = re.fullmatch(f"{_FRACTION},{_FRACTION}", stored.metadata.get("focal-point", ""))
    return Point(float(match[1]), float(match[2])) if match else None

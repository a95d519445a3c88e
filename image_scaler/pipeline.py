"""One source version -> its renditions and its manifest in the destination: fetch, render, store."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import NamedTuple

from image_scaler import manifest
from image_scaler.announcements import Announcer
from image_scaler.events import SourceEvent
from image_scaler.exceptions import (
    DeadlineExceededError,
    ObjectNotFoundError,
    PreconditionFailedError,
    RejectedError,
)
from image_scaler.history import History
from image_scaler.images import placeholders
from image_scaler.images.rendering import Rendering, Rendition, SourceImage
from image_scaler.outcomes import Report, Stage, WrittenObject
from image_scaler.publisher import SUPERSEDED, Provenance, Publisher, WriteResult
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Point
from image_scaler.renditions.recipe import SourcePlan
from image_scaler.renditions.spec import CopyTarget, Target
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, ObjectStore, StoredObject

DEFAULT_CACHE_CONTROL = "public, max-age=86400"
"""Of renditions if neither renditions.toml nor the source has one. Not for ever: the content of a key changes when its
source is replaced."""

IMMUTABLE = "public, max-age=31536000, immutable"
"""Of renditions whose key has a hash: the content of such a key never changes."""

SHUTDOWN_MARGIN = 5.0
"""Seconds before the function's deadline after which nothing new is begun, so that it ends by itself."""

SEARCH_MARGIN = 20.0
"""Seconds before the deadline after which no other encoding is tried: the rest has to be encoded once, and stored."""


class Deadline:
    """The time at which the function is stopped."""

    def __init__(self, seconds_left: Callable[[], float] = lambda: 900.0) -> None:
        """`seconds_left` returns how long the function may still run."""
        self._seconds_left = seconds_left

    def has_time(self) -> bool:
        """Return whether there is time to look for a better encoding."""
        return self._seconds_left() >= SEARCH_MARGIN

    def check(self, remaining: Collection[Target]) -> None:
        """Raise DeadlineExceededError if targets remain and the deadline is near."""
        if remaining and self._seconds_left() < SHUTDOWN_MARGIN:
            names = ", ".join(target.spec.name for target in remaining)
            raise DeadlineExceededError(
                f"cannot make {names}: the function's time is over; raise timeout or memorySize"
            )


@dataclass(frozen=True, kw_only=True)
class SourceVersion:
    """One version of a source, as far as it is known."""

    ref: ObjectRef
    etag: str | None
    """None: whatever is stored."""
    size: int | None
    """In bytes."""
    sequencer: str | None = None
    """Of the event that told of this version; None if no event did."""

    @classmethod
    def of_event(cls, event: SourceEvent) -> "SourceVersion":
        """Return the version that an event tells of."""
        return cls(ref=event.ref, etag=event.etag, size=event.size, sequencer=event.sequencer)

    @classmethod
    def of_head(cls, ref: ObjectRef, head: ObjectHead) -> "SourceVersion":
        """Return the version that is stored."""
        return cls(ref=ref, etag=head.etag, size=head.size)


class _Stored(NamedTuple):
    """One target that was written, or existed."""

    result: WriteResult
    written: WrittenObject
    source_etag: str
    source_size: int
    """In bytes."""


@dataclass(frozen=True, kw_only=True)
class PipelineResult:
    """How the destination relates to the source version that was rendered."""

    write_results: frozenset[WriteResult] = frozenset()
    etags: frozenset[str] = frozenset()
    """Of the source, each time that it was read."""
    is_rendition: bool = False
    """The source is a rendition that came back; nothing was made of it."""

    @property
    def etag(self) -> str | None:
        """The ETag of the source, if all targets are of one version and none of them is stale; else None."""
        is_stale = WriteResult.STALE in self.write_results or len(self.etags) != 1
        return None if is_stale else next(iter(self.etags))

    @property
    def is_final(self) -> bool:
        """Whether no other event can have had an influence, so that nobody must look again."""
        needs_look = self.write_results & {WriteResult.OVERWRITTEN, WriteResult.STALE}
        return self.is_rendition or not (needs_look or len(self.etags) > 1)


class RenditionPipeline:
    """Makes what is to be made of one version of a source; keeps no state of it."""

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        executor: Callable[[], Executor],
        announcer: Announcer,
        history: History,
        sleep: Callable[[float], None],
    ) -> None:
        """`executor` creates the thread pool that writes renditions while the next ones are encoded.

        `sleep` waits for the given number of seconds before a write is tried again.
        """
        self._settings = settings
        self._store = store
        self._announcer = announcer
        self._history = history
        self._executor = executor
        self._sleep = sleep

    def run(self, version: SourceVersion, plan: SourcePlan, deadline: Deadline, report: Report) -> PipelineResult:
        """Write all targets of the plan, and then the manifest.

        What was written is added to the report, even if this raises. Raises RejectedError, DeadlineExceededError, and
        what ObjectStore raises: PreconditionFailedError and ObjectNotFoundError if the source was replaced or deleted.
        """
        publisher = Publisher(self._store, version.ref, sleep=self._sleep)
        fingerprint = manifest.fingerprint(plan)
        writes: dict[Target, Future[_Stored]] = {}
        rendering: Rendering | None = None
        image: SourceImage | None = None
        stored: StoredObject | None = None
        deadline.check(plan.targets)
        try:
            with self._executor() as pool:
                if plan.renditions:
                    with report.timer.timed(Stage.FETCH):
                        stored = self._store.get(version.ref, if_match=version.etag)
                    report.source_bytes = stored.size
                    if Provenance.of(stored):
                        return PipelineResult(is_rendition=True)  # before the download
                    plan = plan.of_version(version_of(stored))
                    self._settings.limits.check_bytes(stored.size)
                    with report.timer.timed(Stage.FETCH):
                        body = stored.read()
                    # All pixels are decoded before the first write: a source that is rejected leaves nothing behind.
                    with report.timer.timed(Stage.RENDER):
                        image = SourceImage(body, self._settings.limits)
                        rendering = image.render(plan.renditions, focal_point_of(stored.metadata), deadline.has_time)
                        report.search = rendering.search_effort
                    for rendition in report.timer.each(Stage.RENDER, rendering):
                        writes[rendition.target] = pool.submit(self._put, publisher, rendition, version, stored, report)
                        deadline.check([target for target in plan.targets if target not in writes])
                if plan.copies:
                    source = stored or self._head(version)
                    plan = plan.of_version(version_of(source))
                    report.source_bytes = source.size
                    headers = self._copy_headers(source, image.format if image else None)
                    for copy in plan.copies:
                        writes[copy] = pool.submit(self._copy, publisher, copy, source, headers, report)
        except RejectedError as error:
            if stored:
                self._history.keep_rejection(version.ref, stored.etag, version.sequencer, error)
            raise
        finally:
            done = [writes[target] for target in plan.targets if target in writes]
            stored_targets = [write.result() for write in done if not write.exception()]
            report.written.extend(
                item.written for item in stored_targets if item.result not in (WriteResult.STALE, WriteResult.LEFT_OUT)
            )
        for write in done:
            write.result()
        result = PipelineResult(
            write_results=frozenset(item.result for item in stored_targets),
            etags=frozenset(item.source_etag for item in stored_targets),
        )
        if result.etag is None or plan.manifest_key is None:
            return result
        self._history.keep_recipe()  # before the first manifest that names it
        body = self._manifest(version, plan, fingerprint, stored_targets, image, rendering)
        manifest_ref = ObjectRef(self._settings.destination_bucket, plan.manifest_key)
        with report.timer.timed(Stage.STORE):
            written = publisher.put(
                manifest_ref,
                body,
                manifest.HEADERS,
                Provenance(source_etag=result.etag, sequencer=version.sequencer, fingerprint=fingerprint),
                before_overwrite=lambda etag: self._supersede_listed(publisher, plan, etag),
            )
            if written is not WriteResult.STALE:  # else the newer event tells of its own
                self._announcer.ready(
                    version.ref,
                    result.etag,
                    version.sequencer,
                    fingerprint=fingerprint,
                    manifest=manifest_ref,
                    body=body,
                )
        return replace(result, write_results=result.write_results | {written})

    def listed_versions(self, plan: SourcePlan, *, etag: str | None = None) -> list[str]:
        """Return the keys with a hash in the manifest of a source; none if there is no manifest, or with another ETag.

        Only keys that the plan makes of some version: the function may do nothing to others.
        """
        if plan.manifest_key is None or not plan.is_versioned:
            return []
        try:
            stored = self._store.get(ObjectRef(self._settings.destination_bucket, plan.manifest_key), if_match=etag)
        except (ObjectNotFoundError, PreconditionFailedError):
            return []
        return [entry["key"] for entry in json.loads(stored.read())["renditions"] if plan.has_version(entry["key"])]

    def supersede(self, publisher: Publisher, keys: Iterable[str]) -> bool:
        """Mark renditions that no manifest lists; return whether one was not marked yet."""
        marked = [publisher.supersede(ObjectRef(self._settings.destination_bucket, key)) for key in keys]
        return any(marked)

    def _supersede_listed(self, publisher: Publisher, plan: SourcePlan, etag: str) -> None:
        """Mark what only the manifest with this ETag lists, which is overwritten next.

        Before and not after: a function that is killed in between does it again in its next try, for which the list
        must exist. Until then nothing is missing, because marked renditions exist for days.
        """
        self.supersede(publisher, set(self.listed_versions(plan, etag=etag)) - set(plan.keys))

    def _put(
        self, publisher: Publisher, rendition: Rendition, version: SourceVersion, stored: StoredObject, report: Report
    ) -> _Stored:
        spec, media_type = rendition.target.spec, rendition.target.format.traits.media_type
        default = IMMUTABLE if spec.template.has_hash else stored.cache_control or DEFAULT_CACHE_CONTROL
        ref = ObjectRef(self._settings.destination_bucket, rendition.target.key)
        with report.timer.timed(Stage.STORE):
            # Nobody may delete a rendition whose source exists, so an older one is replaced and not left out: else it
            # would show another picture for ever.
            if rendition.is_larger and not publisher.exists(ref):
                result = WriteResult.LEFT_OUT
            else:
                result = publisher.put(
                    ref,
                    rendition.body,
                    ObjectHeaders(content_type=media_type, cache_control=spec.cache_control or default),
                    Provenance(source_etag=stored.etag, sequencer=version.sequencer, fingerprint=spec.fingerprint),
                    is_versioned=spec.template.has_hash,
                )
        written = WrittenObject(
            name=spec.name,
            key=rendition.target.key,
            bytes=len(rendition.body),
            width=rendition.size.width,
            height=rendition.size.height,
            type=media_type,
            quality=rendition.quality,
            score=rendition.score,
            is_searched=rendition.is_searched,
            is_new=result in (WriteResult.CREATED, WriteResult.OVERWRITTEN),
        )
        return _Stored(result, written, stored.etag, stored.size)

    def _head(self, version: SourceVersion) -> ObjectHead:
        """Return the source without its content; raises PreconditionFailedError if it is another version."""
        head = self._store.head(version.ref)
        if version.etag not in (None, head.etag):
            raise PreconditionFailedError(f"{version.ref} has the ETag {head.etag}, no longer {version.etag}")
        return head

    def _copy_headers(self, source: ObjectHead, format: Format | None) -> ObjectHeaders:
        """Return the headers for a copy: those of the source, but none that lets a browser run it as a page.

        A presigned URL seldom fixes the Content-Type, so uploaders choose it. `format` is what the bytes are; None if
        they were not read. Then any type of image is kept, except SVG, which is a document that can contain scripts.
        """
        content_type, encoding = source.content_type, source.content_encoding
        if format:
            content_type, encoding = format.traits.media_type, None
        elif not _is_image_type(content_type, allow_svg=self._settings.recipe.allow_svg):
            content_type = "application/octet-stream"
        disposition = source.content_disposition or ""
        return replace(
            source.headers,
            content_type=content_type,
            content_encoding=encoding,
            content_disposition=disposition if re.match(r"(inline|attachment)\b", disposition.lower()) else None,
        )

    def _copy(
        self, publisher: Publisher, target: CopyTarget, source: ObjectHead, headers: ObjectHeaders, report: Report
    ) -> _Stored:
        ref = ObjectRef(self._settings.destination_bucket, target.key)
        if target.spec.template.has_hash:
            # An uploader's metadata of this name would say that the copy is to be deleted.
            metadata = {name: value for name, value in headers.metadata.items() if name != SUPERSEDED}
            headers = replace(headers, cache_control=IMMUTABLE, metadata=metadata)
        with report.timer.timed(Stage.STORE):
            result = publisher.copy(ref, source, headers)
        written = WrittenObject(
            name=target.spec.name, key=target.key, bytes=source.size, is_new=result is WriteResult.CREATED
        )
        return _Stored(result, written, source.etag, source.size)

    def _manifest(
        self,
        version: SourceVersion,
        plan: SourcePlan,
        fingerprint: str,
        stored_targets: Sequence[_Stored],
        image: SourceImage | None,
        rendering: Rendering | None,
    ) -> bytes:
        """Return the manifest of targets that are all of one version of the source."""
        first = stored_targets[0]
        source = manifest.Source(key=version.ref.key, etag=first.source_etag, bytes=first.source_size)
        thumbhash, dominant_colour = None, None
        if image and rendering:  # otherwise the source was only copied
            preview = rendering.preview()
            source = replace(source, width=image.size.width, height=image.size.height, format=image.format)
            thumbhash = placeholders.thumbhash(*preview.size, preview.rgba)
            dominant_colour = placeholders.dominant_colour(preview.rgba)
        return manifest.build(
            source,
            [item.written for item in stored_targets if item.result is not WriteResult.LEFT_OUT],
            plan.ladder,
            fingerprint=fingerprint,
            thumbhash=thumbhash,
            dominant_colour=dominant_colour,
        )


def _is_image_type(content_type: str, *, allow_svg: bool) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type.startswith("image/") and (allow_svg or media_type != Format.SVG.traits.media_type)


def version_of(source: ObjectHead) -> str:
    """Return what the pixels of a source's renditions depend on besides the recipe."""
    point = focal_point_of(source.metadata)
    return f"{source.etag} {point.x},{point.y}" if point else source.etag


_FRACTION = r"\s*(0(?:\.\d+)?|1(?:\.0+)?)\s*"


def focal_point_of(metadata: Mapping[str, str]) -> Point | None:
    """Return the point in a source's user metadata, `focal-point: 0.3,0.7`; None without a valid one."""
    match = re.fullmatch(f"{_FRACTION},{_FRACTION}", metadata.get("focal-point", ""))
    return Point(float(match[1]), float(match[2])) if match else None

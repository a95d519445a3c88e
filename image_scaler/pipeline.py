"""One version of a source -> its renditions and its manifest in the destination; STEPS are the way."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import msgspec

from image_scaler import manifest
from image_scaler.announcements import Announcer
from image_scaler.deadline import Deadline
from image_scaler.exceptions import (
    ObjectNotFoundError,
    PreconditionFailedError,
    RejectedError,
    SharedKeyError,
    StorageError,
)
from image_scaler.history import History
from image_scaler.images import placeholders
from image_scaler.images.rendering import Rendering, Rendition, SourceImage
from image_scaler.outcomes import Report, Stage, Write, WriteStatus
from image_scaler.publisher import SUPERSEDED, Provenance, Publisher, is_superseded
from image_scaler.renditions.formats import Format
from image_scaler.renditions.made import MadeRendition
from image_scaler.renditions.spec import CopyTarget, Target
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, ObjectStore, StoredObject, head_or_none
from image_scaler.stored_manifest import read_manifest
from image_scaler.upload import SourceVersion, Upload, asked_renditions

DEFAULT_CACHE_CONTROL = "public, max-age=86400"
"""Of renditions if neither renditions.toml nor the source has one. Not for ever: the content of a key changes when its
source is replaced."""

IMMUTABLE = "public, max-age=31536000, immutable"
"""Of renditions whose key has a hash: the content of such a key never changes."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How the destination relates to the source version that was processed."""

    version: str | None = None
    """The version of the source, as `version_of` names it, if all that was written is of it; None if some is stale."""
    uploaded: datetime | None = None
    """When that version was uploaded, if the store tells."""
    is_rendition: bool = False
    """The source is a rendition that came back; nothing was made of it."""
    is_final: bool = False
    """True if no concurrent event can have interfered."""
    asks_for_less: bool = False
    """Whether the version asks for less than the rules allow: an earlier one may have asked for more."""
    rejection: RejectedError | None = None
    """Why the version was rejected."""


@dataclass(kw_only=True)
class Run:
    """One run of the pipeline: what its steps have found and written so far."""

    upload: Upload
    stored: StoredObject | None
    """The source, to be downloaded; None if everything is a copy."""
    pool: Executor
    deadline: Deadline
    report: Report
    image: SourceImage | None = None
    rendering: Rendering | None = None
    body: bytes | None = None
    writes: dict[Target, Future[Write]] = field(default_factory=dict)
    lost_copies: dict[CopyTarget, Callable[..., WriteStatus]] = field(default_factory=dict)
    """What writes the copies of a source that was deleted in the meantime, from memory."""
    manifest_status: WriteStatus | None = None

    def submit(self, target: Target, write: Callable[[], Write]) -> None:
        """Let the pool write a target."""

        def timed() -> Write:
            with self.report.timer.timed(Stage.STORE):
                return write()

        self.writes[target] = self.pool.submit(timed)

    def missing(self) -> Iterator[str]:
        """Yield the names of the targets that are not being written yet."""
        return (target.spec.name for target in self.upload.plan.targets if target not in self.writes)

    def submitted(self) -> list[Future[Write]]:
        """Return the writes that were begun, in the order of the plan."""
        return [self.writes[target] for target in self.upload.plan.targets if target in self.writes]

    def finished(self) -> list[Write]:
        """Return the writes that raised nothing, once the pool has ended them all."""
        return [write.result() for write in self.submitted() if not write.exception()]

    def stop_if_replaced(self) -> None:
        """Raise PreconditionFailedError if a copy has found that the source was replaced: nothing more is written."""
        for target, write in self.writes.items():
            if not write.done() or target in self.lost_copies:
                continue
            if isinstance(write.exception(), PreconditionFailedError):
                write.result()
            if not write.exception() and isinstance(target, CopyTarget) and write.result().status is WriteStatus.STALE:
                raise PreconditionFailedError(f"{self.upload.version.ref} was replaced while it was copied")

    def copies_are_lost(self) -> bool:
        """Return whether some copies are missing, and all renditions are of this version."""
        writes = [write.result() for write in self.submitted()]  # raises what a write raised
        stale = [write for write in writes if write.status is WriteStatus.STALE]
        return len(stale) == len(self.lost_copies) > 0

    def result(self, rejection: RejectedError | None = None) -> RunResult:
        """Return how the destination relates to the source now."""
        statuses = {write.status for write in self.finished()}
        statuses |= {self.manifest_status} if self.manifest_status else set()
        # Renditions with a hash may have wrong marks, unless there was no manifest.
        has_marks = self.upload.allowed.is_versioned and self.manifest_status is not WriteStatus.CREATED
        return RunResult(
            version=None if WriteStatus.STALE in statuses else self.upload.name,
            uploaded=self.upload.head.last_modified,
            is_final=not (has_marks or statuses & {WriteStatus.OVERWRITTEN, WriteStatus.STALE}),
            asks_for_less=self.upload.asks_for_less,
            rejection=rejection,
        )


class RenditionPipeline:
    """Makes what is to be made of one version of a source; keeps no state of it."""

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        publisher: Publisher,
        announcer: Announcer,
        history: History,
        executor: Callable[[], Executor],
    ) -> None:
        """`executor` creates the thread pool that writes renditions while the next ones are encoded."""
        self._settings = settings
        self._store = store
        self._publisher = publisher
        self._announcer = announcer
        self._history = history
        self._executor = executor

    def run(self, version: SourceVersion, deadline: Deadline, report: Report) -> RunResult:
        """Write everything that the plan of this version asks for; see STEPS.

        What was written is added to the report, even if this raises. Raises DestinationKeyError,
        DeadlineExceededError, and what ObjectStore raises: PreconditionFailedError and ObjectNotFoundError if the
        source was replaced or deleted.
        """
        if version.may_be_done and (result := self._find_finished(version, report)):
            return result
        opened = self._open(version, deadline, report)
        if opened is None:
            return RunResult(is_final=True)
        upload, stored = opened
        if stored and Provenance.of(stored):
            return RunResult(is_rendition=True, is_final=True)  # before the download
        with self._executor() as pool:
            run = Run(upload=upload, stored=stored, pool=pool, deadline=deadline, report=report)
            return self._take_steps(run)

    def _find_finished(self, version: SourceVersion, report: Report) -> RunResult | None:
        """Return the result if everything exists already, and tell others again; None if something is to be made."""
        plan = self._settings.recipe.plan_for(version.ref.key)
        with report.timer.timed(Stage.FETCH):
            ref = ObjectRef(self._settings.destination_bucket, plan.manifest_key) if plan.manifest_key else None
            stored = read_manifest(self._store, ref) if ref else None
            head = head_or_none(self._store, version.ref) if stored else None
            if ref is None or stored is None or head is None or version.etag not in (None, head.etag):
                return None
            upload = Upload.of(version, head, self._settings.recipe)
            fingerprint = manifest.fingerprint(upload.asked)
            if not stored.has(upload.manifest_provenance(fingerprint)):
                return None
            if not all(self._is_finished(rendition.key, upload) for rendition in stored.renditions):
                return None
        report.source_bytes, report.unknown_renditions = head.size, upload.unknown_renditions
        report.writes.extend(Write(rendition=made, status=WriteStatus.UP_TO_DATE) for made in stored.renditions)
        self._announcer.ready(upload, fingerprint, manifest=ref, body=stored.body)  # a run may have ended before it
        return RunResult(
            version=upload.name,
            uploaded=head.last_modified,
            is_final=not plan.is_versioned,
            asks_for_less=upload.asks_for_less,
        )

    def _is_finished(self, key: str, upload: Upload) -> bool:
        """Return whether an object that the manifest lists exists, is of this version, and is not to be deleted."""
        head = head_or_none(self._store, ObjectRef(self._settings.destination_bucket, key))
        return head is not None and not is_superseded(head) and upload.is_source_of(key, head)

    def _open(
        self, version: SourceVersion, deadline: Deadline, report: Report
    ) -> tuple[Upload, StoredObject | None] | None:
        """Return the upload and, if pixels are needed, the source; None if nothing is to be made of it."""
        plan = self._settings.recipe.plan_for(version.ref.key)
        deadline.check(target.spec.name for target in plan.targets)
        if not plan.targets:
            return None
        stored = None
        if plan.renditions:
            with report.timer.timed(Stage.FETCH):
                stored = self._store.get(version.ref, if_match=version.etag)
        head = stored or self._store.head(version.ref)
        if version.etag not in (None, head.etag):
            raise PreconditionFailedError(f"{version.ref} has the ETag {head.etag}, no longer {version.etag}")
        upload = Upload.of(version, head, self._settings.recipe)
        report.source_bytes, report.unknown_renditions = head.size, upload.unknown_renditions
        return upload, stored if upload.plan.renditions else None

    def _take_steps(self, run: Run) -> RunResult:
        try:
            for step in STEPS:
                step(self, run)
        except RejectedError as error:
            self._history.keep_rejection(run.upload, error)
            return run.result(rejection=error)
        finally:
            run.report.writes.extend(write for write in run.finished() if write.is_stored)
        return run.result()

    def _decode(self, run: Run) -> None:
        """Download the source and decode all its pixels: one that is rejected leaves nothing behind."""
        if run.stored is None:
            return
        limits = self._settings.limits
        limits.check_bytes(run.stored.size)
        with run.report.timer.timed(Stage.FETCH):
            run.body = run.stored.read()
        with run.report.timer.timed(Stage.RENDER):
            run.image = SourceImage(run.body, limits)
            run.rendering = run.image.render(
                run.upload.plan.renditions, run.upload.focal_point, run.deadline, run.report.search
            )

    def _keep_recipe(self, run: Run) -> None:
        """Keep the recipe before anything is written by it: what it makes is found by it later."""
        self._history.keep_recipe()

    def _write_copies(self, run: Run) -> None:
        """Copy the source within S3."""
        headers = self._copy_headers(run.upload.head, run.image.format if run.image else None)
        for target in run.upload.plan.copies:
            run.submit(target, partial(self._copy, run, target, headers))

    def _write_renditions(self, run: Run) -> None:
        """Write each rendition while the next one is encoded.

        Those with keys that another source could have are written last, one after the other in the order of their
        keys. So of two sources that begin at the same time, one gets the first key that they share, and with it all.
        """
        shared = []
        for rendition in run.report.timer.each(Stage.RENDER, run.rendering) if run.rendering else ():
            run.stop_if_replaced()
            if rendition.target.spec.template.is_whole:
                run.submit(rendition.target, partial(self._put, run, rendition))
            else:
                shared.append(rendition)
            run.deadline.check(run.missing())
        for rendition in sorted(shared, key=lambda rendition: rendition.target.key):
            run.submit(rendition.target, partial(self._put_shared, run, rendition))
            run.writes[rendition.target].result()

    def _write_lost_copies(self, run: Run) -> None:
        """Write the copies of a source that was deleted in the meantime: all of it is still known."""
        if not run.copies_are_lost():
            return
        rendition = next(iter(run.upload.plan.renditions))
        expected = run.upload.rendition_provenance(rendition.spec)
        for target, put in run.lost_copies.items():
            made = run.writes[target].result().rendition
            status = put(is_newest=partial(self._publisher.has, rendition.key, expected))
            run.submit(target, partial(Write, rendition=made, status=status))

    def _write_manifest(self, run: Run) -> None:
        """Write the manifest, last: when it exists, all renditions exist. Then tell others."""
        writes = [write.result() for write in run.submitted()]
        key = run.upload.plan.manifest_key
        if key is None or any(write.status is WriteStatus.STALE for write in writes):
            return
        is_repaired = run.upload.version.is_repair and all(write.status is WriteStatus.UP_TO_DATE for write in writes)
        # The fingerprint is that of the plan whose keys have no hash yet, as `image-scaler plan` knows it.
        fingerprint = manifest.fingerprint(run.upload.asked)
        body = _manifest(run, fingerprint, [write.rendition for write in writes if write.is_stored])
        with run.report.timer.timed(Stage.STORE):
            written = self._publisher.put(
                key,
                body,
                manifest.HEADERS,
                run.upload.manifest_provenance(fingerprint),
                is_same=Provenance.is_of_version if is_repaired else None,
            )
            run.manifest_status = written.status
            if written.status is not WriteStatus.STALE:  # else the newer event tells of its own
                ref = ObjectRef(self._settings.destination_bucket, key)
                self._announcer.ready(run.upload, fingerprint, manifest=ref, body=body)

    def _put(self, run: Run, rendition: Rendition) -> Write:
        made, spec = rendition.made, rendition.target.spec
        # Nobody may delete a rendition whose source exists, so an older one is replaced and not left out: else it would
        # show another picture for ever.
        if rendition.is_larger and not self._publisher.exists(made.key):
            return Write(rendition=made, status=WriteStatus.LEFT_OUT)
        default = IMMUTABLE if spec.template.has_hash else run.upload.head.cache_control or DEFAULT_CACHE_CONTROL
        is_same = None
        if run.upload.version.is_repair:
            is_same = Provenance.is_of_version
        elif spec.template.has_hash:  # of the version and the recipe, so any object of them is the same
            is_same = Provenance.is_of_version_and_recipe
        result = self._publisher.put(
            made.key,
            rendition.body,
            ObjectHeaders(
                content_type=made.type or "",
                cache_control=spec.cache_control or default,
                tags=dict(spec.tags or ()),
            ),
            run.upload.rendition_provenance(spec),
            is_same=is_same,
        )
        if result.stored_bytes is not None:
            made = made.as_stored(result.stored_bytes)
        return Write(rendition=made, status=result.status)

    def _put_shared(self, run: Run, rendition: Rendition) -> Write:
        """Write a rendition whose key another source could have; raises SharedKeyError if one has it."""
        try:
            return self._put(run, rendition)
        except SharedKeyError as error:
            owner = ObjectRef(run.upload.version.ref.bucket, error.owner)
            if self._settings.recipe.on_source_delete == "remove" and head_or_none(self._store, owner) is None:
                raise StorageError(f"{error}, which was deleted: its renditions are not removed yet") from error
            raise

    def _copy(self, run: Run, target: CopyTarget, headers: ObjectHeaders) -> Write:
        headers = replace(headers, tags=dict(target.spec.tags or ()))
        if target.spec.template.has_hash:
            # An uploader's metadata of this name would say that the copy is to be deleted.
            metadata = {name: value for name, value in headers.metadata.items() if name != SUPERSEDED}
            headers = replace(headers, cache_control=IMMUTABLE, metadata=metadata)
        head = run.upload.head
        made = MadeRendition(name=target.spec.name, key=target.key, bytes=head.size)
        try:
            status = self._publisher.copy(run.upload.version.ref, head, target.key, headers)
        except ObjectNotFoundError:
            if run.body is None or self._settings.recipe.on_source_delete == "remove":
                raise
            run.lost_copies[target] = partial(self._publisher.put_copy, target.key, run.body, headers)
            status = WriteStatus.STALE
        return Write(rendition=made, status=status)

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


STEPS = (
    RenditionPipeline._decode,
    RenditionPipeline._keep_recipe,
    RenditionPipeline._write_copies,
    RenditionPipeline._write_renditions,
    RenditionPipeline._write_lost_copies,
    RenditionPipeline._write_manifest,
)
"""What a run does, in this order. A step that raises ends it; what was begun is still written."""


def _manifest(run: Run, fingerprint: str, made: Sequence[MadeRendition]) -> bytes:
    """Return the manifest of these renditions of a run."""
    head = run.upload.head
    point = run.upload.focal_point
    source = manifest.Source(key=run.upload.version.ref.key, etag=head.etag, bytes=head.size, focal_point=point)
    if (asked := asked_renditions(head.metadata)) is not None:
        source = msgspec.structs.replace(source, asked=asked, unknown=run.upload.unknown_renditions)
    thumbhash, dominant_colour, placeholder = None, None, None
    if run.image and run.rendering:  # otherwise the source was only copied
        preview, size = run.rendering.preview(), run.image.size
        source = msgspec.structs.replace(
            source,
            width=size.width,
            height=size.height,
            format=run.image.format,
            has_alpha=run.rendering.has_alpha,
            animated=run.image.frames > 1,
        )
        thumbhash = placeholders.thumbhash(*preview.size, preview.rgba)
        dominant_colour = placeholders.dominant_colour(preview.rgba)
        if run.upload.plan.page.placeholder:
            placeholder = placeholders.data_url(*preview.size, preview.rgba)
    return manifest.build(
        source,
        made,
        run.upload.plan.page,
        fingerprint=fingerprint,
        thumbhash=thumbhash,
        dominant_colour=dominant_colour,
        placeholder=placeholder,
    )


def _is_image_type(content_type: str, *, allow_svg: bool) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type.startswith("image/") and (allow_svg or media_type != Format.SVG.traits.media_type)

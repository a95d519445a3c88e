"""The pictures, the two recipes (saved and edited), and what is still to be rendered.

Nothing is queued: a process that is free asks for the most urgent work that is missing at that moment. An edit changes
what is wanted; results are kept by a hash of everything that they depend on, so only what changed is rendered again.
"""

import asyncio
import base64
import json
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from image_scaler import manifest
from image_scaler.exceptions import ConfigError, DestinationKeyError, ImageTooLargeError
from image_scaler.outcomes import WrittenObject
from image_scaler.pipeline import version_of
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Point, Size
from image_scaler.renditions.spec import CopyTarget
from image_scaler.storage.base import ObjectHead
from toolbox.atomic_file import atomic_file
from toolbox.play.draft import COPIES, COPY_WITH_RENDITIONS, Draft, column_id, read_draft, set_value
from toolbox.play.engine import Engine, Job

MAX_PICTURES = 1_000
MAX_KEY_LENGTH = 900
MAX_RESULTS = 20_000
"""Results that are kept for recipes that are no longer shown; the oldest are forgotten."""


MAX_EVENTS = 20_000
"""Events that wait for one browser."""
END: Mapping[str, Any] = {"event": "end"}
"""The last event of a stream."""


class RefusedError(Exception):
    """The page asked for what cannot be done; the message says why."""


@dataclass(frozen=True)
class Result:
    """One rendition, or the reason why there is none."""

    status: str
    """`made`, or as in the failure record: `rejected`, `failed`."""
    text: str = ""
    """The reason, in the words of the failure record."""
    file: str = ""
    type: str = ""
    bytes: int = 0
    width: int = 0
    height: int = 0
    milliseconds: float = 0
    metadata: tuple[Mapping[str, str], ...] = ()
    quality: int | None = None
    """The quality that it was encoded with; None if it has none."""
    is_larger: bool = False
    """Whether the function does not store it, because the next format of its step is no larger."""
    score: float | None = None
    """Of SSIMULACRA 2, against the source at this size; None if it is not known."""
    worst: float | None = None
    """The score of its worst region."""
    is_scored: bool = False
    """Whether the score was asked for."""


@dataclass(eq=False)
class Picture:
    """A source."""

    id: str
    key: str
    path: Path
    bytes: int
    is_temporary: bool
    """Whether the file is in the session's folder, and is deleted with the picture."""
    size: Size | None = None
    format: str = ""
    etag: str = ""
    """The one that S3 would give it."""
    focal_point: Point | None = None
    view: str = ""
    """The file of a small WebP of it; empty until it exists."""
    unreadable: str = ""
    """Why it has no view."""
    metadata: list[Mapping[str, str]] = field(default_factory=list)
    thumbhash: str = ""
    colour: str | None = None
    decoding: float = 0
    """Milliseconds to decode it."""
    results: dict[str, Result] = field(default_factory=dict)
    """By the hash of what each depends on; see `Draft.cache_keys`."""
    references: dict[str, str] = field(default_factory=dict)
    """Files of the source with the size and the crop of a rendition, by the hash of that."""
    jobs: set["PictureJob"] = field(default_factory=set)

    @property
    def is_known(self) -> bool:
        """Whether it was read, successfully or not."""
        return bool(self.view or self.unreadable)


class PictureJob(Job):
    """Work on columns of a picture."""

    def __init__(
        self, session: "Session", picture: Picture, draft: Draft, columns: Collection[str], operation: str
    ) -> None:
        self.picture = picture
        self.draft = draft
        self.columns = set(columns)
        """Those that are still to come."""
        self.is_cancelled = False
        self._session = session
        self.request = session.request(operation, picture, draft, list(columns))
        self._focal_point = picture.focal_point

    def keys(self) -> Mapping[str, str]:
        """Return the hash for each column; empty if S3 could not store one of the keys."""
        return _cache_keys(self.draft, self.picture, self._focal_point)


class RenderJob(PictureJob):
    """Renders columns of a picture."""

    def __init__(self, session: "Session", picture: Picture, draft: Draft, columns: Collection[str]) -> None:
        super().__init__(session, picture, draft, columns, "render")
        self.request = {**self.request, "is_first": not picture.view}

    def receive(self, message: Mapping[str, Any]) -> None:
        """Keep a result, or what was found out of the source."""
        picture = self.picture
        match message["kind"]:
            case "header":
                picture.size = Size(message["width"], message["height"])
                picture.format = Format(message["format"])
                picture.etag = message["etag"]
                picture.unreadable = ""
            case "decoded":
                picture.decoding = message["ms"]
            case "view":
                picture.view = message["file"]
            case "metadata":
                picture.metadata = message["entries"]
            case "placeholders":
                picture.thumbhash, picture.colour = message["thumbhash"], message["colour"]
            case "rendition":
                self.columns.discard(message["column"])
                self._keep(message["column"], _result(message))
            case "error":
                self._fail(message["status"], message["text"])
        self._session.changed(picture)

    def end(self, failure: str | None) -> None:
        """Keep the reason if the process did not survive, and let the session look for work."""
        self.picture.jobs.discard(self)
        if not self.is_cancelled and (failure or self.columns):
            self._fail("failed", failure or "the engine did not make it")
        self._session.changed(self.picture)
        self._session.wake()

    def _fail(self, status: str, text: str) -> None:
        """Keep the reason for every column that was not made: the function rejects a source as a whole."""
        copies = [id_ for id_, key in self.keys().items() if key == COPY_WITH_RENDITIONS]
        for column in [*self.columns, *copies]:
            self._keep(column, Result(status, text))
        self.columns.clear()
        if not self.picture.view:
            self.picture.unreadable = text

    def _keep(self, column: str, result: Result) -> None:
        if key := self.keys().get(column):
            self.picture.results[key] = result


class ScoreJob(PictureJob):
    """Scores columns of a picture that were rendered."""

    def __init__(self, session: "Session", picture: Picture, draft: Draft, files: Mapping[str, str]) -> None:
        super().__init__(session, picture, draft, files, "score")
        self.request = {**self.request, "files": dict(files)}

    def receive(self, message: Mapping[str, Any]) -> None:
        """Keep a score."""
        if message["kind"] == "score":
            self._keep(message["column"], message["score"], message["worst"])

    def end(self, failure: str | None) -> None:
        """Do not ask again for a score that cannot be had."""
        self.picture.jobs.discard(self)
        if not self.is_cancelled:
            for column in list(self.columns):
                self._keep(column, None, None)
        self._session.changed(self.picture)
        self._session.wake()

    def _keep(self, column: str, score: float | None, worst: float | None) -> None:
        self.columns.discard(column)
        key = self.keys().get(column, "")
        if result := self.picture.results.get(key):
            known = result.score if score is None else score  # the engine knows it if it searched for it
            self.picture.results[key] = replace(result, score=known, worst=worst, is_scored=True)
        self._session.changed(self.picture)


class ReferenceJob(Job):
    """Makes the source with the size and the crop of one rendition."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.request = request
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def receive(self, message: Mapping[str, Any]) -> None:
        """Resolve the future with the file, or with the reason."""
        if self.done.done():
            return
        if message["kind"] == "reference":
            self.done.set_result(message["file"])
        elif message["kind"] == "error":
            self.done.set_exception(RefusedError(message["text"]))

    def end(self, failure: str | None) -> None:
        """Resolve the future if nothing else did."""
        if not self.done.done():
            self.done.set_exception(RefusedError(failure or "there is no such rendition"))


def _cache_keys(draft: Draft | None, picture: Picture, focal_point: Point | None) -> Mapping[str, str]:
    try:
        return draft.cache_keys(picture.key, picture.size, focal_point) if draft else {}
    except DestinationKeyError:
        return {}


def _result(message: Mapping[str, Any]) -> Result:
    return Result(
        status="made",
        file=message["file"],
        type=message["type"],
        bytes=message["bytes"],
        width=message["width"],
        height=message["height"],
        milliseconds=message["ms"],
        metadata=tuple(message["metadata"]),
        quality=message["quality"],
        is_larger=message["is_larger"],
        score=message["score"],
    )


class Session:
    """What the page shows. Its folder holds what was uploaded and rendered; it is deleted at the end."""

    def __init__(self, file: Path, folder: Path, engine: Engine) -> None:
        """Raise ConfigError if the file cannot be read; a text with mistakes is no error: the page shows them."""
        self.file = file
        self.folder = folder
        self.engine = engine
        self.pictures: dict[str, Picture] = {}
        self.focus = ""
        """The id of the picture that is looked at: it comes first."""
        self.saved_text = self.text = read_text(file)
        draft, self.mistakes = read_draft(self.text, file.name)
        self.saved = self.edited = draft
        self._subscribers: set[asyncio.Queue[Mapping[str, Any]]] = set()
        self._work = asyncio.Event()
        self._references: list[ReferenceJob] = []
        self._dirty: set[str] = set()
        self._flushing: asyncio.TimerHandle | None = None

    # Work

    def request(self, operation: str, picture: Picture, draft: Draft, columns: list[str]) -> dict[str, Any]:
        """Return a request for a worker."""
        return {
            "operation": operation,
            "path": str(picture.path),
            "key": picture.key,
            "recipe": draft.text,
            "columns": columns,
            "focal_point": picture.focal_point,
            "folder": str(self.folder),
        }

    async def next_job(self) -> Job:
        """Return the most urgent work; wait until there is some."""
        while True:
            if self._references:
                return self._references.pop(0)
            if job := self._missing() or self._unscored():
                job.picture.jobs.add(job)
                return job
            self._work.clear()
            await self._work.wait()

    def wake(self) -> None:
        """Let idle processes look for work."""
        self._work.set()

    def _missing(self) -> RenderJob | None:
        """Return what is to be rendered next: the edited recipe before the saved one, the focused picture first."""
        pictures = sorted(self.pictures.values(), key=lambda picture: picture.id != self.focus)
        for draft in (self.edited, self.saved):
            if draft is None:
                continue
            for picture in pictures:
                if not picture.jobs and (columns := self._columns_to_make(picture, draft)) is not None:
                    return RenderJob(self, picture, draft, columns)
        return None

    def _unscored(self) -> ScoreJob | None:
        """Return what is to be scored next: only when everything is rendered."""
        for draft in (self.edited, self.saved):
            for picture in self.pictures.values():
                keys = _cache_keys(draft, picture, picture.focal_point)
                results = {id_: picture.results.get(key) for id_, key in keys.items()}
                files = {id_: one.file for id_, one in results.items() if one and one.file and not one.is_scored}
                if draft and files and not picture.jobs:
                    return ScoreJob(self, picture, draft, files)
        return None

    def _columns_to_make(self, picture: Picture, draft: Draft) -> list[str] | None:
        """Return the columns without a result; empty if only the source is to be read, None if nothing is missing."""
        keys = _cache_keys(draft, picture, picture.focal_point)
        columns = [id_ for id_, key in keys.items() if key not in picture.results and key not in COPIES]
        return columns if columns or not picture.is_known else None

    def _cancel_superseded(self) -> None:
        """Cancel the jobs of which no remaining rendition is wanted any more."""
        for picture in self.pictures.values():
            wanted = self._wanted(picture)
            for job in list(picture.jobs):
                keys = job.keys()
                if job.columns and not any(keys.get(column) in wanted for column in job.columns):
                    self._cancel(job)

    def _wanted(self, picture: Picture) -> set[str]:
        """Return the hashes of the renditions that the two recipes ask for."""
        recipes = (self.edited, self.saved)
        return {key for draft in recipes for key in _cache_keys(draft, picture, picture.focal_point).values()}

    def _cancel(self, job: PictureJob) -> None:
        job.is_cancelled = True
        self.engine.cancel(job)

    async def reference(self, picture_id: str, column: str, *, is_saved: bool, is_report: bool = False) -> str:
        """Return the file of the source with the size and the crop of a rendition; raises RefusedError."""
        picture, draft = self.picture(picture_id), self.saved if is_saved else self.edited
        if draft is None:
            raise RefusedError("renditions.toml has mistakes")
        key = _cache_keys(draft, picture, picture.focal_point).get(column, "")
        if key in picture.references:
            return picture.references[key]
        job = ReferenceJob(self.request("refer", picture, draft, [column]) | {"is_report": is_report})
        self._references.append(job)
        self.wake()
        picture.references[key] = await job.done
        return picture.references[key]

    async def next_change(self) -> None:
        """Wait until something of a picture has changed."""
        with self.subscribed() as events:
            while events.qsize():
                events.get_nowait()  # what is known already
            await events.get()

    @property
    def is_idle(self) -> bool:
        """Whether everything that is wanted was rendered and scored."""
        has_work = self._missing() or self._unscored() or any(picture.jobs for picture in self.pictures.values())
        return not has_work

    # Pictures

    def picture(self, id_: str) -> Picture:
        """Return a picture; raises RefusedError if it does not exist."""
        if id_ not in self.pictures:
            raise RefusedError("there is no such picture")
        return self.pictures[id_]

    def check_addition(self, key: str, size: int) -> None:
        """Raise RefusedError if a picture of this many bytes cannot be added."""
        if len(self.pictures) >= MAX_PICTURES:
            raise RefusedError(f"cannot add {key}: {MAX_PICTURES:,} pictures are the most that the page shows")
        if not key or len(key) > MAX_KEY_LENGTH:
            raise RefusedError(f"expected a name of 1 to {MAX_KEY_LENGTH} characters but received {len(key)}")
        if draft := self.edited or self.saved:
            try:
                draft.recipe.limits.check_bytes(size)
            except ImageTooLargeError as error:
                raise RefusedError(f"cannot add {key}: {error}") from error

    def add(self, key: str, path: Path, *, is_temporary: bool) -> Picture:
        """Add a picture; one with the same key is replaced."""
        for other in [picture for picture in self.pictures.values() if picture.key == key]:
            self.remove(other.id)
        picture = Picture(uuid.uuid4().hex, key, path, path.stat().st_size, is_temporary)
        self.pictures[picture.id] = picture
        self.changed(picture)
        self.wake()
        return picture

    def remove(self, id_: str) -> None:
        """Remove a picture and everything that was made of it."""
        picture = self.picture(id_)
        del self.pictures[id_]
        for job in list(picture.jobs):
            self._cancel(job)
        made = [result.file for result in picture.results.values()]
        for name in [picture.view, *made, *picture.references.values()]:
            if name:
                (self.folder / name).unlink(missing_ok=True)
        if picture.is_temporary:
            picture.path.unlink(missing_ok=True)
        self._tell({"event": "removed", "id": id_})

    def set_focal_point(self, id_: str, point: Point | None) -> None:
        """Set or remove the focal point of a picture; all its crops follow."""
        picture = self.picture(id_)
        picture.focal_point = point
        self._cancel_superseded()
        self.changed(picture)
        self.wake()

    # The recipe

    def edit(self, text: str) -> None:
        """Take another text for the edited recipe. With mistakes in it, the page keeps the last results."""
        self.text = text
        draft, self.mistakes = read_draft(text, self.file.name)
        if draft:
            self.edited = draft
            self._cancel_superseded()
            self._forget()
        self._tell(self.recipe_event())
        if draft:
            self.changed(*self.pictures.values())
            self.wake()

    def set_value(self, table: str, name: str, value: int | str | bool) -> None:
        """Set a value of a rendition in the edited text; raises RefusedError if that is not possible."""
        try:
            self.edit(set_value(self.text, table, name, value))
        except ConfigError as error:
            raise RefusedError(str(error)) from error

    def save(self, *, force: bool = False) -> None:
        """Write the edited text to the file; raises RefusedError if it has mistakes or the file cannot be written.

        If another program changed the file in the meantime, it is overwritten only with `force`.
        """
        if self.mistakes:
            raise RefusedError(f"cannot save {self.file.name}: {self.mistakes[0].message}")
        try:
            is_other = self.file.exists() and read_text(self.file) != self.saved_text
        except ConfigError:
            is_other = True
        if is_other and not force:
            raise RefusedError(f"{self.file.name} was changed by another program: save again to overwrite it")
        try:
            _write(self.file, self.text)
        except OSError as error:
            raise RefusedError(f"cannot write {self.file}: {error.strerror}") from error
        self.saved_text, self.saved = self.text, self.edited
        self._tell(self.recipe_event())
        self.changed(*self.pictures.values())

    def _forget(self) -> None:
        """Delete the oldest results that neither recipe wants, beyond MAX_RESULTS."""
        if sum(len(picture.results) for picture in self.pictures.values()) <= MAX_RESULTS:
            return
        for picture in self.pictures.values():
            wanted = self._wanted(picture)
            for key in [key for key in picture.references if key not in wanted]:
                (self.folder / picture.references.pop(key)).unlink(missing_ok=True)
            for key in [key for key in picture.results if key not in wanted]:
                if (name := picture.results.pop(key).file) != "":
                    (self.folder / name).unlink(missing_ok=True)

    # What the page is told

    @contextmanager
    def subscribed(self) -> Iterator["asyncio.Queue[Mapping[str, Any]]"]:
        """Yield a queue of events: everything at first, then what changes."""
        events: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        events.put_nowait({"event": "pictures", "ids": list(self.pictures)})
        events.put_nowait(self.recipe_event())
        for picture in self.pictures.values():
            events.put_nowait(self.picture_event(picture))
        self._subscribers.add(events)
        try:
            yield events
        finally:
            self._subscribers.discard(events)

    def _tell(self, event: Mapping[str, Any]) -> None:
        for events in list(self._subscribers):
            if events.qsize() < MAX_EVENTS:
                events.put_nowait(event)
            else:  # a browser that does not read: it gets everything when it connects again
                self._subscribers.discard(events)
                events.put_nowait(END)

    def changed(self, *pictures: Picture) -> None:
        """Tell the page of pictures, soon: several changes of one picture become one event."""
        self._dirty |= {picture.id for picture in pictures}
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(0.02, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        dirty, self._dirty = self._dirty, set()
        for id_ in dirty:
            if id_ in self.pictures:
                self._tell(self.picture_event(self.pictures[id_]))

    def recipe_event(self) -> dict[str, Any]:
        """Return the recipe as the page needs it."""
        return {
            "event": "recipe",
            "file": self.file.name,
            "text": self.text,
            "saved_text": self.saved_text,
            "mistakes": [{"line": mistake.line, "text": mistake.message} for mistake in self.mistakes],
            "columns": [column._asdict() for column in self.edited.columns] if self.edited else [],
            "saved_columns": [column._asdict() for column in self.saved.columns] if self.saved else [],
        }

    def picture_event(self, picture: Picture) -> dict[str, Any]:
        """Return a picture with the cells of both recipes, as the page needs it."""
        return {
            "event": "picture",
            "id": picture.id,
            "key": picture.key,
            "bytes": picture.bytes,
            "width": picture.size.width if picture.size else None,
            "height": picture.size.height if picture.size else None,
            "format": picture.format,
            "is_shown": picture.format in ("jpeg", "png", "webp", "gif", "avif"),
            "focal_point": picture.focal_point,
            "view": picture.view,
            "metadata": picture.metadata,
            "thumbhash": picture.thumbhash,
            "colour": picture.colour,
            "decoding": picture.decoding,
            "cells": self._cells(picture, self.edited),
            "saved_cells": self._cells(picture, self.saved),
            "objects": _count_objects(self.edited, picture.key),
            "saved_objects": _count_objects(self.saved, picture.key),
            "manifest": self._manifest(picture, self.edited),
        }

    def _cells(self, picture: Picture, draft: Draft | None) -> dict[str, dict[str, Any]]:
        if draft is None:
            return {}
        try:
            keys = draft.cache_keys(picture.key, picture.size, picture.focal_point)
        except DestinationKeyError as error:
            return {column.id: {"status": "rejected", "text": str(error)} for column in draft.columns}
        cells: dict[str, dict[str, Any]] = {}
        for id_, key in keys.items():
            result = picture.results.get(key)
            if result is None and key in COPIES:
                # If everything is a copy, the function never looks at the bytes.
                cells[id_] = {"status": "copy", "bytes": picture.bytes} if picture.is_known else {"status": "waiting"}
            elif result is None:
                cells[id_] = {"status": "waiting"}
            elif result.status == "made":
                cells[id_] = {
                    "status": "made",
                    "bytes": result.bytes,
                    "width": result.width,
                    "height": result.height,
                    "ms": result.milliseconds,
                    "type": result.type,
                    "file": result.file,
                    "metadata": result.metadata,
                    "quality": result.quality,
                    "is_larger": result.is_larger,
                    "score": result.score,
                    "worst": result.worst,
                    "is_scored": result.is_scored,
                }
            else:
                cells[id_] = {"status": result.status, "text": result.text}
        return cells

    def _manifest(self, picture: Picture, draft: Draft | None) -> Mapping[str, Any] | None:
        """Return the manifest of a picture, with the column behind each key; None until all renditions exist."""
        if draft is None or not picture.is_known or picture.size is None:
            return None
        cells = self._cells(picture, draft)
        try:
            plan = draft.plan_for(picture.key).of_version(_version(picture))
        except DestinationKeyError:
            return None
        if not plan.targets or any(cell["status"] not in ("made", "copy") for cell in cells.values()):
            return None
        written = []
        for target in plan.targets:
            cell = cells[column_id(target.spec)]
            if cell.get("is_larger"):
                continue
            is_copy = isinstance(target, CopyTarget)
            written.append(
                WrittenObject(
                    name=target.spec.name,
                    key=target.key,
                    bytes=cell["bytes"],
                    width=None if is_copy else cell["width"],
                    height=None if is_copy else cell["height"],
                    type=None if is_copy else cell["type"],
                )
            )
        source = manifest.Source(
            key=picture.key,
            etag=picture.etag,
            bytes=picture.bytes,
            width=picture.size.width,
            height=picture.size.height,
            format=Format(picture.format),
        )
        thumbhash = base64.b64decode(picture.thumbhash) or None
        body = manifest.build(source, written, plan.ladder, fingerprint=manifest.fingerprint(plan), thumbhash=thumbhash)
        found = json.loads(body)
        return {
            "picture": found["picture"],
            "columns": {target.key: column_id(target.spec) for target in plan.targets},
        }


def _version(picture: Picture) -> str:
    """Return what the hashes in keys depend on, as in the function."""
    metadata = {"focal-point": f"{picture.focal_point.x},{picture.focal_point.y}"} if picture.focal_point else {}
    return version_of(ObjectHead(etag=picture.etag, size=picture.bytes, content_type="", metadata=metadata))


def _count_objects(draft: Draft | None, key: str) -> int:
    """Return the number of objects that the function writes for a source."""
    try:
        return len(draft.plan_for(key).keys) if draft else 0
    except DestinationKeyError:
        return 0


def read_text(file: Path) -> str:
    """Return the text of a renditions.toml; raises ConfigError if it cannot be read."""
    try:
        return file.read_bytes().decode().replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error


def _write(file: Path, text: str) -> None:
    """Write the file completely or not at all; a symbolic link stays one, and lines end as before."""
    file = file.resolve()
    if file.exists() and b"\r\n" in file.read_bytes():
        text = text.replace("\n", "\r\n")
    with atomic_file(file, mode=file.stat().st_mode & 0o777 if file.exists() else 0o644) as new:
        new.write(text.encode())

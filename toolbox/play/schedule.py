"""What is to be done next: the most urgent work that is missing, for a process that is free.

Nothing is queued. An edit changes what is wanted; results are kept by a hash of everything that they depend on, so only
what changed is rendered again.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from toolbox.play.draft import COPIES, Draft
from toolbox.play.engine import Engine, Job
from toolbox.play.jobs import PictureJob, ReferenceJob, RenderJob, ScoreJob
from toolbox.play.messages import Operation, Request
from toolbox.play.pictures import Picture, Pictures


class Schedule:
    """Chooses jobs for the pictures and the recipes of a session, and knows which are running."""

    def __init__(
        self,
        pictures: Pictures,
        engine: Engine,
        drafts: Callable[[], Sequence[Draft | None]],
        changed: Callable[[Picture], None],
    ) -> None:
        """`drafts` returns the recipes, the most urgent first; `changed` is called when a picture has news."""
        self._pictures = pictures
        self._engine = engine
        self._drafts = drafts
        self._changed = changed
        self._work = asyncio.Event()
        self._references: list[ReferenceJob] = []
        self._running: dict[Picture, PictureJob] = {}
        self.focus = ""
        """The id of the picture that is looked at: it comes first."""

    async def next_job(self) -> Job:
        """Return the most urgent work; wait until there is some."""
        while True:
            if self._references:
                return self._references.pop(0)
            if job := self._missing() or self._unscored():
                self._running[job.picture] = job
                return job
            self._work.clear()
            await self._work.wait()

    def wake(self) -> None:
        """Let idle processes look for work."""
        self._work.set()

    def end(self, job: Job) -> None:
        """Forget a job that has ended, and look for work."""
        if isinstance(job, PictureJob):
            self._running.pop(job.picture, None)
            self._changed(job.picture)
        self.wake()

    @property
    def is_idle(self) -> bool:
        """Whether everything that is wanted was rendered and scored."""
        return not (self._missing() or self._unscored() or self._running)

    def cancel(self, picture: Picture) -> None:
        """Cancel what is running for a picture."""
        if job := self._running.get(picture):
            job.is_cancelled = True
            self._engine.cancel(job)

    def cancel_unwanted(self) -> None:
        """Cancel the jobs of which no remaining rendition is wanted any more."""
        for picture, job in list(self._running.items()):
            if not job.is_wanted(picture.wanted(self._drafts())):
                self.cancel(picture)

    async def reference(self, picture: Picture, draft: Draft, column: str, *, is_report: bool) -> str:
        """Return the file of the source with the size and the crop of a rendition; raises RefusedError."""
        key = picture.cache_keys(draft).get(column, "")
        if key not in picture.references:
            job = ReferenceJob(self._request(picture, draft, "refer", (column,), is_report=is_report))
            self._references.append(job)
            self.wake()
            picture.references[key] = await job.done
        return picture.references[key]

    def _missing(self) -> RenderJob | None:
        """Return what is to be rendered next: the edited recipe before the saved one, the focused picture first."""
        pictures = sorted(self._pictures, key=lambda picture: picture.id != self.focus)
        for draft in self._drafts():
            for picture in pictures:
                columns = self._columns_to_make(picture, draft)
                if draft and columns is not None and picture not in self._running:
                    request = self._request(picture, draft, "render", columns, is_first=not picture.view)
                    return RenderJob(picture, draft, request, self._changed)
        return None

    def _unscored(self) -> ScoreJob | None:
        """Return what is to be scored next: only when everything is rendered."""
        for draft in self._drafts():
            for picture in self._pictures:
                results = {id_: picture.results.get(key) for id_, key in picture.cache_keys(draft).items()}
                files = {id_: one.file for id_, one in results.items() if one and one.file and not one.is_scored}
                if draft and files and picture not in self._running:
                    request = self._request(picture, draft, "score", tuple(files), files=files)
                    return ScoreJob(picture, draft, request, self._changed)
        return None

    def _columns_to_make(self, picture: Picture, draft: Draft | None) -> tuple[str, ...] | None:
        """Return the columns without a result; empty if only the source is to be read, None if nothing is missing."""
        keys = picture.cache_keys(draft)
        columns = tuple(id_ for id_, key in keys.items() if key not in picture.results and key not in COPIES)
        return columns if columns or not picture.is_known else None

    def _request(
        self, picture: Picture, draft: Draft, operation: Operation, columns: tuple[str, ...], **options: Any
    ) -> Request:
        return Request(
            operation=operation,
            path=str(picture.path),
            key=picture.key,
            recipe=draft.text,
            recipe_folder=str(draft.folder),
            columns=columns,
            focal_point=picture.focal_point,
            folder=str(self._pictures.folder),
            **options,
        )

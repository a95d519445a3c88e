"""Jobs: requests for the processes, and what is done with their messages."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import msgspec

from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Size
from toolbox.play.draft import COPY_WITH_RENDITIONS, Draft
from toolbox.play.engine import Job
from toolbox.play.messages import (
    AnyMessage,
    ColumnScore,
    Decoded,
    Failed,
    Header,
    Metadata,
    Placeholders,
    ReferenceFile,
    RenditionFile,
    Request,
    View,
)
from toolbox.play.pictures import Picture, RefusedError, Result


class PictureJob(Job):
    """Work on columns of a picture."""

    def __init__(self, picture: Picture, draft: Draft, request: Request, changed: Callable[[Picture], None]) -> None:
        """Call `changed` after each message that changed something of the picture."""
        self.picture = picture
        self.columns = set(request.columns)
        """Those that are still to come."""
        self.request = request
        self._draft, self._focal_point = draft, picture.focal_point
        self.is_cancelled = False
        self._changed = changed

    @property
    def keys(self) -> Mapping[str, str]:
        """The hash for each column, with the focal point of the request."""
        return self.picture.cache_keys_at(self._draft, self._focal_point)

    def is_wanted(self, wanted: Collection[str]) -> bool:
        """Return whether some column that is still to come is wanted, by its hash."""
        keys = self.keys
        return not self.columns or any(keys.get(column) in wanted for column in self.columns)


class RenderJob(PictureJob):
    """Renders columns of a picture."""

    def receive(self, message: AnyMessage) -> None:
        """Keep a result, or what was found out of the source."""
        picture = self.picture
        match message:
            case Header():
                picture.size = Size(message.width, message.height)
                picture.format = Format(message.format)
                picture.etag = message.etag
                picture.unreadable = ""
            case Decoded():
                picture.decoding, picture.function_decoding = message.milliseconds, message.function_ms
            case View():
                picture.view = message.file
            case Metadata():
                picture.metadata = message.entries
            case Placeholders():
                picture.thumbhash, picture.colour = message.thumbhash, message.colour
            case RenditionFile():
                self.columns.discard(message.column)
                self._keep(
                    message.column,
                    Result(
                        status="made",
                        file=message.file,
                        made=message.made,
                        milliseconds=message.milliseconds,
                        function_ms=message.function_ms,
                        metadata=message.metadata,
                        is_larger=message.is_larger,
                    ),
                )
            case Failed():
                self._fail(message.status, message.text)
        self._changed(picture)

    def end(self, failure: str | None) -> None:
        """Keep the reason if the process did not survive."""
        if not self.is_cancelled and (failure or self.columns):
            self._fail("failed", failure or "the engine did not make it")

    def _fail(self, status: str, text: str) -> None:
        """Keep the reason for every column that was not made: the function rejects a source as a whole."""
        copies = [id_ for id_, key in self.keys.items() if key == COPY_WITH_RENDITIONS]
        for column in [*self.columns, *copies]:
            self._keep(column, Result(status=status, text=text))
        self.columns.clear()
        if not self.picture.view:
            self.picture.unreadable = text

    def _keep(self, column: str, result: Result) -> None:
        if key := self.keys.get(column):
            self.picture.results[key] = result


class ScoreJob(PictureJob):
    """Scores columns of a picture that were rendered."""

    def receive(self, message: AnyMessage) -> None:
        """Keep a score."""
        if isinstance(message, ColumnScore):
            self._keep(message.column, message.overall, message.worst)

    def end(self, failure: str | None) -> None:
        """Mark the rest as scored, so they are not requested again."""
        if not self.is_cancelled:
            for column in list(self.columns):
                self._keep(column, None, None)

    def _keep(self, column: str, score: float | None, worst: float | None) -> None:
        self.columns.discard(column)
        key = self.keys.get(column, "")
        result = self.picture.results.get(key)
        if result and result.made:
            # The engine knows the score if it searched for it.
            made = result.made if score is None else msgspec.structs.replace(result.made, score=score)
            self.picture.results[key] = replace(result, made=made, worst=worst, is_scored=True)
        self._changed(self.picture)


class ReferenceJob(Job):
    """Makes the source with the size and the crop of one rendition."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def receive(self, message: AnyMessage) -> None:
        """Resolve the future with the file, or with the reason."""
        if self.done.done():
            return
        if isinstance(message, ReferenceFile):
            self.done.set_result(message.file)
        elif isinstance(message, Failed):
            self.done.set_exception(RefusedError(message.text))

    def end(self, failure: str | None) -> None:
        """Resolve the future if nothing else did."""
        if not self.done.done():
            self.done.set_exception(RefusedError(failure or "there is no such rendition"))

"""`python -m toolbox.play.worker`: render pictures in a process that may die.

It reads a request per line of standard input and writes messages to standard output, both in JSON. A further line
while it works cancels the request. When its standard input ends, it ends at once: it never outlives the server.
"""

import base64
import hashlib
import os
import queue
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from image_scaler.exceptions import ImageScalerError, RejectedError
from image_scaler.images import placeholders, vips
from image_scaler.images.decoding import first_frame
from image_scaler.images.rendering import Rendering, Rendition, SourceImage
from image_scaler.images.ssimulacra2 import Reference
from image_scaler.recipe_file import parse_recipe_in
from image_scaler.renditions.dependencies import depends_on
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Fit, Point, Size
from image_scaler.renditions.keys import KeyTemplate
from image_scaler.renditions.spec import RenditionSpec, RenditionTarget
from toolbox.play.draft import column_id
from toolbox.play.durations import decoding_ms, rendition_ms
from toolbox.play.messages import (
    ColumnScore,
    Decoded,
    Done,
    Failed,
    Header,
    Message,
    Metadata,
    Placeholders,
    ReferenceFile,
    RenditionFile,
    Request,
    View,
)
from toolbox.play.metadata import read_metadata

_VIEW_QUALITY = 82
_VIEW = RenditionSpec(name="view", template=KeyTemplate("view/"), width=640, height=640, fit=Fit.INSIDE)
"""The source as the page shows it: browsers display neither HEIC nor TIFF nor CMYK."""
_REPORT_QUALITY = 92
"""Of references in a file that has no server: WebP, because a lossless picture has ten times the bytes."""


class Work:
    """One request: a source, a recipe, and the columns to render."""

    def __init__(self, request: Request, cancelled: threading.Event) -> None:
        self._request = request
        self._cancelled = cancelled
        self._folder = Path(request.folder)
        self._recipe = parse_recipe_in(Path(request.recipe_folder), request.recipe)
        vips.configure(allow_svg=self._recipe.allow_svg)
        self._body = self._read()
        self._focal_point = Point(*request.focal_point) if request.focal_point else None

    def _read(self) -> bytes:
        path = Path(self._request.path)
        try:
            self._recipe.limits.check_bytes(path.stat().st_size)
            return path.read_bytes()
        except OSError as error:
            raise RejectedError(f"cannot read the file: {error.strerror}") from error

    def render(self) -> Iterator[Message]:
        """Yield what is known of the source, then each rendition, the smallest first: it is on the page soonest."""
        image = SourceImage(self._body, self._recipe.limits)
        width, height = image.size
        etag = hashlib.md5(self._body, usedforsecurity=False).hexdigest()  # as S3's
        yield Header(format=image.format, width=width, height=height, etag=etag)
        targets = self._recipe.plan_for(self._request.key).renditions
        wanted = [target for target in targets if column_id(target.spec) in self._request.columns]
        frames = max((_frames(image, target) for target in targets), default=0)
        start = time.process_time()
        rendering = image.render(targets, self._focal_point) if wanted else None
        yield Decoded(milliseconds=_since(start), function_ms=decoding_ms(image.format, width * height * frames))
        is_first = self._request.is_first
        for chosen in _turns(sorted(wanted, key=lambda target: _area(image, target))):
            assert rendering  # noqa: S101  there are targets
            start = time.process_time()
            for rendition in rendering.select(chosen):
                yield self._made(rendition, _since(start), image.frames)
                if is_first:
                    yield self._view(image)
                    is_first = False
                if self._cancelled.is_set():
                    return
                start = time.process_time()
        if self._request.is_first:
            if not wanted:
                yield self._view(image)
            yield Metadata(entries=tuple(read_metadata(self._body)))
            yield _placeholders(rendering or image.render([_target(_VIEW, Format.WEBP)]))

    def refer(self) -> Iterator[Message]:
        """Yield the source with the size and the crop of one rendition, and with pixels that were not compressed."""
        image = SourceImage(self._body, self._recipe.limits)
        targets = list(self._recipe.plan_for(self._request.key).renditions)
        (column,) = self._request.columns
        at = next((i for i, target in enumerate(targets) if column_id(target.spec) == column), None)
        if at is None:  # a copy has no size of its own
            view = self._view_of(image, 2560, _REPORT_QUALITY)
            yield ReferenceFile(file=self._write(view.body, Format.WEBP))
            return
        unsharpened = msgspec.structs.replace(targets[at].spec, sharpen=False)
        targets[at] = RenditionTarget(unsharpened, targets[at].key, targets[at].format)
        original = image.render(targets, self._focal_point).original(targets[at])
        if self._request.is_report:
            file = self._write(original.webpsave_buffer(Q=_REPORT_QUALITY, keep="icc"), Format.WEBP)
        else:
            file = self._write(original.pngsave_buffer(compression=1, keep="icc"), Format.PNG)
        yield ReferenceFile(file=file)

    def score(self) -> Iterator[Message]:
        """Yield the score of each rendition that was made: how much of the picture is left, as people see it."""
        image = SourceImage(self._body, self._recipe.limits)
        targets = self._recipe.plan_for(self._request.key).renditions
        rendering = image.render(targets, self._focal_point)
        references: dict[tuple[Size, RenditionSpec], Reference] = {}
        for target in sorted(targets, key=lambda target: _area(image, target)):
            column = column_id(target.spec)
            if column not in self._request.files:
                continue
            if self._cancelled.is_set():
                return
            original = rendering.original(target)
            # AVIF and WebP of one size have the same original.
            same = Size(original.width, original.height), target.spec.pixel_options
            if same not in references:
                references[same] = Reference(original)
            made = first_frame((self._folder / self._request.files[column]).read_bytes())
            if made.hasalpha() >= original.hasalpha():  # else it is on a background that the original has not
                score = references[same].score(made)
                yield ColumnScore(column=column, overall=score.overall, worst=score.worst)

    def _view(self, image: SourceImage) -> Message:
        rendition = self._view_of(image, _VIEW.width or 0, _VIEW_QUALITY)
        return View(file=self._write(rendition.body, rendition.target.format))

    def _view_of(self, image: SourceImage, side: int, quality: int) -> Rendition:
        spec = msgspec.structs.replace(_VIEW, width=side, height=side, quality=quality)
        (rendition,) = image.render([_target(spec, Format.WEBP)])
        return rendition

    def _made(self, rendition: Rendition, milliseconds: float, frames: int) -> Message:
        return RenditionFile(
            column=column_id(rendition.target.spec),
            file=self._write(rendition.body, rendition.target.format),
            made=rendition.made,
            is_larger=rendition.is_larger,
            milliseconds=milliseconds,
            function_ms=rendition_ms(rendition, frames),
            metadata=tuple(read_metadata(rendition.body)),
        )

    def _write(self, body: bytes, format: Format) -> str:
        path = self._folder / f"{uuid.uuid4().hex}.{format.extension}"
        path.write_bytes(body)
        return path.name


def _target(spec: RenditionSpec, format: Format) -> RenditionTarget:
    return RenditionTarget(spec, spec.name, format)


def _turns(targets: Sequence[RenditionTarget]) -> Iterator[list[RenditionTarget]]:
    """Yield the targets in their order, those together whose bytes depend on each other."""
    rest = list(targets)
    while rest:
        together = [target for target in rest if target == rest[0] or depends_on(rest[0], target)]
        yield together
        rest = [target for target in rest if target not in together]


def _area(image: SourceImage, target: RenditionTarget) -> int:
    size = target.lay_out(image.size).output
    return size.width * size.height


def _frames(image: SourceImage, target: RenditionTarget) -> int:
    return target.spec.frames_in(target.format, target.lay_out(image.size).output, image.frames)


def _placeholders(rendering: Rendering) -> Message:
    preview = rendering.preview()
    thumbhash = base64.b64encode(placeholders.thumbhash(*preview.size, preview.rgba)).decode()
    return Placeholders(thumbhash=thumbhash, colour=placeholders.dominant_colour(preview.rgba))


def _since(start: float) -> float:
    # Of the process, not of the clock: other processes render other pictures at the same time.
    return round((time.process_time() - start) * 1000, 1)


def work(request: Request, cancelled: threading.Event) -> Iterator[Message]:
    """Yield the messages of a request; the last is `done`, or `error` with the reason in the engine's words."""
    try:
        job = Work(request, cancelled)
        operations = {"render": job.render, "refer": job.refer, "score": job.score}
        yield from operations[request.operation]()
        yield Done()
    except ImageScalerError as error:
        yield Failed(status="rejected" if isinstance(error, RejectedError) else "failed", text=str(error))
    except Exception as error:  # a defect: the page shows it, as the log of the function would
        yield Failed(status="failed", text=f"{type(error).__name__}: {error}")


def main() -> None:
    """Work until standard input ends."""
    # libraries write notes to standard output: messages have a descriptor of their own
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(OSError):  # if memory is short, Linux ends this process and not the server
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    cancelled = threading.Event()

    def read() -> None:
        for line in sys.stdin:
            if line.strip():
                requests.put(line)
            else:
                cancelled.set()
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        request = msgspec.json.decode(requests.get(), type=Request)
        for message in work(request, cancelled):
            out.write(msgspec.json.encode(message) + b"\n")
            out.flush()
        cancelled.clear()


if __name__ == "__main__":
    main()

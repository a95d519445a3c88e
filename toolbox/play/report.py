"""The page as one file: it opens without a server and without a network."""

import asyncio
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.formats import Format, format_of_extension
from image_scaler.renditions.overlay import OVERLAY_FOLDER
from toolbox.atomic_file import atomic_file
from toolbox.play import assets
from toolbox.play.draft import Draft, read_draft
from toolbox.play.engine import Engine, cores
from toolbox.play.page import report_page
from toolbox.play.pictures import RefusedError
from toolbox.play.session import Session
from toolbox.source_files import SourceFile

BASELINE = "the last commit"
"""What the page compares renditions.toml with, as it names it."""


def write_report(html: Path, files: Sequence[SourceFile], renditions: Path) -> None:
    """Write the page with the renditions of these files, compared with those of the last commit.

    Raises ConfigError if there are no files, renditions.toml has a mistake, or the page cannot be written.
    """
    if not files:
        raise ConfigError("expected at least one picture for --html but received none")
    with tempfile.TemporaryDirectory(prefix="image-scaler-play-") as folder:
        content = asyncio.run(_content(Path(folder), files, renditions))
    try:
        if html.exists() and not html.is_file():  # a pipe or a device
            html.write_text(content, encoding="utf-8")
        else:
            with atomic_file(html.resolve()) as file:
                file.write(content.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {html}: {error.strerror}") from error


async def _content(folder: Path, files: Sequence[SourceFile], renditions: Path) -> str:
    engine = Engine(cores())
    session = Session(renditions, folder, engine)
    if session.recipe.mistakes:
        raise session.recipe.mistakes[0]
    session.recipe.saved = _committed(renditions, folder / "committed") or session.recipe.edited
    for file in files:
        session.add(file.ref.key, file.path, is_temporary=False)
    task = asyncio.create_task(engine.run(session.schedule.next_job, session.schedule.end))
    try:
        while not session.schedule.is_idle:
            await session.feed.next_change()
        references = await _references(session)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    events: list[dict[str, Any]] = [session.recipe.event()]
    events += [session.picture_event(picture) for picture in session.pictures]
    names = {picture.view for picture in session.pictures if picture.view} | set(references.values())
    names |= {result.file for picture in session.pictures for result in picture.results.values() if result.file}
    # Files of the same bytes are embedded once: AVIF and WebP of one size have the same reference.
    bodies = {name: (folder / name).read_bytes() for name in sorted(filter(None, names))}
    first = {body: name for name, body in reversed(bodies.items())}
    aliases = {name: first[body] for name, body in bodies.items()}
    embedded = {name: _data_url(name, body) for name, body in bodies.items() if aliases[name] == name}
    content = {"events": events, "files": embedded, "aliases": aliases, "references": references}
    return report_page(content | {"baseline": BASELINE})


def _committed(file: Path, folder: Path) -> Draft | None:
    """Return the recipe of the last commit; None without git, without such a file in it, or if it has a mistake.

    The images of its overlays are written to a folder.
    """
    text = _git(file.resolve().parent, "show", f"HEAD:./{file.name}")
    if text is None:
        return None
    if images := _git(file.resolve().parent, "archive", "HEAD", OVERLAY_FOLDER):
        with tarfile.open(fileobj=io.BytesIO(images)) as archive:
            archive.extractall(folder, filter="data")
    return read_draft(text.decode(errors="replace").replace("\r\n", "\n"), folder)[0]


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Return what git prints; None without git, or if it fails."""
    try:
        run = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    except OSError:
        return None
    return run.stdout if run.returncode == 0 else None


async def _references(session: Session) -> dict[str, str]:
    """Return the files of the sources with the size and the crop of each rendition, by the path that a server has."""
    found: dict[str, str] = {}
    for picture in session.pictures:
        event = session.picture_event(picture)
        for recipe, cells in (("edited", event["cells"]), ("saved", event["saved_cells"])):
            for id_, cell in cells.items():
                if cell["status"] == "made" and not (recipe == "saved" and cell == event["cells"].get(id_)):
                    with suppress(RefusedError):
                        found[f"{picture.id}/{recipe}/{id_}"] = await session.reference(
                            picture.id, id_, is_saved=recipe == "saved", is_report=True
                        )
    return found


def _data_url(name: str, body: bytes) -> str:
    format = format_of_extension(Path(name).suffix.removeprefix(".")) or Format.WEBP
    return assets.data_url(body, format.traits.media_type)

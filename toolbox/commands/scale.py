"""`image-scaler scale`: make the renditions of files with the function's engine."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.filesize import decimal
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from image_scaler.events import SourceEvent
from image_scaler.images import vips
from image_scaler.outcomes import Outcome
from image_scaler.renditions.recipe import Recipe
from image_scaler.scaler import build_scaler
from image_scaler.settings import Settings
from image_scaler.text import on_one_line
from toolbox.console import err, make_table, out, print_json
from toolbox.file_store import FileStore
from toolbox.source_files import SourceFile, source_files


@dataclass(frozen=True)
class Scaled:
    """The outcome of a file."""

    file: SourceFile
    outcome: Outcome
    milliseconds: int


def scale_files(files: Sequence[SourceFile], out_folder: Path, recipe: Recipe) -> Iterator[Scaled]:
    """Make the renditions of each file in a folder; yield its outcome."""
    vips.configure(allow_svg=recipe.allow_svg)
    settings = Settings(destination_bucket=str(out_folder.resolve()), recipe=recipe)
    scaler = build_scaler(settings, FileStore())
    for file in files:
        start = time.perf_counter()
        outcome = scaler.scale(SourceEvent(ref=file.ref, payload={}))
        yield Scaled(file, outcome, round((time.perf_counter() - start) * 1000))


def scale(paths: Sequence[Path], out_folder: Path, recipe: Recipe, *, as_json: bool) -> int:
    """Make and print the renditions of files; return the exit code. Raises InputError."""
    files = source_files(paths, out_folder)
    all_ok = True
    table = make_table("source", "rendition", "size", "bytes", "saved")
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        scaled_files = scale_files(files, out_folder, recipe)
        for scaled in progress.track(scaled_files, total=len(files), description="Scaling"):
            all_ok &= scaled.outcome.status == "ok"
            if as_json:
                print_json(_scaled_json(scaled))
            else:
                _add_scaled(table, scaled)
    if not as_json:
        out.print(table)
    return 0 if all_ok else 1


def _scaled_json(scaled: Scaled) -> dict[str, Any]:
    outcome = scaled.outcome
    return {
        "source": str(scaled.file.path),
        "status": outcome.status,
        "error": outcome.error.as_json() if outcome.error else None,
        "renditions": [write.rendition.as_json() for write in outcome.report.writes],
        "ms": scaled.milliseconds,
    }


def _add_scaled(table: Table, scaled: Scaled) -> None:
    outcome = scaled.outcome
    name = on_one_line(str(scaled.file.path))
    if outcome.status != "ok":
        table.add_row(name, Text(on_one_line(f"{outcome.status}: {outcome.error}"), style="red"))
        return
    before = scaled.file.path.stat().st_size
    for made in (write.rendition for write in outcome.report.writes):
        size = f"{made.width} x {made.height}" if made.width else "copy"
        saved = f"{1 - made.bytes / before:.0%}" if before else ""
        table.add_row(name, on_one_line(made.key), size, decimal(made.bytes), saved)
        name = ""

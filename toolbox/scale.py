"""Make the renditions of files with the function's engine."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_scaler.events import SourceEvent
from image_scaler.images import vips
from image_scaler.outcomes import Outcome
from image_scaler.renditions.spec import Renditions
from image_scaler.scaler import Scaler
from image_scaler.settings import Settings
from toolbox.file_store import FileStore
from toolbox.source_files import SourceFile


@dataclass(frozen=True)
class Scaled:
    """The outcome of a file."""

    file: SourceFile
    outcome: Outcome
    milliseconds: int


def scale_files(files: Sequence[SourceFile], out_folder: Path, renditions: Renditions) -> Iterator[Scaled]:
    """Make the renditions of each file in a folder; yield its outcome."""
    vips.configure(allow_svg=renditions.allow_svg)
    settings = Settings(destination_bucket=str(out_folder.resolve()), renditions=renditions)
    scaler = Scaler(settings, FileStore())
    for file in files:
        start = time.perf_counter()
        outcome = scaler.scale(SourceEvent(ref=file.ref, payload={}))
        yield Scaled(file, outcome, round((time.perf_counter() - start) * 1000))

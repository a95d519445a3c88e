"""Every contestant on every picture, in turns: A B C A B C ..., so that a slow moment of the machine meets all."""

import json
import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyvips

from bench import pictures, quality
from bench.pictures import Picture
from bench.processes import Run, run
from bench.workplace import BENCH, SCRATCH

WIDTHS = (320, 640, 1280, 1920)


@dataclass(frozen=True)
class Contestant:
    """One way to make a ladder."""

    name: str
    command: tuple[str, ...]

    def ladder(self, source: str, format: str, widths: Sequence[int], out: Path) -> Run:
        """Run it in a fresh process."""
        return run([*self.command, source, format, ",".join(map(str, widths)), str(out)])

    def start(self) -> Run:
        """Run it without any work."""
        return run([*self.command, "-", "jpeg", "1", "-"])


def _python(name: str) -> tuple[str, ...]:
    return (sys.executable, str(BENCH / "contestants" / f"{name}.py"))


_SHARP = ("node", str(BENCH / "contestants" / "sharp.mjs"))

OURS = Contestant("ours", _python("ours"))
SHARP = Contestant("sharp", (*_SHARP, "sequential"))
SHARP_PARALLEL = Contestant("sharp, Promise.all", (*_SHARP, "parallel"))
PILLOW = Contestant("Pillow", _python("pillow"))
LIBVIPS = Contestant("libvips, a call per size", _python("libvips"))
CONTESTANTS = (OURS, SHARP, SHARP_PARALLEL, LIBVIPS, PILLOW)


@dataclass(frozen=True)
class Case:
    """One picture, and the ladder that is made of it."""

    picture: Picture
    format: str
    widths: tuple[int, ...] = WIDTHS
    contestants: tuple[Contestant, ...] = CONTESTANTS
    role: str = "ladder"
    """`ladder`, or the chart that it is measured for: `renditions`."""


@dataclass
class Measurement:
    """The figures of one contestant in one case; lists have one value for each round."""

    contestant: str
    cpu_ms: list[float] = field(default_factory=list)
    """Of the work: the whole process less its start-up."""
    total_cpu_ms: list[float] = field(default_factory=list)
    """Of the whole process, start-up included."""
    wall_ms: list[float] = field(default_factory=list)
    """Of the work, as the contestant itself measures it."""
    peak_mb: list[float] = field(default_factory=list)
    """Of the whole process."""
    bytes: int = 0
    """Of all its renditions."""
    frames: int = 1
    ssim: float = 0.0
    """The mean over all widths."""
    chroma: float = 0.0


def cases(*, quick: bool) -> list[Case]:
    """Return what is measured."""
    formats = ("jpeg", "webp", "avif")
    found = [Case(pictures.drawn(12), format) for format in formats]
    if quick:
        return found
    for megapixels in pictures.SIDES:
        # Photographs if IMAGE_CORPUS names some, or else drawn pictures; their JPEGs show how time grows.
        photograph = pictures.photograph(megapixels)
        if photograph:
            found += [Case(photograph, format) for format in formats]
        if megapixels != 12:
            found += [Case(pictures.drawn(megapixels), format) for format in (formats[:1] if photograph else formats)]
    for megapixels in (12, 35):
        progressive = pictures.photograph(megapixels, "progressive") or pictures.drawn(megapixels, "progressive")
        found.append(Case(progressive, "jpeg"))
    found.append(Case(pictures.photograph(24, "png") or pictures.drawn(24, "png"), "webp"))
    found.append(Case(pictures.animation(), "webp", (320, 640, 960)))
    steps = (1920, 1600, 1280, 960, 640, 480, 320, 160)
    found += [
        Case(pictures.drawn(12), "jpeg", steps[:count], (OURS, SHARP, LIBVIPS, PILLOW), "renditions")
        for count in (1, 2, 4, 8)
    ]
    return found


def measure(*, quick: bool, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return every case with the measurements of its contestants, and what starting each one takes."""
    starts: dict[str, list[Run]] = {contestant.name: [] for contestant in CONTESTANTS}
    for _ in range(3):
        _start_all(starts)
    found: list[tuple[Case, list[Measurement]]] = []
    for case in cases(quick=quick):
        say(f"  {case.picture.name} ({case.picture.origin}) to {case.format}, {len(case.widths)} sizes")
        _start_all(starts)  # spread over the whole time, as the work is
        found.append((case, _measure(case, rounds)))
    startup = {
        name: {
            "cpu_ms": statistics.median(start.cpu_ms for start in runs),
            "peak_mb": statistics.median(start.peak_mb for start in runs),
        }
        for name, runs in starts.items()
    }
    for _, measurements in found:
        for measurement in measurements:
            start_ms = startup[measurement.contestant]["cpu_ms"]
            measurement.cpu_ms = [max(1.0, total - start_ms) for total in measurement.total_cpu_ms]
    return {
        "rounds": rounds,
        "startup": startup,
        "cases": [
            {
                "picture": case.picture.name,
                "origin": case.picture.origin,
                "megapixels": case.picture.megapixels,
                "file_bytes": case.picture.path.stat().st_size,
                "format": case.format,
                "widths": case.widths,
                "role": case.role,
                "measurements": [asdict(measurement) for measurement in measurements],
            }
            for case, measurements in found
        ],
    }


def _start_all(starts: dict[str, list[Run]]) -> None:
    for contestant in CONTESTANTS:
        starts[contestant.name].append(contestant.start())


def _measure(case: Case, rounds: int) -> list[Measurement]:
    """Run the contestants in turns; their `cpu_ms` is left to be found when all starts are measured."""
    found = {contestant.name: Measurement(contestant.name) for contestant in case.contestants}
    folders = {name: _empty_folder(SCRATCH / "out" / str(index)) for index, name in enumerate(found)}
    for _ in range(rounds):
        for contestant in case.contestants:
            measurement = found[contestant.name]
            done = contestant.ladder(str(case.picture.path), case.format, case.widths, folders[contestant.name])
            measurement.total_cpu_ms.append(done.cpu_ms)
            measurement.wall_ms.append(done.printed["wall_ms"])
            measurement.peak_mb.append(done.peak_mb)
    judged = run([sys.executable, "-m", "bench.ladders", str(case.picture.path), *map(str, folders.values())]).printed
    for name, folder in folders.items():
        measurement = found[name]
        measurement.bytes = sum(path.stat().st_size for path in folder.iterdir())
        for aspect, value in judged[str(folder)].items():
            setattr(measurement, aspect, value)
    return list(found.values())


def _empty_folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _judge(source: Path, folders: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Return `ssim`, `chroma` and `frames` for each folder of renditions; of animations, the first frame's."""
    references: dict[tuple[int, int], pyvips.Image] = {}
    judged = {}
    for folder in folders:
        found, frames = [], 1
        for path in folder.iterdir():
            header = pyvips.Image.new_from_file(str(path))
            frames = header.get("n-pages") if header.get_typeof("n-pages") else 1
            size = (header.width, header.height)
            if size not in references:
                references[size] = quality.reference(source, *size)
            found.append(quality.similarity(references[size], quality.upright(path)))
        judged[str(folder)] = {
            "ssim": statistics.fmean(one.luma for one in found),
            "chroma": statistics.fmean(one.chroma for one in found),
            "frames": frames,
        }
    return judged


if __name__ == "__main__":  # in a process of its own: whole pictures are decoded here
    sys.stdout.write(json.dumps(_judge(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])))

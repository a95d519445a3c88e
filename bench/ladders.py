"""A ladder by the engine and by sharp, both with their defaults: CPU, memory, and bytes at an equal score.

CPU and memory are those of whole processes, which take turns. For bytes, sharp encodes the pixels of the engine's own
renditions at several qualities: its bytes at the score of the engine's rendition are between two of them.
"""

import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyvips

from bench.images import Picture, judged_pictures
from bench.processes import Run, run
from image_scaler.images.rendering import SourceImage
from image_scaler.images.ssimulacra2 import Reference
from image_scaler.renditions.toml import parse_recipe

WIDTHS = (320, 640, 1280, 1920)
FORMATS = ("jpeg", "webp", "avif")
SHARP_QUALITIES = {"jpeg": (62, 74, 86), "webp": (64, 76, 88), "avif": (46, 54, 64)}
BENCH = Path(__file__).parent
_COMMANDS = {"engine": (sys.executable, str(BENCH / "ladder.py")), "sharp": ("node", str(BENCH / "sharp.mjs"))}


def measure(rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return, for each picture and format, the ratios of CPU and memory, and the bytes of each step."""
    starts = {name: statistics.median(run(command).cpu_ms for _ in range(5)) for name, command in _COMMANDS.items()}
    rows = []
    for picture in judged_pictures():
        say(f"  ladders of {picture.path.name}")
        references = engine_ladder(picture, ["png"], WIDTHS)["png"]
        sharp = sharp_encodings(references, SHARP_QUALITIES)
        for format, ours in engine_ladder(picture, FORMATS, WIDTHS).items():
            steps = [_step(body, ours[width], sharp[format][width]) for width, body in references.items()]
            took = _processes(picture, format, rounds, starts)
            rows.append({"picture": picture.path.name, "format": format, "steps": steps, **took})
    return rows


def engine_ladder(
    picture: Picture, formats: Sequence[str], widths: tuple[int, ...], options: str = ""
) -> dict[str, dict[int, bytes]]:
    """Return the engine's renditions by format and width. `options`: further lines of renditions.toml."""
    toml = f"[renditions.r]\nwidths = {picture.steps(widths)}\nformats = {json.dumps(list(formats))}\n{options}"
    found: dict[str, dict[int, bytes]] = {format: {} for format in formats}
    for rendition in SourceImage(picture.body).render(parse_recipe(toml).plan_for("picture").renditions):
        found[str(rendition.target.format)][rendition.size.width] = rendition.body
    return found


def sharp_encodings(
    references: Mapping[int, bytes], qualities: Mapping[str, Sequence[int]]
) -> dict[str, dict[int, dict[int, bytes]]]:
    """Return PNGs as sharp encodes them with its defaults: by format, width and quality."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for width, body in references.items():
            (folder / f"{width}.png").write_bytes(body)
        jobs = [
            {
                "source": str(folder / f"{width}.png"),
                "format": format,
                "quality": quality,
                "output": str(folder / f"{width}-{quality}.{format}"),
            }
            for format in qualities
            for width in references
            for quality in qualities[format]
        ]
        subprocess.run([*_COMMANDS["sharp"], "encode"], input=json.dumps(jobs), text=True, check=True, cwd=BENCH)
        return {
            format: {
                width: {quality: (folder / f"{width}-{quality}.{format}").read_bytes() for quality in qualities[format]}
                for width in references
            }
            for format in qualities
        }


def _step(reference: bytes, ours: bytes, sharp: Mapping[int, bytes]) -> dict[str, float]:
    """Return the pixels and the bytes of a step, and sharp's bytes at the same score.

    The score is the engine's own SSIMULACRA 2, which a test compares with the public implementation: it judges both.
    """
    image = pyvips.Image.new_from_buffer(reference, "")
    judge = Reference(image)

    def score(encoded: bytes) -> float:
        decoded = pyvips.Image.new_from_buffer(encoded, "")
        if image.hasalpha() and not decoded.hasalpha():  # JPEG
            return Reference(image.flatten(background=255)).score(decoded).overall
        return judge.score(decoded).overall

    wanted = score(ours)
    known = sorted((score(body), math.log(len(body))) for body in sharp.values())
    return {
        "pixels": image.width * image.height,
        "bytes": len(ours),
        "sharp_bytes": math.exp(_interpolate(known, wanted)),
    }


def _interpolate(points: Sequence[tuple[float, float]], x: float) -> float:
    """Return y at x on the straight line through the two points next to x; beyond the last, through the last two."""
    above = next((index for index, (known, _) in enumerate(points) if known >= x), len(points) - 1)
    (x0, y0), (x1, y1) = points[max(0, above - 1)], points[max(1, above)]
    return y0 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _processes(picture: Picture, format: str, rounds: int, starts: Mapping[str, float]) -> dict[str, float]:
    """Return the engine's CPU and peak memory, each divided by sharp's; CPU without that of starting the program."""
    runs: dict[str, list[Run]] = {name: [] for name in _COMMANDS}
    widths = ",".join(map(str, picture.steps(WIDTHS)))
    with tempfile.TemporaryDirectory() as out:
        for _ in range(rounds):
            for name, command in _COMMANDS.items():
                runs[name].append(run([*command, str(picture.path), format, widths, out]))
    cpu = {name: max(1.0, statistics.median(one.cpu_ms for one in runs[name]) - starts[name]) for name in runs}
    peak = {name: statistics.median(one.peak_mb for one in runs[name]) for name in runs}
    return {"cpu": cpu["engine"] / cpu["sharp"], "memory": peak["engine"] / peak["sharp"]}

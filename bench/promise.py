"""The promise `quality = "high"`, judged on pictures that its curves were not fitted to, by a judge that is not ours.

Each picture becomes a ladder in every format: promised, and at the formats' default qualities. A rendition is judged
against the same scaled pixels without loss: how well they are scaled is judged in `ladders`. sharp encodes those pixels
at several qualities, so that its bytes are known where the tenth percentile of its scores equals ours.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyvips

from bench import gallery
from bench.gallery import Exhibit
from bench.scores import JUDGE, judge
from bench.workplace import BENCH, ROOT, SCRATCH
from image_scaler.images import vips
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_renditions

PROMISE = '"high"'
TARGET = 70.0
WIDTHS = (320, 640, 1280)
FORMATS = ("jpeg", "webp", "avif")
SHARP_QUALITIES = {"jpeg": (60, 70, 80), "webp": (65, 75, 85), "avif": (50, 58, 66)}
WORST = 10
WORST_FOLDER = SCRATCH / "worst"
"""The worst renditions that were promised, `<rank>-<what it is>`, each with `<rank>-source.png`."""


@dataclass(frozen=True)
class Judged:
    """One rendition: how it was made, and its score."""

    picture: str
    kind: str
    format: str
    width: int
    maker: str
    """`fixed`, `promised`, or `sharp 80`: sharp at a quality."""
    bytes: int
    pixels: int
    score: float


@dataclass(frozen=True)
class _Encoded:
    format: str
    width: int
    body: bytes


def measure(*, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return every rendition's score and bytes and what the shipped ladder costs; keep the worst in WORST_FOLDER."""
    vips.configure(threads=1)
    _, exhibits = gallery.halves(gallery.gallery())
    if quick:
        exhibits = [exhibit for exhibit in exhibits if exhibit.kind == "screenshot"]
    judged: list[Judged] = []
    promised: list[tuple[Judged, bytes, bytes]] = []
    for exhibit in exhibits:
        say(f"  {exhibit.name}")
        source = _readable(exhibit)
        width = SourceImage(source).size.width
        widths = [step for step in WIDTHS if step <= width]
        references = {item.width: item.body for item in _ladder(source, ["png"], widths)}
        made = {
            "fixed": _ladder(source, FORMATS, widths),
            "promised": _ladder(source, FORMATS, widths, f"quality = {PROMISE}"),
            **_by_sharp(references),
        }
        for step, reference in references.items():
            image = pyvips.Image.new_from_buffer(reference, "")
            pixels = image.width * image.height
            with judge(image) as score:
                for maker, items in made.items():
                    for item in items:
                        if item.width == step:
                            size, found = len(item.body), score(item.body)
                            one = Judged(exhibit.name, exhibit.kind, item.format, step, maker, size, pixels, found)
                            judged.append(one)
                            if maker == "promised":
                                promised.append((one, item.body, reference))
        promised = sorted(promised, key=lambda entry: entry[0].score)[:WORST]
    _keep(promised)
    return {
        "judge": JUDGE,
        "target": TARGET,
        "rows": [asdict(one) for one in judged],
        "worst": [asdict(one) for one, _, _ in promised],
        "cpu": _shipped_cpu(exhibits, rounds=1 if quick else 2, say=say),
    }


def _readable(exhibit: Exhibit) -> bytes:
    """Return the bytes of a picture."""
    return exhibit.path.read_bytes()


def _ladder(source: bytes, formats: Sequence[str], widths: Sequence[int], options: str = "") -> list[_Encoded]:
    toml = f"[renditions.r]\nwidths = {list(widths)}\nformats = {json.dumps(list(formats))}\n{options}"
    renditions = SourceImage(source).render(parse_renditions(toml).plan_for("picture").renditions)
    return [_Encoded(str(item.target.format), item.size.width, item.body) for item in renditions]


def _by_sharp(references: dict[int, bytes]) -> dict[str, list[_Encoded]]:
    """Return what sharp makes of the same pixels with its defaults, at several qualities."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for width, body in references.items():
            (folder / f"{width}.png").write_bytes(body)
        jobs: list[dict[str, Any]] = [
            {"format": format, "quality": quality, "width": width}
            for format, qualities in SHARP_QUALITIES.items()
            for quality in qualities
            for width in references
        ]
        for number, job in enumerate(jobs):
            job |= {"source": str(folder / f"{job['width']}.png"), "output": str(folder / f"{number}")}
        command = ["node", str(BENCH / "contestants" / "sharp_qualities.mjs")]
        subprocess.run(command, input=json.dumps(jobs), text=True, check=True, cwd=BENCH)
        found: dict[str, list[_Encoded]] = {}
        for number, job in enumerate(jobs):
            encoded = _Encoded(job["format"], job["width"], (folder / f"{number}").read_bytes())
            found.setdefault(f"sharp {job['quality']}", []).append(encoded)
        return found


def _keep(worst: Sequence[tuple[Judged, bytes, bytes]]) -> None:
    WORST_FOLDER.mkdir(parents=True, exist_ok=True)
    for path in WORST_FOLDER.iterdir():
        path.unlink()
    for rank, (_, body, reference) in enumerate(worst):
        (WORST_FOLDER / f"{rank}-rendition").write_bytes(body)
        (WORST_FOLDER / f"{rank}-source").write_bytes(reference)


def _shipped_cpu(exhibits: Sequence[Exhibit], rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return the CPU of the shipped renditions.toml for each picture, in ms: without a promise, and with it."""
    shipped = (ROOT / "renditions.toml").read_text(encoding="utf-8")
    lines = [line for line in shipped.splitlines() if not line.startswith("quality")]
    with_promise = [f"{line}\nquality = {PROMISE}" if line.startswith("format") else line for line in lines]
    recipes = {"fixed": parse_renditions("\n".join(lines)), "promised": parse_renditions("\n".join(with_promise))}
    rows = []
    for exhibit in exhibits:
        say(f"  the shipped ladder of {exhibit.name}")
        source = _readable(exhibit)
        took: dict[str, list[float]] = {name: [] for name in recipes}
        for _ in range(rounds):
            for name, recipe in recipes.items():
                started = time.process_time()
                for _rendition in SourceImage(source).render(recipe.plan_for("picture.jpg").renditions):
                    pass
                took[name].append((time.process_time() - started) * 1000)
        rows.append({"picture": exhibit.name, "kind": exhibit.kind} | took)
    return rows

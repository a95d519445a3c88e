"""`quality = "high"`: how many renditions reach their score by a judge that is not the engine, and what it costs."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import pyvips

from bench.images import ROOT, Picture, judged_pictures
from bench.ladders import FORMATS, engine_ladder
from bench.scores import judge
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_recipe

WIDTHS = (640, 1280, 1920)
"""Narrower pictures are too low for the package that judges: it weighs other error maps below 225 pixels."""


def measure(rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the score of each rendition, and the CPU of the shipped renditions.toml with and without a target."""
    pictures = judged_pictures()
    say("  CPU")  # before the first score: what scores allocate makes the memory of later pictures dearer
    cpu = [{"picture": picture.path.name, **_cpu(picture, rounds)} for picture in pictures]
    renditions = []
    for picture in pictures:
        if not picture.steps(WIDTHS):
            continue
        say(f"  quality = high of {picture.path.name}")
        references = engine_ladder(picture, ["png"], WIDTHS)["png"]
        fixed = engine_ladder(picture, FORMATS, WIDTHS)
        searched = engine_ladder(picture, FORMATS, WIDTHS, 'quality = "high"')
        for width, reference in references.items():
            image = pyvips.Image.new_from_buffer(reference, "")
            with judge(image) as score:
                for format in FORMATS:
                    one = {"picture": picture.path.name, "format": format, "pixels": image.width * image.height}
                    scores = {
                        "score": score(searched[format][width]),
                        "fixed_score": score(fixed[format][width]),
                    }
                    renditions.append(one | scores)
    return {"renditions": renditions, "cpu": cpu}


def _cpu(picture: Picture, rounds: int) -> dict[str, float]:
    """Return the CPU of the shipped renditions in ms, with fixed qualities and with the search."""
    shipped = (ROOT / "renditions.toml").read_text(encoding="utf-8")
    fixed = "\n".join(line for line in shipped.splitlines() if not line.startswith("quality"))
    took: dict[str, list[float]] = {"fixed": [], "searched": []}
    for _ in range(rounds):
        for name, toml in (("fixed", fixed), ("searched", shipped)):
            targets = parse_recipe(toml).plan_for("picture.jpg").renditions
            started = time.process_time()
            for _rendition in SourceImage(picture.body).render(targets):
                pass
            took[name].append((time.process_time() - started) * 1000)
    return {name: statistics.median(values) for name, values in took.items()}

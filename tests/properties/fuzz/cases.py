"""One case: a damaged image, and what the engine may do with it."""

from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from image_scaler.exceptions import RejectedError
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.geometry import Point
from image_scaler.renditions.limits import DEFAULT_LIMITS, Limits
from image_scaler.renditions.spec import Target
from image_scaler.renditions.toml import parse_recipe
from tests.properties.fuzz.mutations import mutated
from tests.properties.fuzz.seeds import seeds
from tests.support.drawing import decoded

SMALL = Limits(pixels=6_000_000, buffered_pixels=3_000_000, frames=60)
"""So that a case whose header came to say something huge is over soon, whether it is accepted or not."""

_RENDITIONS = """
[renditions.same]
quality = 90
keep_copyright = false
[renditions.stripped]
quality = 100
[renditions.jpeg]
format = "jpeg"
progressive = true
[renditions.webp]
width = 100
format = "webp"
[renditions.avif]
width = 40
format = "avif"
[renditions.gif]
height = 50
format = "gif"
[renditions.cover]
width = 48
height = 32
format = "webp"
[renditions.attention]
width = 30
height = 30
position = "attention"
format = "png"
[renditions.entropy]
width = 20
height = 40
position = "entropy"
format = "jpeg"
[renditions.contain]
width = 60
height = 60
fit = "contain"
background = "#10203080"
format = "gif"
[renditions.larger]
width = 150
height = 170
fit = "fill"
without_enlargement = false
format = "png"
palette = true
[renditions.trimmed]
width = 40
trim = true
sharpen = true
format = "webp"
[renditions.profile]
width = 70
keep_profile = true
format = "png"
[renditions.hdr]
width = 50
height = 60
format = "jpeg"
hdr = "keep"
[renditions.budget]
width = 60
max_bytes = 900
format = "webp"
"""


class Case(NamedTuple):
    """A mutation of an image, chosen by the seed and the number of the case."""

    name: str
    body: bytes
    targets: tuple[Target, ...]
    limits: Limits
    focal_point: Point | None


@cache
def _targets(key: str) -> tuple[Target, ...]:
    return parse_recipe(_RENDITIONS).plan_for(key).targets


def case(seed: int, number: int, corpus: Path | None) -> Case:
    random = Random(f"{seed}:{number}")  # noqa: S311  the same numbers each time are what is wanted
    name, body = mutated(random, seeds(corpus))
    # Most renditions of `same` keep the format of the source, whose pixels may then be kept as they are.
    extension = random.choice((name.rsplit(".", 1)[-1], "jpg", "png", "webp", "gif"))
    targets = _targets(f"a.{extension}" if extension in ("jpg", "png", "webp", "gif", "avif") else "a")
    if random.random() < 0.05:
        chosen, limits = [target for target in targets if target.spec.width == 30], DEFAULT_LIMITS
    else:
        chosen, limits = random.sample(targets, random.choice((1, 2, 3))), SMALL
    focal_point = Point(random.random(), random.random()) if random.random() < 0.2 else None
    return Case(name, body, tuple(chosen), limits, focal_point)


def run(seed: int, number: int, corpus: Path | None) -> str:
    """Return `ok`, or the class name of the rejection; raises any other error."""
    return outcome(case(seed, number, corpus))


def outcome(case: Case) -> str:
    try:
        source = SourceImage(case.body, case.limits)
        renditions = list(source.render(case.targets, case.focal_point))
    except RejectedError as error:
        if not str(error).isprintable():
            raise ValueError("the reason is more than one line of text") from error
        return type(error).__name__
    assert {rendition.target for rendition in renditions} == set(case.targets)
    for rendition in renditions:
        spec = rendition.target.spec
        if not spec.trim:
            planned = rendition.target.lay_out(source.size)
            assert rendition.size == planned.output, spec.name
        image = decoded(rendition.body).autorot()
        assert (image.width, image.height) == rendition.size, spec.name
        image.avg()  # every pixel can be decoded
    return "ok"

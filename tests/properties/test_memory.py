"""The function's process lives on from image to image: nothing of one may stay."""

import pytest

from image_scaler.exceptions import RejectedError
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_recipe
from tests.properties.fuzz.seeds import seeds
from tests.support.watched_process import MEGABYTE, WatchedProcess, resident

ROUNDS = 12
TARGETS = parse_recipe(
    """
    [renditions.web]
    widths = [40, 80]
    formats = ["webp", "jpeg"]
    [renditions.square]
    width = 30
    height = 30
    position = "attention"
    format = "png"
    [renditions.own]
    quality = 90
    """
)


def render_rounds(rounds: int) -> list[int]:
    """Return the memory that is taken before the first round and after each."""
    taken = [resident()]
    for _ in range(rounds):
        for seed in seeds(None):
            for body in (seed.body, seed.body[: len(seed.body) // 2]):
                try:
                    for _rendition in SourceImage(body).render(TARGETS.plan_for(seed.name).renditions):
                        pass
                except RejectedError:
                    pass
        taken.append(resident())
    return taken


@pytest.mark.slow
@pytest.mark.timeout(330)
@pytest.mark.skipif(not resident(), reason="this system does not tell how much memory a process takes")
def test_memory_does_not_grow_from_image_to_image() -> None:
    with WatchedProcess(render_rounds, seconds=300) as process:
        taken = process.call(ROUNDS)
    images = 2 * len(seeds(None)) * ROUNDS
    assert images > 900
    # The first rounds fill what all others use again; from then on a leak of 20 kB an image would show. The least
    # of three rounds counts, because one may take 8 MB more than the next.
    grown = min(taken[-3:]) - min(taken[3:6])
    assert grown < 12 * MEGABYTE, [bytes_ // MEGABYTE for bytes_ in taken]

"""The function's process lives on from image to image: nothing of one may stay."""

import ctypes
import gc
import sys
from typing import NamedTuple, Self

import pytest

from image_scaler.exceptions import RejectedError
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_recipe
from tests.properties.fuzz.seeds import seeds
from tests.support.watched_process import WatchedProcess

ROUNDS = 6
LIBC = ctypes.CDLL(None)
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


class _Mallinfo(ctypes.Structure):
    """What glibc says of its allocator: mallinfo(3)."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks")),
        *((name, ctypes.c_size_t) for name in ("uordblks", "fordblks", "keepcost")),
    ]


class Allocated(NamedTuple):
    """What is allocated and not given back; unlike resident memory, it is free of what allocators keep for later."""

    bytes: int
    """By the C libraries, and by Python for what is larger than 512 bytes."""
    blocks: int
    """By Python, for all its objects."""

    @classmethod
    def now(cls) -> Self:
        gc.collect()
        mallinfo = LIBC.mallinfo2
        mallinfo.restype = _Mallinfo
        told = mallinfo()
        return cls(told.uordblks + told.hblkhd, sys.getallocatedblocks())


def render_rounds(rounds: int) -> list[Allocated]:
    """Return what is allocated after each round."""
    taken = []
    for _ in range(rounds):
        for seed in seeds(None):
            for body in (seed.body, seed.body[: len(seed.body) // 2]):
                try:
                    for _rendition in SourceImage(body).render(TARGETS.plan_for(seed.name).renditions):
                        pass
                except RejectedError:
                    pass
        taken.append(Allocated.now())
    return taken


@pytest.mark.slow
@pytest.mark.timeout(330)
@pytest.mark.skipif(not hasattr(LIBC, "mallinfo2"), reason="this C library does not tell how much is allocated")
def test_memory_does_not_grow_from_image_to_image() -> None:
    with WatchedProcess(render_rounds, seconds=300) as process:
        taken = process.call(ROUNDS)
    images = 2 * len(seeds(None)) * (ROUNDS - 2)
    assert images > 500
    # The first rounds fill what all others use again.
    assert (taken[-1].bytes - taken[1].bytes) / images < 1500, taken
    assert (taken[-1].blocks - taken[1].blocks) / images < 2, taken

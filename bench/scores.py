"""SSIMULACRA 2 by implementations that are not ours: PyPI's `ssimulacra2`, or the original program.

90 is visually lossless, 70 high, 50 medium, 30 low; no difference is 100. The original program (`ssimulacra2 SOURCE
RENDITION`) judges if `SSIMULACRA2_PROGRAM` names it: it is five times faster, and the two differ by 0.5 points or so.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Protocol

import pyvips
from ssimulacra2 import compute_ssimulacra2

PROGRAM = os.environ.get("SSIMULACRA2_PROGRAM")
JUDGE = "the original program" if PROGRAM else "the package `ssimulacra2`"


class Judge(Protocol):
    """Returns the score of an encoded picture."""

    def __call__(self, encoded: bytes) -> float:
        """Return the score of a picture of the reference's size; transparent pixels are on white."""


@contextmanager
def judge(reference: pyvips.Image) -> Iterator[Judge]:
    """Return what scores encodings of these pixels: 8-bit sRGB without alpha."""
    pixels = _ppm(reference)
    if not PROGRAM:
        yield lambda encoded: float(compute_ssimulacra2(BytesIO(pixels), BytesIO(_decoded(encoded))))
        return
    program = PROGRAM
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        source, rendition = Path(folder) / "source.ppm", Path(folder) / "rendition.ppm"
        source.write_bytes(pixels)

        def by_program(encoded: bytes) -> float:
            rendition.write_bytes(_decoded(encoded))
            done = subprocess.run(
                [program, str(source), str(rendition)], check=True, capture_output=True, text=True, env={}
            )
            return float(done.stdout)

        yield by_program


def flat(image: pyvips.Image) -> pyvips.Image:
    """Return a picture as 8-bit sRGB without alpha, on white."""
    if image.hasalpha():
        image = image.flatten(background=[255] * (image.bands - 1))
    return image.colourspace("srgb").cast("uchar")


def _decoded(encoded: bytes) -> bytes:
    return _ppm(flat(pyvips.Image.new_from_buffer(encoded, "")))


def _ppm(image: pyvips.Image) -> bytes:
    return b"P6 %d %d 255\n" % (image.width, image.height) + bytes(image.write_to_memory())

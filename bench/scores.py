"""SSIMULACRA 2 by implementations that are not ours: PyPI's `ssimulacra2`, or the original program.

90 is visually lossless, 70 high, 50 medium, 30 low; no difference is 100. The original program (`ssimulacra2 SOURCE
RENDITION`) judges if `SSIMULACRA2_PROGRAM` names it: it is five times faster, and the two differ by 0.5 points or so.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Protocol

import pyvips
from ssimulacra2 import compute_ssimulacra2

PROGRAM = os.environ.get("SSIMULACRA2_PROGRAM")
JUDGE = "the original program" if PROGRAM else "the package `ssimulacra2`"

_WHITE = 255
_DARK, _BRIGHT = 26, 230
"""The levels behind transparency with which both implementations score a picture that has some: 10 and 90 %."""


class Judge(Protocol):
    """Returns the score of an encoded picture."""

    def __call__(self, encoded: bytes) -> float:
        """Return the score of a picture of the reference's size.

        If both are transparent, it is the lower of the scores on a dark and on a bright background, as both
        implementations have it. If one of them is not, as no JPEG is, both are on white.
        """


@contextmanager
def judge(reference: pyvips.Image) -> Iterator[Judge]:
    """Return what scores encodings of these pixels: 8-bit sRGB, with or without alpha."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108

        @cache
        def reference_on(background: int) -> bytes:
            return _ppm(flat(reference, background))

        def score(encoded: bytes) -> float:
            rendition = pyvips.Image.new_from_buffer(encoded, "")
            backgrounds = [_DARK, _BRIGHT] if reference.hasalpha() and rendition.hasalpha() else [_WHITE]
            return min(
                _score(reference_on(background), _ppm(flat(rendition, background)), Path(folder))
                for background in backgrounds
            )

        yield score


def flat(image: pyvips.Image, background: int = _WHITE) -> pyvips.Image:
    """Return a picture as 8-bit sRGB without alpha, on white or another level of grey."""
    if image.hasalpha():
        image = image.flatten(background=[background] * (image.bands - 1))
    return image.colourspace("srgb").cast("uchar")


def _score(reference: bytes, rendition: bytes, folder: Path) -> float:
    if not PROGRAM:
        return float(compute_ssimulacra2(BytesIO(reference), BytesIO(rendition)))
    paths = folder / "reference.ppm", folder / "rendition.ppm"
    for path, body in zip(paths, (reference, rendition), strict=True):
        path.write_bytes(body)
    done = subprocess.run([PROGRAM, *map(str, paths)], check=True, capture_output=True, text=True, env={})
    return float(done.stdout)


def _ppm(image: pyvips.Image) -> bytes:
    return b"P6 %d %d 255\n" % (image.width, image.height) + bytes(image.write_to_memory())

"""Read BMP with Pillow: libvips has no decoder for it."""

import io
import struct
from typing import TYPE_CHECKING

import pyvips

from image_scaler.exceptions import DamagedImageError, ImageTooLargeError, UnsupportedImageError
from image_scaler.images.refusals import not_readable, why_damaged
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Size

if TYPE_CHECKING:
    from PIL.BmpImagePlugin import BmpImageFile

MAGIC = b"BM"
MAX_RUN_LENGTH_PIXELS = 4_000_000
"""Pixels of a BMP with run-length encoding, whose decoder is written in Python: it takes up to 1.6 s a megapixel."""
_WITHOUT_PALETTE = {"1": "L", "P": "RGB"}
_RUN_LENGTH_ENCODINGS = (1, 2)

_ERRORS = (OSError, SyntaxError, ValueError, LookupError, struct.error, EOFError, AssertionError, OverflowError)
"""What Pillow raises for a damaged file."""


def read_size(body: bytes) -> Size:
    """Return the size of a file that begins with MAGIC.

    Raises UnsupportedImageError if it is no BMP that Pillow reads, and ImageTooLargeError if decoding it would take
    minutes.
    """
    picture = _open(body)
    size = Size(*picture.size)
    if min(size) < 1:
        raise not_readable(body, f"the size is {size}")
    pixels = size.width * size.height
    if picture.info["compression"] in _RUN_LENGTH_ENCODINGS:
        if pixels > MAX_RUN_LENGTH_PIXELS:
            raise ImageTooLargeError(
                f"the image has {size.width:,} x {size.height:,} pixels but {MAX_RUN_LENGTH_PIXELS:,} are allowed in a "
                "BMP with run-length encoding"
            )
        # Each pixel and each end of a row take at most two bytes: longer data would be commands that draw nothing.
        if len(body) > 2 * (pixels + size.height) + 4096:
            raise not_readable(body, "too much data")
    return size


def decode(body: bytes) -> pyvips.Image:
    """Return the pixels in memory; raises DamagedImageError if they cannot be decoded."""
    picture = _open(body)
    try:
        picture.load()
    except _ERRORS as error:
        raise DamagedImageError(why_damaged(body, Format.BMP), " ".join(str(error).split())) from error
    pixels = picture.convert(_WITHOUT_PALETTE[picture.mode]) if picture.mode in _WITHOUT_PALETTE else picture
    bands = len(pixels.getbands())
    image = pyvips.Image.new_from_memory(pixels.tobytes(), *pixels.size, bands, "uchar")
    return image.copy(interpretation="srgb" if bands >= 3 else "b-w")


def _open(body: bytes) -> "BmpImageFile":
    try:
        # Imported here, because few sources need it and it costs a cold start 20 ms. Pillow comes with pillow-heif.
        from PIL.BmpImagePlugin import BmpImageFile
    except ImportError:
        raise UnsupportedImageError(
            "BMP images are not read, because the package pillow-heif was left out of requirements/function.in"
        ) from None
    try:
        return BmpImageFile(io.BytesIO(body))
    except _ERRORS as error:
        raise not_readable(body, " ".join(str(error).split())) from error

"""Take the metadata out of an image file and leave its pixels as they are, byte for byte.

For a rendition at the source's own size and format that would come out larger than the source. The colour
profile stays, since the pixels mean nothing without it, and in JPEG the orientation.
"""

import struct
import zlib

from image_scaler.images import stripping_avif, stripping_gif, stripping_jpeg, stripping_png, stripping_webp
from image_scaler.images.attribution import Credits
from image_scaler.renditions.formats import Format

_CODE = (b"<?php", b"<script")


def strip(body: bytes, format: Format, orientation: int, known: Credits) -> bytes | None:
    """Return the file with nothing but pixels, colour profile, orientation and `known` of who made it.

    None where that cannot be told from the pixels with certainty, or where the pixels' own bytes read like code that a
    careless server would run: the file is then better encoded anew.
    """
    try:
        stripped = _stripped(body, format, orientation, known)
    except (struct.error, zlib.error, LookupError, ValueError):
        return None
    return stripped if stripped and not any(code in stripped.lower() for code in _CODE) else None


def _stripped(body: bytes, format: Format, orientation: int, known: Credits) -> bytes | None:
    match format:
        case Format.JPEG:
            return stripping_jpeg.strip(body, orientation, known)
        case Format.PNG if orientation == 1:
            return stripping_png.strip(body, known)
        case Format.WEBP if orientation == 1:
            return stripping_webp.strip(body, known)
        case Format.GIF:  # which has no place for who made it
            return stripping_gif.strip(body)
        case Format.AVIF if orientation == 1 and not any(known):
            return stripping_avif.strip(body)
    return None

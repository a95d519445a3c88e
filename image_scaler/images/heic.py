"""Decode HEIC with libheif's own binding, because the wheel of libvips has no decoder for HEVC.

The package is optional, few sources need it, and it costs a cold start 50 ms: so it is imported for a HEIC only.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyvips

from image_scaler.exceptions import DamagedImageError, UnsupportedImageError
from image_scaler.images.refusals import why_damaged
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Size

if TYPE_CHECKING:
    from pillow_heif import HeifFile

_ERRORS = (ValueError, RuntimeError, OSError, EOFError, SyntaxError)


def open_heic(body: bytes, *, to_8_bits: bool) -> pyvips.Image:
    """Decode the picture of a HEIC; raises UnsupportedImageError without the package, and DamagedImageError."""
    picture = _open(body, convert_hdr_to_8bit=to_8_bits)
    image = _decode(picture, body)
    if profile := picture.info.get("icc_profile"):
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def open_auxiliary(body: bytes, kind: str, check: Callable[[Size], None]) -> pyvips.Image | None:
    """Decode what belongs to the picture of a HEIC and is of a kind, as upright as that; None if there is nothing.

    `check` is called with the size before the pixels are decoded. Raises like `open_heic`.
    """
    file = _open(body)
    number = next(iter(file.info.get("aux", {}).get(kind, ())), None)
    if number is None:
        return None
    try:
        picture = file.get_aux_image(number)
    except (IndexError, *_ERRORS) as error:
        raise _damaged(body, error) from error
    check(Size(*picture.size))
    return _decode(picture, body)


def _open(body: bytes, **options: Any) -> "HeifFile":
    try:
        import pillow_heif
    except ImportError:
        raise UnsupportedImageError(
            "HEIC images are not read, because the package pillow-heif was left out of requirements/function.in"
        ) from None
    try:
        return pillow_heif.open_heif(io.BytesIO(body), **options)
    except _ERRORS as error:
        raise _damaged(body, error) from error


def _decode(picture: Any, body: bytes) -> pyvips.Image:
    """Return the pixels of a picture of pillow-heif."""
    try:
        # Grey of more than 8 bits is I;16: convert_hdr_to_8bit ignores it.
        mode, _, wide = picture.mode.partition(";")
        is_wide, bands, row = wide == "16", len(mode), picture.stride
        pixels = bytes(picture.data)
    except _ERRORS as error:
        raise _damaged(body, error) from error
    # Rows may be padded: read them with the padding, and crop it off.
    sample = "ushort" if is_wide else "uchar"
    image = pyvips.Image.new_from_memory(pixels, row // bands // (2 if is_wide else 1), picture.size[1], bands, sample)
    kind = ("rgb16" if is_wide else "srgb") if bands >= 3 else "grey16" if is_wide else "b-w"
    return image.crop(0, 0, *picture.size).copy(interpretation=kind)


def _damaged(body: bytes, error: Exception) -> DamagedImageError:
    return DamagedImageError(why_damaged(body, Format.HEIC), " ".join(str(error).split()))

"""Image bytes -> pixels: upright, in 8-bit sRGB, no larger than needed."""

from collections.abc import Iterable
from itertools import islice

import pyvips

from image_scaler.exceptions import DamagedImageError
from image_scaler.images import bmp, colour
from image_scaler.images.avif import open_avif
from image_scaler.images.avif_sequence import decode_frames, is_sequence
from image_scaler.images.containers import JPEG_END_MARKER
from image_scaler.images.gif import compose_frames
from image_scaler.images.hdr import to_sdr
from image_scaler.images.header import Header
from image_scaler.images.heic import open_heic
from image_scaler.images.refusals import is_cut_off, why_damaged
from image_scaler.images.svg import with_size
from image_scaler.images.vips import VIPS_ERRORS, open_buffer, reason
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Size

GREYS = ("b-w", "grey16")
"""libvips' names for pixels without colours."""

MAX_MISSING_ROWS = 32
"""Rows of pixels that may be missing at the end of a JPEG: one row of blocks, and one that is decoded with it."""


def decode(
    body: bytes, header: Header, size: Size, frames: int = 1, *, keep_profile: bool = False
) -> list[pyvips.Image]:
    """Return the first `frames` frames in memory, upright, scaled to `size` (no larger than the source).

    They are in 8-bit sRGB or grey; with `keep_profile` in the colours of the embedded profile, except for CMYK, which
    no browser shows. Alpha, if any, is the last band. Raises DamagedImageError if the pixels cannot be decoded.
    """
    stored = header.as_stored(size)

    def decoded(body: bytes) -> list[pyvips.Image]:
        return [
            turn_upright(_strip_metadata(_in_srgb(image, keep_profile), keep_profile), header.orientation)
            for image in (
                _decode_colours(resize(image, stored), header) for image in _load(body, header, stored, frames)
            )
        ]

    try:
        try:
            return decoded(body)
        except VIPS_ERRORS:
            if not _is_nearly_whole(body, header):
                raise
            return decoded(body + JPEG_END_MARKER)
    except VIPS_ERRORS as error:
        raise DamagedImageError(why_damaged(body, header.format), reason(error)) from error


def first_frame(body: bytes) -> pyvips.Image:
    """Return the first frame of a rendition in memory, with its own colours; raises VIPS_ERRORS or DamagedImageError.

    libvips reads no animated AVIF.
    """
    if is_sequence(body):
        return next(iter(decode_frames(body, 1)))
    return pyvips.Image.new_from_buffer(body, "").copy_memory()


def resize(image: pyvips.Image, size: Size) -> pyvips.Image:
    """Return the image scaled to exactly `size`; transparent pixels have no weight."""
    if (image.width, image.height) == size:
        return image
    x, y = size.width / image.width, size.height / image.height
    if not image.hasalpha():
        return image.resize(x, vscale=y)
    # Cast back to 8 bits before scaling, as sharp does: libvips' vector code has no floating point.
    premultiplied = image.premultiply().cast(image.format)
    return premultiplied.resize(x, vscale=y).unpremultiply().cast(image.format)


def open_jpeg(body: bytes, full: Size, size: Size) -> pyvips.Image:
    """Open a JPEG of size `full`, at 1/2, 1/4 or 1/8 of it if `size` is no larger: libjpeg takes less time for that."""
    spare = min(full.width / size.width, full.height / size.height)
    shrink = next(factor for factor in (8, 4, 2, 1) if factor <= spare)
    return open_buffer(body, access="sequential", shrink=shrink)


def rgba(image: pyvips.Image) -> bytes:
    """Return an image from `decode` or `resize` as bytes in 8-bit sRGB with alpha: four bytes per pixel."""
    image = _in_srgb(image, keep_profile=False)
    if image.bands < 3:
        image = image.colourspace("srgb")
    if not image.hasalpha():
        image = image.addalpha()
    return bytes(image.write_to_memory())


def _load(body: bytes, header: Header, stored: Size, frames: int) -> Iterable[pyvips.Image]:
    """Return the frames as stored, scaled down by the decoder as far as that is free."""
    match header.format:
        case Format.JPEG:
            return [open_jpeg(body, header.as_stored(header.size), stored)]
        case Format.GIF:
            return islice(compose_frames(body), frames)
        case Format.WEBP if frames > 1:
            # libvips reads one frame after the other, as `decode` asks for them, and holds none twice.
            roll = open_buffer(body, n=frames, access="sequential")
            height = roll.get("page-height")
            return [roll.crop(0, top, roll.width, height) for top in range(0, roll.height, height)]
        case Format.AVIF if is_sequence(body):
            return decode_frames(body, frames)
        case Format.AVIF if header.heif:
            return [open_avif(body, header.heif)]
        case Format.HEIC:
            return [open_heic(body, to_8_bits=not header.is_hdr)]
        case Format.TIFF if header.tiff:
            return [header.tiff.open(body)]
        case Format.BMP:
            return [bmp.decode(body)]
        case Format.SVG:
            return [open_buffer(with_size(body), scale=stored.width / header.size.width)]
    return [open_buffer(body, access="sequential")]


def _decode_colours(image: pyvips.Image, header: Header) -> pyvips.Image:
    """Return the image in 8-bit sRGB if it is HDR, or else with a profile, unless it has one or is in sRGB."""
    coding = header.coding
    if coding is None:
        return image
    if coding.hdr_curve:
        return to_sdr(image, coding)
    if profile := coding.profile(image.interpretation in GREYS):
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def _is_nearly_whole(body: bytes, header: Header) -> bool:
    """Return whether a file is a JPEG that lacks its end marker, and at most the last rows of blocks.

    A progressive JPEG may lack its end marker only: its last bytes belong to all rows.
    """
    if header.format is not Format.JPEG or not is_cut_off(body, Format.JPEG):
        return False
    try:
        if header.must_buffer:
            open_buffer(body + JPEG_END_MARKER, access="sequential", fail_on="warning").avg()
            return True
        image = open_buffer(body, access="sequential")
        height = int(image.height) - MAX_MISSING_ROWS
        if height > 0:
            image.crop(0, 0, image.width, height).avg()
    except VIPS_ERRORS:
        return False
    return height > 0


def _strip_metadata(image: pyvips.Image, keep_profile: bool) -> pyvips.Image:
    """Return the pixels in memory, without any metadata but the profile.

    Bands after the first alpha are dropped, and so is alpha if nothing is transparent: it costs as much as a colour.
    """
    bands = min(image.bands, 2 if image.interpretation == "b-w" else 4)
    if bands < image.bands:
        image = image[:bands]
    pixels = pyvips.Image.new_from_memory(image.write_to_memory(), image.width, image.height, bands, image.format)
    # A TIFF may call its colours anything, and then it is not known which band is alpha.
    pixels = pixels.copy(interpretation="srgb" if bands >= 3 else "b-w")
    if pixels.hasalpha() and pixels[bands - 1].min() == 255:
        pixels = pixels[: bands - 1].copy_memory()
    if keep_profile and image.get_typeof("icc-profile-data") and colour.is_complete(image.get("icc-profile-data")):
        pixels.set_type(pyvips.GValue.blob_type, "icc-profile-data", image.get("icc-profile-data"))
    return pixels


def turn_upright(image: pyvips.Image, orientation: int) -> pyvips.Image:
    """Return an image in memory that is turned as EXIF says."""
    if orientation == 1:
        return image
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return image.autorot().copy_memory()


def keeps_colours(body: bytes, keep_profile: bool) -> bool:
    """Return whether `decode` converts no colours of a file that libvips reads."""
    return _keeps_colours(open_buffer(body), keep_profile)


def _keeps_colours(image: pyvips.Image, keep_profile: bool) -> bool:
    is_cmyk, is_grey, profile = image.interpretation == "cmyk", image.interpretation in GREYS, _profile(image)
    # Greys are always converted: WebP and AVIF hold no profile for them.
    can_keep = keep_profile and not is_grey and not is_cmyk and colour.is_complete(profile)
    return not (profile or is_cmyk) or can_keep or (not is_cmyk and colour.is_srgb(profile))


def _profile(image: pyvips.Image) -> bytes:
    return bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else b""


def _in_srgb(image: pyvips.Image, keep_profile: bool) -> pyvips.Image:
    """Return the image in 8-bit sRGB or grey; a profile that cannot be used is ignored."""
    if _keeps_colours(image, keep_profile):
        return _in_8_bits(image)
    is_cmyk, is_grey = image.interpretation == "cmyk", image.interpretation in GREYS
    profile = _profile(image)
    try:
        converted = image.icc_transform(
            "srgb",
            embedded=bool(profile),
            input_profile="cmyk" if is_cmyk else "srgb",
            black_point_compensation=True,
        )
    except VIPS_ERRORS:
        return _in_8_bits(image)
    if not is_grey:
        return _in_8_bits(converted)
    grey = converted.colourspace("b-w").copy()
    grey.remove("icc-profile-data")
    return grey


def _in_8_bits(image: pyvips.Image) -> pyvips.Image:
    if image.interpretation not in ("srgb", "b-w"):
        image = image.colourspace("b-w" if image.interpretation == "grey16" else "srgb")
    return image if image.format == "uchar" else image.cast("uchar")

"""Image bytes -> Header: the format, the size and the cost of a source, before any pixel is decoded."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyvips

from image_scaler.exceptions import ImageTooLargeError, UnsupportedImageError
from image_scaler.images import avif_sequence, bmp, gif
from image_scaler.images.coding import ColourCoding, read_heif_coding, read_png_coding
from image_scaler.images.containers import count_jpeg_scans, count_webp_frames
from image_scaler.images.heif import HeifFile, read_heif
from image_scaler.images.refusals import not_readable
from image_scaler.images.svg import with_size
from image_scaler.images.tiff import TiffFile, is_tiff, read_tiff
from image_scaler.images.vips import VIPS_ERRORS, reason
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Size
from image_scaler.renditions.limits import MAX_BANDS, MAX_SCANS, MAX_WEBP_FRAMES, Limits

_FORMAT_OF_LOADER = {f"{format.traits.loader.name}_buffer": format for format in Format if format.traits.loader}

_ANIMATED_BY_LIBVIPS = (Format.GIF, Format.WEBP)
"""The pages of other formats are no animation; that of an AVIF is read by avif_sequence."""

_FIELDS = (
    "vips-loader",
    "heif-compression",
    "orientation",
    "interlaced",
    "n-pages",
    "delay",
    "loop",
    "exif-data",
    "xmp-data",
    "iptc-data",
)
"""The metadata fields of libvips that are read; others may even have names that are not UTF-8."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a source says of itself before its pixels are decoded."""

    format: Format
    """From its bytes; the name and the Content-Type of a source say nothing."""
    size: Size
    """Of one frame, upright."""
    frames: int
    """1 for a still image; the pages of a TIFF count as one, the first."""
    orientation: int
    """EXIF's, from 1 to 8: how the stored picture must be turned."""
    fields: Mapping[str, Any]
    """The values of those of `_FIELDS` that the source has."""
    is_cmyk: bool
    coding: ColourCoding | None = None
    """How the colours are coded, unless that is sRGB or in a profile."""
    heif: HeifFile | None = None
    """Of an AVIF and a HEIC, unless its structure is damaged."""
    tiff: TiffFile | None = None
    """Likewise of a TIFF."""

    def as_stored(self, upright: Size) -> Size:
        """Return the size that an upright size has before it is turned."""
        return _turn(upright, self.orientation)

    @property
    def delays(self) -> list[int]:
        """How long each frame of an animation is shown, in milliseconds."""
        return list(self.fields.get("delay", []))

    @property
    def loop(self) -> int:
        """How often an animation is played; 0: for ever."""
        return int(self.fields.get("loop", 0))

    @property
    def is_hdr(self) -> bool:
        """Whether only HDR displays show the colours as they are."""
        return self.coding is not None and self.coding.hdr_curve is not None

    @property
    def must_buffer(self) -> bool:
        """Whether all pixels are in memory before the first row is: progressive, interlaced, animated, AVIF, HEIC."""
        return bool(self.fields.get("interlaced", 0)) or self.format.traits.is_buffered or self.frames > 1


def read_header(body: bytes, limits: Limits) -> Header:
    """Read a source's header.

    Raises UnsupportedImageError if the bytes are not an image of a format that is read here, and ImageTooLargeError if
    it is beyond the limits (frames of an animation beyond `limits.frames` are left out before that).
    """
    if not body:
        raise UnsupportedImageError("the object is empty: it has no bytes", code="empty")
    limits.check_bytes(len(body))
    _check_parts(body)
    if body.startswith(bmp.MAGIC):
        header = _read_bmp(body)
    elif avif_sequence.is_sequence(body):
        header = _read_avif_sequence(body, limits)
    else:
        header = _read_with_libvips(body, limits)
    limits.check_pixels(*header.size, header.frames, must_buffer=header.must_buffer)
    # The decoders of GIF and WebP return nothing before the end, of a still image too.
    if header.must_buffer or header.format in _ANIMATED_BY_LIBVIPS:
        limits.check_memory(*header.size, 1, header.format.traits.decoding_bytes, len(body))
    return header


def _read_bmp(body: bytes) -> Header:
    size = bmp.read_size(body)
    return Header(format=Format.BMP, size=size, frames=1, orientation=1, fields={}, is_cmyk=False)


def _read_avif_sequence(body: bytes, limits: Limits) -> Header:
    size, frames, fields = avif_sequence.read(body)
    frames = min(frames, limits.frames)
    return Header(format=Format.AVIF, size=size, frames=frames, orientation=1, fields=fields, is_cmyk=False)


def _read_with_libvips(body: bytes, limits: Limits) -> Header:
    tiff = read_tiff(body) if is_tiff(body) else None
    if tiff:
        tiff.check()
    try:
        readable = tiff.readable(body) if tiff else with_size(body)
        image = pyvips.Image.new_from_buffer(readable, "", access="sequential")
        fields = {name: image.get(name) for name in _FIELDS if image.get_typeof(name)}
    except VIPS_ERRORS as error:
        raise not_readable(body, reason(error)) from error
    if image.bands > MAX_BANDS:
        message = f"the image has {image.bands:,} values per pixel but {MAX_BANDS} are allowed"
        raise ImageTooLargeError(message, code="too_complex")
    format = _FORMAT_OF_LOADER[str(fields["vips-loader"])]
    if format is Format.AVIF and fields.get("heif-compression") == "hevc":
        format = Format.HEIC
    size = Size(image.width, image.height)
    if format is Format.GIF:
        try:
            size = gif.screen_size(body)
        except (LookupError, struct.error) as error:
            raise not_readable(body, "no picture") from error
    orientation = int(fields.get("orientation", 1))  # libvips reads any value but the eight as 1
    heif = _read_heif(body) if format in (Format.AVIF, Format.HEIC) else None
    coding = read_heif_coding(heif) if heif else read_png_coding(body) if format is Format.PNG else None
    return Header(
        format=format,
        size=_turn(size, orientation),
        frames=min(int(fields.get("n-pages", 1)), limits.frames) if format in _ANIMATED_BY_LIBVIPS else 1,
        orientation=orientation,
        fields=fields,
        is_cmyk=image.interpretation == "cmyk",
        heif=heif,
        coding=coding,
        tiff=tiff,
    )


def _read_heif(body: bytes) -> HeifFile | None:
    try:
        return read_heif(body)
    except (ValueError, LookupError, struct.error):
        return None


def _turn(size: Size, orientation: int) -> Size:
    """Return the size after a picture of that orientation is turned upright, or back."""
    return Size(size.height, size.width) if orientation >= 5 else size


_COUNTERS = {
    b"\xff\xd8": (b"\xff\xda", count_jpeg_scans, MAX_SCANS, "scans"),
    b"RI": (b"ANMF", count_webp_frames, MAX_WEBP_FRAMES, "frames"),
}


def _check_parts(body: bytes) -> None:
    """Refuse a file with so many parts that libvips takes minutes for them, however few pixels it has.

    The name of a part also occurs by chance: two bytes 15 times in a megabyte of a motion photo's video. Searching for
    it is fast, so the parts of the image itself are counted only if it occurs more often than is allowed.
    """
    if body[:2] not in _COUNTERS:
        return
    name, count_parts, max_count, parts = _COUNTERS[body[:2]]
    if next(islice(re.finditer(re.escape(name), body), max_count, None), None) is None:
        return
    try:
        is_beyond = count_parts(body, max_count) > max_count
    except (ValueError, LookupError, struct.error):
        is_beyond = True  # a damaged file, whose parts libvips may find in another way
    if is_beyond:
        message = f"the file has more than the {max_count:,} {parts} that are allowed"
        raise ImageTooLargeError(message, code="too_complex")

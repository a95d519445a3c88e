"""Image bytes -> pixels: upright, in 8-bit sRGB, no larger than asked for.

With encoding and imaging the only user of libvips.
"""

import enum
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyvips

from image_scaler.exceptions import DamagedImageError, ImageTooLargeError, UnsupportedImageError
from image_scaler.images import colour
from image_scaler.renditions.geometry import Size
from image_scaler.renditions.limits import Limits

# Nothing is looked up twice within one image, so a cache of operations would only hold memory.
pyvips.cache_set_max(0)

# libvips offers every file to every loader that is not blocked, and those for other formats (SVG, PDF, raw, ...)
# are not made for hostile input: CVE-2026-66066. So all are blocked before the first byte is looked at.
pyvips.operation_block_set("VipsForeignLoad", True)
for _family in ("Jpeg", "Png", "Webp", "Nsgif", "Heif", "Tiff"):
    pyvips.operation_block_set(f"VipsForeignLoad{_family}", False)


def set_vcpus(number: int) -> None:
    """Let libvips compute with as many threads as there are vCPUs; more would only cost memory and switching."""
    pyvips.concurrency_set(number)


def set_svg_allowed(allowed: bool) -> None:
    """Let SVG in, or keep it out as at the start, in this process.

    No limit holds for it: 40 kB can cost 1.5 GB in the header alone (bug515-too-many-elements.svgz of librsvg).
    """
    pyvips.operation_block_set("VipsForeignLoadSvg", not allowed)


class SourceFormat(enum.StrEnum):
    """The formats that are read, by their content; the name or Content-Type of a source says nothing."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    GIF = "GIF"
    AVIF = "AVIF"
    HEIC = "HEIC"
    TIFF = "TIFF"
    SVG = "SVG"


_FORMAT_OF_LOADER = {
    "jpegload_buffer": SourceFormat.JPEG,
    "pngload_buffer": SourceFormat.PNG,
    "webpload_buffer": SourceFormat.WEBP,
    "gifload_buffer": SourceFormat.GIF,
    "heifload_buffer": SourceFormat.AVIF,
    "tiffload_buffer": SourceFormat.TIFF,
    "svgload_buffer": SourceFormat.SVG,
}

_BYTES_PER_PIXEL_WHOLE = {SourceFormat.JPEG: 8.0, SourceFormat.PNG: 11.0, SourceFormat.GIF: 8.0, SourceFormat.WEBP: 8.5}
"""Peak memory of decoding an image that is held whole: measured with a progressive CMYK JPEG, an interlaced PNG of 16
bits with alpha, an animated GIF and a WebP of 60 megapixels."""
_BYTES_PER_PIXEL_HEIF = 23.0
"""As above, with an AVIF of 12 bits with full colour resolution and alpha, of 60 megapixels."""

_FIELDS = (
    "vips-loader",
    "heif-compression",
    "orientation",
    "interlaced",
    "n-pages",
    "delay",
    "loop",
    "exif-ifd0-Copyright",
    "exif-ifd0-Artist",
    "xmp-data",
    "iptc-data",
)
"""What is read of libvips' metadata fields; others may even have names that are no UTF-8."""

_MOST_BANDS = 10
"""The most values for a pixel: four and alpha, and some that are left out. A TIFF may have thousands."""
_MOST_SCANS = 100
"""The most scans of a JPEG: a progressive one has ten, and thousands are as valid; each goes over all pixels."""
_MOST_WEBP_FRAMES = 10_000
"""The most frames of a WebP, all of which are looked through before any; the time grows with their square."""

LIBVIPS_ERRORS = (pyvips.Error, UnicodeDecodeError)
"""What libvips' refusals come as: its words may quote the file, in bytes that are no UTF-8."""

_FAIL_ON = "error"
"""Damaged pixels are an error; mere warnings are not: real phones write JPEGs that libjpeg warns of."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a source says of itself before its pixels are decoded."""

    format: SourceFormat
    size: Size
    """Of one frame, upright."""
    frames: int
    """1 for a still image; the pages of a TIFF count as one, the first."""
    orientation: int
    """EXIF's, from 1 to 8: how the stored picture must be turned."""
    fields: Mapping[str, Any]
    """Those of libvips' metadata fields that are used."""
    is_cmyk: bool
    whole: bool
    """Whether all its pixels must be there before the first row is, in memory: progressive, interlaced, AVIF, HEIC."""

    def as_stored(self, upright: Size) -> Size:
        """Return what an upright size is before it is turned."""
        return _turned(upright, self.orientation)

    @property
    def delays(self) -> list[int]:
        """How long each frame of an animation is shown, in milliseconds."""
        return list(self.fields.get("delay", []))

    @property
    def loop(self) -> int:
        """How often an animation is played; 0: for ever."""
        return int(self.fields.get("loop", 0))


def read_header(body: bytes, limits: Limits) -> Header:
    """Read a source's header.

    Raises UnsupportedImageError where the bytes are not an image of a format that is read here, and
    ImageTooLargeError where it is beyond the limits (an animation's later frames are left out before that).
    """
    if not body:
        raise UnsupportedImageError("the object is empty: it has no bytes")
    limits.check_bytes(len(body))
    _check_parts(body)
    try:
        image = pyvips.Image.new_from_buffer(body, "", access="sequential")
        fields = {name: image.get(name) for name in _FIELDS if image.get_typeof(name)}
    except LIBVIPS_ERRORS as error:
        if b"<svg" in body[:4096]:
            raise UnsupportedImageError(
                "SVG is not read unless svg = true stands under [inputs] in renditions.toml, which is for trusted "
                f"uploads only; or this one is damaged: {reason(error)}"
            ) from error
        raise UnsupportedImageError(
            f"expected an image (JPEG, PNG, WebP, GIF, AVIF, HEIC or TIFF) but its {len(body):,} bytes are none, "
            f"or its header is damaged: {reason(error)}"
        ) from error
    if image.bands > _MOST_BANDS:
        raise ImageTooLargeError(f"expected at most {_MOST_BANDS} values for a pixel but received {image.bands:,}")
    format = _FORMAT_OF_LOADER[str(fields["vips-loader"])]
    if format is SourceFormat.AVIF and fields.get("heif-compression") == "hevc":
        format = SourceFormat.HEIC
    orientation = int(fields.get("orientation", 1))  # libvips takes what is none of the eight for 1
    header = Header(
        format=format,
        size=_turned(Size(image.width, image.height), orientation),
        frames=min(int(fields.get("n-pages", 1)), limits.frames)
        if format in (SourceFormat.GIF, SourceFormat.WEBP)
        else 1,
        orientation=orientation,
        fields=fields,
        is_cmyk=image.interpretation == "cmyk",
        whole=bool(fields.get("interlaced", 0)) or format in (SourceFormat.AVIF, SourceFormat.HEIC),
    )
    is_whole = header.whole or header.frames > 1
    limits.check_pixels(*header.size, header.frames, whole=is_whole)
    if is_whole or format in (SourceFormat.GIF, SourceFormat.WEBP):  # whose decoders give nothing before the end
        bytes_per_pixel = _BYTES_PER_PIXEL_WHOLE.get(format, _BYTES_PER_PIXEL_HEIF)
        limits.check_memory(*header.size, header.frames, bytes_per_pixel, len(body))
    return header


def _turned(size: Size, orientation: int) -> Size:
    """Return what a size becomes when a picture of that orientation is turned upright, or back."""
    return Size(size.height, size.width) if orientation >= 5 else size


_PARTS = {
    b"\xff\xd8": (re.compile(b"\xff\xda"), _MOST_SCANS, "scans"),
    b"RI": (re.compile(b"ANMF"), _MOST_WEBP_FRAMES, "frames"),
}


def _check_parts(body: bytes) -> None:
    """Refuse what has so many parts that libvips takes minutes for them, however few pixels it has.

    A part's name may also stand in the pixels' own bytes, but not hundreds of times.
    """
    if body[:2] in _PARTS:
        name, most, what = _PARTS[body[:2]]
        # One too many is enough: all of them would fill the memory. It takes half the time of bytes.count.
        if next(islice(name.finditer(body), most, None), None):
            count = body.count(name.pattern)
            raise ImageTooLargeError(f"expected at most {most:,} {what} in a file but received {count:,}")


def decode(
    body: bytes, header: Header, size: Size, frames: int = 1, *, keep_profile: bool = False
) -> list[pyvips.Image]:
    """Return the first `frames` frames in memory, upright, scaled to `size` (no larger than the source).

    They are in 8-bit sRGB or grey, with `keep_profile` in the colours of the embedded profile (CMYK
    excepted, which no browser shows). Alpha, if any, is the last band. Raises DamagedImageError where the
    pixels cannot be decoded.
    """
    stored = header.as_stored(size)
    try:
        return [
            _upright(_bare(_in_srgb(resize(image, stored), keep_profile), keep_profile), header.orientation)
            for image in _load(body, header, stored, frames)
        ]
    except LIBVIPS_ERRORS as error:
        raise DamagedImageError(f"the {header.format} image cannot be decoded: {reason(error)}") from error


def resize(image: pyvips.Image, size: Size) -> pyvips.Image:
    """Return the image scaled to exactly `size`, transparent pixels without weight."""
    if (image.width, image.height) == size:
        return image
    x, y = size.width / image.width, size.height / image.height
    if not image.hasalpha():
        return image.resize(x, vscale=y)
    # Back to 8 bits before it is scaled, as sharp does: libvips' vector code knows no floating point.
    premultiplied = image.premultiply().cast(image.format)
    return premultiplied.resize(x, vscale=y).unpremultiply().cast(image.format)


def rgba(image: pyvips.Image) -> bytes:
    """Return what `decode` has returned, or `resize` made of it, in 8-bit sRGB with alpha: four bytes a pixel."""
    image = _in_srgb(image, keep_profile=False)
    if image.bands < 3:
        image = image.colourspace("srgb")
    if not image.hasalpha():
        image = image.addalpha()
    return bytes(image.write_to_memory())


def _load(body: bytes, header: Header, stored: Size, frames: int) -> Sequence[pyvips.Image]:
    """Return the frames as they are stored, scaled down by the decoder as far as that is free."""
    match header.format:
        case SourceFormat.JPEG:
            # libjpeg decodes at 1/2, 1/4 or 1/8 for much less than at full size.
            full = header.as_stored(header.size)
            spare = min(full.width / stored.width, full.height / stored.height)
            shrink = next(factor for factor in (8, 4, 2, 1) if factor <= spare)
            return [_open(body, access="sequential", shrink=shrink)]
        case SourceFormat.GIF | SourceFormat.WEBP if frames > 1:
            # Frame after frame is read on, as `decode` asks for them, and none is held twice.
            roll = _open(body, n=frames, access="sequential")
            height = roll.get("page-height")
            return [roll.crop(0, top, roll.width, height) for top in range(0, roll.height, height)]
        case SourceFormat.HEIC:
            return [_open_heic(body)]
        case SourceFormat.SVG:
            return [_open(body, scale=stored.width / header.size.width)]
    return [_open(body, access="sequential")]


def _open(body: bytes, **options: Any) -> pyvips.Image:
    return pyvips.Image.new_from_buffer(body, "", **({"fail_on": _FAIL_ON} | options))


def _open_heic(body: bytes) -> pyvips.Image:
    """Decode HEVC with libheif's own binding, as libvips' wheel has no decoder for it."""
    try:
        # Imported here, because few sources need it and it costs a cold start 50 ms. It may be left out.
        import pillow_heif
    except ImportError:
        raise UnsupportedImageError(
            "HEIC images are not read, because the package pillow-heif was left out of requirements.in"
        ) from None
    try:
        picture = pillow_heif.open_heif(io.BytesIO(body), convert_hdr_to_8bit=True)
        is_wide = picture.mode == "I;16"  # grey of more than 8 bits, which convert_hdr_to_8bit passes over
        bands, row = 1 if is_wide else len(picture.mode), picture.stride
        pixels = bytes(picture.data)
    except (ValueError, RuntimeError, OSError, EOFError, SyntaxError) as error:
        raise DamagedImageError(f"the HEIC image cannot be decoded: {' '.join(str(error).split())}") from error
    # Rows may be padded: take them as they lie, and cut the padding off.
    sample = "ushort" if is_wide else "uchar"
    image = pyvips.Image.new_from_memory(pixels, row // bands // (2 if is_wide else 1), picture.size[1], bands, sample)
    kind = "grey16" if is_wide else "srgb" if bands >= 3 else "b-w"
    image = image.crop(0, 0, *picture.size).copy(interpretation=kind)
    if profile := picture.info.get("icc_profile"):
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def _bare(image: pyvips.Image, keep_profile: bool) -> pyvips.Image:
    """Return the pixels in memory, without any metadata but the profile.

    They have no second alpha or more, and none at all where nothing is transparent: it costs as much as a colour.
    """
    bands = min(image.bands, 2 if image.interpretation == "b-w" else 4)
    if bands < image.bands:
        image = image[:bands]
    pixels = pyvips.Image.new_from_memory(image.write_to_memory(), image.width, image.height, bands, image.format)
    # Of what a TIFF calls otherwise it is not known which band is alpha.
    pixels = pixels.copy(interpretation="srgb" if bands >= 3 else "b-w")
    if pixels.hasalpha() and pixels[bands - 1].min() == 255:
        pixels = pixels[: bands - 1].copy_memory()
    if keep_profile and image.get_typeof("icc-profile-data") and colour.is_complete(image.get("icc-profile-data")):
        pixels.set_type(pyvips.GValue.blob_type, "icc-profile-data", image.get("icc-profile-data"))
    return pixels


def _upright(image: pyvips.Image, orientation: int) -> pyvips.Image:
    if orientation == 1:
        return image
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return image.autorot().copy_memory()


def _in_srgb(image: pyvips.Image, keep_profile: bool) -> pyvips.Image:
    """Return the image in 8-bit sRGB or grey; a profile that cannot be used is passed over."""
    is_cmyk = image.interpretation == "cmyk"
    profile = image.get("icc-profile-data") if image.get_typeof("icc-profile-data") else b""
    if profile and not is_cmyk and ((keep_profile and colour.is_complete(profile)) or colour.is_srgb(profile)):
        return _in_8_bits(image)
    if profile or is_cmyk:
        is_grey = image.interpretation in ("b-w", "grey16")
        try:
            converted = image.icc_transform(
                "srgb",
                embedded=bool(profile),
                input_profile="cmyk" if is_cmyk else "srgb",
                black_point_compensation=True,
            )
        except LIBVIPS_ERRORS:
            return _in_8_bits(image)
        return converted.colourspace("b-w") if is_grey else converted
    return _in_8_bits(image)


def _in_8_bits(image: pyvips.Image) -> pyvips.Image:
    if image.interpretation not in ("srgb", "b-w"):
        image = image.colourspace("b-w" if image.interpretation == "grey16" else "srgb")
    return image if image.format == "uchar" else image.cast("uchar")


def reason(error: Exception) -> str:
    """Return libvips' own words in one line, without its notes on seeking; of one of LIBVIPS_ERRORS."""
    words = str(error)
    if isinstance(error, UnicodeDecodeError):
        words = error.object.decode("utf-8", "backslashreplace")
        pyvips.vips_lib.vips_error_clear()  # which pyvips has not come to: they would stand in every error from now on
    lines = (line.strip() for line in words.splitlines())
    return "; ".join(line for line in lines if line and not line.startswith("source: bad seek"))

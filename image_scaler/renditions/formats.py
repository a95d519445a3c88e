"""What each image format is and can do: one table.

A new format is a row here and a function in images/; tests/unit/renditions/test_formats.py names what is missing.
"""

import enum
from dataclasses import dataclass
from typing import NamedTuple

SMALL_PIXELS = 640 * 640
"""Up to this many pixels an image gets more effort: it is a tenth of a ladder, and most of what phones load."""


class Effort(NamedTuple):
    """How hard an encoder works: more effort takes longer and makes smaller files."""

    default: int
    max: int
    """The lowest is 0 in every format."""
    by_pixels: tuple[tuple[int, int], ...] = ()
    """Another default for images up to a number of pixels: pairs of these and an effort, the smallest first."""

    def default_for(self, pixels: int) -> int:
        """Return the default for an image of so many pixels."""
        return next((effort for max_pixels, effort in self.by_pixels if pixels <= max_pixels), self.default)


class AnimationTraits(NamedTuple):
    """What the encoder of a format can do with animations, if that is less than with still pictures."""

    effort: Effort
    """By the pixels of all frames."""
    max_frame_pixels: int
    """A rendition with larger frames shows the first one only."""
    max_pixels: int
    """Likewise with more pixels in all frames."""
    encoding_bytes: tuple[tuple[int, float], ...]
    """Peak memory in bytes per pixel of one frame, up to an effort: pairs of these."""

    def bytes_at(self, effort: int) -> float:
        """Return the peak memory at an effort."""
        return next(needed for max_effort, needed in self.encoding_bytes if effort <= max_effort)


class Loader(NamedTuple):
    """An operation of libvips that reads files of a format."""

    name: str
    """As libvips says it in an image's metadata, like `gifload`."""
    family: str
    """What libvips blocks or allows: the operations whose names begin with `VipsForeignLoad` and this."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """One row of the table."""

    title: str
    """Its name in messages and logs."""
    extensions: tuple[str, ...]
    """In lower case; the first one is appended to keys."""
    media_type: str
    magic: bytes
    """How its files begin, as a regular expression; empty: nothing tells it but its content."""
    loader: Loader | None = None
    """What reads it in libvips; None: another library does, see images/decoding.py."""
    is_animated: bool = False
    """Whether it holds the frames of an animation. The pages of a TIFF are no animation."""
    animation: AnimationTraits | None = None
    is_buffered: bool = False
    """Whether the decoder holds all pixels before it returns the first row, whatever the header says."""
    decoding_bytes: float = 0.0
    """Peak memory in bytes per pixel to decode an image that must be held completely; 0: it is read row by row. Of an
    animation one frame is held.

    Measured with images of 60 megapixels: a progressive CMYK JPEG, an interlaced PNG of 16 bits with alpha, an animated
    GIF, a WebP, and an AVIF of 12 bits with full colour resolution and alpha (HEIC uses the same decoder library).
    """
    encoding_bytes: float | None = None
    """Peak memory in bytes per pixel to scale and encode a rendition with alpha, measured with 16 and 100 megapixels.

    None: renditions cannot have this format.
    """
    max_side: int | None = None
    """The longest side in pixels that the format, or libvips' encoder, can hold; None: longer than any source."""
    default_quality: int | None = None
    """With it the median score of SSIMULACRA 2 is about 75 in every format; None: there is no quality."""
    effort: Effort | None = None
    chroma_subsampling: str | None = None
    """The default; None: there is no choice."""
    options: frozenset[str] = frozenset()
    """The encoding options of renditions.toml that mean something in this format."""


class Format(enum.StrEnum):
    """Every format that is read; `OUTPUT_FORMATS` are those of renditions."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    GIF = "gif"
    HEIC = "heic"
    TIFF = "tiff"
    SVG = "svg"
    BMP = "bmp"

    @property
    def traits(self) -> Traits:
        """What the format can do."""
        return _TRAITS[self]

    @property
    def extension(self) -> str:
        """The extension that is appended to keys, without a dot: `jpg png webp avif gif`."""
        return self.traits.extensions[0]


_TRAITS = {
    Format.JPEG: Traits(
        title="JPEG",
        extensions=("jpg", "jpeg", "jpe", "jfif"),
        media_type="image/jpeg",
        magic=rb"\xff\xd8\xff",
        loader=Loader("jpegload", "Jpeg"),
        decoding_bytes=8.0,
        encoding_bytes=12.0,
        max_side=65_500,
        default_quality=76,
        chroma_subsampling="4:2:0",
        options=frozenset({"quality", "max_bytes", "progressive", "chroma_subsampling"}),
    ),
    Format.PNG: Traits(
        title="PNG",
        extensions=("png",),
        media_type="image/png",
        magic=rb"\x89PNG\r\n",
        loader=Loader("pngload", "Png"),
        decoding_bytes=11.0,
        encoding_bytes=14.0,
        options=frozenset({"quality", "progressive", "palette"}),
    ),
    Format.WEBP: Traits(
        title="WebP",
        extensions=("webp",),
        media_type="image/webp",
        magic=rb"RIFF....WEBP",
        loader=Loader("webpload", "Webp"),
        is_animated=True,
        decoding_bytes=10.0,
        encoding_bytes=27.0,
        max_side=16_383,
        default_quality=78,
        # At an equal SSIMULACRA 2 score effort 5 needs 0.95 of the bytes of effort 2, in 2.4 times the CPU (38, 93 ms
        # a megapixel).
        effort=Effort(default=2, max=6, by_pixels=((SMALL_PIXELS, 5),)),
        options=frozenset({"quality", "effort", "max_bytes", "lossless"}),
    ),
    Format.AVIF: Traits(
        title="AVIF",
        extensions=("avif",),
        media_type="image/avif",
        magic=rb"....ftypavi[fs]",
        loader=Loader("heifload", "Heif"),
        is_animated=True,
        # CPU for a megapixel of all frames: effort 3 0.4 to 1.9 s, effort 2 0.1 to 0.7 s, effort 0 0.1 to 0.3 s, as
        # WebP. So nearly all take less than 5 seconds. Nyan cat (500 x 198 x 12) has 12, 29 and 45 kB, in WebP 58.
        animation=AnimationTraits(
            effort=Effort(default=0, max=9, by_pixels=((2_500_000, 3), (8_000_000, 2))),
            max_frame_pixels=2_100_000,
            max_pixels=32_000_000,
            encoding_bytes=((2, 150.0), (9, 600.0)),
        ),
        is_buffered=True,
        decoding_bytes=23.0,
        encoding_bytes=48.0,
        max_side=16_384,
        default_quality=56,
        # Bytes at an equal SSIMULACRA 2 score (CPU for a megapixel): effort 0 1.40 (50 ms), 2 1.11 (250), 3 1.06 (450),
        # 4, sharp's, 1.00 (1,900). Traffic repays effort 3 within 13 views of an image, and effort 4 within 90. Beyond
        # 4 megapixels the efforts fall, so that no rendition takes longer than a few seconds.
        effort=Effort(default=0, max=9, by_pixels=((SMALL_PIXELS, 4), (4_000_000, 3), (16_000_000, 2))),
        # 4:4:4 needs 1 % less at an equal score than 4:2:0 (screenshots and coloured print 4 %), in 1.2 times the CPU.
        chroma_subsampling="4:4:4",
        options=frozenset({"quality", "effort", "max_bytes", "chroma_subsampling", "lossless"}),
    ),
    Format.GIF: Traits(
        title="GIF",
        extensions=("gif",),
        media_type="image/gif",
        magic=rb"GIF8[79]a",
        loader=Loader("gifload", "Nsgif"),
        is_animated=True,
        decoding_bytes=18.0,
        encoding_bytes=12.0,
        max_side=65_535,
        effort=Effort(default=3, max=10),
        options=frozenset({"effort"}),
    ),
    Format.HEIC: Traits(
        title="HEIC",
        extensions=("heic", "heif", "hif"),
        media_type="image/heic",
        magic=rb"....ftyp(?:heic|heix|mif1)",
        is_buffered=True,
        decoding_bytes=23.0,
    ),
    Format.TIFF: Traits(
        title="TIFF",
        extensions=("tif", "tiff"),
        media_type="image/tiff",
        magic=rb"II[*+]\0|MM\0[*+]",
        loader=Loader("tiffload", "Tiff"),
    ),
    Format.SVG: Traits(
        title="SVG",
        extensions=("svg", "svgz"),
        media_type="image/svg+xml",
        magic=b"",
        loader=Loader("svgload", "Svg"),
    ),
    Format.BMP: Traits(
        title="BMP",
        extensions=("bmp",),
        media_type="image/bmp",
        magic=rb"BM....\0\0\0\0....[\x0c-\x80]\0\0\0",
        is_buffered=True,
        decoding_bytes=12.0,
    ),
}

OUTPUT_FORMATS = tuple(format for format in Format if format.traits.encoding_bytes is not None)
"""The formats that renditions can have, in the order of the table."""

ENCODING_OPTIONS = frozenset(option for format in OUTPUT_FORMATS for option in format.traits.options)
"""The options of renditions.toml that mean something in some formats only."""

_BY_EXTENSION = {extension: format for format in Format for extension in format.traits.extensions}
_UNREAD_EXTENSIONS = {"apng", "jxl"}
"""Extensions of images for which there is no decoder here, or which are read under another format's name."""


def format_of_extension(extension: str) -> Format | None:
    """Return the format that an extension (in lower case, without a dot) says; None if it says none that is read."""
    return _BY_EXTENSION.get(extension)


def is_image_extension(extension: str) -> bool:
    """Return whether an extension (in lower case, without a dot) is that of an image, whether or not it is read."""
    return extension in _BY_EXTENSION or extension in _UNREAD_EXTENSIONS


def formats_with(option: str) -> tuple[Format, ...]:
    """Return the formats in which an encoding option of renditions.toml means something."""
    return tuple(format for format in OUTPUT_FORMATS if option in format.traits.options)

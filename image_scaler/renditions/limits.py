"""What a source may cost, checked from its header before any pixel is decoded."""

from typing import Annotated

import msgspec
from msgspec import Meta

from image_scaler.exceptions import ImageTooLargeError

MEBIBYTE = 1024**2

MAX_SOURCE_SIDE = 65_535
"""In pixels, as in JPEG. Hundreds of whole rows are in memory at a time, and no limit of pixels counts these."""

MAX_OUTPUT_SIDE = 16_383
"""The longest side in pixels that renditions.toml can ask for: what WebP holds, the least of the formats."""

MAX_BANDS = 10
"""Values per pixel: four and alpha, and some that are ignored. A TIFF may have thousands."""

MAX_SCANS = 100
"""Scans of a JPEG: a progressive one has ten. Thousands are as valid, and each goes over all pixels."""

MAX_WEBP_FRAMES = 10_000
"""Frames of a WebP: libwebp looks through all of them before the first, in a time that grows with their square."""

IDLE_MEMORY = 130 * MEBIBYTE
"""Memory of the function in bytes while it does nothing: Python, boto3 and libvips are loaded."""

DECODED_BYTES = 4.0
"""Memory of decoded pixels at rest, in bytes per pixel: 8-bit sRGB with alpha."""

FRAME_BYTES = 7.0
"""Memory of each frame of an animation at rest, in bytes per pixel of the largest rendition: all sizes of a ladder."""

Count = Annotated[int, Meta(ge=1, description="an integer from 1")]


class LimitOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `[limits]` table of renditions.toml: what a source may cost."""

    source_bytes: Count = 200 * MEBIBYTE
    """The size of a source in bytes; it is held in memory as it was uploaded."""
    pixels: Count = 100_000_000
    """Pixels of a source: width x height x the frames that are decoded. imgproxy allows 50 million, thumbor 75, Pillow
    179."""
    buffered_pixels: Count = 60_000_000
    """Pixels of a source that must be held in memory completely: a progressive JPEG, an interlaced PNG, AVIF, HEIC. A
    progressive JPEG of 33 megapixels takes 220 MB, a baseline JPEG of any size about 30 MB. Of an animation it is one
    frame: the others are decoded one after the other, and only held at the size of the largest rendition."""
    frames: Count = 200
    """Frames of an animation that are kept; later ones are left out."""


class Limits(LimitOptions, frozen=True, kw_only=True):
    """The limits of renditions.toml and of the function."""

    memory: int | None = None
    """The function's memory in bytes; None: unknown, and not checked."""

    def in_memory(self, memory: int | None) -> "Limits":
        """Return the limits for a function with this memory in bytes; None: unknown."""
        return msgspec.structs.replace(self, memory=memory)

    def check_bytes(self, size: int) -> None:
        """Raise ImageTooLargeError if a source has too many bytes."""
        if size > self.source_bytes:
            raise ImageTooLargeError(
                f"the source has {size:,} bytes but the limit is {self.source_bytes:,}: "
                "raise limits.source_bytes in renditions.toml",
                code="too_large",
            )

    def check_pixels(self, width: int, height: int, frames: int, *, must_buffer: bool) -> None:
        """Raise ImageTooLargeError if there are too many pixels, or a side is too long.

        `must_buffer`: all pixels of a frame are in memory at the same time.
        """
        size = _size(width, height, frames)
        if max(width, height) > MAX_SOURCE_SIDE:
            raise ImageTooLargeError(f"the image has {size} pixels but the longest side allowed is {MAX_SOURCE_SIDE:,}")
        if must_buffer and width * height > self.buffered_pixels:
            raise ImageTooLargeError(
                f"the image has {_size(width, height)} pixels but the limit is {self.buffered_pixels:,} for an image "
                "that must be held in memory completely: raise limits.buffered_pixels in renditions.toml"
            )
        if width * height * frames > self.pixels:
            raise ImageTooLargeError(
                f"the image has {size} pixels but the limit is {self.pixels:,}: raise limits.pixels in renditions.toml"
            )

    def check_memory(self, width: int, height: int, frames: int, bytes_per_pixel: float, body: int) -> None:
        """Raise ImageTooLargeError if the pixels, next to a `body` in bytes, need more memory than the function has."""
        needed = IDLE_MEMORY + body + round(width * height * frames * bytes_per_pixel)
        if self.memory is not None and needed > self.memory:
            raise ImageTooLargeError(
                f"{_size(width, height, frames)} pixels need about {needed // MEBIBYTE:,} MB but the function has "
                f"{self.memory // MEBIBYTE:,} MB: raise memorySize"
            )


def _size(width: int, height: int, frames: int = 1) -> str:
    return f"{width:,} x {height:,}" + (f" x {frames} frames" if frames > 1 else "")


DEFAULT_LIMITS = Limits()

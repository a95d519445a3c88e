"""What a source may cost, checked from its header before any pixel is decoded."""

from dataclasses import dataclass

from image_scaler.exceptions import ImageTooLargeError

_MEBIBYTE = 1024**2

LONGEST_SIDE = 65_535
"""In pixels, as in JPEG. Whole rows are in memory at a time, hundreds of them, and no limit of pixels counts these."""

_AT_REST = 130 * _MEBIBYTE
"""Memory of the function while it does nothing: Python, boto3 and libvips loaded."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The `[limits]` of renditions.toml, and the function's memory."""

    source_bytes: int = 200 * _MEBIBYTE
    """The largest source in bytes; it is held in memory as it was uploaded."""
    pixels: int = 100_000_000
    """The most pixels of a source: width x height x the frames that are decoded. imgproxy allows 50 million,
    thumbor 75, Pillow 179."""
    whole_pixels: int = 60_000_000
    """The most pixels of a source that must be held in memory whole: a progressive JPEG, an interlaced PNG,
    AVIF, HEIC. A progressive JPEG of 33 megapixels takes 220 MB, a baseline one of any size about 30 MB."""
    frames: int = 200
    """The most frames of an animation that are kept; the rest is left out."""
    memory: int | None = None
    """The function's memory in bytes; None: unknown, not checked."""

    def check_bytes(self, size: int) -> None:
        """Raise ImageTooLargeError for a source of too many bytes."""
        if size > self.source_bytes:
            raise ImageTooLargeError(
                f"expected at most {self.source_bytes:,} bytes but received {size:,}: "
                "raise limits.source_bytes in renditions.toml"
            )

    def check_pixels(self, width: int, height: int, frames: int, *, whole: bool) -> None:
        """Raise ImageTooLargeError for too many pixels, or a side that is too long.

        `whole`: they must be in memory all at once.
        """
        if max(width, height) > LONGEST_SIDE:
            raise ImageTooLargeError(
                f"expected at most {LONGEST_SIDE:,} pixels a side but received {_size(width, height, frames)}"
            )
        limit, name = (
            (self.whole_pixels, "limits.whole_pixels")
            if whole and self.whole_pixels < self.pixels
            else (self.pixels, "limits.pixels")
        )
        if width * height * frames > limit:
            kind = " for an image that is held in memory whole" if name == "limits.whole_pixels" else ""
            raise ImageTooLargeError(
                f"expected at most {limit:,} pixels{kind} but received {_size(width, height, frames)}: "
                f"raise {name} in renditions.toml"
            )

    def check_memory(self, width: int, height: int, frames: int, bytes_per_pixel: float, body: int) -> None:
        """Raise ImageTooLargeError for pixels that need more memory than the function has, beside a `body` in bytes."""
        needed = _AT_REST + body + round(width * height * frames * bytes_per_pixel)
        if self.memory is not None and needed > self.memory:
            raise ImageTooLargeError(
                f"expected {self.memory // _MEBIBYTE:,} MB of memory to be enough but {_size(width, height, frames)} "
                f"pixels need about {needed // _MEBIBYTE:,} MB: raise the function's memorySize"
            )


def _size(width: int, height: int, frames: int) -> str:
    return f"{width:,} x {height:,}" + (f" x {frames} frames" if frames > 1 else "")


DEFAULT_LIMITS = Limits()

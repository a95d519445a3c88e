"""Read animated AVIF with Pillow's libavif: libvips reads still images only."""

import io
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pyvips

from image_scaler.exceptions import DamagedImageError, UnsupportedImageError
from image_scaler.images.containers import media_boxes
from image_scaler.images.refusals import why_damaged, why_not_an_image
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Size

if TYPE_CHECKING:
    from PIL.AvifImagePlugin import AvifImageFile

_ERRORS = (OSError, SyntaxError, ValueError, LookupError, RuntimeError, EOFError, MemoryError, struct.error)
"""What Pillow raises for a damaged file."""
MAX_TIMES = 100_000
"""Entries of the table of times that are read."""


class Sequence(NamedTuple):
    """What an animated AVIF says of itself."""

    size: Size
    frames: int
    fields: dict[str, Any]
    """By libvips' names."""


def is_sequence(body: bytes) -> bool:
    """Return whether a file is an AVIF with frames, by the brands in its first box."""
    length = min(int.from_bytes(body[:4], "big"), 256)
    return body[4:8] == b"ftyp" and b"avis" in body[8:length]


def read(body: bytes) -> Sequence:
    """Read the header; raises UnsupportedImageError if it is damaged."""
    picture = _open(body)
    blocks = {"exif-data": picture.info.get("exif"), "xmp-data": picture.info.get("xmp")}
    fields = {name: block for name, block in blocks.items() if block}
    fields |= {"n-pages": picture.n_frames, "delay": _delays(body, picture.n_frames), "loop": 0}
    return Sequence(Size(*picture.size), picture.n_frames, fields)


def decode_frames(body: bytes, frames: int) -> Iterator[pyvips.Image]:
    """Yield the first frames in memory, each decoded when it is asked for; raises DamagedImageError."""
    picture = _open(body)
    profile = picture.info.get("icc_profile")
    for number in range(frames):
        try:
            picture.seek(number)
            pixels = picture.tobytes()
        except _ERRORS as error:
            raise DamagedImageError(why_damaged(body, Format.AVIF), " ".join(str(error).split())) from error
        image = pyvips.Image.new_from_memory(pixels, *picture.size, len(picture.mode), "uchar")
        image = image.copy(interpretation="srgb" if len(picture.mode) >= 3 else "b-w")
        if profile:
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        yield image


def _delays(body: bytes, frames: int) -> list[int]:
    """Return how long each frame is shown, in milliseconds: Pillow knows that only of decoded frames."""
    try:
        mdia = _box(_box(_box(body, b"moov"), b"trak"), b"mdia")
        mdhd = _box(mdia, b"mdhd")
        (timescale,) = struct.unpack_from(">I", mdhd, 20 if mdhd[0] == 1 else 12)
        stts = _box(_box(_box(mdia, b"minf"), b"stbl"), b"stts")
        (count,) = struct.unpack_from(">I", stts, 4)
        delays: list[int] = []
        for entry in range(min(count, MAX_TIMES)):
            samples, duration = struct.unpack_from(">2I", stts, 8 + 8 * entry)
            delays += [min(round(1000 * duration / timescale), 65_535)] * min(samples, frames - len(delays))
    except (LookupError, struct.error, ZeroDivisionError):
        delays = []
    return delays + [100] * (frames - len(delays))


def _box(content: bytes, name: bytes) -> bytes:
    return next((inner for found, inner in media_boxes(content) if found == name), b"")


def _open(body: bytes) -> "AvifImageFile":
    try:
        # Imported here, because few sources need it and it costs a cold start 20 ms. Pillow comes with pillow-heif.
        from PIL.AvifImagePlugin import AvifImageFile
    except ImportError:
        raise UnsupportedImageError(
            "animated AVIF images are not read, because pillow-heif was left out of requirements/function.in"
        ) from None
    try:
        return AvifImageFile(io.BytesIO(body))
    except _ERRORS as error:
        raise UnsupportedImageError(why_not_an_image(body), " ".join(str(error).split())) from error

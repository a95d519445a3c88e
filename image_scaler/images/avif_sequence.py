"""Read and write animated AVIF with Pillow's libavif: libvips has still images only."""

import io
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import pyvips

from image_scaler.exceptions import DamagedImageError, UnsupportedImageError
from image_scaler.images.containers import media_boxes
from image_scaler.images.refusals import not_readable, why_damaged
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Size

if TYPE_CHECKING:
    from PIL.AvifImagePlugin import AvifImageFile

_ERRORS = (OSError, SyntaxError, ValueError, LookupError, RuntimeError, EOFError, MemoryError, struct.error)
"""What Pillow raises for a damaged file."""
MAX_TIMES = 100_000
"""Entries of the table of times that are read."""
MAX_LOOPS = 65_535
MAX_EFFORT = 9
"""Of libvips; libavif counts the other way, as a speed."""
_ENDLESS = 2**64 - 1
"""The length of a film that is played for ever."""
_MIN_DELAY = 10
_USUAL_DELAY = 100
"""Browsers show a frame of a GIF for so many milliseconds if it says no more than the minimum."""
_TIME_OF_WRITING = re.compile(rb"((?:mvhd|tkhd|mdhd).{4}).{16}", re.DOTALL)
_LENGTH = re.compile(rb"(mvhd.{24}|tkhd.{28})\xff{8}", re.DOTALL)
_LENGTH_OF_ONE_PLAY = re.compile(rb"elst.{8}(.{8})", re.DOTALL)


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
    fields |= {"n-pages": picture.n_frames, "delay": _delays(body, picture.n_frames), "loop": _loop(body)}
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


@cache
def is_available() -> bool:
    """Return whether Pillow is installed: it comes with pillow-heif, which may be left out."""
    return find_spec("PIL") is not None


class Coding(NamedTuple):
    """How an animation is written."""

    quality: int
    effort: int
    has_full_colour: bool
    blocks: Mapping[str, bytes]
    """Metadata by its kind: `icc`, `exif`, `xmp`."""


def write(frames: Iterable[pyvips.Image], delays: Iterable[int], loop: int, coding: Coding) -> bytes:
    """Return the frames as an animation, each shown for its delay in milliseconds; only one is held at a time.

    `loop`: how often it is played, 0 for ever. Raises ValueError or RuntimeError if libavif cannot write it.
    """
    from PIL import _avif  # Pillow's save takes a list of all frames and copies each

    encoder = None
    for frame, delay in zip(frames, delays, strict=True):
        image = frame.colourspace("srgb") if frame.bands == 2 else frame
        size, mode = (image.width, image.height), {1: "L", 3: "RGB", 4: "RGBA"}[image.bands]
        if encoder is None:
            chroma = "4:0:0" if mode == "L" else "4:4:4" if coding.has_full_colour else "4:2:0"
            icc, exif, xmp = (coding.blocks.get(kind, b"") for kind in ("icc", "exif", "xmp"))
            speed = MAX_EFFORT - coding.effort
            # In limited range: Chromium 156 takes all animations of this libavif for that, whatever `nclx` says. One
            # thread and no tiles, so that the bytes do not depend on the machine.
            encoder = _avif.AvifEncoder(
                size, chroma, coding.quality, speed, 1, "aom", "limited", 0, 0, False, False, icc, exif, 1, xmp, None
            )
        shown = delay if delay > _MIN_DELAY else _USUAL_DELAY
        encoder.add(image.write_to_memory(), shown, size, mode, False)
    if encoder is None:
        raise ValueError("an animation without frames")
    return _with_loop(encoder.finish(), loop)


def _with_loop(body: bytes, loop: int) -> bytes:
    """Return an animation of libavif that is played so often, and does not say when it was written.

    Pillow has no option for either. The same frames give the same bytes only without the time.
    """
    moov = _box(body, b"moov")
    edited = _TIME_OF_WRITING.sub(lambda found: found[1] + bytes(16), moov)
    once = _LENGTH_OF_ONE_PLAY.search(moov)
    if loop and once:
        total = struct.pack(">Q", int.from_bytes(once[1], "big") * loop)
        edited = _LENGTH.sub(lambda found: found[1] + total, edited)
    return body.replace(moov, edited, 1)


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


def _loop(body: bytes) -> int:
    """Return how often the film is played, 0 for ever: the length of all plays, divided by that of one."""
    try:
        trak = _box(_box(body, b"moov"), b"trak")
        tkhd, elst = _box(trak, b"tkhd"), _box(_box(trak, b"edts"), b"elst")
        total = struct.unpack_from(">Q", tkhd, 28)[0] if tkhd[0] else struct.unpack_from(">I", tkhd, 20)[0]
        once = struct.unpack_from(">Q", elst, 8)[0] if elst[0] else struct.unpack_from(">I", elst, 8)[0]
        is_endless = not elst[3] & 1 or total == (_ENDLESS if tkhd[0] else 2**32 - 1)
        return 0 if is_endless else min(round(total / once), MAX_LOOPS)
    except (LookupError, ValueError, struct.error, ZeroDivisionError):
        return 0


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
        raise not_readable(body, " ".join(str(error).split())) from error

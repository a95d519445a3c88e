"""Compose the frames of a GIF on its logical screen, as browsers do.

libvips shows the smallest rectangle around all pictures if the screen has a usual size or is wider than 2,048 pixels.
It also fills with a colour what no picture covers, and what a picture leaves behind that is to be cleared.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import pyvips

from image_scaler.images.containers import GIF_END, GIF_PICTURE, gif_blocks, gif_header
from image_scaler.images.vips import open_buffer
from image_scaler.renditions.geometry import Size

_CONTROL = b"!\xf9\4"
_CLEAR = 2
_RESTORE = (3, 4)
"""What happens to a picture after its time: cleared, or replaced by what was there before (3; old programs wrote 4)."""


class _Picture(NamedTuple):
    left: int
    top: int
    size: Size
    disposal: int
    file: bytes
    """A GIF with this picture only."""


def screen_size(body: bytes) -> Size:
    """Return the size of the logical screen, which browsers enlarge for a first picture that is beyond it.

    Raises LookupError or struct.error if there is no picture.
    """
    screen = struct.unpack_from("<2H", body, 6)
    first = next(_pictures(body), None)
    if first is None:
        raise LookupError("no picture")
    return Size(max(screen[0], first.left + first.size.width), max(screen[1], first.top + first.size.height))


def compose_frames(body: bytes) -> Iterator[pyvips.Image]:
    """Yield each frame in memory, in RGB and alpha; one is composed when it is asked for."""
    size = screen_size(body)
    screen = pyvips.Image.black(*size, bands=4).copy(interpretation="srgb")
    for picture in _pictures(body):
        frame = _draw(screen, picture)
        yield frame
        if picture.disposal == _CLEAR:
            screen = frame.insert(pyvips.Image.black(*picture.size, bands=4), picture.left, picture.top).copy_memory()
        elif picture.disposal not in _RESTORE:
            screen = frame


def _pictures(body: bytes) -> Iterator[_Picture]:
    header, control = gif_header(body), b""
    for block in _blocks(body, len(header)):
        if block.startswith(_CONTROL):
            control = block[:8]
        elif block[0] == GIF_PICTURE:
            left, top, width, height = struct.unpack_from("<4H", block, 1)
            disposal = control[3] >> 2 & 7 if control else 0
            parts = (header[:6], block[5:9], header[10:], control, block[:1], bytes(4), block[5:], bytes([GIF_END]))
            yield _Picture(left, top, Size(width, height), disposal, b"".join(parts))
            control = b""


def _blocks(body: bytes, start: int) -> Iterator[bytes]:
    """Yield each block; the last one may be cut off: libvips decides whether enough of it is left."""
    at = start
    try:
        for block in gif_blocks(body):
            at += len(block)
            yield block
    except (LookupError, ValueError):
        if len(body) >= at + 11 and body[at] == GIF_PICTURE:
            yield body[at:]


def _draw(screen: pyvips.Image, picture: _Picture) -> pyvips.Image:
    """Return the screen with a picture on it, in memory."""
    image = open_buffer(picture.file)
    if image.bands < 3:
        image = image.colourspace("srgb")
    if image.hasalpha():
        image = image.copy_memory()
        under = screen.embed(-picture.left, -picture.top, image.width, image.height)
        image = image[3].ifthenelse(image, under)
    else:
        image = image.addalpha()
    return screen.insert(image, picture.left, picture.top).copy_memory()

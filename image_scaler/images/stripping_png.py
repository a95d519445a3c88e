"""A PNG (W3C Portable Network Graphics, third edition) without its metadata."""

import struct
import zlib
from collections.abc import Container, Iterator, Sequence

from image_scaler.images.attribution import Credits
from image_scaler.images.colour import is_whole

_LENGTHS: dict[bytes, Container[int]] = {
    b"IHDR": (13,),
    b"PLTE": range(769),
    b"tRNS": range(257),
    b"gAMA": (4,),
    b"cHRM": (32,),
    b"sRGB": (1,),
    b"cICP": (4,),
    b"sBIT": range(5),
    b"iCCP": range(4 * 1024**2),
    b"IEND": (0,),
}
"""The chunks beside IDAT that are kept, and how long each may be."""
_GREY, _COLOURS, _PALETTE = 0, 2, 3
"""Kinds of colour, in IHDR."""
_SAMPLES = {_GREY: 1, _COLOURS: 3, _PALETTE: 1, 4: 2, 6: 4}
"""Values for a pixel, by the kind of colour; the last two have alpha."""
_PLAIN = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced PNG: the first column and row of each, and how far apart the next are."""
_PROFILE_LIMIT = 4 * 1024**2
_PIECE = 1024**2


def strip(body: bytes, known: Credits) -> bytes | None:
    """Return the file with pixels, how their colours are meant, and `known` alone.

    None where anything is found that is not known here. Raises struct.error, zlib.error, LookupError or ValueError for
    a file that is damaged.
    """
    kept: dict[bytes, bytes] = {}
    pixels: list[bytes] = []
    is_after_pixels = False
    for name, content in _chunks(body):
        if name in (b"acTL", b"fcTL", b"fdAT"):
            return None  # an animation: later frames are not part of the picture that was looked at
        if name == b"IDAT":
            if is_after_pixels:
                return None
            pixels.append(content)
            continue
        is_after_pixels = bool(pixels)
        if name in _LENGTHS:
            if name in kept or len(content) not in _LENGTHS[name] or (pixels and name != b"IEND"):
                return None
            kept[name] = content
        elif not name[0] & 0x20:
            return None  # critical, and unknown here
    if b"iCCP" in kept:
        kept[b"iCCP"] = _profile(kept[b"iCCP"])
    colour = kept[b"IHDR"][9]
    if colour != _PALETTE:
        kept.pop(b"PLTE", None)  # a suggestion for displays of few colours
    entries = len(kept.get(b"PLTE", b"")) // 3
    transparent = {_GREY: (0, 2), _COLOURS: (0, 6), _PALETTE: range(entries + 1)}.get(colour, (0,))
    if len(kept.get(b"tRNS", b"")) not in transparent:
        return None
    if not _ends_exactly(pixels, _rows_length(kept[b"IHDR"])):
        return None
    end = kept.pop(b"IEND")
    chunks = [*kept.items(), *_said(known), *((b"IDAT", content) for content in pixels), (b"IEND", end)]
    return body[:8] + b"".join(_chunk(name, content) for name, content in chunks)


def _said(known: Credits) -> Iterator[tuple[bytes, bytes]]:
    if xmp := known.as_xmp():
        yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    if exif := known.as_exif():
        yield b"eXIf", exif.removeprefix(b"Exif\0\0")


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, name = 8, b""
    while name != b"IEND":
        length, name = struct.unpack(">I4s", body[at : at + 8])
        content = body[at + 8 : at + 8 + length]
        if len(content) < length:
            raise ValueError("cut off")
        yield name, content
        at += 12 + length


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _profile(content: bytes) -> bytes:
    """Return an iCCP chunk's content under a name of ours; raises ValueError where it holds other than a profile."""
    inflated = zlib.decompressobj()
    compressed = content[content.index(b"\0") + 2 :]
    profile = inflated.decompress(compressed, _PROFILE_LIMIT)
    if not inflated.eof or inflated.unused_data or not is_whole(profile):
        raise ValueError("no colour profile")
    return b"icc\0\0" + compressed


def _rows_length(header: bytes) -> int:
    """Return how many bytes all rows have, each with its filter before it."""
    width, height, depth, colour, _, _, is_interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _SAMPLES[colour]
    sizes = ((-((x - width) // dx), -((y - height) // dy)) for x, y, dx, dy in (_ADAM7 if is_interlaced else _PLAIN))
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _ends_exactly(pixels: Sequence[bytes], length: int) -> bool:
    """Return whether the compressed pixels have this length and then end, and nothing stands behind them."""
    inflated, waiting = zlib.decompressobj(), list(pixels)[::-1]
    while waiting and not inflated.eof:
        piece = waiting.pop()
        while piece and not inflated.eof:
            length -= len(inflated.decompress(piece, _PIECE))
            piece = inflated.unconsumed_tail
            if length < 0:
                return False
    return length == 0 and inflated.eof and not inflated.unused_data and not any(waiting)

"""The structure of image files: their segments, chunks and blocks, in order, up to the end of the image.

Bytes that follow the image (the video of a motion photo, the second picture of an MPO file) are not part of it. All
functions raise ValueError, LookupError or struct.error if the structure is damaged.
"""

import re
import struct
from collections.abc import Iterator
from itertools import islice

# JPEG (ITU-T T.81): segments, each with a marker and a length. The compressed pixels follow each start of scan.

JPEG_SCAN, JPEG_END = 0xDA, 0xD9
JPEG_END_MARKER = bytes([0xFF, JPEG_END])
_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
"""Any marker with a length, and the end of the image. The others are no segments: FF 00 is a compressed byte, FF D0 to
FF D7 are restarts within a scan, FF 01 is reserved, FF FF is filler."""


def jpeg_segments(body: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the marker and the payload of each segment, and the compressed pixels after it."""
    for marker, start, end, pixels_end in jpeg_positions(body):
        yield marker, body[start:end], body[end:pixels_end]


def count_jpeg_scans(body: bytes, max_count: int) -> int:
    """Return the number of scans, each a pass over the picture; counting stops after `max_count`."""
    count = 0
    for marker, *_ in jpeg_positions(body):
        count += marker == JPEG_SCAN
        if count > max_count:
            break
    return count


def jpeg_positions(body: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield the marker of each segment, the start and the end of its payload, and the end of its pixels."""
    at = 2
    while True:
        found = _JPEG_MARKER.search(body, at)
        if found is None:
            raise ValueError("no end of the image")
        marker, start = found[0][1], found.end()
        if marker == JPEG_END:
            return
        (length,) = struct.unpack_from(">H", body, start)
        at = start + length
        if length < 2 or at > len(body):
            raise ValueError("a segment is cut off")
        following = _JPEG_MARKER.search(body, at) if marker == JPEG_SCAN else None
        yield marker, start + 2, at, following.start() if following else at


# PNG (W3C Portable Network Graphics, third edition): chunks, each with a length, a name and a checksum.


MAX_PNG_HEADER_CHUNKS = 10_000
MAX_PNG_HEADER_CHUNK = 64
"""The chunks on colours have up to 32 bytes, except for profiles."""


def png_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the content of each chunk."""
    for name, start, end in _png_positions(body):
        yield name, body[start:end]


def png_header_chunks(body: bytes) -> dict[bytes, bytes]:
    """Return the name and the beginning of each chunk before the pixels."""
    chunks: dict[bytes, bytes] = {}
    for name, start, end in islice(_png_positions(body), MAX_PNG_HEADER_CHUNKS):
        if name == b"IDAT":
            break
        chunks.setdefault(name, body[start : min(end, start + MAX_PNG_HEADER_CHUNK)])
    return chunks


def _png_positions(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk, and the start and the end of its content."""
    at, name = 8, b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", body, at)
        if at + 12 + length > len(body):
            raise ValueError("a chunk is cut off")
        yield name, at + 8, at + 8 + length
        at += 12 + length


# WebP (RFC 9649): chunks, each with a name and a length, padded to even lengths.


def webp_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the content of each chunk of a file."""
    return _riff_chunks(body, 12, _webp_end(body))


def frame_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the content of each chunk in a frame, which follow the 16 bytes on its place and time."""
    return _riff_chunks(content, 16, len(content))


def count_webp_frames(body: bytes, max_count: int) -> int:
    """Return the number of frames of an animation, 0 for a still image; counting stops after `max_count`."""
    count = 0
    for name, *_ in _riff_positions(body, 12, _webp_end(body)):
        count += name == b"ANMF"
        if count > max_count:
            break
    return count


def _webp_end(body: bytes) -> int:
    (length,) = struct.unpack_from("<I", body, 4)
    if 8 + length > len(body):
        raise ValueError("the file is cut off")
    return 8 + int(length)


def _riff_chunks(body: bytes, at: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    for name, start, stop in _riff_positions(body, at, end):
        yield name, body[start:stop]


def _riff_positions(body: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk, and the start and the end of its content."""
    while at < end:
        name, length = struct.unpack_from("<4sI", body, at)
        start, stop = at + 8, at + 8 + length
        if stop > end:
            raise ValueError("a chunk is cut off")
        yield name, start, stop
        at = stop + length % 2


# GIF (GIF89a): a header with a palette, then pictures and extensions. Their data is in blocks of up to 255 bytes.

GIF_PICTURE, GIF_EXTENSION, GIF_END = 0x2C, 0x21, 0x3B


def gif_header(body: bytes) -> bytes:
    """Return the bytes before the first block."""
    return body[: 13 + _gif_palette_length(body[10])]


def gif_blocks(body: bytes) -> Iterator[bytes]:
    """Yield each picture and each extension."""
    at = len(gif_header(body))
    while body[at] != GIF_END:
        start, kind = at, body[at]
        if kind not in (GIF_PICTURE, GIF_EXTENSION):
            raise ValueError(f"unknown block {kind:02x}")
        at += 11 + _gif_palette_length(body[at + 9]) if kind == GIF_PICTURE else 2
        while body[at]:
            at += 1 + body[at]
        at += 1
        yield body[start:at]


GIF_XMP = b"!\xff\x0bXMP DataXMP"
"""How the extension with an XMP packet begins (XMP specification, part 3)."""
_GIF_MAGIC_TRAILER = bytes([1, *range(255, -1, -1), 0])
"""Readers that take the packet's bytes for the lengths of blocks get into it somewhere, and to its end from there."""


def gif_with_xmp(body: bytes, packet: bytes) -> bytes:
    """Return a GIF with an XMP packet, unless that is empty; the packet has no zero bytes."""
    if not packet:
        return body
    end = len(body) - 1
    if body[end] != GIF_END:
        raise ValueError("no end of the image")
    return b"GIF89a" + body[6:end] + GIF_XMP + packet + _GIF_MAGIC_TRAILER + body[end:]


def _gif_palette_length(packed: int) -> int:
    """Return the length of the palette that such a byte announces."""
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


# AVIF and HEIC (ISO/IEC 14496-12): boxes, each with a length and a name.


def media_boxes(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the content of each box, but not of the boxes in them."""
    at = 0
    while at + 8 <= len(body):
        size, name = struct.unpack_from(">I4s", body, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", body, start)
            start += 8
        end = at + size if size else len(body)  # 0: up to the end of the file
        if end < start or end > len(body):
            raise ValueError("a box is cut off")
        yield name, body[start:end]
        at = end

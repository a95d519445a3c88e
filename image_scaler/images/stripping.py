"""Remove the metadata from an image file without decoding its pixels.

A source that is already well compressed gets larger when it is encoded again at its own size and format. Its own
pixels are then the better rendition, but its metadata must not be published: GPS position, camera, serial numbers,
embedded thumbnails, comments, a video after the picture. For each format this module lists the parts that stay, and
drops all others. AVIF is not supported: it is always encoded again.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from image_scaler.images.attribution import Credits
from image_scaler.images.colour import is_complete
from image_scaler.images.containers import (
    GIF_END,
    GIF_PICTURE,
    JPEG_SCAN,
    frame_chunks,
    gif_blocks,
    gif_header,
    gif_with_xmp,
    jpeg_segments,
    png_chunks,
    webp_chunks,
)
from image_scaler.renditions.formats import Format

_Part = TypeVar("_Part")

MAX_PARTS = 100_000
"""A file of more segments, chunks or blocks is refused: this number takes 0.2 s. A WebP has at most 10,000 frames, and
a PNG of 200 MB has 25,000 chunks of libpng's usual 8 kB."""
MAX_FRAME_PARTS = 10
"""The same for the chunks of one frame of a WebP, which needs two at most."""
MAX_PROFILE_BYTES = 4 * 1024**2
"""The profiles of CMYK printers, which are the largest in use, have about 0.6 MB."""


def strip(body: bytes, format: Format, orientation: int, credits: Credits) -> bytes | None:
    """Return the file with its pixels and colour profile, and `credits` as its only metadata.

    In JPEG the orientation stays too; pixels of other formats that must be turned have to be encoded again. None if the
    file cannot be stripped: it is damaged, or has a part that this module does not know. `body` is a file that libvips
    can decode: the compressed pixels themselves are not checked.
    """
    try:
        match format:
            case Format.JPEG:
                return _strip_jpeg(body, orientation, credits)
            case Format.PNG if orientation == 1:
                return _strip_png(body, credits)
            case Format.WEBP if orientation == 1:
                return _strip_webp(body, credits)
            case Format.GIF:
                return gif_with_xmp(_strip_gif(body), credits.as_xmp())
    except (struct.error, zlib.error, LookupError, ValueError):
        return None
    return None


def _limit(parts: Iterable[_Part], max_parts: int = MAX_PARTS) -> list[_Part]:
    limited = list(islice(parts, max_parts + 1))
    if len(limited) > max_parts:
        raise ValueError(f"more than {max_parts:,} parts")
    return limited


def _check_profile(profile: bytes) -> None:
    if not is_complete(profile):
        raise ValueError("the colour profile is damaged")


# JPEG

_JPEG_KEPT = {0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, JPEG_SCAN}  # frames, Huffman and quantization tables, restarts
_JPEG_DROPPED = {0xFE, *range(0xE0, 0xF0)}  # comment, application data
_ICC, _XMP = b"ICC_PROFILE\0", b"http://ns.adobe.com/xap/1.0/\0"


def _strip_jpeg(body: bytes, orientation: int, credits: Credits) -> bytes:
    kept: list[bytes] = []
    profile: dict[int, bytes] = {}
    count, has_pixels = 0, False
    for marker, payload, scan in _limit(jpeg_segments(body)):
        has_pixels |= len(scan) > 0
        if marker in _JPEG_KEPT:
            kept += _jpeg_segment(marker, payload), scan
        elif marker == 0xE0 and payload.startswith(b"JFIF\0"):
            kept.append(_jpeg_segment(marker, payload[:12] + bytes(2)))  # without its thumbnail
        elif marker == 0xE2 and payload.startswith(_ICC):
            profile[payload[12]], count = payload[14:], payload[13]
        elif marker == 0xEE and payload.startswith(b"Adobe"):  # says whether the pixels are RGB or YCbCr
            kept.append(_jpeg_segment(marker, payload[:12]))
        elif marker not in _JPEG_DROPPED:
            raise ValueError(f"unknown marker {marker:02x}")
    if not has_pixels:
        raise ValueError("no picture")
    head = [_jpeg_segment(0xE1, exif)] if (exif := credits.as_exif(orientation)) else []
    head += [_jpeg_segment(0xE1, _XMP + xmp)] if (xmp := credits.as_xmp()) else []
    if profile:
        parts = {number: profile[number] for number in range(1, count + 1)}
        _check_profile(b"".join(parts.values()))
        head += (_jpeg_segment(0xE2, _ICC + bytes([number, count]) + part) for number, part in parts.items())
    return b"".join([b"\xff\xd8", *head, *kept, b"\xff\xd9"])


def _jpeg_segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


# PNG

_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"sBIT", b"iCCP", b"IDAT", b"IEND"}
_PNG_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}


def _strip_png(body: bytes, credits: Credits) -> bytes:
    kept: list[bytes] = []
    has_pixels = False
    for name, content in _limit(png_chunks(body)):
        if name in _PNG_ANIMATION:
            raise ValueError("libvips decodes only the first frame of an animated PNG")
        if name == b"IDAT" and not has_pixels:
            has_pixels = True
            kept += _png_credits(credits)
        if name in _PNG_KEPT:
            kept.append(_png_chunk(name, _png_profile(content) if name == b"iCCP" else content))
        elif not name[0] & 0x20:  # an upper-case letter: decoders need to know this chunk
            raise ValueError(f"unknown chunk {name!r}")
    if not has_pixels:
        raise ValueError("no picture")
    return body[:8] + b"".join(kept)


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png_credits(credits: Credits) -> Iterator[bytes]:
    if xmp := credits.as_xmp():
        yield _png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    if exif := credits.as_exif():
        yield _png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))


def _png_profile(content: bytes) -> bytes:
    """Return an iCCP chunk's profile under the name `icc`, as its own name is free text."""
    compressed = content[content.index(b"\0") + 2 :]
    profile = zlib.decompressobj().decompress(compressed, MAX_PROFILE_BYTES)
    _check_profile(profile)
    return b"icc\0\0" + zlib.compress(profile)


# WebP

_VP8X_ANIMATION, _VP8X_XMP, _VP8X_EXIF = 1 << 1, 1 << 2, 1 << 3
_WEBP_HEAD = {b"VP8X", b"ICCP", b"ANIM"}
_WEBP_PICTURE = {b"ALPH", b"VP8 ", b"VP8L"}
_WEBP_PICTURES = ([b"VP8 "], [b"VP8L"], [b"ALPH", b"VP8 "])
"""The chunks that make one picture. Any more of them would be a picture that nobody sees."""


def _strip_webp(body: bytes, credits: Credits) -> bytes:
    exif, xmp = credits.as_exif().removeprefix(b"Exif\0\0"), credits.as_xmp()
    chunks = _limit(webp_chunks(body))
    head = {name: content for name, content in chunks if name in _WEBP_HEAD}
    flags = 0
    if b"VP8X" in head:
        flags = head[b"VP8X"][0] & ~(_VP8X_EXIF | _VP8X_XMP)
        flags |= (_VP8X_EXIF if exif else 0) | (_VP8X_XMP if xmp else 0)
        head[b"VP8X"] = bytes([flags]) + head[b"VP8X"][1:10]
    elif exif or xmp:
        raise ValueError("without VP8X there is no place for credits")
    if b"ICCP" in head:
        _check_profile(head[b"ICCP"])
    if flags & _VP8X_ANIMATION:
        # A frame has 16 bytes on its place and time, and then chunks of its own.
        pictures = [
            (name, content[:16] + _join_webp(_webp_picture(_limit(frame_chunks(content), MAX_FRAME_PARTS))))
            for name, content in chunks
            if name == b"ANMF"
        ]
    else:
        pictures = _webp_picture(chunks)
    added = [(name, content) for name, content in ((b"EXIF", exif), (b"XMP ", xmp)) if content]
    inner = b"WEBP" + _join_webp([*head.items(), *pictures, *added])
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def _webp_picture(chunks: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    picture = [(name, content) for name, content in chunks if name in _WEBP_PICTURE]
    if [name for name, _ in picture] not in _WEBP_PICTURES:
        raise ValueError("not exactly one picture")
    return picture


def _join_webp(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for name, content in chunks
    )


# GIF

_GIF_CONTROL = b"!\xf9\4"  # how long a picture is shown, and which colour is transparent
_GIF_LOOPS = (b"!\xff\x0bNETSCAPE2.0\3\1", b"!\xff\x0bANIMEXTS1.0\3\1")
_GIF_DROPPED = (b"!\xfe", b"!\xff")  # comment, application data


def _strip_gif(body: bytes) -> bytes:
    kept = [gif_header(body)]
    for block in _limit(gif_blocks(body)):
        if block[0] == GIF_PICTURE:
            kept.append(block)
        elif block.startswith(_GIF_CONTROL):
            kept.append(block[:7] + b"\0")
        elif block.startswith(_GIF_LOOPS):
            kept.append(block[:18] + b"\0")
        elif not block.startswith(_GIF_DROPPED):
            raise ValueError(f"unknown extension {block[1]:02x}")
    return b"".join([*kept, bytes([GIF_END])])

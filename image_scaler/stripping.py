"""Take the metadata out of an image file and leave its pixels as they are, byte for byte.

For a rendition at the source's own size and format that would come out larger than the source. The colour
profile stays, since the pixels mean nothing without it, and in JPEG the orientation.
"""

import struct
import zlib
from collections.abc import Iterator

from image_scaler import stripping_avif
from image_scaler.credits import Credits
from image_scaler.renditions import Format

_CODE = (b"<?php", b"<script")


def strip(body: bytes, format: Format, orientation: int, known: Credits) -> bytes | None:
    """Return the file with nothing but pixels, colour profile, orientation and `known` of who made it.

    None where that cannot be told from the pixels with certainty, or where the pixels' own bytes read like code that a
    careless server would run: the file is then better encoded anew.
    """
    try:
        stripped = _stripped(body, format, orientation, known)
    except (struct.error, LookupError, ValueError):
        return None
    return stripped if stripped and not any(code in stripped.lower() for code in _CODE) else None


def _stripped(body: bytes, format: Format, orientation: int, known: Credits) -> bytes | None:
    match format:
        case Format.JPEG:
            return _strip_jpeg(body, orientation, known)
        case Format.PNG if orientation == 1:
            return _strip_png(body, known)
        case Format.WEBP if orientation == 1:
            return _strip_webp(body, known)
        case Format.GIF:  # which has no place for who made it
            return _strip_gif(body)
        case Format.AVIF if orientation == 1 and not any(known):
            return stripping_avif.strip(body)
    return None


def _strip_jpeg(body: bytes, orientation: int, known: Credits) -> bytes | None:
    """Keep the segments that decoding needs: no APPn but JFIF, the ICC profile and Adobe's colour transform."""
    kept = [b"\xff\xd8"]
    exif = known.as_exif(orientation)
    if exif:
        kept.append(b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif)
    if xmp := known.as_xmp():
        packet = b"http://ns.adobe.com/xap/1.0/\0" + xmp
        kept.append(b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet)
    at = 2
    while True:
        if body[at] != 0xFF:
            return None
        marker = body[at + 1]
        (length,) = struct.unpack(">H", body[at + 2 : at + 4])
        segment = body[at : at + 2 + length]
        if len(segment) < length + 2:
            return None
        if 0xE0 <= marker <= 0xEF:
            kept.append(_application_segment(marker, segment[4:]))
        elif marker != 0xFE:
            kept.append(segment)
        at += 2 + length
        if marker == 0xDA:
            break
    # What follows the end of the image (another picture, a video, a ZIP) is no part of it.
    end = _end_of_jpeg(body, at)
    return None if end is None else b"".join(kept) + body[at:end]


def _application_segment(marker: int, payload: bytes) -> bytes:
    """Return what decoding needs of an APPn segment, and nothing that may stand behind it; b"" of most."""
    match marker:
        case 0xE0 if payload.startswith(b"JFIF\0") and len(payload) >= 14:
            payload = payload[:12] + bytes(2)  # without its thumbnail
        case 0xE2 if payload.startswith(b"ICC_PROFILE\0"):
            pass
        case 0xEE if payload.startswith(b"Adobe") and len(payload) >= 12:
            payload = payload[:12]
        case _:
            return b""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(payload) + 2) + payload


def _end_of_jpeg(body: bytes, at: int) -> int | None:
    """Return where the image ends, from within its first scan on; None where a later scan carries metadata."""
    while True:
        at = body.index(b"\xff", at)
        marker = body[at + 1]
        if marker == 0xD9:
            return at + 2
        if marker == 0x00 or 0xD0 <= marker <= 0xD7:
            at += 2
        elif marker == 0xFF:
            at += 1
        elif marker in (0xC4, 0xDA, 0xDB, 0xDD):
            (length,) = struct.unpack(">H", body[at + 2 : at + 4])
            at += 2 + length
        else:
            return None


_PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT"}


def _strip_png(body: bytes, known: Credits) -> bytes | None:
    kept, is_said = [body[:8]], False
    for name, chunk in _png_chunks(body):
        if name in (b"acTL", b"fcTL", b"fdAT"):
            return None  # an animation: later frames are not part of the picture that was looked at
        if name == b"IDAT" and any(known) and not is_said:
            is_said = True
            kept.append(_png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + known.as_xmp()))
            if exif := known.as_exif():
                kept.append(_png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
        if name in _PNG_KEPT:
            kept.append(chunk)
        elif not name[0] & 0x20:
            return None  # critical, and unknown here
    return b"".join(kept)


def _png_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while True:
        (length,) = struct.unpack(">I", body[at : at + 4])
        name = body[at + 4 : at + 8]
        chunk = body[at : at + 12 + length]
        if len(chunk) < 12 + length:
            raise ValueError("cut off")
        yield name, chunk
        if name == b"IEND":
            return
        at += 12 + length


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


_WEBP_PIXELS = (b"VP8 ", b"VP8L", b"ALPH")
_WEBP_EXIF, _WEBP_XMP = 1 << 3, 1 << 2
"""Flags of VP8X."""


def _strip_webp(body: bytes, known: Credits) -> bytes | None:
    exif, xmp = known.as_exif().removeprefix(b"Exif\0\0"), known.as_xmp()
    flags = (_WEBP_EXIF if exif else 0) | (_WEBP_XMP if xmp else 0)
    kept = []
    for name, content in _webp_chunks(body[12 : 8 + struct.unpack("<I", body[4:8])[0]]):
        match name:
            case b"VP8X":
                flags |= content[0] & ~(_WEBP_EXIF | _WEBP_XMP)
                kept.append(_webp_chunk(name, bytes([flags]) + content[1:10]))
            case b"ANMF":  # sixteen bytes on the frame, and then chunks again
                frame = [chunk for chunk in _webp_chunks(content[16:]) if chunk[0] in _WEBP_PIXELS]
                if len([chunk for chunk in frame if chunk[0] != b"ALPH"]) != 1:
                    return None
                kept.append(_webp_chunk(name, content[:16] + b"".join(_webp_chunk(*chunk) for chunk in frame)))
            case b"ICCP" | b"ANIM":
                kept.append(_webp_chunk(name, content))
            case _ if name in _WEBP_PIXELS:
                kept.append(_webp_chunk(name, content))
    if any(known) and not (kept and kept[0].startswith(b"VP8X")):
        return None  # who made it was not read from this
    kept += [_webp_chunk(name, content) for name, content in ((b"EXIF", exif), (b"XMP ", xmp)) if content]
    chunks = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def _webp_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(body):
        (length,) = struct.unpack("<I", body[at + 4 : at + 8])
        content = body[at + 8 : at + 8 + length]
        if len(content) < length:
            raise ValueError("cut off")
        yield body[at : at + 4], content
        at += 8 + length + length % 2


def _webp_chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


_GIF_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


def _strip_gif(body: bytes) -> bytes | None:
    """Keep the pictures with how long each is shown, and how often all are played."""
    at = 13 + _gif_palette(body[10])
    kept = [body[:at]]
    while body[at] != 0x3B:
        start = at
        if body[at] == 0x2C:
            at += 10 + _gif_palette(body[at + 9]) + 1
        elif body[at] == 0x21:
            at += 2
        else:
            return None
        end = _gif_blocks_end(body, at)
        label = body[start + 1]
        if body[start] == 0x2C or label == 0xF9:
            kept.append(body[start:end])
        elif label == 0xFF and body[start + 3 : start + 14] in _GIF_LOOPS and body[start + 14 : start + 16] == b"\3\1":
            kept.append(body[start : start + 18] + b"\0")
        elif label not in (0xFE, 0xFF):
            return None  # text that is to be drawn, or what nobody knows
        at = end
    return b"".join(kept) + b"\x3b"


def _gif_palette(packed: int) -> int:
    """Return the bytes of the palette that such a field says will follow."""
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _gif_blocks_end(body: bytes, at: int) -> int:
    while body[at]:
        at += 1 + body[at]
    return at + 1

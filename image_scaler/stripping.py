"""Take the metadata out of an image file and leave its pixels as they are, byte for byte.

For a rendition at the source's own size and format that would come out larger than the source. The colour
profile stays, since the pixels mean nothing without it, and in JPEG the orientation.
"""

import struct
from collections.abc import Iterator

from image_scaler.credits import Credits
from image_scaler.renditions import Format


def strip(body: bytes, format: Format, orientation: int, known: Credits) -> bytes | None:
    """Return the file with nothing but pixels, colour profile, orientation and `known` of who made it.

    None where that cannot be told from the pixels with certainty: the file is then better encoded anew.
    """
    try:
        match format:
            case Format.JPEG:
                return _strip_jpeg(body, orientation, known)
            case Format.PNG if orientation == 1:
                return _strip_png(body, known)
            case Format.WEBP if orientation == 1:
                return _strip_webp(body, known)
    except (struct.error, IndexError, ValueError):
        return None
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
    if any(known):
        return None  # to be written as chunks of their own, which encoding does
    kept = [body[:8]]
    for name, chunk in _png_chunks(body):
        if name in (b"acTL", b"fcTL", b"fdAT"):
            return None  # an animation: later frames are not part of the picture that was looked at
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


def _strip_webp(body: bytes, known: Credits) -> bytes | None:
    if any(known):
        return None
    kept = b""
    at, end = 12, 8 + struct.unpack("<I", body[4:8])[0]
    while at < end:
        name = body[at : at + 4]
        (length,) = struct.unpack("<I", body[at + 4 : at + 8])
        chunk = body[at : at + 8 + length + length % 2]
        if len(chunk) < 8 + length:
            return None
        if name == b"VP8X":  # without the flags for EXIF (bit 3) and XMP (bit 2)
            chunk = chunk[:8] + bytes([chunk[8] & ~0x0C]) + chunk[9:]
        if name in (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"ANIM", b"ANMF"):
            kept += chunk
        at += 8 + length + length % 2
    return b"RIFF" + struct.pack("<I", 4 + len(kept)) + b"WEBP" + kept

"""A JPEG (ITU-T T.81) without its metadata: of the segments before the pixels only what decoding needs."""

import struct
from collections.abc import Mapping

from image_scaler.images.attribution import Credits
from image_scaler.images.colour import is_whole

_ICC = b"ICC_PROFILE\0"
_SOF = (0xC0, 0xC1, 0xC2)
_DHT, _SOS, _DQT, _DRI, _COM, _EOI = 0xC4, 0xDA, 0xDB, 0xDD, 0xFE, 0xD9


def strip(body: bytes, orientation: int, known: Credits) -> bytes | None:
    """Return the file with JFIF, the ICC profile, Adobe's colour transform, the orientation and `known` alone.

    None where anything is found that is not known here. Raises struct.error, LookupError or ValueError for a file that
    is damaged.
    """
    said, kept = b"", b""
    if exif := known.as_exif(orientation):
        said += _segment(0xE1, exif)
    if xmp := known.as_xmp():
        said += _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    profile: dict[int, bytes] = {}
    parts, at, marker = 0, 2, 0
    while marker != _SOS:
        marker, payload = _read_segment(body, at)
        at += 4 + len(payload)
        if marker == 0xE2 and payload.startswith(_ICC):
            parts = payload[13]
            profile[payload[12]] = payload[14:]
        elif 0xE0 <= marker <= 0xEF:
            kept += _application_segment(marker, payload)
        elif marker != _COM:
            if not _is_exact(marker, payload):
                return None
            kept += _segment(marker, payload)
    if profile and not _is_complete(profile, parts):
        return None
    said += b"".join(_segment(0xE2, _ICC + bytes([number, parts]) + profile[number]) for number in sorted(profile))
    # What follows the end of the image (another picture, a video, a ZIP) is no part of it.
    end = _end(body, at)
    return None if end is None else b"\xff\xd8" + said + kept + body[at:end]


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def _read_segment(body: bytes, at: int) -> tuple[int, bytes]:
    """Return a segment's marker and its payload; raises ValueError where there is none, or not all of it."""
    fill, marker, length = struct.unpack(">BBH", body[at : at + 4])
    payload = body[at + 4 : at + 2 + length]
    if fill != 0xFF or length < 2 or len(payload) != length - 2:
        raise ValueError("no segment")
    return marker, payload


def _application_segment(marker: int, payload: bytes) -> bytes:
    """Return what decoding needs of an APPn segment, and nothing that may stand behind it; b"" of most."""
    if marker == 0xE0 and payload.startswith(b"JFIF\0") and len(payload) >= 14:
        return _segment(marker, payload[:12] + bytes(2))  # without its thumbnail
    if marker == 0xEE and payload.startswith(b"Adobe") and len(payload) >= 12:
        return _segment(marker, payload[:12])
    return b""


def _is_complete(profile: Mapping[int, bytes], parts: int) -> bool:
    return sorted(profile) == list(range(1, parts + 1)) and is_whole(b"".join(profile[n] for n in sorted(profile)))


def _is_exact(marker: int, payload: bytes) -> bool:
    """Return whether a segment is one that decoding needs, and holds that and no more."""
    if marker in _SOF:
        return len(payload) == 6 + 3 * payload[5]
    if marker == _SOS:
        return len(payload) == 4 + 2 * payload[0]
    if marker == _DRI:
        return len(payload) == 2
    at = 0
    while marker in (_DHT, _DQT) and at < len(payload):
        at += 17 + sum(payload[at + 1 : at + 17]) if marker == _DHT else 129 if payload[at] >> 4 else 65
    return marker in (_DHT, _DQT) and at == len(payload)


def _end(body: bytes, at: int) -> int | None:
    """Return where the image ends, from within its first scan on; None where more follows than scans and tables."""
    is_in_scan = True
    while True:
        at = body.index(b"\xff", at) if is_in_scan else at
        marker = body[at + 1]
        if is_in_scan and (marker == 0x00 or 0xD0 <= marker <= 0xD7):
            at += 2
        elif is_in_scan and marker == _EOI:
            return at + 2
        elif is_in_scan and marker == 0xFF:
            at += 1
        else:
            marker, payload = _read_segment(body, at)
            if marker in _SOF or not _is_exact(marker, payload):
                return None
            at += 4 + len(payload)
            is_in_scan = marker == _SOS

"""Recognise sRGB among colour profiles (ICC.1), by its numbers and not by its name.

Most photographs embed an sRGB profile, and converting them from sRGB to sRGB changes no pixel by more than 1 of 255.
It would cost 10 ms of CPU per output megapixel: a 12-megapixel JPEG takes 190 ms instead of 70 at full size, and 66 ms
instead of 50 at 1280 pixels. Reading the profile takes 0.02 ms.
"""

import struct

_COLORANTS = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7142),
}
"""sRGB's primaries (IEC 61966-2-1), adapted to D50, the white of all profiles."""
_PARAMETERS = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""sRGB's curve: (a x + b)^g from d on, and c x below; in the order g, a, b, c, d."""
_TOLERANCE = 0.002
"""Known sRGB profiles differ by at most 0.0003, a curve of gamma 2.2 by 0.004, and Display P3 by 0.08."""


def is_complete(profile: bytes) -> bool:
    """Return whether a profile has the length that its header says.

    lcms also reads profiles of another length, but libpng refuses to write them.
    """
    is_padded = profile[8:9] < b"\x04" or len(profile) % 4 == 0
    return len(profile) >= 132 and int.from_bytes(profile[:4], "big") == len(profile) and is_padded


def is_srgb(profile: bytes) -> bool:
    """Return whether pixels with this profile need no conversion to sRGB; False if it cannot be read."""
    if profile[16:24] != b"RGB XYZ ":
        return False
    try:
        tags = _read_tags(profile)
        if any(name.startswith((b"A2B", b"D2B")) for name in tags):  # lookup tables, which take precedence
            return False
        colorants = all(_are_close(_read_numbers(tags[name], 8, 3), xyz) for name, xyz in _COLORANTS.items())
        return colorants and all(
            _is_srgb_curve(curve) for curve in {tags[name] for name in (b"rTRC", b"gTRC", b"bTRC")}
        )
    except (struct.error, LookupError):
        return False


def _read_tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = struct.iter_unpack(">4sII", profile[132 : 132 + 12 * min(count, 100)])
    return {name: profile[start : start + length] for name, start, length in entries}


def _is_srgb_curve(tag: bytes) -> bool:
    """Return whether a curve is sRGB's: as a table, at five of its entries; as a formula, in its parameters."""
    if tag.startswith(b"para") and tag[8:10] in (b"\0\3", b"\0\4"):
        added = (0.0, 0.0) if tag[9] == 4 else ()  # form 4 may also add a constant to each part
        return _are_close(_read_numbers(tag, 12, len(_PARAMETERS + added)), _PARAMETERS + added)
    (count,) = struct.unpack_from(">I", tag, 8)
    if not tag.startswith(b"curv") or count < 16:  # a power, a straight line, or a table too coarse for sRGB
        return False
    places = [count * eighths // 8 for eighths in (1, 2, 4, 6, 7)]
    table = tuple(struct.unpack_from(">H", tag, 12 + 2 * place)[0] / 65535 for place in places)
    return _are_close(table, tuple(_srgb_light(place / (count - 1)) for place in places))


def _srgb_light(level: float) -> float:
    gamma, a, b, c, d = _PARAMETERS
    return float((a * level + b) ** gamma) if level >= d else c * level


def _read_numbers(tag: bytes, at: int, count: int) -> tuple[float, ...]:
    return tuple(value / 65536 for value in struct.unpack_from(f">{count}i", tag, at))


def _are_close(numbers: tuple[float, ...], expected: tuple[float, ...]) -> bool:
    return all(abs(one - other) <= _TOLERANCE for one, other in zip(numbers, expected, strict=True))

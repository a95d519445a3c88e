"""Colour profiles (ICC.1): whether one is whole, and whether it says sRGB, by its numbers and not by its name."""

import struct
from collections.abc import Callable, Mapping

_COLORANTS = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7142),
}
"""sRGB's primaries (IEC 61966-2-1), adapted to the D50 of all profiles."""
_COLORANT_TOLERANCE = 0.002
_CURVE_TOLERANCE = 0.003
"""Less than one step of 8 bits."""


def is_whole(profile: bytes) -> bool:
    """Return whether a profile is as long as it says: lcms reads others, but libpng writes none."""
    is_padded = profile[8:9] < b"\x04" or len(profile) % 4 == 0
    return len(profile) >= 132 and int.from_bytes(profile[:4], "big") == len(profile) and is_padded


def is_srgb(profile: bytes) -> bool:
    """Return whether pixels of this profile are sRGB as they are; False for what cannot be read."""
    if profile[16:24] != b"RGB XYZ ":
        return False
    try:
        tags = _tags(profile)
        if any(name in tags for name in (b"A2B0", b"A2B1", b"A2B2", b"D2B0")):  # tables, which count for more
            return False
        for name, expected in _COLORANTS.items():
            values = (value / 65536 for value in struct.unpack_from(">8x3i", tags[name]))
            if any(abs(one - other) > _COLORANT_TOLERANCE for one, other in zip(values, expected, strict=True)):
                return False
        curves = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
        levels = [level / 32 for level in range(33)]
        return all(abs(curve(level) - _srgb(level)) <= _CURVE_TOLERANCE for curve in curves for level in levels)
    except (struct.error, LookupError, ArithmeticError, ValueError, TypeError):
        return False


def _tags(profile: bytes) -> Mapping[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = struct.iter_unpack(">4sII", profile[132 : 132 + 12 * min(count, 100)])
    return {name: profile[start : start + length] for name, start, length in entries}


def _curve(tag: bytes) -> Callable[[float], float]:
    """Return the curve from what is stored to light, both from 0 to 1."""
    kind, number, more = struct.unpack_from(">4s4xHH", tag)
    if kind == b"curv":
        count = number << 16 | more
        if count == 0:
            return lambda level: level
        table = struct.unpack_from(f">{count}H", tag, 12)
        if count == 1:
            gamma = table[0] / 256
            return lambda level: float(level**gamma)
        return lambda level: table[round(level * (count - 1))] / 65535
    if kind != b"para":
        raise ValueError(f"a curve of kind {kind!r}")
    numbers = [value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[number]}i", tag, 12)]
    # The general form: (a x + b)^g + e from d on, and c x + f below; the shorter forms leave the last ones out.
    gamma, a, b, c, d, e, f = numbers if number == 4 else [*numbers, *(1, 0, 0, 0, 0, 0)][:7]
    if number not in (0, 3, 4):
        raise ValueError(f"a curve of form {number}, which no sRGB profile has")
    if number == 3:
        e = f = 0.0
    return lambda level: (a * level + b) ** gamma + e if level >= d else c * level + f


def _srgb(level: float) -> float:
    return float(((level + 0.055) / 1.055) ** 2.4) if level > 0.04045 else level / 12.92

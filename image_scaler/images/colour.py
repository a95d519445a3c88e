"""Colour profiles (ICC.1): recognise sRGB by its numbers, and make a profile of primaries and a curve.

Most photographs embed an sRGB profile, and converting them from sRGB to sRGB changes no pixel by more than 1 of 255.
It would cost 10 ms of CPU per output megapixel: a 12-megapixel JPEG takes 190 ms instead of 70 at full size, and 66 ms
instead of 50 at 1280 pixels. Reading the profile takes 0.02 ms.
"""

import struct
from collections.abc import Sequence

_COLORANTS = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7142),
}
"""sRGB's primaries (IEC 61966-2-1), adapted to D50, the white of all profiles."""

Curve = tuple[float, float, float, float, float]
"""How light follows from a level: (a x + b)^g from d on, and c x below; in the order g, a, b, c, d."""
SRGB_CURVE: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue."""
Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

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
        return _are_close(_read_numbers(tag, 12, len(SRGB_CURVE + added)), SRGB_CURVE + added)
    (count,) = struct.unpack_from(">I", tag, 8)
    if not tag.startswith(b"curv") or count < 16:  # a power, a straight line, or a table too coarse for sRGB
        return False
    places = [count * eighths // 8 for eighths in (1, 2, 4, 6, 7)]
    table = tuple(struct.unpack_from(">H", tag, 12 + 2 * place)[0] / 65535 for place in places)
    return _are_close(table, tuple(_srgb_light(place / (count - 1)) for place in places))


def _srgb_light(level: float) -> float:
    gamma, a, b, c, d = SRGB_CURVE
    return float((a * level + b) ** gamma) if level >= d else c * level


def _read_numbers(tag: bytes, at: int, count: int) -> tuple[float, ...]:
    return tuple(value / 65536 for value in struct.unpack_from(f">{count}i", tag, at))


def _are_close(numbers: tuple[float, ...], expected: tuple[float, ...]) -> bool:
    return all(abs(one - other) <= _TOLERANCE for one, other in zip(numbers, expected, strict=True))


# Profiles that say the same as primaries and a curve. lcms converts with them as with an embedded one.

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
"""From XYZ to the responses of cones in which one white is adapted to another."""


def make_profile(primaries: Chromaticities | None, curve: Curve) -> bytes:
    """Return a profile of such colours, or of such greys without primaries.

    Raises ArithmeticError or struct.error if there are no such colours.
    """
    text = struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", 2, 28) + b"\0-"
    light = struct.pack(">4s4xHxx5i", b"para", 3, *_fixed(curve))
    tags = {b"desc": text, b"cprt": text, b"wtpt": _xyz(_D50)}
    if primaries is None:
        tags[b"kTRC"] = light
    else:
        columns = zip(*xyz_matrix(primaries), strict=True)
        tags |= {name: _xyz(column) for name, column in zip(_COLORANTS, columns, strict=True)}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), light)
    directory, data = b"", b""
    for name, tag in tags.items():
        directory += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    head = (132 + len(directory) + len(data), 4, b"mntr", b"GRAY" if primaries is None else b"RGB ", b"XYZ ", b"acsp")
    return struct.pack(">I4xB3x4s4s4s12x4s28x3i48xI", *head, *_fixed(_D50), len(tags)) + directory + data


def xyz_matrix(primaries: Chromaticities) -> Matrix:
    """Return the matrix from linear colours to XYZ with a white of D50; raises ZeroDivisionError if there is none."""
    white, *colours = ((x, y, 1 - x - y) for x, y in zip(primaries[::2], primaries[1::2], strict=True))
    columns = _transpose(colours)
    light = tuple(value / white[1] for value in white)
    scales = _apply(invert(columns), light)
    matrix = _transpose(
        [tuple(value * scale for value in colour) for colour, scale in zip(colours, scales, strict=True)]
    )
    pairs = zip(_apply(_BRADFORD, _D50), _apply(_BRADFORD, light), strict=True)
    gains = [[to / of if row == column else 0.0 for column in range(3)] for row, (to, of) in enumerate(pairs)]
    return multiply(invert(_BRADFORD), multiply(gains, multiply(_BRADFORD, matrix)))


def invert(matrix: Sequence[Sequence[float]]) -> Matrix:
    """Return the inverse of a matrix of 3 x 3; raises ZeroDivisionError if there is none."""
    a, b, c = matrix
    columns = [_cross(b, c), _cross(c, a), _cross(a, b)]
    determinant = sum(x * y for x, y in zip(a, columns[0], strict=True))
    return _transpose([[value / determinant for value in column] for column in columns])


def multiply(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> Matrix:
    """Return the product of two matrices of 3 x 3."""
    return _transpose([_apply(one, column) for column in zip(*other, strict=True)])


def _apply(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> tuple[float, ...]:
    return tuple(sum(x * y for x, y in zip(row, vector, strict=True)) for row in matrix)


def _transpose(matrix: Sequence[Sequence[float]]) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return (a, d, g), (b, e, h), (c, f, i)


def _cross(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    (a, b, c), (d, e, f) = one, other
    return b * f - c * e, c * d - a * f, a * e - b * d


def _xyz(values: Sequence[float]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *_fixed(values))


def _fixed(values: Sequence[float]) -> list[int]:
    return [round(value * 65536) for value in values]

"""Compute what a page shows while an image loads: its ThumbHash and its dominant colour.

Both are computed from the RGBA pixels of a small preview: 8 bits per value, row by row.
"""

import base64
import math
from collections.abc import Iterable, Sequence

import pyvips

MAX_THUMBHASH_SIDE = 100
"""The reference implementation accepts at most 100 x 100 pixels."""

_MIN_DETAIL = 1e-6
"""In a picture of one colour, rounding produces frequencies below this."""


def data_url(width: int, height: int, rgba: bytes) -> str:
    """Return a picture as a data URL, in WebP: 200 to 600 bytes for 32 x 32 pixels."""
    image = pyvips.Image.new_from_memory(rgba, width, height, 4, "uchar").copy(interpretation="srgb")
    body = image.webpsave_buffer(Q=50, alpha_q=50, effort=4, keep="none")
    return f"data:image/webp;base64,{base64.b64encode(body).decode()}"


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """Return the ThumbHash (https://evanw.github.io/thumbhash/) of a picture: 5 to 25 bytes.

    It encodes the average and the lowest frequencies of lightness, of two colour differences, and of alpha. Raises
    ValueError if the picture is larger than MAX_THUMBHASH_SIDE or has no pixels.
    """
    sides = width, height
    if not (min(sides) > 0 and max(sides) <= MAX_THUMBHASH_SIDE and len(rgba) == 4 * width * height):
        raise ValueError(f"expected the pixels of at most 100 x 100 but received {len(rgba)} bytes, {width} x {height}")
    alpha = [a / 255 for a in rgba[3::4]]
    visible = sum(alpha)
    has_alpha = visible < width * height
    # Transparent pixels take the average colour: their own is invisible and must not be encoded.
    red, green, blue = (_blend_over_average(rgba[band::4], alpha, visible) for band in range(3))
    max_waves = 5 if has_alpha else 7
    across = max(1, _round(max_waves * width / max(sides)))
    down = max(1, _round(max_waves * height / max(sides)))

    lightness = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow_blue = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    red_green = [r - g for r, g in zip(red, green, strict=True)]
    l_average, l_scale, details = _transform(lightness, width, max(3, across), max(3, down))
    p_average, p_scale, p_details = _transform(yellow_blue, width, 3, 3)
    q_average, q_scale, q_details = _transform(red_green, width, 3, 3)
    details += p_details + q_details

    is_landscape = width > height
    head = (
        _round(63 * l_average)
        | _round(31.5 + 31.5 * p_average) << 6
        | _round(31.5 + 31.5 * q_average) << 12
        | _round(31 * l_scale) << 18
        | has_alpha << 23
        | (down if is_landscape else across) << 24
        | _round(63 * p_scale) << 27
        | _round(63 * q_scale) << 33
        | is_landscape << 39
    ).to_bytes(5, "little")
    if has_alpha:
        a_average, a_scale, a_details = _transform(alpha, width, 5, 5)
        head += bytes([_round(15 * a_average) | _round(15 * a_scale) << 4])
        details += a_details
    halves = [_round(15 * detail) for detail in details] + [0] * (len(details) % 2)
    return head + bytes(low | high << 4 for low, high in zip(halves[::2], halves[1::2], strict=True))


def dominant_colour(rgba: bytes) -> str | None:
    """Return the most frequent colour of a picture as `#rrggbb`; None if all of it is transparent.

    Colours are grouped by the three highest bits of each band; the result is the average of the largest group.
    """
    sums: dict[tuple[int, int, int], list[int]] = {}
    for r, g, b, a in zip(*(rgba[band::4] for band in range(4)), strict=True):
        group = sums.setdefault((r >> 5, g >> 5, b >> 5), [0, 0, 0, 0])
        for band, value in enumerate((a, a * r, a * g, a * b)):
            group[band] += value
    visible, *bands = max(sums.values(), default=[0])
    return "#" + "".join(f"{_round(band / visible):02x}" for band in bands) if visible else None


def _blend_over_average(band: bytes, alpha: Sequence[float], visible: float) -> list[float]:
    """Blend a colour band over its own average; values from 0 to 1."""
    weighted = [a * value / 255 for a, value in zip(alpha, band, strict=True)]
    average = sum(weighted) / visible if visible else 0.0
    return [average * (1 - a) + value for a, value in zip(alpha, weighted, strict=True)]


def _transform(values: Sequence[float], width: int, across: int, down: int) -> tuple[float, float, list[float]]:
    """Return the lowest frequencies: the average, the largest of the others, and all others.

    They are the upper left triangle of the discrete cosine transform, `across` by `down`. The others are relative to
    the largest: from 0 to 1, with 0.5 for none.
    """
    height = len(values) // width
    waves = [_wave(n, width) for n in range(across)]
    # First along the rows, then down the columns: this visits each pixel once per wave, not once per frequency.
    rows = [[_dot(values[y * width : (y + 1) * width], wave) for wave in waves] for y in range(height)]
    found = [
        _dot([row[x] for row in rows], wave) / len(values)
        for y, wave in enumerate(_wave(n, height) for n in range(down))
        for x in range(across)
        if x * down < across * (down - y)
    ]
    average, *others = found
    scale = max(map(abs, others))
    if scale < _MIN_DETAIL:
        return average, 0.0, [0.0] * len(others)
    return average, scale, [0.5 + 0.5 * value / scale for value in others]


def _wave(frequency: int, length: int) -> list[float]:
    return [math.cos(math.pi / length * frequency * (i + 0.5)) for i in range(length)]


def _dot(one: Iterable[float], other: Iterable[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _round(value: float) -> int:
    """Round to the nearest integer, halves upwards.

    The small offset makes halves round up even if the sum before came out a trifle lower, as it does on some
    processors: the same picture must have the same hash everywhere.
    """
    return math.floor(value + 0.5 + 1e-9)

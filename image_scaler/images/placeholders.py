"""What a page can show of an image before it is there: its ThumbHash, and its dominant colour.

Both are made from a few RGBA pixels: 8 bits each, row by row.
"""

import math
from collections.abc import Iterable, Sequence

THUMBHASH_SIDE = 100
"""The longest side of what a ThumbHash is made from, in pixels."""

_NO_DETAIL = 1e-6
"""What is below it comes from rounding, in a picture of one colour."""


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """Return the ThumbHash (https://evanw.github.io/thumbhash/) of a picture: 5 to 25 bytes.

    It holds the average, and the lowest frequencies of lightness, of two differences of colour, and of alpha.
    Raises ValueError for a picture larger than THUMBHASH_SIDE, or without pixels.
    """
    if not (0 < width <= THUMBHASH_SIDE and 0 < height <= THUMBHASH_SIDE and len(rgba) == 4 * width * height):
        raise ValueError(f"expected the pixels of at most 100 x 100 but received {len(rgba)} bytes, {width} x {height}")
    alpha = [a / 255 for a in rgba[3::4]]
    visible = sum(alpha)
    has_alpha = visible < width * height
    # What is transparent takes the average colour, so that no colour that nobody sees is encoded.
    red, green, blue = (_over_its_average(rgba[band::4], alpha, visible) for band in range(3))
    most = 5 if has_alpha else 7
    across = max(1, _round(most * width / max(width, height)))
    down = max(1, _round(most * height / max(width, height)))

    lightness = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow_blue = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    red_green = [r - g for r, g in zip(red, green, strict=True)]
    l_average, l_scale, details = _frequencies(lightness, width, max(3, across), max(3, down))
    p_average, p_scale, p_details = _frequencies(yellow_blue, width, 3, 3)
    q_average, q_scale, q_details = _frequencies(red_green, width, 3, 3)
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
        a_average, a_scale, a_details = _frequencies(alpha, width, 5, 5)
        head += bytes([_round(15 * a_average) | _round(15 * a_scale) << 4])
        details += a_details
    halves = [_round(15 * detail) for detail in details] + [0] * (len(details) % 2)
    return head + bytes(low | high << 4 for low, high in zip(halves[::2], halves[1::2], strict=True))


def dominant_colour(rgba: bytes) -> str | None:
    """Return the colour that most of a picture has, as `#rrggbb`; None where all of it is transparent.

    Colours count as one where their three uppermost bits are the same; the average of these is returned.
    """
    sums: dict[tuple[int, int, int], list[int]] = {}
    for r, g, b, a in zip(*(rgba[band::4] for band in range(4)), strict=True):
        known = sums.setdefault((r >> 5, g >> 5, b >> 5), [0, 0, 0, 0])
        for band, value in enumerate((a, a * r, a * g, a * b)):
            known[band] += value
    visible, *bands = max(sums.values(), default=[0])
    return "#" + "".join(f"{_round(band / visible):02x}" for band in bands) if visible else None


def _over_its_average(band: bytes, alpha: Sequence[float], visible: float) -> list[float]:
    """Return a band of colour, from 0 to 1, laid over its own average."""
    weighted = [a * value / 255 for a, value in zip(alpha, band, strict=True)]
    average = sum(weighted) / visible if visible else 0.0
    return [average * (1 - a) + value for a, value in zip(alpha, weighted, strict=True)]


def _frequencies(values: Sequence[float], width: int, across: int, down: int) -> tuple[float, float, list[float]]:
    """Return the average, the largest of the other frequencies, and these in relation to it, from 0 to 1.

    They are the upper left triangle, of `across` by `down`, of the discrete cosine transform.
    """
    height = len(values) // width
    waves = [_wave(n, width) for n in range(across)]
    # First along the rows, then down the columns: far less to do than over all pixels for each frequency.
    rows = [[_dot(values[y * width : (y + 1) * width], wave) for wave in waves] for y in range(height)]
    found = [
        _dot([row[x] for row in rows], wave) / len(values)
        for y, wave in enumerate(_wave(n, height) for n in range(down))
        for x in range(across)
        if x * down < across * (down - y)
    ]
    average, *others = found
    scale = max(map(abs, others))
    if scale < _NO_DETAIL:
        return average, 0.0, [0.0] * len(others)
    return average, scale, [0.5 + 0.5 * value / scale for value in others]


def _wave(frequency: int, length: int) -> list[float]:
    return [math.cos(math.pi / length * frequency * (i + 0.5)) for i in range(length)]


def _dot(one: Iterable[float], other: Iterable[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _round(value: float) -> int:
    """Round to the nearest, halves upwards, also where they come out a trifle too small: alike on every processor."""
    return math.floor(value + 0.5 + 1e-9)

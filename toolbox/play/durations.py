"""How long the function is likely to work on a picture, by pixels, formats and efforts alone.

So a recipe costs the same on every machine and at every try. In milliseconds of one core of an AMD EPYC, which is about
that of a function with 1,769 MB. With the shipped recipe, 21 of 26 photographs and drawings took 0.7 to 1.5 times as
long.
"""

from image_scaler.images.rendering import Rendition
from image_scaler.images.target_quality import MIN_SEARCHED_SIDE
from image_scaler.renditions.formats import Format

_DECODING = {Format.PNG: 14, Format.WEBP: 25, Format.GIF: 20, Format.AVIF: 30, Format.HEIC: 30, Format.SVG: 50}
_OTHER_DECODING = 8
"""Milliseconds for each megapixel of all frames to decode and scale."""

ENCODING = {
    Format.JPEG: (9,),
    Format.PNG: (82,),
    Format.WEBP: (23, 28, 38, 76, 78, 93, 400),
    Format.AVIF: (50, 155, 250, 450, 1_900, 3_300, 6_400, 9_500, 20_000, 40_000),
    Format.GIF: (280, 280, 280, 280, 600, 800, 1_000, 1_000, 1_300, 1_600, 2_000),
}
"""The same to encode, by effort: medians of 9 to 80 pictures."""
_PALETTE = 900
_LOSSLESS = {Format.WEBP: 10, Format.AVIF: 2}
"""How many times longer it takes without loss."""

_SEARCH, _FIT = 0.1, 6
"""Further encodings to search a quality, and to keep within `max_bytes`."""
_SCORES, _SCORES_BY_MEGAPIXEL = 30, 35
"""What the scores of a search take."""


def decoding_ms(format: Format, pixels: int) -> float:
    """Return the milliseconds for a source with so many pixels."""
    return _DECODING.get(format, _OTHER_DECODING) * pixels / 1e6


def rendition_ms(rendition: Rendition, frames: int) -> float:
    """Return the milliseconds for a rendition, which shows so many frames if it is an animation."""
    made, spec, format = rendition.made, rendition.target.spec, rendition.target.format
    size = rendition.size.width * rendition.size.height
    pixels = size * frames if made.animated else size
    by_effort = ENCODING[format]
    effort = min(spec.effort_for(format, pixels, is_animated=made.animated), len(by_effort) - 1)
    encoding = (_PALETTE if spec.palette and format is Format.PNG else by_effort[effort]) * pixels / 1e6
    if spec.lossless:
        return encoding * _LOSSLESS.get(format, 1)
    is_searched = spec.goal_for(format) is not None and min(rendition.size) >= MIN_SEARCHED_SIDE
    is_lowered = spec.max_bytes and made.score is None and (is_searched or made.quality != spec.fixed_quality(format))
    trials = 1 + (_FIT if is_lowered else 0) + (_SEARCH if is_searched else 0)
    return encoding * trials + (_SCORES + _SCORES_BY_MEGAPIXEL * size / 1e6 if is_searched else 0)

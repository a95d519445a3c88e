"""How long the function is likely to work on a picture, by pixels, formats and efforts alone.

So a recipe costs the same on every machine and at every try. In milliseconds of one core of an AMD EPYC, which is about
that of a function with 1,769 MB. With the shipped recipe, 21 of 26 photographs and drawings took 0.7 to 1.5 times as
long.
"""

from image_scaler.images.rendering import Rendition
from image_scaler.renditions.formats import Format

_DECODING = {Format.PNG: 14, Format.WEBP: 25, Format.GIF: 20, Format.AVIF: 30, Format.HEIC: 30, Format.SVG: 50}
_OTHER_DECODING = 8
"""Milliseconds for each megapixel to decode and scale."""

ENCODING = {
    Format.JPEG: (9,),
    Format.PNG: (82,),
    Format.WEBP: (23, 28, 35, 76, 78, 110, 400),
    Format.AVIF: (52, 155, 250, 380, 2_300, 3_300, 6_400, 9_500, 20_000, 40_000),
    Format.GIF: (280, 280, 280, 280, 600, 800, 1_000, 1_000, 1_300, 1_600, 2_000),
}
"""The same to encode, by effort: medians of 9 to 80 pictures."""
_PALETTE = 900
_LOSSLESS = {Format.WEBP: 10, Format.AVIF: 2}
"""How many times longer it takes without loss."""

_SEARCH_ENCODING = 1.1
_SEARCH, _SEARCH_BY_MEGAPIXEL = 30, 35
"""A search for a quality: how many times longer encoding takes, and what the scores take."""


def decoding_ms(format: Format, pixels: int) -> float:
    """Return the milliseconds for a source with so many pixels."""
    return _DECODING.get(format, _OTHER_DECODING) * pixels / 1e6


def rendition_ms(rendition: Rendition, frames: int) -> float:
    """Return the milliseconds for a rendition, which shows so many frames if it is an animation."""
    made, spec, format = rendition.made, rendition.target.spec, rendition.target.format
    size = rendition.size.width * rendition.size.height
    pixels = size * frames if made.animated else size
    effort = spec.effort_for(format, pixels, is_animated=made.animated)
    by_effort = ENCODING[format]
    factor = _LOSSLESS.get(format, 1) if spec.lossless else 1
    encoding = (_PALETTE if spec.palette else by_effort[min(effort, len(by_effort) - 1)]) * factor * pixels / 1e6
    if made.score is None:
        return encoding
    return encoding * _SEARCH_ENCODING + _SEARCH + _SEARCH_BY_MEGAPIXEL * size / 1e6

"""Pixels -> the bytes of a rendition.

With decoding and imaging the only user of libvips.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pyvips

from image_scaler.images.attribution import NO_CREDITS, Credits
from image_scaler.renditions.spec import Format, RenditionSpec

DEFAULT_QUALITY = {Format.JPEG: 80, Format.WEBP: 80, Format.AVIF: 50}
"""sharp's, so that a move from there changes nothing that is seen."""

_OPTIMIZED_PIXELS = 640 * 800
_OPTIMIZED_BITS_PER_PIXEL = 0.6
"""Up to how many pixels, or else up to how many bits for each, a JPEG gets Huffman tables of its own.

They (libvips' `optimize_coding`) more than double the time of encoding. They save 5 to 60 % where a pixel holds
little, and 1 to 3 % of a photograph full of detail, where the standard tables are meant for that: with this rule 112
renditions of 39 images were 0.6 % larger than with tables of their own everywhere, in 70 % of the time.
"""

DEFAULT_EFFORT = {Format.WEBP: 2, Format.AVIF: 0, Format.GIF: 3}


def encode(
    frames: Sequence[pyvips.Image],
    spec: RenditionSpec,
    format: Format,
    *,
    delays: Sequence[int] = (),
    loop: int = 0,
    known: Credits = NO_CREDITS,
) -> bytes:
    """Return the encoded image; of several frames an animation, each shown for its delay in milliseconds.

    The frames have no other metadata than a colour profile, as `decoding.decode` returns them. Nothing but `known` of
    who made it and, with `keep_profile`, that profile stands beside the encoded pixels. With `max_bytes` the highest
    quality up to the spec's own is taken that keeps within it, or the lowest there is.
    """
    image = _joined([_without_needless_alpha(frame, spec, format) for frame in frames], delays, loop)
    keep = _add_credits(image, spec, known)

    def at(quality: int) -> bytes:
        return bytes(_SAVERS[format](image, quality, spec, keep=keep))

    quality = spec.quality or DEFAULT_QUALITY.get(format, 100)
    encoded = at(quality)
    if spec.max_bytes is None or len(encoded) <= spec.max_bytes or format not in DEFAULT_QUALITY:
        return encoded
    low, high = 1, quality  # `high` is too large; `low` may be as well, but is the best there is
    encoded = at(low)
    while high - low > 1:
        middle = (low + high) // 2
        attempt = at(middle)
        if len(attempt) <= spec.max_bytes:
            low, encoded = middle, attempt
        else:
            high = middle
    return encoded


def _save_jpeg(image: pyvips.Image, quality: int, spec: RenditionSpec, **options: Any) -> Any:
    options |= {"Q": quality, "subsample_mode": "off" if spec.chroma_subsampling == "4:4:4" else "on"}
    pixels = image.width * image.height
    # A progressive JPEG always has tables of its own.
    if pixels > _OPTIMIZED_PIXELS and not (spec.progressive or spec.max_bytes):
        encoded = image.jpegsave_buffer(**options)
        if len(encoded) * 8 >= pixels * _OPTIMIZED_BITS_PER_PIXEL:
            return encoded
    return image.jpegsave_buffer(optimize_coding=True, interlace=spec.progressive, **options)


def _save_png(image: pyvips.Image, quality: int, spec: RenditionSpec, **options: Any) -> Any:
    # Without filters, as libvips does: drawings come out 7 to 20 % smaller so, and photographs 25 % larger.
    if spec.palette:
        options |= {"palette": True, "Q": quality, "effort": 7}
    return image.pngsave_buffer(compression=6, interlace=spec.progressive, **options)


def _save_webp(image: pyvips.Image, quality: int, spec: RenditionSpec, **options: Any) -> Any:
    effort = DEFAULT_EFFORT[Format.WEBP] if spec.effort is None else spec.effort
    return image.webpsave_buffer(Q=quality, effort=effort, lossless=spec.lossless, **options)


def _save_avif(image: pyvips.Image, quality: int, spec: RenditionSpec, **options: Any) -> Any:
    effort = DEFAULT_EFFORT[Format.AVIF] if spec.effort is None else spec.effort
    subsample = "off" if spec.chroma_subsampling == "4:4:4" or spec.lossless else "on"
    return image.heifsave_buffer(
        Q=quality,
        effort=effort,
        lossless=spec.lossless,
        subsample_mode=subsample,
        compression="av1",
        bitdepth=8,
        **options,
    )


def _save_gif(image: pyvips.Image, quality: int, spec: RenditionSpec, **options: Any) -> Any:
    return image.gifsave_buffer(effort=DEFAULT_EFFORT[Format.GIF] if spec.effort is None else spec.effort, **options)


_SAVERS: dict[Format, Callable[..., Any]] = {
    Format.JPEG: _save_jpeg,
    Format.PNG: _save_png,
    Format.WEBP: _save_webp,
    Format.AVIF: _save_avif,
    Format.GIF: _save_gif,
}


def _without_needless_alpha(image: pyvips.Image, spec: RenditionSpec, format: Format) -> pyvips.Image:
    if not image.hasalpha():
        return image
    if format is Format.JPEG:  # which has none
        return image.flatten(background=spec.background[:3])
    if image[image.bands - 1].min() == 255:  # nothing is transparent: alpha would only cost bytes
        return image[: image.bands - 1]
    return image


def _joined(frames: Sequence[pyvips.Image], delays: Sequence[int], loop: int) -> pyvips.Image:
    """Return one image; several frames as libvips wants an animation, one below the other."""
    if len(frames) == 1:
        return frames[0].copy()
    bands = max(frame.bands for frame in frames)
    image = pyvips.Image.arrayjoin([f if f.bands == bands else f.addalpha() for f in frames], across=1).copy()
    image.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    image.set_type(pyvips.GValue.gint_type, "loop", loop)
    image.set_type(pyvips.GValue.array_int_type, "delay", list(delays) or [100] * len(frames))
    return image


def _add_credits(image: pyvips.Image, spec: RenditionSpec, known: Credits) -> str:
    """Put beside the pixels who made them; return which kinds of metadata are to be saved."""
    # Only what is there is named: asked for EXIF, libvips writes some of its own making.
    kinds = ["icc"] if spec.keep_profile else []
    blocks = {"exif": known.as_exif(), "xmp": known.as_xmp()} if spec.keep_copyright else {}
    for kind, block in blocks.items():
        if block:
            image.set_type(pyvips.GValue.blob_type, f"{kind}-data", block)
            kinds.append(kind)
    return "|".join(kinds) or "none"

"""Pixels -> the bytes of a rendition."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import pyvips

from image_scaler.deadline import Deadline
from image_scaler.images import avif_sequence
from image_scaler.images.attribution import NO_CREDITS, Credits
from image_scaler.images.containers import gif_with_xmp
from image_scaler.renditions.formats import Format
from image_scaler.renditions.limits import MAX_OUTPUT_SIDE
from image_scaler.renditions.made import Chosen
from image_scaler.renditions.spec import RenditionSpec

MAX_OPTIMIZED_PIXELS = 640 * 800
MAX_OPTIMIZED_BITS_PER_PIXEL = 0.6
"""A JPEG gets Huffman tables of its own up to this many pixels, or else up to this many bits for each pixel.

Such tables (libvips' `optimize_coding`) more than double the time of encoding. They save 5 to 60 % if a pixel holds
little, and 1 to 3 % of a photograph full of detail, which the standard tables are meant for: with this rule 112
renditions of 39 images were 0.6 % larger than with tables of their own everywhere, in 70 % of the time.
"""

JPEG_QUANTISATION_TABLE = 5
"""mozjpeg's number of the table of Klein, Silverstein and Carney.

At an equal SSIMULACRA 2 score a JPEG needs 0.91 of the bytes that it needs with the standard table, at the same CPU
(photographs 0.87); with table 2 0.92, with table 3 0.94. Trellis quantisation would save 4 % more in five times the
CPU, and a progressive JPEG 2 % in 1.7 times (`python -m bench curves`).
"""

MIN_WHITE_SHARE = 0.1
"""From this share of white pixels on, a JPEG is encoded with overshoot deringing.

It lets print on white ring into what is brighter than white: documents need 0.93 of the bytes at an equal score,
drawings 0.98 and photographs 1.00, in 1.25 times the CPU.
"""

LOSSLESS_WEBP_BYTES = 40.0
"""Peak memory in bytes per pixel to encode a WebP without loss; measured on noise, which takes most."""


class Draft(NamedTuple):
    """How the quality of an AVIF is searched before it is encoded with its own effort."""

    effort: int
    loss: float
    """The loss of the rendition, 100 minus its score, divided by that of its draft."""


_DRAFTS = {4: Draft(2, 0.92), 3: Draft(0, 0.90)}
"""By the effort of the rendition; the first one also for more effort.

They take an eighth and an eleventh of the time. The figures are medians of 20 and 5 pictures, whose own differ by 5 and
7 %: with more effort photographs gain less, and drawings more.
"""

MAX_SAMPLED_FRAMES = 3
"""How many frames of an animation are scored."""

_SAMPLE_ROWS = 16
_SAMPLES = 4


class Encoder:
    """Encodes the pixels of one rendition, at any quality."""

    def __init__(
        self,
        frames: Sequence[pyvips.Image],
        spec: RenditionSpec,
        format: Format,
        *,
        delays: Sequence[int] = (),
        loop: int = 0,
        credits: Credits = NO_CREDITS,
        gain_map_bytes: int = 0,
    ) -> None:
        """Several frames become an animation, each shown for its delay in milliseconds.

        The frames have no metadata but a colour profile, as `decoding.decode` returns them. The result holds the
        pixels, `credits` unless the spec drops them, and that profile with `keep_profile`. `max_bytes` has to leave
        room for `gain_map_bytes`.
        """
        self._spec = spec
        self._format = format
        self._gain_map_bytes = gain_map_bytes
        frames = [_drop_needless_alpha(frame, spec, format) for frame in frames]
        self.pixels = frames[0]
        """What is encoded; of an animation, its first frame."""
        self.is_animated = len(frames) > 1
        self.sample = _sample(frames) if spec.goal_for(format) else frames[0]
        """What is scored: of an animation, three of its frames next to each other."""
        self._image = _join_frames(frames, delays, loop)
        effort = spec.effort_for(format, _pixels(self._image), is_animated=self.is_animated)
        if self.is_animated:  # also for the sample, which is smaller
            self._spec = msgspec.structs.replace(spec, effort=effort)
        self._keep = _add_credits(self._image, spec, credits)
        self._save = SAVERS[format]
        may_draft = format is Format.AVIF and not self.is_animated and not spec.lossless
        self._draft = _DRAFTS.get(min(effort, max(_DRAFTS))) if may_draft else None

    def keep_more_colour(self) -> Chosen | None:
        """Encode colours with more detail from now on; return how, or None: the format or the spec has no other way.

        That takes more bytes in a JPEG, and two to four times the CPU in a WebP. Photographs do not need it, but thin
        coloured lines may never reach a score without it: 58 at quality 95, where 90 is possible.
        """
        if self._save is not SAVERS[self._format] or self._spec.lossless or self._spec.chroma_subsampling:
            return None
        if self._format is Format.JPEG:
            self._spec = msgspec.structs.replace(self._spec, chroma_subsampling="4:4:4")
            return Chosen.FULL_COLOUR
        if self._format is Format.WEBP:
            self._save = partial(_save_webp, smart_subsample=True)
            return Chosen.SMART_SUBSAMPLE
        return None

    def encode(self, quality: int) -> bytes:
        """Return the rendition."""
        return bytes(self._save(self._image, quality, self._spec, keep=self._keep))

    @property
    def draft_loss(self) -> float | None:
        """The loss of the rendition divided by that of its draft; None if it has no draft that is much faster."""
        return self._draft.loss if self._draft else None

    def draft(self, quality: int) -> bytes:
        """Return about what `encode` returns, without metadata, and much faster; only if there is a draft_loss."""
        assert self._draft  # noqa: S101  as the caller has looked
        spec = msgspec.structs.replace(self._spec, effort=self._draft.effort)
        return bytes(SAVERS[self._format](self._image, quality, spec, keep="none"))

    def encode_sample(self, quality: int) -> bytes:
        """Return what is scored, without metadata."""
        return bytes(self._save(self.sample, quality, self._spec, keep="none"))

    def encode_lossless(self) -> bytes:
        """Return the rendition with exactly these pixels, in a format that has that."""
        spec = msgspec.structs.replace(self._spec, lossless=True)
        return bytes(SAVERS[self._format](self._image, 100, spec, keep=self._keep))

    def fit(self, quality: int, encoded: bytes, deadline: Deadline) -> tuple[int, bytes]:
        """Return the highest quality up to this one that keeps within `max_bytes`, or 1, and the rendition.

        `encoded`: the rendition at this quality. Without time, the best so far.
        """
        max_bytes = self._spec.max_bytes
        if max_bytes is None or "max_bytes" not in self._format.traits.options:
            return quality, encoded
        max_bytes -= self._gain_map_bytes
        if len(encoded) <= max_bytes:
            return quality, encoded
        low, high = 1, quality  # `high` is too large; `low` may be too large as well, but there is nothing below it
        encoded = self.encode(low)
        while high - low > 1 and deadline.has_time():
            middle = (low + high) // 2
            attempt = self.encode(middle)
            if len(attempt) <= max_bytes:
                low, encoded = middle, attempt
            else:
                high = middle
        return low, encoded


def _save_jpeg(image: pyvips.Image, quality: int, spec: RenditionSpec, **options: Any) -> Any:
    subsample = "off" if spec.resolve("chroma_subsampling", Format.JPEG) == "4:4:4" else "on"
    options |= {"Q": quality, "subsample_mode": subsample, "quant_table": JPEG_QUANTISATION_TABLE}
    if (image[0] >= 250).avg() / 255 >= MIN_WHITE_SHARE:
        options["overshoot_deringing"] = True
    pixels = _pixels(image)
    # A progressive JPEG always has tables of its own.
    if pixels > MAX_OPTIMIZED_PIXELS and not (spec.progressive or spec.max_bytes):
        encoded = image.jpegsave_buffer(**options)
        if len(encoded) * 8 >= pixels * MAX_OPTIMIZED_BITS_PER_PIXEL:
            return encoded
    return image.jpegsave_buffer(optimize_coding=True, interlace=spec.progressive, **options)


def _save_png(image: pyvips.Image, quality: int, spec: RenditionSpec, **options: Any) -> Any:
    if spec.palette:
        options |= {"palette": True, "Q": quality, "effort": 7}
    else:
        options["filter"] = _png_filter(image)
    return image.pngsave_buffer(compression=6, interlace=spec.progressive, **options)


def _png_filter(image: pyvips.Image) -> str:
    """Return the filters that make some rows of the image smallest: all, or none.

    With filters photographs have 0.74 of the bytes, and drawings and text 1.1 to 1.2 of them. The choice by a few rows
    is the better one for 34 of 36 pictures, and the others miss less than 6 %.
    """
    rows = image
    if image.height > 2 * _SAMPLES * _SAMPLE_ROWS:
        tops = [(image.height - _SAMPLE_ROWS) * index // (_SAMPLES - 1) for index in range(_SAMPLES)]
        rows = pyvips.Image.arrayjoin([image.crop(0, top, image.width, _SAMPLE_ROWS) for top in tops], across=1)
    sizes = {name: len(rows.pngsave_buffer(compression=6, filter=name, keep="none")) for name in ("none", "all")}
    return min(sizes, key=sizes.__getitem__)


def _save_webp(image: pyvips.Image, quality: int, spec: RenditionSpec, **options: Any) -> Any:
    effort = spec.effort_for(Format.WEBP, _pixels(image))
    return image.webpsave_buffer(Q=quality, effort=effort, lossless=spec.lossless, **options)


def _save_avif(image: pyvips.Image, quality: int, spec: RenditionSpec, **options: Any) -> Any:
    has_full_colour = spec.lossless or spec.resolve("chroma_subsampling", Format.AVIF) == "4:4:4"
    if image.get_typeof("page-height"):
        names = {"icc": "icc-profile-data", "exif": "exif-data", "xmp": "xmp-data"}
        kept = {kind: name for kind, name in names.items() if kind in options["keep"] and image.get_typeof(name)}
        blocks = {kind: image.get(name) for kind, name in kept.items()}
        coding = avif_sequence.Coding(quality, spec.effort or 0, has_full_colour, blocks)
        return avif_sequence.write(_split_frames(image), image.get("delay"), image.get("loop"), coding)
    return image.heifsave_buffer(
        Q=quality,
        effort=spec.effort_for(Format.AVIF, _pixels(image)),
        lossless=spec.lossless,
        subsample_mode="off" if has_full_colour else "on",
        compression="av1",
        bitdepth=8,
        **options,
    )


def _save_gif(image: pyvips.Image, quality: int, spec: RenditionSpec, **options: Any) -> Any:
    encoded = image.gifsave_buffer(effort=spec.effort_for(Format.GIF, _pixels(image)), **options)
    # libvips writes no metadata into a GIF.
    return gif_with_xmp(encoded, image.get("xmp-data")) if "xmp" in options["keep"] else encoded


SAVERS: dict[Format, Callable[..., Any]] = {
    Format.JPEG: _save_jpeg,
    Format.PNG: _save_png,
    Format.WEBP: _save_webp,
    Format.AVIF: _save_avif,
    Format.GIF: _save_gif,
}


def _pixels(image: pyvips.Image) -> int:
    return int(image.width * image.height)


def _drop_needless_alpha(image: pyvips.Image, spec: RenditionSpec, format: Format) -> pyvips.Image:
    if not image.hasalpha():
        return image
    if format is Format.JPEG:  # JPEG has no alpha
        return image.flatten(background=spec.background_rgba[:3])
    if image[image.bands - 1].min() == 255:  # nothing is transparent, and alpha would only cost bytes
        return image[: image.bands - 1]
    return image


def _join_frames(frames: Sequence[pyvips.Image], delays: Sequence[int], loop: int) -> pyvips.Image:
    """Return one image; several frames one below the other, as libvips expects an animation."""
    if len(frames) == 1:
        return frames[0].copy()
    bands = max(frame.bands for frame in frames)
    image = pyvips.Image.arrayjoin([f if f.bands == bands else f.addalpha() for f in frames], across=1).copy()
    image.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    image.set_type(pyvips.GValue.gint_type, "loop", loop)
    image.set_type(pyvips.GValue.array_int_type, "delay", list(delays) or [100] * len(frames))
    return image


def _split_frames(image: pyvips.Image) -> Iterator[pyvips.Image]:
    height = image.get("page-height")
    return (image.crop(0, top, image.width, height) for top in range(0, image.height, height))


def _sample(frames: Sequence[pyvips.Image]) -> pyvips.Image:
    """Return the first, the middle and the last frame as one picture, as long as an encoder holds it."""
    first = frames[0]
    chosen = [first, frames[len(frames) // 2], frames[-1]]
    if len(frames) == 1 or MAX_SAMPLED_FRAMES * min(first.width, first.height) > MAX_OUTPUT_SIDE:
        return first
    bands = max(frame.bands for frame in chosen)
    chosen = [frame if frame.bands == bands else frame.addalpha() for frame in chosen]
    return pyvips.Image.arrayjoin(chosen, across=1 if first.width > first.height else MAX_SAMPLED_FRAMES).copy_memory()


def _add_credits(image: pyvips.Image, spec: RenditionSpec, credits: Credits) -> str:
    """Add the credits to the image; return the kinds of metadata to save, in libvips' words."""
    # Name only what exists: asked for EXIF, libvips would write tags of its own.
    kinds = ["icc"] if spec.keep_profile else []
    blocks = {"exif": credits.as_exif(), "xmp": credits.as_xmp()} if spec.keep_copyright else {}
    for kind, block in blocks.items():
        if block:
            image.set_type(pyvips.GValue.blob_type, f"{kind}-data", block)
            kinds.append(kind)
    return "|".join(kinds) or "none"

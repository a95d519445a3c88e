"""Encode the renditions of one source at the quality that their score asks for."""

import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import msgspec
import pyvips

from image_scaler.deadline import Deadline
from image_scaler.images import avif_sequence
from image_scaler.images.encoding import Encoder
from image_scaler.images.quality_search import (
    AFTER_DRAFTS,
    CURVES,
    DRAFTS,
    EncodedImage,
    SearchEffort,
    effective_score,
    precision_of_step,
    search,
)
from image_scaler.images.ssimulacra2 import Reference, Score
from image_scaler.renditions.formats import Format
from image_scaler.renditions.made import Chosen
from image_scaler.renditions.quality import QualityGoal
from image_scaler.renditions.spec import RenditionSpec

MIN_SEARCHED_SIDE = 64
"""In pixels. What is smaller has one or two kilobytes at any quality, and too few pixels for a score."""

MAX_SEARCHED_PIXELS = 16_000_000
"""A larger rendition gets the quality that smaller ones led to: a trial would take seconds."""

_TREND = 0.7
"""How much of what one step of a ladder has changed the next step changes as well."""

_SHARED_LOSS = 0.6
"""If a picture loses more in one format than its curve says, it loses this share of that in the others."""

_COLOUR_QUALITY = 90
"""A picture that misses its target at such a quality has lost it in the halved resolution of its colours."""

SCORING_BYTES = 24.0
"""Peak memory in bytes per pixel to score a rendition; its encoder has freed its own by then.

Measured: 13 if rows are sampled, and up to 93 in pictures of less than 256 rows, which have few pixels.
"""


@dataclass
class _Ladder:
    """What the trials for a ladder have told: the same picture loses about as much in each of its sizes."""

    offsets: dict[Format, dict[int, float]] = field(default_factory=dict)
    """By the format, and the number of pixels."""
    needs_smart_subsample: bool = False
    """Whether a WebP needed it. Larger ones then look better with it too, at the same bytes; a 4:4:4 JPEG has more."""


class _MetricError(Exception):
    """The metric failed."""


class TargetQuality:
    """Finds the qualities of one source's renditions: those of a ladder tell where to begin with the next.

    Only those of a ladder, so the bytes of a rendition do not depend on other tables of renditions.toml: measured over
    nine pictures, that costs 88 trials instead of 85.
    """

    def __init__(self, deadline: Deadline, effort: SearchEffort) -> None:
        """Near the deadline no other trial is made; what the searches take is added to `effort`."""
        self._effort = effort
        self.deadline = deadline
        self._ladders: dict[Hashable, _Ladder] = {}
        """By what is the same in all steps: how the picture is cut out and encoded."""
        self._reference: tuple[Hashable, Reference] | None = None

    def encode(
        self, encoder: Encoder, spec: RenditionSpec, format: Format, target: QualityGoal, pixels: Hashable
    ) -> EncodedImage:
        """Return the rendition at the quality that reaches the target.

        `pixels` is equal for renditions with the same pixels, so that what depends on these alone is computed once. If
        the metric fails, the quality is the format's default.
        """
        size = encoder.pixels.width, encoder.pixels.height
        default = spec.fixed_quality(format)
        if min(size) < MIN_SEARCHED_SIDE:
            return self._encode_default(encoder, default)
        start = time.perf_counter()
        try:
            return self._search(encoder, spec, format, target, pixels)
        except _MetricError as error:
            self._effort.error = str(error)
            return self._encode_default(encoder, default)
        finally:
            self._effort.seconds += time.perf_counter() - start

    def _encode_default(self, encoder: Encoder, default: int) -> EncodedImage:
        quality, body = encoder.fit(default, encoder.encode(default), self.deadline)
        return EncodedImage(body, quality, is_searched=False)

    def _search(
        self, encoder: Encoder, spec: RenditionSpec, format: Format, target: QualityGoal, pixels: Hashable
    ) -> EncodedImage:
        count = encoder.pixels.width * encoder.pixels.height
        sampled = encoder.sample.width * encoder.sample.height
        ladder = self._ladders.setdefault(spec.pixel_options, _Ladder())
        is_first = format not in ladder.offsets
        curve, precision = CURVES[format].at(count), precision_of_step(format, is_first=is_first, pixels=count)
        offset = _expected_offset(ladder.offsets, format, count)

        def scorer() -> Callable[[bytes], Score]:
            """Return what scores the trials of a search: their first tells which background shows most loss."""
            background: int | None = None

            def score(body: bytes) -> Score:
                nonlocal background
                self._effort.trials += 1
                scored = self._score(encoder, body, format, pixels, background)
                background = scored.background
                return scored

            return score

        def has_time() -> bool:
            return sampled <= MAX_SEARCHED_PIXELS and self.deadline.has_time()

        if is_first and encoder.draft_loss and has_time():
            goal = msgspec.structs.replace(target, target=100 - (100 - target.target) / encoder.draft_loss)
            shift = math.log(encoder.draft_loss)
            drafts = search(
                encoder.draft, scorer(), goal, curve, offset=offset - shift, precision=DRAFTS, has_time=has_time
            )
            offset, precision = drafts.offset + shift, AFTER_DRAFTS
        encode = encoder.encode_sample if encoder.is_animated else encoder.encode
        chosen = encoder.keep_more_colour() if format is Format.WEBP and ladder.needs_smart_subsample else None
        found = search(encode, scorer(), target, curve, offset=offset, precision=precision, has_time=has_time)
        has_failed = found.score and effective_score(found.score) < target.target - precision.below
        needs_colour = not chosen and has_failed and found.highest >= _COLOUR_QUALITY and has_time()
        if needs_colour and (chosen := encoder.keep_more_colour()):
            ladder.needs_smart_subsample |= chosen is Chosen.SMART_SUBSAMPLE
            first = iter([True])  # however little time is left now: what is taken in the end has a score
            found = search(
                encode,
                scorer(),
                target,
                curve,
                precision=precision,
                has_time=lambda: next(first, False) or has_time(),
            )
        ladder.offsets.setdefault(format, {})[count] = found.offset
        body = encoder.encode(found.quality) if encoder.is_animated else found.body
        quality, body = encoder.fit(found.quality, body, self.deadline)
        scored = found.score if quality == found.quality else None
        rounded = round(scored.overall, 1) if scored else None
        return EncodedImage(body, quality, rounded, found.is_searched, chosen)

    def _score(self, encoder: Encoder, body: bytes, format: Format, pixels: Hashable, background: int | None) -> Score:
        try:
            if self._reference is None or self._reference[0] != pixels:
                self._reference = (pixels, Reference(encoder.sample))
            return self._reference[1].score(_decode(body, format), background)
        except Exception as error:  # no upload may fail because its quality cannot be told
            raise _MetricError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error


def _decode(body: bytes, format: Format) -> pyvips.Image:
    if format is Format.AVIF and avif_sequence.is_available():  # in a third of the time that libheif takes
        return next(avif_sequence.decode_frames(body, 1))
    return pyvips.Image.new_from_buffer(body, "").copy_memory()


def _expected_offset(offsets: Mapping[Format, Mapping[int, float]], format: Format, count: int) -> float:
    """Return the offset to begin with.

    A first size begins with a share of the mean offset of the other formats in this size, a later one with the offset
    of the size before it, plus what the step to this one is likely to change.
    """
    if format not in offsets:
        same_size = [sizes[count] for sizes in offsets.values() if count in sizes]
        return _SHARED_LOSS * statistics.fmean(same_size) if same_size else 0.0
    mine = offsets[format]
    *earlier, last = mine
    for others in offsets.values():
        if others is not mine and last in others and count in others:  # formats share this part of a change
            return mine[last] + _SHARED_LOSS * (others[count] - others[last])
    return mine[last] + (_TREND * (mine[last] - mine[earlier[-1]]) if earlier else 0.0)

"""Encoders' settings: the bytes and CPU that each needs for one score, as the reasons for our defaults.

Every picture is scaled once; each setting then encodes those same pixels at the qualities around the score.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyvips

from bench.images import Picture, fitted_pictures
from bench.ladders import engine_ladder
from bench.scores import Judge, judge
from image_scaler.images.encoding import JPEG_QUANTISATION_TABLE

WIDTH = 640
MAX_HEIGHT = 480
"""Tall pictures are cut: they would weigh no more than others, but take longer."""
TARGET = 70.0
CLOSE = 4
"""Qualities this far apart are close enough to interpolate between."""


@dataclass(frozen=True)
class Setting:
    """One way to call an encoder."""

    options: dict[str, Any]
    whose: str = ""
    """Whose default it is: `sharp's`, `ours` or both."""

    @property
    def name(self) -> str:
        """Its options in words."""
        words = [
            (option if value else f"no {option}") if isinstance(value, bool) else f"{option} {value}"
            for option, value in self.options.items()
        ]
        return ", ".join(words) + (f" ({self.whose})" if self.whose else "")


@dataclass(frozen=True)
class Measurement:
    """What one setting needs for one score on one picture."""

    quality: float
    bytes: float
    milliseconds: float
    """Of processor time, for one megapixel."""
    is_reached: bool = True
    """Whether the score is between two that were tried, or else the figures are of the nearest."""


JPEG = [
    Setting({"optimize_coding": True}, "sharp's"),
    Setting({"optimize_coding": False}),
    Setting({"optimize_coding": True, "interlace": True}),
    Setting({"optimize_coding": True, "overshoot_deringing": True}),
    Setting({"optimize_coding": True, "trellis_quant": True}),
    Setting({"optimize_coding": True, "quant_table": JPEG_QUANTISATION_TABLE}, "ours"),
    Setting(
        {"optimize_coding": True, "quant_table": JPEG_QUANTISATION_TABLE, "overshoot_deringing": True}, "ours, white"
    ),
    *(Setting({"optimize_coding": True, "quant_table": table}) for table in (1, 2, 3, 4, 6)),
    Setting({"optimize_coding": True, "trellis_quant": True, "quant_table": 5}),
    Setting({"optimize_coding": True, "interlace": True, "quant_table": 5}),
    Setting({"optimize_coding": True, "subsample_mode": "off", "quant_table": 5}),
]
WEBP = [
    Setting({"effort": 4}, "sharp's"),
    Setting({"effort": 5}, "ours, small images"),
    Setting({"effort": 2}, "ours, large images"),
    *(Setting({"effort": effort}) for effort in (0, 1, 3, 6)),
    *(Setting({"effort": effort, "smart_subsample": True}) for effort in (2, 3, 4)),
    *(Setting({"effort": 2, "preset": preset}) for preset in ("photo", "picture", "drawing", "text")),
    Setting({"effort": 4, "smart_deblock": True}),
]
AVIF = [
    Setting({"effort": 4, "subsample_mode": "off"}, "sharp's; ours, small images"),
    Setting({"effort": 3, "subsample_mode": "off"}, "ours, large images"),
    Setting({"effort": 3, "subsample_mode": "on"}),
    *(Setting({"effort": effort, "subsample_mode": mode}) for effort in (0, 1, 2) for mode in ("on", "off")),
    Setting({"effort": 4, "subsample_mode": "on"}),
    *(Setting({"effort": 2, "subsample_mode": "on", "tune": tune}) for tune in ("iq", "ssim", "psnr")),
]
PNG = [
    Setting({"compression": 6, "filter": "none"}, "sharp's"),
    *(
        Setting({"compression": compression, "filter": filters})
        for compression in (1, 4, 6, 9)
        for filters in ("none", "sub", "paeth", "all")
        if (compression, filters) != (6, "none")
    ),
    Setting({"compression": 6, "filter": "none", "palette": True}),
]
SETTINGS = {"JPEG": JPEG, "WebP": WEBP, "AVIF": AVIF, "PNG": PNG}
FIRST_QUALITY = {"JPEG": 70, "WebP": 72, "AVIF": 52}


def measure(say: Callable[[str], None]) -> dict[str, list[dict[str, Any]]]:
    """Return what each setting needs for one score, by format, in comparison with sharp's setting."""
    scaled = [image for picture in fitted_pictures() if (image := _pixels(picture)) is not None]
    rows: dict[str, list[dict[str, Any]]] = {}
    for format, settings in SETTINGS.items():
        encode(format, settings[0].options, scaled[0], 50)  # the first ever costs more
        of_settings: list[list[Measurement]] = [[] for _ in settings]
        for number, image in enumerate(scaled):
            say(f"  {format}: picture {number + 1} of {len(scaled)}")
            with judge(image) as score:
                seed = float(FIRST_QUALITY.get(format, 0))
                for setting, found in zip(settings, of_settings, strict=True):
                    found.append(_need(format, setting, image, score, seed))
                    seed = found[0].quality
        rows[format] = [
            _row(setting, found, of_settings[0]) for setting, found in zip(settings, of_settings, strict=True)
        ]
    return rows


def encode(format: str, options: dict[str, Any], image: pyvips.Image, quality: int) -> bytes:
    """Return a picture in a format, without metadata."""
    match format:
        case "JPEG":
            encoded = image.jpegsave_buffer(**({"subsample_mode": "on"} | options), Q=quality, keep="none")
        case "WebP":
            encoded = image.webpsave_buffer(**options, Q=quality, keep="none")
        case "AVIF":
            encoded = image.heifsave_buffer(**options, compression="av1", Q=quality, bitdepth=8, keep="none")
        case _:
            encoded = image.pngsave_buffer(**options, keep="none")
    return bytes(encoded)


def _pixels(picture: Picture) -> pyvips.Image | None:
    """Return the picture at WIDTH; None if it is smaller."""
    references = engine_ladder(picture, ["png"], (WIDTH,))["png"]
    if not references:
        return None
    image = pyvips.Image.new_from_buffer(references[WIDTH], "")
    return image.crop(0, 0, image.width, min(image.height, MAX_HEIGHT)).copy_memory()


def _need(format: str, setting: Setting, image: pyvips.Image, score: Judge, seed: float) -> Measurement:
    """Return what a setting needs for the score, on the straight line between the two nearest that were tried."""
    megapixels = image.width * image.height / 1e6
    if format == "PNG":
        started = time.process_time()
        size = len(encode(format, setting.options, image, 0))
        return Measurement(0, size, (time.process_time() - started) * 1000 / megapixels)
    tried: dict[int, tuple[float, int, float]] = {}
    for quality in _around(seed, tried):
        started = time.process_time()
        encoded = encode(format, setting.options, image, quality)
        took = (time.process_time() - started) * 1000 / megapixels
        tried[quality] = score(encoded), len(encoded), took
    below = max((q for q in tried if tried[q][0] <= TARGET), key=lambda q: tried[q][0], default=None)
    above = min((q for q in tried if tried[q][0] > TARGET), key=lambda q: tried[q][0], default=None)
    if below is None or above is None:
        nearest = min(tried, key=lambda q: abs(tried[q][0] - TARGET))
        return Measurement(nearest, tried[nearest][1], tried[nearest][2], is_reached=False)
    share = (TARGET - tried[below][0]) / (tried[above][0] - tried[below][0])

    def between(low: float, high: float) -> float:
        return low + (high - low) * share

    return Measurement(
        between(below, above),
        math.exp(between(math.log(tried[below][1]), math.log(tried[above][1]))),
        between(tried[below][2], tried[above][2]),
    )


def _around(seed: float, tried: dict[int, tuple[float, int, float]]) -> Iterator[int]:
    """Yield qualities to try until two that are close have the target between them."""
    quality = round(seed)
    for _ in range(8):
        quality = min(99, max(1, quality))
        if quality in tried:
            return
        yield quality
        low = max((q for q in tried if tried[q][0] <= TARGET), default=0)
        high = min((q for q in tried if tried[q][0] > TARGET and q > low), default=100)
        if high - low <= CLOSE and low in tried and high in tried:
            return
        near, *others = sorted(tried, key=lambda q: abs(tried[q][0] - TARGET))
        slope = (tried[near][0] - tried[others[0]][0]) / (near - others[0]) if others else 0.6
        step = (TARGET - tried[near][0]) / min(2.0, max(0.2, slope))
        quality = round(near + (max(1.0, step) if step > 0 else min(-1.0, step)))
        quality = min(max(quality, low + 1), high - 1)


def _row(setting: Setting, found: Sequence[Measurement], firsts: Sequence[Measurement]) -> dict[str, Any]:
    """Return a setting in comparison with the first of its format: geometric mean of bytes, median of CPU."""
    pairs = [(one, first) for one, first in zip(found, firsts, strict=True) if one.is_reached and first.is_reached]
    return {
        "setting": setting.name,
        "bytes": math.exp(statistics.fmean(math.log(one.bytes / first.bytes) for one, first in pairs)),
        "cpu": statistics.median(one.milliseconds / first.milliseconds for one, first in pairs),
        "quality": statistics.median(one.quality for one in found),
    }

"""Encoders' settings: what each costs and what it gives, as the reasons for our defaults.

Every picture is scaled once; each setting then encodes those same pixels at several qualities. A setting is
judged where its SSIM equals that of sharp's defaults, found between the qualities that were tried.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import pyvips

from bench import pictures
from bench.quality import similarity, upright

WIDTHS = (640, 1280)


@dataclass(frozen=True)
class Setting:
    """One way to call an encoder."""

    options: dict[str, Any]
    qualities: Sequence[int]

    @property
    def name(self) -> str:
        """Its options in words; the first of each format is sharp's default."""
        words = [
            (option if value else f"no {option}") if isinstance(value, bool) else f"{option} {value}"
            for option, value in self.options.items()
        ]
        return ", ".join(words)


@dataclass(frozen=True)
class Point:
    """One setting at one quality on one picture."""

    bytes: int
    ssim: float
    chroma: float
    milliseconds: float
    """Of processor time, all threads."""


@dataclass(frozen=True)
class Row:
    """One setting in comparison with the first of its format, at the same SSIM; medians of all pictures."""

    format: str
    setting: str
    quality: float
    """At which its SSIM equals that of the first at that one's quality."""
    bytes: float
    """As a ratio."""
    cpu: float
    """As a ratio."""
    milliseconds: float
    """Of processor time for one megapixel."""
    chroma: float
    """SSIM of colour minus that of the first."""
    plain_bytes: float
    """At the first's quality, as a ratio, as the next two."""
    plain_ssim: float
    """At the first's quality: the difference."""


JPEG = [
    Setting({"optimize_coding": True}, (74, 80, 86)),
    Setting({"optimize_coding": False}, (74, 80, 86)),
    Setting({"optimize_coding": True, "interlace": True}, (74, 80, 86)),
    Setting({"optimize_coding": True, "trellis_quant": True}, (74, 80, 86)),
    Setting({"optimize_coding": True, "quant_table": 3}, (74, 80, 86)),
    Setting({"optimize_coding": True, "subsample_mode": "off"}, (74, 80, 86)),
]
WEBP = [
    Setting({"effort": 4}, (80,)),
    *(Setting({"effort": effort}, (76, 80, 84, 88)) for effort in (0, 1, 2, 3, 5, 6)),
    Setting({"effort": 2, "preset": "photo"}, (76, 80, 84, 88)),
    Setting({"effort": 2, "preset": "drawing"}, (76, 80, 84, 88)),
    Setting({"effort": 4, "smart_subsample": True}, (76, 80, 84)),
]
AVIF = [
    Setting({"effort": 2, "subsample_mode": "off", "tune": "auto"}, (50,)),
    *(
        Setting({"effort": effort, "subsample_mode": subsample, "tune": "auto"}, (47, 50, 53, 56))
        for effort in (0, 1, 2, 3)
        for subsample in ("on", "off")
        if (effort, subsample) != (2, "off")
    ),
    *(
        Setting({"effort": 0, "subsample_mode": "on", "tune": tune}, (41, 44, 47, 50))
        for tune in ("iq", "ssim", "psnr")
    ),
]
PNG = [
    Setting({"compression": 6, "filter": "none"}, (100,)),
    *(
        Setting({"compression": compression, "filter": filters}, (100,))
        for compression in (1, 2, 3, 4, 6, 9)
        for filters in ("none", "sub", "up", "paeth", "all")
        if (compression, filters) != (6, "none") and (compression < 9 or filters == "none")
    ),
    Setting({"compression": 6, "filter": "none", "palette": True}, (100,)),
]
SETTINGS = {"JPEG": JPEG, "WebP": WEBP, "AVIF": AVIF, "PNG": PNG}
BASE_QUALITY = {"JPEG": 80, "WebP": 80, "AVIF": 50, "PNG": 100}


def measure(*, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the rows of every format, and the names of the pictures."""
    sources = [pictures.drawn(12), *filter(None, (pictures.photograph(size) for size in (2, 12, 24)))]
    widths = WIDTHS[:1] if quick else WIDTHS
    images = [image for source in sources for image in _scaled(upright(source.path), widths)]
    rows = []
    for format, settings in SETTINGS.items():
        say(f"  {format}")
        _encode(format, settings[0], images[0], BASE_QUALITY[format])  # the first ever costs more
        points = [
            [_points(format, setting, image, repeats=1 if quick else 2) for image in images] for setting in settings
        ]
        for setting, of_images in zip(settings, points, strict=True):
            rows.append(_row(format, setting, of_images, points[0], images))
    return {
        "pictures": [source.origin for source in sources],
        "widths": widths,
        "rows": [asdict(row) for row in rows],
    }


def _scaled(whole: pyvips.Image, widths: Sequence[int]) -> list[pyvips.Image]:
    return [whole.resize(width / whole.width, kernel="lanczos3").copy_memory() for width in widths]


def _points(format: str, setting: Setting, image: pyvips.Image, repeats: int) -> dict[int, Point]:
    points = {}
    for quality in setting.qualities:
        times = []
        for _ in range(repeats):
            started = time.process_time()
            encoded = _encode(format, setting, image, quality)
            times.append((time.process_time() - started) * 1000)
        decoded = pyvips.Image.new_from_buffer(encoded, "")
        if decoded.interpretation != "srgb":
            decoded = decoded.colourspace("srgb")
        found = similarity(image, decoded)
        points[quality] = Point(len(encoded), found.luma, found.chroma, min(times))
    return points


def _encode(format: str, setting: Setting, image: pyvips.Image, quality: int) -> bytes:
    match format:
        case "JPEG":
            encoded = image.jpegsave_buffer(**({"subsample_mode": "on"} | setting.options), Q=quality, keep="none")
        case "WebP":
            encoded = image.webpsave_buffer(**setting.options, Q=quality, keep="none")
        case "AVIF":
            encoded = image.heifsave_buffer(**setting.options, compression="av1", Q=quality, bitdepth=8, keep="none")
        case _:
            encoded = image.pngsave_buffer(**setting.options, keep="none")
    return bytes(encoded)


def _row(
    format: str,
    setting: Setting,
    of_images: list[dict[int, Point]],
    firsts: list[dict[int, Point]],
    images: list[pyvips.Image],
) -> Row:
    base = BASE_QUALITY[format]
    columns: list[dict[str, float]] = []
    for points, first, image in zip(of_images, firsts, images, strict=True):
        wanted, plain = first[base], points[base]
        quality = _at(wanted.ssim, points, lambda point: point.ssim)
        milliseconds = _interpolate(quality, points, lambda point: point.milliseconds)
        columns.append(
            {
                "quality": quality,
                "bytes": math.exp(_interpolate(quality, points, lambda point: math.log(point.bytes))) / wanted.bytes,
                "cpu": milliseconds / wanted.milliseconds,
                "milliseconds": milliseconds / (image.width * image.height / 1e6),
                "chroma": _interpolate(quality, points, lambda point: point.chroma) - wanted.chroma,
                "plain_bytes": plain.bytes / wanted.bytes,
                "plain_ssim": plain.ssim - wanted.ssim,
            }
        )
    medians = {name: statistics.median(column[name] for column in columns) for name in columns[0]}
    return Row(format, setting.name, **medians)


Measure = Callable[[Point], float]


def _at(wanted: float, points: dict[int, Point], value: Measure) -> float:
    """Return the quality at which `value` is as wanted, on the straight lines between the points and beyond."""
    qualities = sorted(points)
    if len(qualities) == 1:
        return qualities[0]
    steps = list(pairwise(qualities))
    low, high = next((step for step in steps if wanted <= value(points[step[1]])), steps[-1])
    return low + (high - low) * (wanted - value(points[low])) / (value(points[high]) - value(points[low]))


def _interpolate(quality: float, points: dict[int, Point], value: Measure) -> float:
    qualities = sorted(points)
    if len(qualities) == 1:
        return value(points[qualities[0]])
    steps = list(pairwise(qualities))
    low, high = next((step for step in steps if quality <= step[1]), steps[-1])
    share = (quality - low) / (high - low)
    return value(points[low]) * (1 - share) + value(points[high]) * share

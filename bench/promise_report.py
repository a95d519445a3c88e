"""What the promise came to: figures, tables, a chart, and the worst renditions next to their sources."""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from PIL import Image, ImageDraw, ImageFont

from bench import charts
from bench.charts import OTHERS, OURS, Cloud
from bench.promise import FORMATS, WIDTHS, WORST_FOLDER
from bench.scores import flat

BELOW, ABOVE = 3.0, 5.0
"""How far from the target a rendition may be."""
SHARE_TARGET = 0.9
SPREAD_TARGET = 2.5
BYTES_TARGET = 0.85
CPU_TARGET = 1.6
_CROP, _ZOOM = 120, 3


@dataclass(frozen=True)
class Figures:
    """Scores and bytes of some renditions."""

    count: int
    share: float
    """That is within BELOW and ABOVE of the target."""
    tenth: float
    """The tenth percentile of the scores."""
    median: float
    spread: float
    """The standard deviation of the scores."""
    log_bytes: float
    """The mean of the logarithms."""
    total_bytes: int


def figures(rows: Sequence[dict[str, Any]], target: float) -> Figures:
    """Return the figures of renditions."""
    scores = [row["score"] for row in rows]
    return Figures(
        len(rows),
        statistics.fmean(target - BELOW <= score <= target + ABOVE for score in scores),
        statistics.quantiles(scores, n=10, method="inclusive")[0] if len(scores) > 1 else scores[0],
        statistics.median(scores),
        statistics.pstdev(scores),
        statistics.fmean(math.log(row["bytes"]) for row in rows),
        sum(row["bytes"] for row in rows),
    )


def of_maker(promise: dict[str, Any], maker: str, **which: Any) -> list[dict[str, Any]]:
    """Return the renditions of a maker, if wanted of one `format`, `width` or `kind` only."""
    return [
        row
        for row in promise["rows"]
        if row["maker"] == maker and all(row[name] == value for name, value in which.items())
    ]


def sharp_bytes(promise: dict[str, Any], format: str, maker: str = "promised") -> tuple[float, float, float]:
    """Return bytes relative to sharp at an equal tenth percentile: the geometric mean, the total; and its quality."""
    ours = figures(of_maker(promise, maker, format=format), promise["target"])
    makers = {
        int(row["maker"].removeprefix("sharp ")): row["maker"]
        for row in promise["rows"]
        if row["maker"].startswith("sharp") and row["format"] == format
    }
    tried = [(q, figures(of_maker(promise, makers[q], format=format), promise["target"])) for q in sorted(makers)]
    steps = list(pairwise(tried))
    low, high = next((step for step in steps if ours.tenth <= step[1][1].tenth), steps[-1])
    share = (ours.tenth - low[1].tenth) / (high[1].tenth - low[1].tenth)

    def between(one: float, other: float) -> float:
        return one + (other - one) * share

    return (
        math.exp(ours.log_bytes - between(low[1].log_bytes, high[1].log_bytes)),
        ours.total_bytes / math.exp(between(math.log(low[1].total_bytes), math.log(high[1].total_bytes))),
        between(low[0], high[0]),
    )


def cpu_ratio(promise: dict[str, Any]) -> float:
    """Return the CPU of the shipped ladders of all pictures, promised, relative to fixed qualities."""
    return _cpu(promise, "promised") / _cpu(promise, "fixed")


def _cpu(promise: dict[str, Any], name: str) -> float:
    return math.fsum(statistics.median(row[name]) for row in promise["cpu"])


def tables(promise: dict[str, Any]) -> Iterator[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
    """Yield a sentence, the head and the rows of each table."""
    target = promise["target"]
    rows = []
    for format in FORMATS:
        for maker in ("fixed", "promised"):
            found = figures(of_maker(promise, maker, format=format), target)
            mean, total, quality = sharp_bytes(promise, format, maker)
            rows.append(
                (
                    f"{format}, {maker}",
                    str(found.count),
                    f"{found.share:.0%}",
                    f"{found.tenth:.0f} / {found.median:.0f}",
                    f"{found.spread:.1f}",
                    f"{found.total_bytes / 1e6:.2f}",
                    f"{mean:.2f}",
                    f"{total:.2f}",
                    f"{quality:.0f}",
                )
            )
    yield (
        f"*Kept*: the share of the renditions whose score is within -{BELOW:.0f} and +{ABOVE:.0f} of {target:.0f}. "
        "Bytes are relative to sharp with its defaults but for the quality: the one that gives sharp the same tenth "
        "percentile: geometric mean over the renditions, and total.",
        (
            "",
            "renditions",
            "kept",
            "score: 10th percentile / median",
            "spread",
            "MB",
            "bytes",
            "total bytes",
            "sharp's quality",
        ),
        rows,
    )
    cells = []
    for name, which in [
        *((f"{width} wide", {"width": width}) for width in sorted({row["width"] for row in promise["rows"]})),
        *((f"{kind}s", {"kind": kind}) for kind in dict.fromkeys(row["kind"] for row in promise["rows"])),
    ]:
        found_in = [
            figures(of_maker(promise, maker, format=format, **which), target)
            for maker in ("fixed", "promised")
            for format in FORMATS
        ]
        cells.append((name, *(f"{found.share:.0%} ({found.median:.0f}, {found.spread:.1f})" for found in found_in)))
    yield (
        "By size and by kind: the share kept (the median score, the spread).",
        ("", *(f"{format}, {maker}" for maker in ("fixed", "promised") for format in FORMATS)),
        cells,
    )
    fixed, promised = (_cpu(promise, name) / len(promise["cpu"]) for name in ("fixed", "promised"))
    yield (
        "The function's CPU for the renditions.toml that is shipped, the mean over the pictures, and what 1,000 "
        "uploads cost at that on Lambda (arm64, 1,792 MB: 0.0000233 dollars a second).",
        ("", "CPU ms", "1,000 uploads, dollars"),
        [
            ("fixed quality", f"{fixed:.0f}", f"{fixed * 2.33e-5:.3f}"),
            ("promised", f"{promised:.0f}", f"{promised * 2.33e-5:.3f}"),
        ],
    )


def chart(promise: dict[str, Any]) -> str:
    """Return the chart of scores against bytes."""
    pixels = _pixels(promise)

    def cloud(format: str, maker: str, colour: str) -> Cloud:
        rows = of_maker(promise, maker, format=format)
        return Cloud([(row["bytes"] * 8 / pixels[row["picture"], row["width"]], row["score"]) for row in rows], colour)

    return charts.clouds(
        "What people see, against bytes",
        "Every rendition of the pictures that no curve was fitted to: grey at a fixed quality, green promised; "
        f"the band is -{BELOW:.0f} to +{ABOVE:.0f}",
        [
            (
                "WebP" if format == "webp" else format.upper(),
                [cloud(format, "fixed", OTHERS[1]), cloud(format, "promised", OURS)],
            )
            for format in FORMATS
        ],
        across=("bits for each pixel", (0.03, 0.1, 0.3, 1, 3)),
        down=("SSIMULACRA 2", range(40, 101, 10)),
        band=(promise["target"] - BELOW, promise["target"] + ABOVE),
    )


def _pixels(promise: dict[str, Any]) -> dict[tuple[str, int], int]:
    return {(row["picture"], row["width"]): row["pixels"] for row in promise["rows"]}


def draw_worst(promise: dict[str, Any], path: Path) -> None:
    """Draw the worst renditions, where each differs most from its source, with that at the left; enlarged."""
    side, head = _CROP * _ZOOM, 26
    rows = [(rank, row) for rank, row in enumerate(promise["worst"]) if (WORST_FOLDER / f"{rank}-source").exists()]
    columns = 2
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * (2 * side + 24), max(1, lines) * (side + head + 10)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (rank, row) in enumerate(rows):
        source, rendition = (_open(WORST_FOLDER / f"{rank}-{what}") for what in ("source", "rendition"))
        left, top = (place % columns) * (2 * side + 24), (place // columns) * (side + head + 10)
        caption = f"{rank + 1}. {row['picture']}, {row['width']} wide, {row['format']}: {row['score']:.1f}"
        draw.text((left + 4, top + 3), caption, font=ImageFont.load_default(15), fill=(31, 41, 55))
        box = _worst_place(source, rendition)
        for index, picture in enumerate((source, rendition)):
            crop = Image.fromarray(picture).crop(box).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(crop, (left + index * (side + 4), top + head))
    sheet.save(path, quality=90)


def _open(path: Path) -> Any:
    image = flat(pyvips.Image.new_from_file(str(path)))
    return image.numpy()


def _worst_place(source: Any, rendition: Any) -> tuple[int, int, int, int]:
    """Return the square in which two pictures differ most, of those on a grid of half its side."""
    difference = np.abs(source.astype(np.float32) - rendition).mean(axis=2)
    height, width = difference.shape
    step = _CROP // 2
    places = [
        (float(difference[top : top + _CROP, left : left + _CROP].sum()), left, top)
        for top in range(0, max(1, height - _CROP + 1), step)
        for left in range(0, max(1, width - _CROP + 1), step)
    ]
    _, left, top = max(places)
    return left, top, left + _CROP, top + _CROP


def summary(promise: dict[str, Any]) -> Iterable[str]:
    """Yield what was judged, in sentences."""
    pictures = len({row["picture"] for row in promise["rows"]})
    yield (
        f'`quality = "high"` means a score of {promise["target"]:.0f} by SSIMULACRA 2. {pictures} pictures that its '
        f"curves were not fitted to, {', '.join(map(str, WIDTHS))} pixels wide, judged by {promise['judge']} against "
        "the same scaled pixels without loss."
    )

"""Compare the numbers with the targets: a row for each, met or missed, with the figure."""

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.promise import FORMATS
from bench.promise_report import (
    ABOVE,
    BELOW,
    CPU_TARGET,
    SHARE_TARGET,
    SPREAD_TARGET,
    cpu_ratio,
    figures,
    of_maker,
    sharp_bytes,
)
from bench.promise_report import BYTES_TARGET as PROMISED_BYTES_TARGET

CPU_TARGETS = {"jpeg": 0.5, "webp": 0.5, "avif": 1.0}
MEMORY_TARGET = 0.8
BYTES_TARGETS = {"jpeg": 0.98, "webp": 0.98, "avif": 1.0}
"""At an equal score of SSIMULACRA 2."""
COLD_START_TARGET = 1.3
FLAT_MB = 5.0
"""Memory is flat if the largest object takes no more than this above the smallest."""

REASONS = {
    "CPU JPEG": "Where the largest rendition has more than half of the source's width, libjpeg cannot scale while it "
    "decodes. Then both decode every pixel, scale them and encode the largest rendition with the same code, which is "
    "most of the work: ours saves only sharp's further decodes, and Huffman tables that are not worth their time. "
    "A smooth picture's large renditions are encoded twice: only then is it known that tables of their own pay.",
    "CPU WebP": "Encoding is 80 to 90 % of it. Of large renditions effort 2 takes 0.40 to 0.50 of the time of sharp's "
    "effort 4, and effort 5 of small ones 1.2; of an animation effort 2 takes 0.6, because its frames are compared "
    "whatever the effort.",
    "bytes WebP": "Effort 2 leaves out libwebp's rate-distortion optimisation, which begins at effort 3 and doubles "
    "the time: 4 % more bytes. No effort has both few bytes and little CPU, so only small images get effort 5.",
    "bytes AVIF": "sharp's effort 4 takes four times the CPU of effort 3 for 6 % fewer bytes, which traffic repays "
    "only after some 90 views of an image: small images have it, large ones do not. If bytes matter more, `effort = 4` "
    "is for all sizes.",
    "promise kept": "All renditions out of the band are above it. The search keeps the worst region of a picture, so "
    "that those with large empty areas score higher as a whole; and it tries no quality below 10, where a blurred "
    "photograph still has 77 points in AVIF.",
    "promise spread": "The same few renditions.",
    "promise bytes": "sharp's large AVIFs are encoded with effort 4, in four times the CPU of ours. JPEG and WebP "
    "save more.",
    "promise CPU": "A trial is an encoding and a measurement, which takes 60 ms for 640 x 427 pixels: twice the time "
    "of a WebP. Most photographs take 1.4 to 2.2 times the CPU, pictures with little in them, whose encoding is "
    "quick, 3 to 5 times.",
    "cold start": "Only the runtime's version of Python can make bytecode. If the machine that packages has none, "
    "Python compiles the package, pyvips and msgspec at each cold start.",
}
"""Why a target is missed, by the kind of the verdict."""


@dataclass(frozen=True)
class Verdict:
    """One target on one case."""

    kind: str
    """`CPU`, `bytes`, `memory`, `copy` or `cold start`; the first two with the format."""
    target: str
    case: str
    figure: str
    is_met: bool


@dataclass(frozen=True)
class Ratios:
    """Ours against sharp on one case: the median of the rounds, each a pair of runs next to each other."""

    cpu: float
    """Of the work, to sharp one size after the other."""
    cpu_range: tuple[float, float]
    total_cpu: float
    """As `cpu`, of the whole processes."""
    wall: float
    """Of the work, to the better of sharp's two forms."""
    memory: float
    """To the better of sharp's two forms."""
    bytes: float
    ssim: float
    """The difference."""
    chroma: float
    """The difference, of colour; no target."""


def of_contestant(case: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Return the measurement of one contestant, or None if it took no part."""
    return next((found for found in case["measurements"] if found["contestant"] == name), None)


def ratios(case: dict[str, Any]) -> Ratios | None:
    """Return our figures as ratios to sharp's; None if the two did not make the same renditions."""
    ours, sharp, parallel = (of_contestant(case, name) for name in ("ours", "sharp", "sharp, Promise.all"))
    if not ours or not sharp or ours["frames"] != sharp["frames"]:
        return None
    parallel = parallel or sharp
    cpu = _pairs(ours["cpu_ms"], sharp["cpu_ms"])
    better_wall = min((sharp, parallel), key=lambda found: statistics.median(found["wall_ms"]))
    better_memory = min((sharp, parallel), key=lambda found: statistics.median(found["peak_mb"]))
    return Ratios(
        cpu=statistics.median(cpu),
        cpu_range=(min(cpu), max(cpu)),
        total_cpu=statistics.median(_pairs(ours["total_cpu_ms"], sharp["total_cpu_ms"])),
        wall=statistics.median(_pairs(ours["wall_ms"], better_wall["wall_ms"])),
        memory=statistics.median(_pairs(ours["peak_mb"], better_memory["peak_mb"])),
        bytes=ours["bytes"] / sharp["bytes"],
        ssim=ours["ssim"] - sharp["ssim"],
        chroma=ours["chroma"] - sharp["chroma"],
    )


def _pairs(ours: Iterable[float], theirs: Iterable[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def case_name(case: dict[str, Any]) -> str:
    """Return a case in words: `12 MP JPEG (drawn) to WebP`."""
    return f"{case['picture']} ({case['origin']}) to {format_name(case['format'])}"


def format_name(format: str) -> str:
    """Return a format as it is written in prose."""
    return "WebP" if format == "webp" else format.upper()


def verdicts(results: dict[str, Any]) -> Iterator[Verdict]:
    """Yield every target on every case that was measured."""
    for case in results.get("ladders", {}).get("cases", []):
        if case["role"] == "ladder":
            yield from _of_ladder(case)
    if curves := results.get("curves"):
        yield from _of_curves(curves)
    if copies := results.get("copies"):
        yield from _of_copies(copies["rows"])
    for row in results.get("cold_start", {}).get("rows", []):
        pairs = _pairs(row["ours_ms"], row["boto3_ms"])
        yield Verdict(
            "cold start",
            f"start + first rendition <= {COLD_START_TARGET} x a bare boto3 client",
            "bytecode in the package" if row["cached"] else "bytecode not in the package",
            f"{statistics.median(pairs):.2f}",
            statistics.median(pairs) <= COLD_START_TARGET,
        )
    if promise := results.get("promise"):
        yield from _of_promise(promise)


def _of_curves(curves: dict[str, Any]) -> Iterator[Verdict]:
    for format, limit in BYTES_TARGETS.items():
        for row in curves["rows"][format_name(format)]:
            if "ours" in row["setting"]:
                yield Verdict(
                    f"bytes {format_name(format)}",
                    f"bytes {format_name(format)} <= {limit} at an equal score",
                    row["setting"],
                    f"{row['bytes']:.2f}",
                    row["bytes"] <= limit,
                )


def _of_promise(promise: dict[str, Any]) -> Iterator[Verdict]:
    for format in FORMATS:
        found = figures(of_maker(promise, "promised", format=format), promise["target"])
        name = f"quality = high to {format_name(format)}"
        yield Verdict(
            "promise kept",
            f"promise: {SHARE_TARGET:.0%} of the renditions within -{BELOW:.0f} and +{ABOVE:.0f} of the target",
            name,
            f"{found.share:.0%}",
            found.share >= SHARE_TARGET,
        )
        yield Verdict(
            "promise spread",
            f"promise: standard deviation of the scores <= {SPREAD_TARGET}",
            name,
            f"{found.spread:.1f}",
            found.spread <= SPREAD_TARGET,
        )
        mean, total, _ = sharp_bytes(promise, format)
        yield Verdict(
            "promise bytes",
            f"promise: bytes <= {PROMISED_BYTES_TARGET} of sharp's at an equal tenth percentile of the scores",
            name,
            f"{mean:.2f} (total {total:.2f})",
            mean <= PROMISED_BYTES_TARGET,
        )
    ratio = cpu_ratio(promise)
    yield Verdict(
        "promise CPU",
        f"promise: CPU of the shipped renditions.toml <= {CPU_TARGET} x that of fixed qualities",
        f"{len(promise['cpu'])} pictures",
        f"{ratio:.2f}",
        ratio <= CPU_TARGET,
    )


def _of_ladder(case: dict[str, Any]) -> Iterator[Verdict]:
    name, limit = case_name(case), CPU_TARGETS[case["format"]]
    found = ratios(case)
    if found is None:
        ours = of_contestant(case, "ours") or {}
        yield Verdict("frames", "the same as sharp", name, f"not the same: {ours.get('frames')} frame(s)", False)
        return
    low, high = found.cpu_range
    yield Verdict(
        f"CPU {format_name(case['format'])}",
        f"CPU {format_name(case['format'])} <= {limit}",
        name,
        f"{found.cpu:.2f} ({low:.2f} to {high:.2f})",
        found.cpu <= limit,
    )
    yield Verdict(
        "memory", f"peak memory <= {MEMORY_TARGET}", name, f"{found.memory:.2f}", found.memory <= MEMORY_TARGET
    )


def _of_copies(rows: list[dict[str, Any]]) -> Iterator[Verdict]:
    ours = [row for row in rows if row["handler"] == "ours"]
    largest = ours[-1]
    # Requests and responses have headers even if they contain nothing of the object.
    yield Verdict(
        "copy",
        "copy: 0 bytes of the object through the function",
        f"{largest['megabytes']} MB",
        f"{largest['carried_bytes']:,} bytes on the wire, headers only",
        largest["carried_bytes"] < 10_000,
    )
    growth = max(row["peak_mb"] for row in ours) - min(row["peak_mb"] for row in ours)
    yield Verdict(
        "copy",
        "copy: flat memory",
        f"{ours[0]['megabytes']} to {largest['megabytes']} MB",
        f"{growth:+.1f} MB",
        growth <= FLAT_MB,
    )

"""RESULTS.md: one page of figures, which README and docs/performance.md quote."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

from jinja2 import Environment, FileSystemLoader

from bench.ladders import BENCH, FORMATS
from bench.scores import JUDGE
from image_scaler.renditions.formats import SMALL_PIXELS

RESULTS = BENCH / "RESULTS.md"
KEPT, ABOVE = 68, 75
"""`quality = "high"`, whose target is 70, is kept from the first score on; above the second, bytes are wasted."""
_TITLES = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF"}


def write(results: dict[str, Any]) -> Path:
    """Write RESULTS.md; return its path."""
    templates = Environment(loader=FileSystemLoader(BENCH), trim_blocks=True, lstrip_blocks=True)  # noqa: S701  Markdown
    page = templates.get_template("RESULTS.md.jinja").render(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=_machine(),
        judge=JUDGE,
        kept=KEPT,
        above=ABOVE,
        ladders=_ladders(results.get("ladders", [])),
        targets=_targets(results.get("targets", {}).get("renditions", [])),
        cpu=_cpu(results.get("targets", {}).get("cpu", [])),
        settings=results.get("settings"),
    )
    RESULTS.write_text(page + "\n", encoding="utf-8")
    return RESULTS


def _ladders(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for format in FORMATS if rows else ():
        of_format = [row for row in rows if row["format"] == format]
        steps = [step for row in of_format for step in row["steps"]]
        ratios: dict[bool, list[float]] = {True: [], False: []}
        for step in steps:
            ratios[step["pixels"] <= SMALL_PIXELS].append(step["bytes"] / step["sharp_bytes"])
        found.append(
            {
                "title": _TITLES[format],
                "cpu": median(row["cpu"] for row in of_format),
                "memory": median(row["memory"] for row in of_format),
                "small": median(ratios[True]),
                "large": median(ratios[False]),
                "pictures": len(of_format),
                "total": sum(step["bytes"] for step in steps) / sum(step["sharp_bytes"] for step in steps),
            }
        )
    return found


def _targets(renditions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for format in FORMATS if renditions else ():
        of_format = [one for one in renditions if one["format"] == format]
        scores = [one["score"] for one in of_format]
        found.append(
            {
                "title": _TITLES[format],
                "count": len(scores),
                "small": _percent_kept(one for one in of_format if one["pixels"] <= SMALL_PIXELS),
                "large": _percent_kept(one for one in of_format if one["pixels"] > SMALL_PIXELS),
                "above": 100 * fmean(score > ABOVE for score in scores),
                "lowest": min(scores),
                "spread": pstdev(scores),
                "fixed_spread": pstdev(one["fixed_score"] for one in of_format),
            }
        )
    return found


def _percent_kept(renditions: Any) -> float:
    return 100 * fmean(one["score"] >= KEPT for one in renditions)


def _cpu(rows: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    if not rows:
        return None
    ratios = [row["searched"] / row["fixed"] for row in rows]
    total = sum(row["searched"] for row in rows) / sum(row["fixed"] for row in rows)
    return {"total": total, "min": min(ratios), "max": max(ratios)}


def _machine() -> str:
    sharp = _output("node", "-p", "const v = require('sharp').versions; `sharp ${v.sharp} with libvips ${v.vips}`")
    lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return (
        f"{os.cpu_count()} cores of {cpu}, Python {platform.python_version()}, pyvips {version('pyvips')}, and {sharp}"
    )


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=BENCH, check=True, capture_output=True, text=True).stdout.strip()

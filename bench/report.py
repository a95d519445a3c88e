"""The numbers -> RESULTS.md and its charts."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import charts, promise_report
from bench.charts import OTHERS, OURS, Bar, Line, Panel
from bench.targets import REASONS, Verdict, case_name, format_name, of_contestant, ratios, verdicts

COLOURS = {
    "ours": OURS,
    "sharp": OTHERS[0],
    "sharp, Promise.all": OTHERS[1],
    "libvips, a call per size": OTHERS[2],
    "Pillow": OTHERS[3],
}


def write(results: dict[str, Any], folder: Path, command: str) -> Path:
    """Write RESULTS.md and its charts into a folder; returns the path of the former."""
    charts_folder = folder / "results"
    charts_folder.mkdir(parents=True, exist_ok=True)
    drawn = {name: svg for name, svg in _charts(results).items() if svg}
    for name, svg in drawn.items():
        (charts_folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    if promise := results.get("promise"):
        promise_report.draw_worst(promise, charts_folder / "worst.jpg")
    path = folder / "RESULTS.md"
    path.write_text("\n\n".join(_sections(results, drawn.keys(), command)) + "\n", encoding="utf-8")
    return path


def _sections(results: dict[str, Any], drawn: Iterable[str], command: str) -> Iterable[str]:
    yield "# Results of the benchmark"
    yield (
        f"Measured by `{command}`, which writes this page. All contestants ran on one machine, "
        "in turns, each time in a fresh process."
    )
    yield _table(("", ""), results["machine"].items())
    held = list(verdicts(results))
    if held:
        yield "## The targets"
        yield (
            f"{sum(verdict.is_met for verdict in held)} of {len(held)} are met. Ratios are to sharp with its "
            "defaults in the same run, 1 is sharp's figure and less is better. CPU is to "
            "sharp one size after the other; memory is to the better of its two forms. CPU is that of the work: user "
            "and system time of the whole process less what its start takes, since Lambda starts a process once "
            "for many images. The median of the rounds, and the least and the most."
        )
        yield _table(
            ("target", "case", "figure", ""),
            [(v.target, v.case, v.figure, "met" if v.is_met else "**missed**") for v in _by_target(held)],
        )
        missed = {verdict.kind for verdict in held if not verdict.is_met}
        reasons = [f"- **{kind}**: {reason}" for kind, reason in REASONS.items() if kind in missed]
        if reasons:
            yield "Where a target is missed, and why:"
            yield "\n".join(reasons)
    if ladders := results.get("ladders"):
        yield from _of_ladders(ladders, set(drawn))
    if copies := results.get("copies"):
        yield from _of_copies(copies, set(drawn))
    if cold_start := results.get("cold_start"):
        yield from _of_cold_start(cold_start, set(drawn))
    if promise := results.get("promise"):
        yield from _of_promise(promise, set(drawn))
    if curves := results.get("curves"):
        yield from _of_curves(curves)


def _by_target(held: Sequence[Verdict]) -> list[Verdict]:
    order = list(dict.fromkeys(verdict.target for verdict in held))
    return sorted(held, key=lambda verdict: order.index(verdict.target))


def _of_ladders(ladders: dict[str, Any], drawn: set[str]) -> Iterable[str]:
    cases = [case for case in ladders["cases"] if case["role"] == "ladder"]
    yield "## Ladders"
    yield (
        f"One picture to several sizes; medians of {ladders['rounds']} rounds (least to most). "
        "The pictures are drawn by `bench/pictures.py`"
        + _photographs(cases)
        + ". SSIM is the mean over all sizes, on luma of gamma-encoded sRGB (11 x 11 Gaussian window), "
        "against the fully decoded source scaled in one step by Lanczos 3 in gamma-encoded sRGB, as every "
        "contestant scales; of animations, the first frame's. SSIM of colour is that of Cb and Cr: sharp's "
        "AVIF has full colour resolution. Peak memory is that of the whole process, start-up included. Threads: one "
        "for ours, as the function sets it with its default memory of one vCPU, and for sharp by its own default "
        "(on glibc); libvips takes one for each core."
    )
    for name, text in (
        ("cpu", "Processor time for a ladder"),
        ("memory", "Peak memory for a ladder"),
        ("pixels", "Processor time by pixels of the source"),
        ("renditions", "Processor time by number of renditions"),
    ):
        if name in drawn:
            yield f"![{text}](results/{name}.svg)"
    yield "Starting each contestant without any work:"
    yield _table(
        ("contestant", "CPU ms", "peak MB"),
        [(name, f"{took['cpu_ms']:.0f}", f"{took['peak_mb']:.0f}") for name, took in ladders["startup"].items()],
    )
    yield "Ours as ratios to sharp. The wall is to the better of its two forms:"
    rows = []
    for case in cases:
        if found := ratios(case):
            columns = (found.cpu, found.total_cpu, found.wall, found.memory, found.bytes)
            differences = (f"{found.ssim:+.4f}", f"{found.chroma:+.4f}")
            rows.append((case_name(case), *(f"{value:.2f}" for value in columns), *differences))
    yield _table(("case", "CPU", "CPU with start-up", "wall", "peak memory", "bytes", "SSIM", "SSIM of colour"), rows)
    for case in cases:
        sizes = ", ".join(map(str, case["widths"]))
        yield f"### {case_name(case)}"
        yield f"{case['file_bytes'] / 1e6:.1f} MB to widths {sizes}."
        yield _table(
            ("", "CPU ms", "with start-up", "wall ms", "peak MB", "kB", "SSIM", "of colour"),
            [_measured(found) for found in case["measurements"]],
        )
    others = [case for case in ladders["cases"] if case["role"] != "ladder"]
    if others:
        names = [found["contestant"] for found in others[0]["measurements"]]
        yield "### By number of renditions"
        yield f"{case_name(others[0])}, CPU ms of the work."
        yield _table(
            ("widths", *names),
            [
                (
                    ", ".join(map(str, case["widths"])),
                    *(f"{statistics.median(found['cpu_ms']):.0f}" for found in case["measurements"]),
                )
                for case in others
            ],
        )


def _photographs(cases: Sequence[dict[str, Any]]) -> str:
    names = sorted({case["origin"] for case in cases} - {"drawn"})
    if not names:
        return ""
    return (
        ", or photographs of the corpus that `IMAGE_CORPUS` names, scaled to the size and stored as JPEG of "
        f"quality 90: {', '.join(names)}"
    )


def _measured(found: dict[str, Any]) -> Sequence[str]:
    name = found["contestant"]
    return (
        f"**{name}**" if name == "ours" else name,
        _middle(found["cpu_ms"]),
        f"{statistics.median(found['total_cpu_ms']):.0f}",
        _middle(found["wall_ms"]),
        f"{statistics.median(found['peak_mb']):.0f}",
        f"{found['bytes'] / 1000:.0f}",
        f"{found['ssim']:.4f}",
        f"{found['chroma']:.4f}",
    )


def _middle(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def _of_copies(copies: dict[str, Any], drawn: set[str]) -> Iterable[str]:
    yield "## Copies"
    yield (
        "A rendition without a size or a format is copied by S3 itself. Against a handler that gets the object and "
        f"puts it; on a local S3 at the loopback interface, medians of {copies['rounds']} rounds. The memory is that "
        "of the function's process; before any copy it has what the column *idle* says. Bytes on the wire are both "
        "ways together, with headers. A real S3 is slower for both."
    )
    if "copies" in drawn:
        yield "![Bytes and memory of a copy](results/copies.svg)"
    yield _table(
        ("object", "handler", "bytes on the wire", "idle MB", "peak MB", "CPU ms, with start-up", "wall ms"),
        [
            (
                f"{row['megabytes']} MB",
                f"**{row['handler']}**" if row["handler"] == "ours" else row["handler"],
                f"{row['carried_bytes']:,}",
                f"{row['idle_mb']:.0f}",
                f"{row['peak_mb']:.0f}",
                f"{row['cpu_ms']:.0f}",
                f"{row['wall_ms']:.0f}",
            )
            for row in copies["rows"]
        ],
    )


def _of_cold_start(cold_start: dict[str, Any], drawn: set[str]) -> Iterable[str]:
    yield "## Cold start"
    yield (
        f"A fresh process of Python {cold_start['python']} that imports the handler of the deployment package and "
        "makes one WebP of an 800 x 600 JPEG, against one that does "
        '`import boto3; boto3.client("s3")` and no more; in turns, from start to end, medians (least to most). '
        "*Not in the package*: Python's and boto3's own bytecode exists, as in Lambda's runtime, but the package was "
        "built on a machine without the runtime's version of Python."
    )
    if "cold-start" in drawn:
        yield "![Cold start](results/cold-start.svg)"
    yield _table(
        ("bytecode", "runs", "ours, ms", "bare boto3 client, ms", "ratio", "ours, peak MB", "bare, peak MB"),
        [
            (
                "in the package" if row["cached"] else "not in the package",
                str(row["runs"]),
                _middle(row["ours_ms"]),
                _middle(row["boto3_ms"]),
                f"{_paired(row['ours_ms'], row['boto3_ms']):.2f}",
                f"{row['ours_peak_mb']:.0f}",
                f"{row['boto3_peak_mb']:.0f}",
            )
            for row in cold_start["rows"]
        ],
    )


def _paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def _of_curves(curves: dict[str, Any]) -> Iterable[str]:
    pictures = ", ".join(f"{count} {kind}s" for kind, count in curves["pictures"].items())
    yield "## Encoder settings"
    yield (
        f"Measured by `.venv/bin/python -m bench curves`. The same pixels ({pictures}; {curves['width']} pixels wide) "
        f"in every setting, at the quality that gives a score of {curves['target']:.0f} by SSIMULACRA 2, judged by "
        f"{curves['judge']}. *Bytes* at that score, relative to the first row, which has sharp's defaults: geometric "
        "means over all pictures, and over those of each kind. *Quality* and *CPU*: medians. Of PNG, which loses "
        "nothing, the bytes as they are."
    )
    for format, rows in curves["rows"].items():
        yield f"### {format}"
        kinds = list(curves["pictures"])
        yield _table(
            ("setting", "bytes", *(f"{kind}s" for kind in kinds), "CPU ms/MP", "CPU", "quality"),
            [
                (
                    f"**{row['setting']}**" if "ours" in row["setting"] else row["setting"],
                    _ratio(row["bytes"]),
                    *(_ratio(row["by_kind"][kind]) for kind in kinds),
                    f"{row['milliseconds']:.0f}",
                    f"{row['cpu']:.2f}",
                    f"{row['quality']:.0f}" if row["quality"] else "-",
                )
                for row in rows
            ],
        )
    if scores := curves["scores"]:
        yield "### Scores of our settings by quality"
        yield "Median over the pictures (tenth percentile); the default qualities give about the same median."
        qualities = sorted({int(quality) for found in scores.values() for quality in found})
        yield _table(
            ("", *map(str, qualities)),
            [
                (
                    format,
                    *(_spread_of(found[quality] if quality in found else found[str(quality)]) for quality in qualities),
                )
                for format, found in scores.items()
            ],
        )


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _spread_of(scores: Sequence[float]) -> str:
    return f"{statistics.median(scores):.0f} ({statistics.quantiles(scores, n=10, method='inclusive')[0]:.0f})"


def _of_promise(promise: dict[str, Any], drawn: set[str]) -> Iterable[str]:
    yield "## Quality as a promise"
    yield from promise_report.summary(promise)
    if "promise" in drawn:
        yield "![Scores against bytes](results/promise.svg)"
    for text, head, rows in promise_report.tables(promise):
        yield text
        yield _table(head, rows)
    yield (
        "The worst of the promised renditions, where each differs most: the scaled source at the left, the rendition "
        "at the right."
    )
    yield "![The worst renditions](results/worst.jpg)"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; columns of figures are aligned to the right."""
    body = [tuple(row) for row in rows]
    marks = [
        "---" if index == 0 or any(row[index][:1].isalpha() for row in body) else "---:" for index in range(len(head))
    ]
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, marks, *body)]
    return "\n".join(lines)


def _charts(results: dict[str, Any]) -> dict[str, str | None]:
    ladders = results.get("ladders", {}).get("cases", [])
    return {
        "cpu": _compared(ladders, "cpu_ms", "Processor time for a ladder", "ms"),
        "memory": _compared(ladders, "peak_mb", "Peak memory for a ladder", "MB"),
        "pixels": _by_pixels(ladders),
        "renditions": _by_renditions(ladders),
        "copies": _copies_chart(results.get("copies", {}).get("rows", [])),
        "cold-start": _cold_start_chart(results.get("cold_start", {}).get("rows", [])),
        "promise": promise_report.chart(results["promise"]) if "promise" in results else None,
    }


def _compared(cases: Sequence[dict[str, Any]], measure: str, title: str, unit: str) -> str | None:
    shown = [case for case in cases if case["picture"] == "12 MP JPEG" and case["role"] == "ladder"]
    # Of photographs, if there are any.
    shown = [case for case in shown if case["origin"] != "drawn"] or shown
    if not shown:
        return None
    panels = []
    for case in shown:
        medians = {found["contestant"]: statistics.median(found[measure]) for found in case["measurements"]}
        panels.append(
            Panel(
                f"to {format_name(case['format'])}",
                [Bar(name, value, f"{value:,.0f} {unit}", COLOURS[name]) for name, value in medians.items()],
            )
        )
    sizes = ", ".join(map(str, shown[0]["widths"]))
    what = "user + system, the work without start-up" if measure == "cpu_ms" else "resident, the whole process"
    return charts.bars(title, f"12 MP JPEG ({shown[0]['origin']}) to widths {sizes}; {what}; less is better", panels)


def _by_pixels(cases: Sequence[dict[str, Any]]) -> str | None:
    shown = [
        case
        for case in cases
        if case["origin"] == "drawn"
        and case["format"] == "jpeg"
        and case["role"] == "ladder"
        and "progressive" not in case["picture"]
    ]
    shown.sort(key=lambda case: case["megapixels"])
    if len(shown) < 2:
        return None
    return charts.lines(
        "Processor time by pixels of the source",
        f"A drawn JPEG to JPEGs of widths {', '.join(map(str, shown[0]['widths']))}; the work without start-up",
        ("megapixels", [0, *(round(case["megapixels"]) for case in shown)]),
        "CPU ms",
        _lines(shown, lambda case: case["megapixels"]),
    )


def _by_renditions(cases: Sequence[dict[str, Any]]) -> str | None:
    shown = [case for case in cases if case["role"] == "renditions"]
    if len(shown) < 2:
        return None
    return charts.lines(
        "Processor time by number of renditions",
        f"{shown[0]['picture']} ({shown[0]['origin']}) to JPEGs, the widest {shown[0]['widths'][0]} pixels wide; "
        "the work without start-up",
        ("renditions", [0, *(len(case["widths"]) for case in shown)]),
        "CPU ms",
        _lines(shown, lambda case: len(case["widths"])),
    )


def _lines(cases: Sequence[dict[str, Any]], across: Any) -> list[Line]:
    names = [found["contestant"] for found in cases[0]["measurements"]]
    lines = []
    for name in names:
        found = [(across(case), of_contestant(case, name)) for case in cases]
        points = [(x, statistics.median(one["cpu_ms"])) for x, one in found if one]
        lines.append(Line(name, points, COLOURS[name]))
    return lines


def _copies_chart(rows: Sequence[dict[str, Any]]) -> str | None:
    if not rows:
        return None
    panels = [
        Panel(
            f"{megabytes} MB object: {title}",
            [
                Bar(row["handler"], row[field], show(row[field]), OURS if row["handler"] == "ours" else OTHERS[0])
                for row in rows
                if row["megabytes"] == megabytes
            ],
        )
        for field, title, show in (
            ("carried_bytes", "on the wire", _megabytes),
            ("peak_mb", "peak memory", lambda value: f"{value:,.0f} MB"),
        )
        for megabytes in sorted({row["megabytes"] for row in rows})
    ]
    return charts.bars(
        "A copy of one object",
        "Bytes through the function, and the peak memory of its process; each panel has its own scale",
        panels,
        columns=len(panels) // 2,
    )


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB" if value >= 1e5 else f"{value / 1e3:,.1f} kB of headers"


def _cold_start_chart(rows: Sequence[dict[str, Any]]) -> str | None:
    if not rows:
        return None
    panels = []
    for row in rows:
        times = {"ours, to the first rendition": row["ours_ms"], "bare boto3 client": row["boto3_ms"]}
        panels.append(
            Panel(
                "bytecode in the package" if row["cached"] else "bytecode not in the package",
                [
                    Bar(name, statistics.median(of), f"{statistics.median(of):,.0f} ms", colour)
                    for (name, of), colour in zip(times.items(), (OURS, OTHERS[0]), strict=True)
                ],
            )
        )
    return charts.bars("Cold start", "From the start of the process to its end; medians", panels, columns=2)

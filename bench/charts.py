"""Charts as SVG: bars and lines with axes from zero and every value said at its place, and clouds of points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

OURS = "#0f766e"
OTHERS = ("#64748b", "#94a3b8", "#b45309", "#7c3aed")
_INK, _SOFT, _GRID = "#1f2937", "#6b7280", "#e5e7eb"
_FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class Bar:
    """One bar."""

    label: str
    value: float
    text: str
    """The text at its end."""
    colour: str


@dataclass(frozen=True)
class Panel:
    """Bars that are compared with each other; they share one scale."""

    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Line:
    """One line, named at its end."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: str


@dataclass(frozen=True)
class Cloud:
    """Points of one colour."""

    points: Sequence[tuple[float, float]]
    colour: str


def bars(title: str, subtitle: str, panels: Sequence[Panel], *, columns: int = 3) -> str:
    """Return an SVG of panels of horizontal bars, side by side; each panel has its own scale from zero."""
    width, label_width, row, gap = 960, 0, 38, 34
    columns = min(columns, len(panels))
    panel_width = (width - 48 - gap * (columns - 1)) / columns
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    parts: list[str] = []
    top = 76.0
    for of_row in rows:
        for column, panel in enumerate(of_row):
            left = 24 + column * (panel_width + gap)
            parts.append(_text(left, top + 14, panel.title, size=14, weight=600))
            largest = max(bar.value for bar in panel.bars) or 1
            longest = panel_width - label_width - 8
            for index, bar in enumerate(panel.bars):
                y = top + 28 + index * row
                weight = 600 if bar.colour == OURS else 400
                parts.append(_text(left, y + 11, bar.label, size=12, colour=_INK, weight=weight))
                parts.append(_text(left + longest, y + 11, bar.text, size=12, colour=_INK, weight=weight, anchor="end"))
                length = max(1.0, longest * bar.value / largest)
                parts.append(
                    f"<rect x='{left:.1f}' y='{y + 16:.1f}' width='{longest:.1f}' height='11' rx='2' fill='#f3f4f6'/>"
                    f"<rect x='{left:.1f}' y='{y + 16:.1f}' width='{length:.1f}' height='11' rx='2' "
                    f"fill='{bar.colour}'/>"
                )
        top += 28 + max(len(panel.bars) for panel in of_row) * row + 26
    return _svg(width, top - 6, title, subtitle, parts)


def lines(title: str, subtitle: str, across: tuple[str, Sequence[float]], down: str, found: Sequence[Line]) -> str:
    """Return an SVG of lines over one plane; both axes start at zero. `across` is a name and its ticks."""
    width, height, left, top, right = 960.0, 430.0, 72.0, 96.0, 210.0
    plane_width, plane_height = width - left - right, height - top - 62
    largest_x = max(across[1])
    largest_y, step = _round_scale(max(y for line in found for _, y in line.points))

    def place(x: float, y: float) -> tuple[float, float]:
        return left + plane_width * x / largest_x, top + plane_height * (1 - y / largest_y)

    parts = [_text(left - 56, top - 16, down, size=12, colour=_SOFT)]
    for index in range(round(largest_y / step) + 1):
        x, y = place(0, index * step)
        parts.append(f"<line x1='{x:.1f}' x2='{x + plane_width:.1f}' y1='{y:.1f}' y2='{y:.1f}' stroke='{_GRID}'/>")
        parts.append(_text(x - 10, y + 4, f"{index * step:,.0f}", size=12, colour=_SOFT, anchor="end"))
    for tick in across[1]:
        x, y = place(tick, 0)
        parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{y:.1f}' y2='{y + 5:.1f}' stroke='{_SOFT}'/>")
        parts.append(_text(x, y + 20, f"{tick:g}", size=12, colour=_SOFT, anchor="middle"))
    x, y = place(0, 0)
    parts.append(f"<line x1='{x:.1f}' x2='{x + plane_width:.1f}' y1='{y:.1f}' y2='{y:.1f}' stroke='{_SOFT}'/>")
    parts.append(_text(left + plane_width / 2, height - 14, across[0], size=12, colour=_SOFT, anchor="middle"))
    ends = _apart([place(*line.points[-1])[1] for line in found], 17)
    for line, end in zip(found, ends, strict=True):
        placed = [place(*point) for point in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        thick = 3 if line.colour == OURS else 2
        parts.append(f"<polyline points='{path}' fill='none' stroke='{line.colour}' stroke-width='{thick}'/>")
        parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{thick + 0.5}' fill='{line.colour}'/>" for x, y in placed]
        name = f"{line.label}  {line.points[-1][1]:,.0f}"
        weight = 600 if line.colour == OURS else 400
        parts.append(_text(placed[-1][0] + 12, end + 4, name, size=12, colour=line.colour, weight=weight))
    return _svg(width, height, title, subtitle, parts)


def clouds(
    title: str,
    subtitle: str,
    panels: Sequence[tuple[str, Sequence[Cloud]]],
    *,
    across: tuple[str, Sequence[float]],
    down: tuple[str, Sequence[float]],
    band: tuple[float, float],
) -> str:
    """Return an SVG of panels side by side on one scale, logarithmic across; `band` is the range that is wanted.

    `across` and `down` are the names of the axes and their ticks; points beyond the first or the last tick are drawn
    at the edge.
    """
    width, height, left, top, gap = 960.0, 430.0, 64.0, 108.0, 26.0
    plane_width = (width - left - 24 - gap * (len(panels) - 1)) / len(panels)
    plane_height = height - top - 62
    lowest, highest = math.log(across[1][0]), math.log(across[1][-1])
    parts = [_text(24, top - 28, down[0], size=12, colour=_SOFT)]

    def place(start: float, x: float, y: float) -> tuple[float, float]:
        share = (math.log(x) - lowest) / (highest - lowest)
        rise = (y - down[1][0]) / (down[1][-1] - down[1][0])
        return start + plane_width * min(1, max(0, share)), top + plane_height * (1 - min(1, max(0, rise)))

    for index, (name, of_panel) in enumerate(panels):
        start = left + index * (plane_width + gap)
        parts.append(_text(start + plane_width / 2, top - 12, name, size=14, weight=600, anchor="middle"))
        _, upper = place(start, across[1][0], band[1])
        _, lower = place(start, across[1][0], band[0])
        parts.append(
            f"<rect x='{start:.1f}' y='{upper:.1f}' width='{plane_width:.1f}' height='{lower - upper:.1f}' "
            "fill='#ccfbf1'/>"
        )
        for tick in down[1]:
            _, y = place(start, across[1][0], tick)
            parts.append(
                f"<line x1='{start:.1f}' x2='{start + plane_width:.1f}' y1='{y:.1f}' y2='{y:.1f}' stroke='{_GRID}'/>"
            )
            if not index:
                parts.append(_text(start - 10, y + 4, f"{tick:g}", size=12, colour=_SOFT, anchor="end"))
        for tick in across[1]:
            x, _ = place(start, tick, down[1][0])
            parts.append(_text(x, top + plane_height + 20, f"{tick:g}", size=12, colour=_SOFT, anchor="middle"))
        for cloud in of_panel:
            for point in cloud.points:
                x, y = place(start, *point)
                parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{cloud.colour}' fill-opacity='0.65'/>")
    parts.append(_text(left + (width - left - 24) / 2, height - 14, across[0], size=12, colour=_SOFT, anchor="middle"))
    return _svg(width, height, title, subtitle, parts)


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Return the positions, moved down if two would be closer than `least`."""
    moved = list(places)
    for before, index in zip(
        [None, *sorted(range(len(places)), key=places.__getitem__)],
        sorted(range(len(places)), key=places.__getitem__),
        strict=False,
    ):
        if before is not None:
            moved[index] = max(moved[index], moved[before] + least)
    return moved


def _round_scale(largest: float) -> tuple[float, float]:
    """Return the end of an axis and the distance of its 4 to 8 lines, at round numbers."""
    magnitude = 1.0
    while magnitude * 10 <= largest:
        magnitude *= 10
    step = next(step for step in (0.2, 0.25, 0.5, 1, 2) if largest / (magnitude * step) <= 7) * magnitude
    return -(-largest // step) * step, step


def _svg(width: float, height: float, title: str, subtitle: str, parts: Sequence[str]) -> str:
    head = _text(24, 32, title, size=18, weight=600) + _text(24, 54, subtitle, size=13, colour=_SOFT)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0f} {height:.0f}' "
        f"width='{width:.0f}' height='{height:.0f}' role='img' aria-label='{escape(title, quote=True)}' {_FONT}>\n"
        f"<rect width='100%' height='100%' fill='#ffffff'/>\n{head}\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _text(
    x: float, y: float, text: str, *, size: int, colour: str = _INK, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' font-weight='{weight}' fill='{colour}' "
        f"text-anchor='{anchor}'>{escape(text)}</text>"
    )

"""Charts as whole SVG files: curves and points over linear or logarithmic axes, readable by day and by night."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 420, 74, 44, 20, 64
FEW, COARSE, FINE = 100, 3.5, 1.6  # dots' radii: up to so many they are to be seen one by one, beyond that as a cloud
MOST = 2000  # points of a curve that are drawn: more than there are pixels


@dataclass(frozen=True)
class Curve:
    """Points (x, y) under a name: a line, a dashed line (what is predicted), or dots."""

    name: str
    x: Iterable[float]
    y: Iterable[float]
    style: Literal["line", "dashed", "dots"] = "line"


@dataclass(frozen=True)
class Axis:
    """An axis: its name, whether it is logarithmic."""

    name: str
    log: bool = False

    def place(self, value: float) -> float | None:
        """Where a value lies on the axis; None where it cannot be drawn."""
        if not math.isfinite(value) or (self.log and value <= 0):
            return None
        return math.log10(value) if self.log else value

    def ticks(self, low: float, high: float) -> list[tuple[float, str]]:
        """Round places between two, with their labels."""
        if self.log:
            step = max(1, math.ceil((high - low) / 8))
            decades: list[tuple[float, str]] = [
                (at, f"1e{at}") for at in range(math.ceil(low), math.floor(high) + 1, step)
            ]
            if len(decades) > 2:
                return decades
            parts = (math.log10(m * 10.0**k) for k in range(math.floor(low), math.ceil(high)) for m in (1, 2, 5))
            if len(few := [(at, f"{10**at:.3g}") for at in parts if low <= at <= high]) > 2:
                return few
        raw = (high - low) / 6
        unit = 10 ** math.floor(math.log10(raw))
        step_by = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
        marks = [i * step_by for i in range(math.ceil(low / step_by), math.floor(high / step_by) + 1)]
        return [(at, f"{10**at:.3g}" if self.log else f"{at:.4g}") for at in marks]


def chart(title: str, x: Axis, y: Axis, curves: Sequence[Curve]) -> str:
    """Draw curves; "" where no point of any can be drawn. What is not finite, or not on a log axis, is left out."""
    placed = [(curve, _placed(curve, x, y)) for curve in curves]
    points = [point for _, some in placed for point in some]
    if not points:
        return ""
    (left, right), (low, high) = (_range([point[i] for point in points]) for i in (0, 1))

    def across(at: float) -> float:
        return LEFT + (at - left) / (right - left) * (WIDTH - LEFT - RIGHT)

    def up(at: float) -> float:
        return HEIGHT - BOTTOM - (at - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    drawn = "".join(_drawn(curve.style, i, some, across, up) for i, (curve, some) in enumerate(placed))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><style>{STYLE}</style><rect class="page" width="{WIDTH}" height="{HEIGHT}"/>'
        f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>'
        f"{_grid(x, y, (left, right), (low, high), across, up)}{drawn}{_legend(curves)}</svg>\n"
    )


def _placed(curve: Curve, x: Axis, y: Axis) -> list[tuple[float, float]]:
    pairs = [(x.place(float(a)), y.place(float(b))) for a, b in zip(curve.x, curve.y, strict=True)]
    found = [(a, b) for a, b in pairs if a is not None and b is not None]
    # Thinned by where points lie across, so that the early steps of a logarithmic axis are not lost.
    if len(found) <= MOST:
        return found
    width = (max(a for a, _ in found) - min(a for a, _ in found)) / MOST * 2 or 1.0
    kept: dict[tuple[int, int], tuple[float, float]] = {}
    for place, (a, b) in enumerate(found):
        kept.setdefault((int(a / width), place % 2 if curve.style != "dots" else place), (a, b))
    return list(kept.values())


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.04 or abs(high) * 0.05 or 1.0
    return low - room, high + room


def _drawn(
    style: str,
    i: int,
    points: list[tuple[float, float]],
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> str:
    if style == "dots":
        r = FINE if len(points) > FEW else COARSE
        return "".join(f'<circle class="f{i % 5}" cx="{across(a):.1f}" cy="{up(b):.1f}" r="{r}"/>' for a, b in points)
    path = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in points)
    return f'<polyline class="s{i % 5} {style}" points="{path}"/>'


def _grid(
    x: Axis,
    y: Axis,
    horizontal: tuple[float, float],
    vertical: tuple[float, float],
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> str:
    foot, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{end - LEFT}" height="{foot - TOP}"/>']
    for at, label in x.ticks(*horizontal):
        place = f"{across(at):.1f}"
        parts.append(f'<line class="grid" x1="{place}" x2="{place}" y1="{TOP}" y2="{foot}"/>')
        parts.append(f'<text class="tick" x="{place}" y="{foot + 16}" text-anchor="middle">{label}</text>')
    for at, label in y.ticks(*vertical):
        level = up(at)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{end}" y1="{level:.1f}" y2="{level:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{level + 4:.1f}" text-anchor="end">{label}</text>')
    parts.append(f'<text class="tick" x="{end}" y="{foot + 32}" text-anchor="end">{escape(x.name)}</text>')
    parts.append(f'<text class="tick" x="{LEFT}" y="{TOP - 6}">{escape(y.name)}</text>')
    return "".join(parts)


def _legend(curves: Sequence[Curve]) -> str:
    parts, at, line = list[str](), LEFT, HEIGHT - 12
    for i, curve in enumerate(curves):
        if curve.style == "dots":
            parts.append(f'<circle class="f{i % 5}" cx="{at + 10}" cy="{line - 4}" r="3"/>')
        else:
            parts.append(f'<polyline class="s{i % 5} {curve.style}" points="{at},{line - 4} {at + 20},{line - 4}"/>')
        parts.append(f'<text class="tick" x="{at + 26}" y="{line}">{escape(curve.name)}</text>')
        at += 44 + 7 * len(curve.name)
    return "".join(parts)


_DAY = ("#2166ac", "#d6604d", "#1b7837", "#762a83", "#8c510a")
_NIGHT = ("#6bb3e8", "#ff9a7a", "#7fd18b", "#cf9fe0", "#e0b060")


def _palette(colours: Sequence[str]) -> str:
    return "".join(f".s{i}{{stroke:{colour}}}.f{i}{{fill:{colour}}}" for i, colour in enumerate(colours))


STYLE = (
    ".page{fill:#fff}.frame{fill:none;stroke:#8a8f98}.grid{stroke:#8a8f98;stroke-opacity:.25}"
    "text{font:12px system-ui,sans-serif;fill:#22262b}.title{font-size:15px;font-weight:600}"
    "polyline{fill:none;stroke-width:1.8}.dashed{stroke-dasharray:6 4}"
    f"{_palette(_DAY)}@media(prefers-color-scheme:dark){{.page{{fill:#15181c}}text{{fill:#dfe3e8}}{_palette(_NIGHT)}}}"
)

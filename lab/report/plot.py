"""Plots of what was logged against the step, as inline SVG: lines, bands about them, levels to be read against.

Colours come from the page (`STYLE`), one palette by day and one by night, told apart with any colour vision (Okabe and
Ito, Color Universal Design, 2008). A log axis is taken where all values are positive and span decades.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Literal

WIDTH, HEIGHT, LEFT, BOTTOM, PAD = 560, 260, 64, 28, 10
MOST = 300  # buckets of a line that are drawn, each by its lowest and highest point, so that no peak is lost
HUGE = 1e150  # beyond which, and below whose inverse, nothing is drawn
DECADES = 1.5  # from how wide a span on a log axis is taken
COLOURS = 8


@dataclass(frozen=True)
class Line:
    """Values y at steps x, with a band between `lower` and `upper` where given; what is not finite is a gap.

    Points are marked where there are few of them: all, or those at the `known` steps.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    lower: Sequence[float] | None = None
    upper: Sequence[float] | None = None
    style: Literal["line", "dashed", "dots"] = "line"
    known: Collection[float] | None = None


@dataclass(frozen=True)
class Level:
    """A positive value that others are read against."""

    value: float
    name: str


@dataclass(frozen=True)
class _Scale:
    """From values to pixels."""

    left: float
    right: float
    low: float
    high: float
    log: bool

    def x(self, value: float) -> float:
        return LEFT + (value - self.left) / (self.right - self.left) * (WIDTH - LEFT - PAD)

    def y(self, value: float) -> float:
        at = math.log10(max(value, 1e-300)) if self.log else value
        share = min(1.0, max(0.0, (at - self.low) / (self.high - self.low)))
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - PAD)


def plot(
    title: str, lines: Sequence[Line], levels: Sequence[Level] = (), across: str = "step", ratios: bool = False
) -> str:
    """Draw lines; nothing where they hold no finite value. Of `ratios` the positive ones are drawn, on a log axis."""
    lines = [_cleared(line, ratios) for line in lines]
    lines = [line for line in lines if any(map(math.isfinite, line.y))]
    if not lines:
        return ""
    scale = _scale(lines, levels, ratios)
    drawn = "".join(_band(line, scale, i) for i, line in enumerate(lines) if line.lower is not None)
    drawn += "".join(_level(level, scale) for level in levels)
    drawn += "".join(_curve(line, scale, i) for i, line in enumerate(lines))
    names = "".join(
        f'<span class="c{i % COLOURS}"><i class="{_stroke(line, i)}"></i>{escape(line.name)}</span>'
        for i, line in enumerate(lines)
    )
    return (
        f'<figure class="lab-plot"><figcaption><b>{escape(title)}</b> {names}</figcaption><svg role="img" '
        f'aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {HEIGHT}">{_axes(scale, across)}{drawn}</svg></figure>'
    )


def _cleared(line: Line, ratios: bool) -> Line:
    """The line with gaps for what cannot be drawn: what is not finite, or so large or small that pixels overflow."""

    def clear(value: float) -> float:
        size = abs(value)
        return math.nan if not size < HUGE or (ratios and value <= 1 / HUGE) else value if size > 1 / HUGE else 0.0

    lower, upper = (None if ends is None else list(map(clear, ends)) for ends in (line.lower, line.upper))
    return replace(line, y=list(map(clear, line.y)), lower=lower, upper=upper)


def _scale(lines: Sequence[Line], levels: Sequence[Level], ratios: bool) -> _Scale:
    seen = [value for line in lines for value in line.y if math.isfinite(value)]
    log = min(seen) > 0 and (ratios or math.log10(max(seen)) - math.log10(min(seen)) > DECADES)
    ends = [value for line in lines for value in (*(line.lower or ()), *(line.upper or ())) if math.isfinite(value)]
    ends = [value for value in ends if value > 0 or not log]
    seen += [level.value for level in levels]
    seen, ends = ([math.log10(value) for value in values] if log else values for values in (seen, ends))
    low, high = min(seen), max(seen)
    reach = high - low or abs(high) or 1.0  # a band that goes further is cut off: lines are not to be flat in it
    near = [min(max(end, low - reach), high + reach) for end in ends]
    low, high = min([low, *near]), max([high, *near])
    room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    steps = [x for line in lines for x in line.x]
    return _Scale(min(steps), max(max(steps), min(steps) + 1), low - room, high + room, log)


def _axes(scale: _Scale, across: str) -> str:
    bottom = HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {PAD}V{bottom}H{WIDTH - PAD}"/>']
    for value in _ticks(scale.low, scale.high, 5):
        if scale.log and value != round(value):
            continue
        y = scale.y(10**value if scale.log else value)
        label = f"1e{value:.0f}" if scale.log else f"{value:.6g}"
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - PAD}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for value in _ticks(scale.left, scale.right, 6):
        parts.append(f'<text x="{scale.x(value):.1f}" y="{bottom + 15}" text-anchor="middle">{value:.6g}</text>')
    parts.append(f'<text x="{LEFT - 16}" y="{bottom + 15}" text-anchor="end">{escape(across)}</text>')
    return "".join(parts)


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round values between two."""
    raw = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= raw * (1 - 1e-9))
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _level(level: Level, scale: _Scale) -> str:
    at = math.log10(level.value) if scale.log else level.value
    if not scale.low <= at <= scale.high:
        return ""
    y = scale.y(level.value)
    return (
        f'<path class="level" d="M{LEFT} {y:.1f}H{WIDTH - PAD}"/>'
        f'<text x="{LEFT + 6}" y="{y - 4:.1f}">{escape(level.name)}</text>'
    )


def _curve(line: Line, scale: _Scale, number: int) -> str:
    points = list(zip(line.x, line.y, strict=True))
    css = f"c{number % COLOURS}"
    finite = [(x, y) for x, y in points if math.isfinite(y) and (line.known is None or x in line.known)]
    if line.style == "dots" or len(finite) < 40:
        dots = "".join(
            f'<circle class="{css}" cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="2.5"><title>{escape(line.name)}: '
            f"{y!r} at {x:g}</title></circle>"
            for x, y in finite[:: max(1, len(finite) // (4 * MOST))]
        )
    else:
        dots = ""
    if line.style == "dots":
        return dots
    paths = "".join(f"M{' '.join(f'{scale.x(x):.1f},{scale.y(y):.1f}' for x, y in run)}" for run in _runs(points))
    return f'<path class="line {css} {_stroke(line, number)}" d="{paths}"/>{dots}'


def _stroke(line: Line, number: int) -> str:
    """How a line is drawn: as its style says, and else dashed, dotted and then broad once the colours are used up."""
    cycle = number // COLOURS
    style = ("line", "dashed", "dotted")[cycle % 3] if line.style == "line" else line.style
    return f"{style} broad" if cycle % 6 > 2 else style


def _band(line: Line, scale: _Scale, number: int) -> str:
    ends = [
        (x, lower, upper)
        for x, lower, upper in zip(line.x, line.lower or (), line.upper or (), strict=True)
        if math.isfinite(lower) and math.isfinite(upper)
    ]
    if not ends:
        return ""
    ends = ends[:: max(1, len(ends) // MOST)]
    there = " ".join(f"{scale.x(x):.1f},{scale.y(upper):.1f}" for x, _, upper in ends)
    back = " ".join(f"{scale.x(x):.1f},{scale.y(lower):.1f}" for x, lower, _ in reversed(ends))
    return f'<polygon class="band c{number % COLOURS}" points="{there} {back}"/>'


def _runs(points: Sequence[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """The stretches between gaps, each thinned to the lowest and the highest point of every bucket."""
    stretch: list[tuple[float, float]] = []
    for point in [*points, (math.nan, math.nan)]:
        if math.isfinite(point[1]):
            stretch.append(point)
        elif stretch:
            yield _thinned(stretch)
            stretch = []


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    size = math.ceil(len(points) / MOST)
    if size < 3:
        return points
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        bucket = points[start : start + size]
        low, high = min(bucket, key=lambda point: point[1]), max(bucket, key=lambda point: point[1])
        kept += sorted({bucket[0], low, high, bucket[-1]})
    return kept


def _palette(colours: Sequence[str]) -> str:
    return "".join(f".lab-plot .c{i}{{--colour:{colour}}}" for i, colour in enumerate(colours))


_DAY = ("#0072b2", "#d55e00", "#009e73", "#b0459a", "#7a5c00", "#2aa0d8", "#8a8f98", "#111111")
_NIGHT = ("#56b4e9", "#ff9050", "#2fd0a0", "#e08cc8", "#f0e442", "#8fd0f5", "#a8adb5", "#ffffff")
STYLE = (
    ".lab-plot{--ground:#fff;--text:#1c2126;--rule:#d9dfe5;display:inline-block;width:100%;max-width:560px;margin:0;"
    "background:var(--ground);color:var(--text);font:13px/1.4 system-ui,sans-serif}"
    ".lab-plot svg{width:100%;height:auto;display:block;overflow:visible}"
    ".lab-plot text{font-size:11px;fill:var(--text)}"
    ".lab-plot figcaption{color:var(--text);font-size:13px}"
    ".lab-plot figcaption span{margin-left:.8em;white-space:nowrap}"
    ".lab-plot figcaption i{display:inline-block;width:1.2em;border-top:3px solid var(--colour);margin-right:.3em;"
    "vertical-align:middle}.lab-plot figcaption i.dashed{border-top-style:dashed}"
    ".lab-plot figcaption i.dots,.lab-plot figcaption i.dotted{border-top-style:dotted}"
    ".lab-plot figcaption i.broad{border-top-width:6px}"
    ".lab-plot .axis,.lab-plot .grid{fill:none;stroke:var(--rule)}.lab-plot .line{fill:none;stroke:var(--colour);"
    "stroke-width:1.6}.lab-plot .line.dashed{stroke-dasharray:6 4}"
    ".lab-plot .line.dotted{stroke-dasharray:2 3}.lab-plot .line.broad{stroke-width:3.2}"
    ".lab-plot circle{fill:var(--colour)}"
    ".lab-plot .band{fill:var(--colour);fill-opacity:.18}"
    ".lab-plot .level{fill:none;stroke:var(--text);stroke-dasharray:2 3}"
    f"{_palette(_DAY)}@media(prefers-color-scheme:dark){{.lab-plot{{--ground:#15191e;--text:#e4e8ec;--rule:#313941}}"
    f"{_palette(_NIGHT)}}}"
)

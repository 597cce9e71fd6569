"""Pictures of evidence as inline SVG: where a difference lives, and how a remainder falls.

Colours are classes q0 … q6 of the page, which has a palette for light and one for dark: blues up to 1 (rounding),
oranges above (a mistake). Blue and orange are told apart with any colour vision, and a dot marks what is above 1.
"""

import math
from collections.abc import Iterator
from html import escape

import torch
from torch import Tensor

EDGES = (0.0, 0.01, 0.1, 1.0, 1e2, 1e6, math.inf)  # upper ends of the classes of |ours − truth| / bound
NAMES = ("exactly equal", "≤ 0.01", "≤ 0.1", "≤ 1, rounding", "≤ 100", "≤ 10⁶", "> 10⁶")
MOST = (32, 64)  # rows and columns that are drawn; beyond, a cell shows the worst of several entries
CELL, GAP = 14, 1
WIDTH, HEIGHT = 260, 150  # of the plot of a remainder

LIGHT = ("#eceff2", "#cfe1f2", "#8fbfe0", "#2f7fbf", "#fdbe85", "#f0791a", "#a63603")
DARK = ("#2b3138", "#1e3a56", "#2a6496", "#6bb3e8", "#8a4b16", "#e07a1f", "#ffc48a")


def shade(ratio: float) -> str:
    """The class of a ratio; an empty square for nan, where nothing can be told."""
    return "frame" if math.isnan(ratio) else f"q{next(number for number, edge in enumerate(EDGES) if ratio <= edge)}"


def heat_map(ratios: Tensor, remark: str = "") -> str:
    """Draw |ours − truth| / bound of each entry: a vector as a row, more than two axes flattened behind the first.

    The remark goes below it, behind the size.
    """
    shape = tuple(ratios.shape)
    if not ratios.numel():
        return ""
    table = ratios.reshape(1, -1) if ratios.ndim < 2 else ratios.reshape(shape[0], -1)
    table, pooled = _pooled(table)
    rows, columns = table.shape
    width, height = columns * (CELL + GAP), rows * (CELL + GAP)
    size = "×".join(map(str, shape)) or "a number"
    label = f"{size}: worst {float(ratios.nan_to_num(0.0).max()):.2g} of what rounding allows"
    note = f", a cell the worst of {pooled[0]}×{pooled[1]} entries" if max(pooled) > 1 else ""
    note += remark and f"; {remark}"
    cells = "".join(_cells(table))
    return (
        f'<figure><svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}">{cells}</svg><figcaption>{size}{escape(note)}</figcaption></figure>'
    )


def _pooled(table: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """The table with no more rows and columns than are drawn, and how many of each a cell stands for."""
    by = tuple(math.ceil(size / most) for size, most in zip(table.shape, MOST, strict=True))
    rows = torch.stack([table[i : i + by[0]].amax(dim=0) for i in range(0, len(table), by[0])])
    cells = torch.stack([rows[:, j : j + by[1]].amax(dim=1) for j in range(0, rows.shape[1], by[1])], dim=1)
    return cells, (by[0], by[1])


def _cells(table: Tensor) -> Iterator[str]:
    for i, row in enumerate(table.tolist()):
        for j, ratio in enumerate(row):
            x, y = j * (CELL + GAP), i * (CELL + GAP)
            square = f'<rect class="{shade(ratio)}" x="{x}" y="{y}" width="{CELL}" height="{CELL}"'
            yield f"{square}><title>[{i}, {j}]: {ratio:.2g}</title></rect>"
            if ratio > 1:
                yield f'<circle class="mark" cx="{x + CELL / 2}" cy="{y + CELL / 2}" r="2"/>'


def legend() -> str:
    """The classes of a heat map with their colours."""
    swatches = "".join(
        f'<span><svg width="{CELL}" height="{CELL}" aria-hidden="true"><rect class="q{number}" width="{CELL}" '
        f'height="{CELL}"/>{_dot() if EDGES[number] > 1 else ""}</svg> {name}</span>'
        for number, name in enumerate(NAMES)
    )
    return f'<p class="legend">|ours − truth| / bound of each entry: {swatches}</p>'


def _dot() -> str:
    return f'<circle class="mark" cx="{CELL / 2}" cy="{CELL / 2}" r="2"/>'


def falling(curve: Tensor) -> str:
    """Draw a remainder R(h) and its noise η(h), (3, steps): both axes logarithmic."""
    h, R, eta = (part.tolist() for part in curve)
    left, right = math.log10(min(h)), math.log10(max(h))
    seen = [math.log10(value) for value in (*R, *eta) if 0 < value < math.inf]
    if not seen:
        return ""
    low, high = min(seen), max(max(seen), min(seen) + 1)

    def place(step: float, value: float) -> str:
        x = (math.log10(step) - left) / (right - left) * WIDTH
        y = (high - math.log10(value)) / (high - low) * HEIGHT
        return f"{x:.1f},{y:.1f}"

    dots = "".join(
        f'<circle class="{"q3" if value > noise else "q0"}" cx="{x}" cy="{y}" r="3"><title>h = {step:.1e}: {value:.2g}'
        f", noise {noise:.1g}</title></circle>"
        for step, value, noise in zip(h, R, eta, strict=True)
        if 0 < value < math.inf
        for x, y in [place(step, value).split(",")]
    )
    noise = " ".join(place(step, value) for step, value in zip(h, eta, strict=True) if 0 < value < math.inf)
    return (
        f'<figure class="plot"><svg role="img" aria-label="the remainder against the step" viewBox="-6 -6 {WIDTH + 12} '
        f'{HEIGHT + 12}" width="{WIDTH + 12}" height="{HEIGHT + 12}"><rect class="frame" x="-5" y="-5" '
        f'width="{WIDTH + 10}" height="{HEIGHT + 10}"/><polyline class="noise" points="{noise}"/>{dots}</svg>'
        f"<figcaption>remainder (dots) and noise (line), {10**low:.0e} to {10**high:.0e}, against h, {min(h):.0e} to "
        f"{max(h):.0e}; both axes logarithmic</figcaption></figure>"
    )

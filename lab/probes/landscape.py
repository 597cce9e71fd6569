"""The loss in the plane of the two leading eigenvectors, and the path that training walked, projected on it.

The plane is θ + a v₁ + b v₂, θ and the vectors being the step's own; θ_s of an earlier step lies at
(v₁ᵀ(θ_s − θ), v₂ᵀ(θ_s − θ)), and seldom in the plane. It reaches as far as the path does, and at least as far as the
quadratic λ a²/2 takes to rise by an eighth of the loss. Where the model is linear in θ, logits are z + a Xv₁ + b Xv₂.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from torch import Tensor

from lab.picture.canvas import BAR, Canvas, Point, short, smooth
from lab.picture.palette import sequential
from lab.probe import Probe, Reading, Step
from lab.probes._leading import leading
from lab.problem import Problem
from lab.record import Picture

SIDE, LEFT, TOP, RIGHT, BOTTOM = 400, 66, 52, 80, 48
LEVELS = 24  # bands of colour: where one ends is a contour line
STOPS, MEMORY = 64, 64 << 20  # of the path: how many are kept, and in how many bytes at most


@dataclass(frozen=True)
class Landscape(Probe):
    """Draw the loss of the training set at `points` × `points` places in the plane of most curvature, and the path.

    Of more than `rows` rows, that many are used, evenly spread.
    """

    every: Annotated[int, Ge(1)] = 100
    points: Annotated[int, Ge(5)] = 21
    """Points along each of the two directions."""
    rows: Annotated[int, Ge(1)] = 4096
    """At most so many training rows are looked at."""

    def due(self, step: Step) -> bool:
        """Every step is, for it may be a stop of the path."""
        return True

    def measure(self, step: Step) -> Mapping[str, Reading]:
        _walk(step.memory, step)
        if not super().due(step):
            return {}
        values, vectors = leading(step)
        if vectors.shape[1] < 2 or not float(values[0]) > 0:
            return {}
        V = vectors[:, :2]
        stops = torch.stack([*step.memory["path"], step.theta]).to(step.theta).reshape(-1, step.theta.numel())
        path = ((stops - step.theta.reshape(-1)) @ V).double().cpu().numpy()
        reach = [_reach(path[:, i], float(values[i]), float(values[0]), float(step.value)) for i in range(2)]
        problem, of = _fewer(step.full, self.rows)
        loss = _losses(problem, step.theta, V, [np.linspace(-r, r, self.points) for r in reach])
        if not np.isfinite(loss).any():
            return {}
        title = f"loss in the plane of eigenvectors 1 and 2, step {step.t}{of}"
        return {"picture/landscape": draw(loss, reach, path, title)}


def _walk(memory: dict[str, Any], step: Step) -> None:
    """Keep θ, or not: when there are too many stops every second one is forgotten, and steps are twice as long."""
    stride, path = memory.get("stride", 1), memory.get("path", [])
    if step.t % stride == 0:
        path = [*path, step.theta.clone()]  # a new list: the old one may be waiting to be saved
    if len(path) > max(4, min(STOPS, MEMORY // (step.theta.numel() * step.theta.element_size()))):
        stride, path = 2 * stride, path[::2]
    memory.update(stride=stride, path=path)


def _reach(along: NDArray[np.float64], value: float, largest: float, loss: float) -> float:
    """How far the plane reaches on either side of θ."""
    rise = math.sqrt(max(loss, 0.0) / 4 / max(value, 1e-3 * largest))
    return max(1.3 * float(np.abs(along).max()), rise, 1e-6)


def _fewer(problem: Problem, rows: int) -> tuple[Problem, str]:
    """The problem with no more than so many rows, and words that say so."""
    by = math.ceil(problem.N / rows)
    if by == 1:
        return problem, ""
    return replace(problem, X=problem.X[::by], y=problem.y[::by], outputs=problem.shape[1]), f", every {by}th row"


def _losses(problem: Problem, theta: Tensor, V: Tensor, places: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """L(θ + a v₁ + b v₂), (points, points): a row for each b, from the lowest up."""
    V1, V2 = (v.reshape(theta.shape) for v in V.unbind(1))
    make = _linear if problem.model.is_product else _plain
    at = make(problem, theta, V1, V2, torch.from_numpy(places[0]).to(theta))
    return np.stack([at(float(b)).double().cpu().numpy() for b in places[1]])


def _plain(problem: Problem, theta: Tensor, V1: Tensor, V2: Tensor, places: Tensor) -> Callable[[float], Tensor]:
    """The losses at every a of `places` (n,) for a given b."""
    return lambda b: torch.stack([problem.value(theta + float(a) * V1 + b * V2) for a in places])


def _linear(problem: Problem, theta: Tensor, V1: Tensor, V2: Tensor, places: Tensor) -> Callable[[float], Tensor]:
    """The same from logits that are made once, those of every a below one another; in float32, for LEVELS colours."""
    (z, Z1, Z2), n = (problem.model.forward(problem.X, W).float() for W in (theta, V1, V2)), len(places)
    along = places.float()[:, None, None] * Z1  # (n, N, K)
    y = problem.y.repeat(n, *[1] * (problem.y.dim() - 1))
    y = y.float() if y.is_floating_point() else y

    def values(b: float) -> Tensor:
        rows = problem.loss.value((along + (z + b * Z2)).flatten(0, 1), y)
        means = rows.reshape(n, -1).sum(dim=1) / problem.divisor
        if problem.ridge:
            W = theta + b * V2 + places[:, None, None] * V1
            means = means + problem.ridge / 2 * (problem.mask * W.square()).sum(dim=(1, 2))
        return means

    return values


def draw(loss: NDArray[np.float64], reach: list[float], path: NDArray[np.float64], title: str) -> Picture:
    """The picture of losses (rows b upwards, columns a) within ±reach, and of a path (stops, 2) that ends at 0."""
    canvas = Canvas(LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM)
    positive = bool((loss > 0).all())
    heights = np.log10(loss) if positive else loss
    finite = heights[np.isfinite(heights)]
    low, high = float(finite.min()), float(finite.max())
    share = (smooth(np.nan_to_num(heights, posinf=high), SIDE, SIDE) - low) / ((high - low) or 1.0)
    bands = (np.clip(share, 0, 1 - 1e-9) * LEVELS).astype(int) / (LEVELS - 1)
    canvas.field(sequential(bands[::-1]), (LEFT, TOP, SIDE, SIDE))
    canvas.frame((LEFT, TOP, SIDE, SIDE))
    canvas.words((LEFT, 8), title)
    for i, place in enumerate((0.0, 0.5, 1.0)):
        a, b = ((2 * place - 1) * r for r in reach)
        canvas.words((LEFT + place * SIDE, TOP + SIDE + 6), short(a), anchor=("la", "ma", "ra")[i], size=13)
        canvas.words((LEFT - 6, TOP + (1 - place) * SIDE), short(b), anchor=("rs", "rm", "ra")[i], size=13)
    canvas.words((LEFT + SIDE / 2, TOP + SIDE + 24), "along eigenvector 1", anchor="ma", size=13)
    canvas.words((LEFT - 6, TOP - 6), "along 2", anchor="rs", size=13)
    _draw_path(canvas, [_placed(stop, reach) for stop in path])
    levels = [(s, low + s * (high - low)) for s in (0.0, 0.5, 1.0)]
    colours = sequential((np.arange(LEVELS) / (LEVELS - 1)).repeat(5))
    ticks = [(s, short(10**level if positive else level)) for s, level in levels]
    canvas.scale((LEFT + SIDE + 14, TOP, BAR, SIDE), colours, ticks)
    return canvas.picture(
        "The loss L(θ + a v₁ + b v₂) around the step's θ (red), v₁ and v₂ being the Hessian's leading eigenvectors, "
        + ("on a logarithmic scale of colours" if positive else "on a linear scale of colours")
        + "; white is the path that training walked, from its start (ring) on, projected on the plane."
    )


def _placed(stop: NDArray[np.float64], reach: list[float]) -> Point:
    a, b = (float(x) / r for x, r in zip(stop, reach, strict=True))
    return LEFT + (1 + a) / 2 * SIDE, TOP + (1 - b) / 2 * SIDE


def _draw_path(canvas: Canvas, stops: list[Point]) -> None:
    canvas.line(stops, (255, 255, 255), 2)
    for stop in stops[1:-1]:
        canvas.dot(stop, 2, (255, 255, 255))
    canvas.dot(stops[0], 5, (255, 255, 255))
    canvas.dot(stops[-1], 4, (214, 39, 40))

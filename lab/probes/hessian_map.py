"""The Hessian as a heat map, its rows and columns gathered by class.

θ (D, K) is laid out as d·K + k; here row (k, d) comes after row (k, d − 1), so that block (k, l) of the picture is
Xᵀ diag(h_kl) X/N, the curvature between two columns of θ: positive on the diagonal, for softmax negative beside it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from torch import Tensor

from lab.picture.canvas import BAR, Canvas, short
from lab.picture.palette import diverging
from lab.probe import Probe, Reading, Step
from lab.probes._leading import classes_of
from lab.record import Picture

SIDE = 400  # about how many pixels the map is wide
LEFT, TOP, RIGHT = 96, 50, 88


@dataclass(frozen=True)
class HessianMap(Probe):
    """Draw the Hessian of the whole training set in blocks of classes, up to `most` parameters."""

    every: Annotated[int, Ge(1)] = 100
    most: Annotated[int, Ge(1)] = 2048
    """No picture is made of more parameters than this."""

    def measure(self, step: Step) -> Mapping[str, Reading]:
        P = step.theta.numel()
        if self.most < P:
            return {"picture/hessian/left_out": f"{P} parameters are more than probes.hessian_map.most, {self.most}"}
        H = step.curvature.dense
        if not torch.isfinite(H).all():
            return {}
        return {"picture/hessian": draw(H, step.theta.shape[0], classes_of(step), step.t)}


def by_class(H: Tensor, D: int, K: int) -> Tensor:
    """H (D·K, D·K) as (K, D, K, D): block (k, l) is [k, :, l, :]."""
    return H.view(D, K, D, K).permute(1, 0, 3, 2)


def draw(H: Tensor, D: int, classes: tuple[str, ...], t: int) -> Picture:
    """The picture of H at step t; where it has more entries than pixels, the one of largest size stands for several."""
    K = len(classes)
    pooled, by = _pooled(by_class(H, D, K), math.ceil(D * K / SIDE))
    n = pooled.shape[0]
    largest = float(np.abs(pooled).max()) or 1.0
    side = n * max(1, SIDE // n)
    canvas = Canvas(LEFT + side + RIGHT, TOP + side + 12)
    canvas.field(diverging(np.sign(pooled) * np.sqrt(np.abs(pooled) / largest)), (LEFT, TOP, side, side))
    canvas.words((LEFT, 6), f"Hessian by class, step {t}" + (f", 1 of {by} x {by} entries" if by > 1 else ""))
    for k, name in enumerate(classes):
        at = round(side * k / K)
        if k:
            canvas.line([(LEFT + at, TOP), (LEFT + at, TOP + side)])
            canvas.line([(LEFT, TOP + at), (LEFT + side, TOP + at)])
        if K <= 16:
            middle = round(side * (k + 0.5) / K)
            canvas.words((LEFT - 6, TOP + middle), name, anchor="rm", size=13)
            if K <= 5 or len(name) <= 3:
                canvas.words((LEFT + middle, TOP - 6), name, anchor="ms", size=13)
    canvas.frame((LEFT, TOP, side, side))
    ticks = [(0.5 + sign * share / 2, sign * share**2 * largest) for share in (1.0, 0.5) for sign in (1, -1)]
    scale = (LEFT + side + 14, TOP, BAR, side)
    canvas.scale(scale, diverging(np.linspace(-1, 1, 101)), [(0.5, "0"), *((at, short(v)) for at, v in ticks)])
    return canvas.picture(
        "∇²L(θ) of the whole training set. Block (k, l) is the curvature between the weights of class k and those of "
        "class l, a feature a row; colours go with the square root of an entry's size."
    )


def _pooled(blocks: Tensor, by: int) -> tuple[NDArray[np.float64], int]:
    """(K, D, K, D) as a square matrix, `by` × `by` neighbours in a block shown by the one of largest magnitude."""
    K, D = blocks.shape[:2]
    if by > 1:
        more = -D % by
        n = (D + more) // by
        padded = torch.nn.functional.pad(blocks, (0, more, 0, 0, 0, more))
        cells = padded.reshape(K, n, by, K, n, by).permute(0, 1, 3, 4, 2, 5).reshape(K, n, K, n, by * by)
        blocks = cells.gather(4, cells.abs().argmax(dim=4, keepdim=True))[..., 0]
    size = K * blocks.shape[1]
    return blocks.reshape(size, size).double().cpu().numpy(), by

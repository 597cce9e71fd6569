"""Where the largest eigenvectors point: how much of the gradient they hold, and how they turn from measure to measure.

V (P, k) has orthonormal eigenvectors of the k largest eigenvalues. The share of the gradient in their span,
‖Vᵀg‖²/‖g‖², does not depend on how V is chosen in it; nor does the overlap of two spans, ‖V₀ᵀV‖²_F/k, 1 for the
same and about k/P for spans that know nothing of each other. A single vector's share is meant where its eigenvalue is
simple.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt

from lab.curvature import tracking
from lab.curvature.tracking import Tracked
from lab.probe import Probe, Reading, Step


@dataclass(frozen=True)
class Alignment(Probe):
    """Log the `top` eigenvectors' shares of the training set's gradient, and their overlap with the last measured."""

    every: Annotated[int, Ge(1)] = 10
    top: Annotated[int, Ge(1)] = 5
    """How many leading eigenvectors."""
    tolerance: Annotated[float, Gt(0), Lt(1)] = 1e-4
    """How wide their eigenvalues may be known, relative to the largest."""

    def measure(self, step: Step) -> Mapping[str, Reading]:
        curvature = step.curvature
        if not step.full.model.is_product or not bool(torch.isfinite(curvature.diagonal).all()):
            return {}
        before = Tracked.of(step.memory, step.theta) if step.memory else None
        k = min(self.top, curvature.P)
        found = tracking.track(curvature, k, self.tolerance, before, step.seed)
        if found.vectors is None:  # H overflows, in all units
            return {}
        V = found.vectors[:, :k]
        g = step.gradient if step.problem is step.full else step.full.gradient(step.theta)
        g = g.reshape(-1) / g.abs().max().clamp(min=torch.finfo(g.dtype).tiny)  # so that squares do not overflow
        shares = (V.T @ g).square() / g.square().sum().clamp(min=torch.finfo(g.dtype).tiny)
        readings: dict[str, Reading] = {"alignment/gradient": float(shares.sum())}
        readings |= {f"alignment/gradient_{i}": share for i, share in enumerate(shares.tolist(), start=1)}
        if before is not None and before.vectors is not None:
            readings["alignment/last"] = float((before.vectors[:, :k].T @ V).square().sum()) / k
        step.memory.clear()
        step.memory.update(found.state())
        return readings

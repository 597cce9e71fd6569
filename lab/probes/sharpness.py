"""Sharpness as the optimizer sees it, against the limit beyond which its own steps are unstable.

An optimizer that scales each coordinate by a P (Adam's √v, say) descends on a quadratic whose curvature is
S = P^{−1/2} H P^{−1/2}; momentum moves the limit (`lab.stability`). With d = P^{−1/2}, S V = d∘H(d∘V), its trace is
Σ d² diag H. Where rounding leaves the interval wide, as in float32 it may, no share of the limit is told.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from lab import spectrum
from lab.curvature import bounds, certificate, krylov, plan
from lab.curvature.bounds import Enclosure
from lab.curvature.certificate import CHANCE
from lab.curvature.operator import Curvature
from lab.curvature.ritz import Ritz
from lab.probe import Probe, Reading, Step

WIDTH = 8  # of the block that looks for one eigenvalue


@dataclass(frozen=True)
class Sharpness(Probe):
    """Log the largest eigenvalue of the preconditioned Hessian, with its interval, and its share of the limit.

    `stability/share`, in an interval as well, is to be read against 1, for gradient descent, momentum, Nesterov's,
    Adam, RMSprop and Adagrad; other optimizers have no reading. The Hessian is the whole training set's.
    """

    every: Annotated[int, Ge(1)] = 10
    tolerance: Annotated[float, Gt(0), Lt(1)] = 0.01
    """How wide its interval may be, relative to itself."""

    def measure(self, step: Step) -> Mapping[str, Reading]:
        curvature, stability = step.curvature, step.stability
        if stability is None or not step.full.model.is_product or not bool(torch.isfinite(curvature.diagonal).all()):
            return {}
        scale = torch.ones_like(step.theta) if stability.scale is None else stability.scale.to(step.theta)
        d = scale.double().rsqrt().reshape(-1, 1)
        if not math.isfinite(_trace(curvature, d)) or not math.isfinite(curvature.trace):
            return {}
        found = largest(curvature, d, self.tolerance, step.seed)
        lower, upper = float(found.lower[0]), float(found.upper[0])
        best = lower if found.chance else (lower + upper) / 2
        readings: dict[str, Reading] = {
            "stability/sharpness/lower": lower,
            "stability/sharpness/upper": upper,
            "stability/limit": stability.limit,
        }
        widest = self.tolerance + _ease(self.tolerance)
        if not found.width <= widest:
            return {**readings, "stability/certainty": f"not converged: the interval is wider than {widest:g} of it"}
        # The lower end is a Rayleigh quotient, which is near; an upper end that rests on chance is eased.
        least, share, most = ((at / stability.limit if stability.limit else math.inf) for at in (lower, best, upper))
        ends = {"stability/share/lower": least, "stability/share/upper": most}
        return {**readings, **ends, "stability/share": share, "stability/certainty": found.how}


def largest(curvature: Curvature, d: Tensor, tolerance: float, seed: int) -> Enclosure:
    """Enclose the largest eigenvalue of diag(d) H diag(d), d (P, 1) in double: by LAPACK where that is cheap.

    By products d is rounded to H's precision, each d_i by a factor within 1 ± u, and so the eigenvalue by its square.
    """
    if plan.choose(curvature, 1).method == "dense":
        curvature, most = curvature.in_double, _trace(curvature.in_double, d)
        error = curvature.rounding_between(d) + 8 * torch.finfo(d.dtype).eps * most  # the root in d rounds too
        whole = spectrum.dense(d * curvature.dense * d.T, error=error)
        return Enclosure(whole.lower[:1].cpu(), whole.upper[:1].cpu())
    d = d.to(curvature.theta)
    product, unit = krylov.in_units(lambda V: d * curvature(d * V), _trace(curvature, d))
    found = _by_products(curvature, d, product, unit, tolerance, seed)
    moved = 4 * torch.finfo(d.dtype).eps * found.upper.abs()
    lower, upper = bounds.times(found.lower - moved, unit, up=False), bounds.times(found.upper + moved, unit, up=True)
    return replace(found, lower=lower, upper=upper)


def _trace(curvature: Curvature, d: Tensor) -> float:
    """Σ d² diag H: no eigenvalue is above that."""
    return float((d[:, 0].double().square() * curvature.diagonal.double()).sum()) * (1 + 1e-6)


def _by_products(
    curvature: Curvature, d: Tensor, product: krylov.Product, unit: float, tolerance: float, seed: int
) -> Enclosure:
    """The largest eigenvalue in units of `unit`, by products in them."""
    most, rounding = _trace(curvature, d) / unit, curvature.rounding_between(d) / unit
    start = krylov.random_block(curvature.P, WIDTH, seed + 1, d)
    m = start.shape[1]

    def still(ritz: Ritz) -> bool:
        return float(ritz.residuals[0]) <= max(0.1 * tolerance * float(ritz.values[0]), 2 * ritz.error)

    ritz = krylov.search(product, start, still, 3 * m, 40 * m, rounding, most)
    rest = certificate.by_chance(product, ritz, m, 0.0, seed, CHANCE, _ease(tolerance), rounding)
    return certificate.enclose(ritz, bounds.beyond(m, rest, CHANCE), 1, rest)


def _ease(tolerance: float) -> float:
    """By how much a proof by chance is eased: less would take many more products."""
    return min(max(tolerance, 0.05), 0.5)

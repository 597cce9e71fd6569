"""The leading eigenvectors of the whole training set's Hessian, found once for all probes of a step that draw them."""

import torch
from torch import Tensor

from lab.curvature import krylov
from lab.probe import Step

VECTORS = 5
DENSE = 2048  # parameters: up to here the matrix is made, and products with it cost nothing beside
_GUARD, _ENOUGH = 2, 1e-3  # spare vectors; residuals, as a share of the largest eigenvalue, that an eye cannot see


def leading(step: Step) -> tuple[Tensor, Tensor]:
    """The largest eigenvalues (m,) and their eigenvectors (P, m) at θ, m ≤ 5; their largest entries are positive.

    They are good for a picture: residuals are below a thousandth of λ₁, or what 400 products gave. There are none
    (m = 0) where the Hessian is not finite.
    """
    if not torch.isfinite(step.curvature.diagonal).all():  # |H_ij| ≤ √(H_ii H_jj)
        return step.theta.new_zeros(0), step.theta.new_zeros(step.theta.numel(), 0)
    if "leading" not in step.seen:
        curvature, m = step.curvature, min(VECTORS, step.theta.numel())
        width = min(m + _GUARD, curvature.P)
        H = curvature.dense if curvature.P <= DENSE else None
        product, unit = krylov.in_units(curvature if H is None else lambda V: H @ V, curvature.trace)
        ritz = krylov.search(
            product,
            krylov.random_block(curvature.P, width, step.seed, step.theta),
            lambda r: bool(r.residuals[:m].max() <= _ENOUGH * r.values[0].abs()),
            limit=8 * width,
            budget=60 * width,
        )
        vectors = ritz.vectors[:, :m]
        largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
        step.seen["leading"] = (ritz.values[:m] * unit, vectors * torch.where(largest < 0, -1.0, 1.0).to(vectors))
    values, vectors = step.seen["leading"]
    return values, vectors


def classes_of(step: Step) -> tuple[str, ...]:
    """Names of θ's columns, short enough for a picture."""
    K = step.theta.shape[1]
    names = step.classes if len(step.classes) == K else tuple(map(str, range(K)))
    if K == 1:
        names = ("",)
    return tuple(name if len(name) <= 10 else name[:9] + "." for name in names)

"""The symmetry of the Hessian.   f: Rⁿ → R with continuous second partial derivatives (Schwarz, Clairaut).

∂²f/∂x_i∂x_j = ∂²f/∂x_j∂x_i,   H = Hᵀ.

Without continuity it fails: f = xy(x² − y²)/(x² + y²), f(0) = 0 (Peano), has ∂f/∂x = −y on the y axis and ∂f/∂y = x on
the x axis, so at 0 ∂/∂y ∂f/∂x = −1 and ∂/∂x ∂f/∂y = 1. Its gradient at 0 is 0, for f = 0 on both axes, and along an
axis it is linear: a difference quotient of it is its derivative, at any step.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab import oracle
from lab.evidence import Evidence, Role, equality, gamma, hessian
from lab.identities._scalar import scalar, size
from lab.identity import JACOBIAN_HESSIAN, Identity, Judgement, normal


def peano(x: Tensor) -> Tensor:
    """A function away from 0 whose second partial derivatives do not commute at 0."""
    return x[0] * x[1] * (x[0] ** 2 - x[1] ** 2) / (x @ x)


class HessianSymmetry(Identity):
    """H = Hᵀ where the second partial derivatives are continuous."""

    statement = "∂²f/∂x_i∂x_j = ∂²f/∂x_j∂x_i, H = Hᵀ, second partials continuous"
    source, heading = JACOBIAN_HESSIAN, "Hessian Matrix"
    expected = Judgement.CONDITION
    remark = "The source names the condition. Peano's function has −1 and 1 at 0, where its second partials jump."

    def claim(self, H: Tensor) -> Tensor:
        """Hᵀ, (n, n)."""
        return H.T

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        x = normal(rng, 3)
        H = hessian(scalar, x)
        yield equality("x₁²x₂ + x₂ sin x₃ + x₁ e^{x₃}", self.claim(H), H, 2 * gamma(12) * size(x))
        for h in (1e-2, 1e-5):
            steps = h * torch.eye(2, dtype=x.dtype)
            M = torch.stack([oracle.gradient(peano, step) / h for step in steps])
            what = f"Peano's function at 0, by a step of {h:g}"
            yield equality(what, self.claim(M), M, 2 * gamma(24), Role.OUTSIDE)

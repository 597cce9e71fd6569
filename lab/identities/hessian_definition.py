"""The Hessian's definition, entry by entry.   f: Rⁿ → R, H (n, n).

H_ij = ∂²f/∂x_i∂x_j.

Example     f(x) = x₁²x₂ + x₂ sin x₃ + x₁ e^{x₃}:   H₁₁ = 2x₂, H₁₂ = 2x₁, H₁₃ = e^{x₃}, H₂₂ = 0, H₂₃ = cos x₃,
            H₃₃ = −x₂ sin x₃ + x₁ e^{x₃}.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, gamma, second_derivative
from lab.identities._scalar import scalar, size
from lab.identity import JACOBIAN_HESSIAN, Identity, drawn, normal


class HessianDefinition(Identity):
    """H_ij = ∂²f/∂x_i∂x_j."""

    statement = "H_ij = ∂²f/∂x_i∂x_j"
    source, heading = JACOBIAN_HESSIAN, "Hessian Matrix"

    def claim(self, x: Tensor) -> Tensor:
        """The Hessian of the example, (3, 3)."""
        a, b, c = x
        e, cos, last = c.exp(), c.cos(), a * c.exp() - b * c.sin()
        rows = [[2 * b, 2 * a, e], [2 * a, 0 * b, cos], [e, cos, last]]
        return torch.stack([torch.stack(row) for row in rows])

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        for _ in range(2):
            x = normal(rng, 3)
            bound = gamma(12) * size(x)
            what = f"x₁²x₂ + x₂ sin x₃ + x₁ e^{{x₃}}, entries by hand at {drawn(x)}"
            yield second_derivative(what, scalar, x, self.claim(x), bound)

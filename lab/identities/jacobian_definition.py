"""The Jacobian's definition, entry by entry.   f: Rᵐ → Rⁿ (as the source has the letters), J (n, m).

J_ij = ∂f_i/∂x_j: an output in each row, an input in each column.

Example     f(x) = (x₁²x₂ + x₃, x₁x₂x₃), from R³ to R².
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, derivative, gamma
from lab.identity import JACOBIAN_HESSIAN, Identity, normal


class JacobianDefinition(Identity):
    """J_ij = ∂f_i/∂x_j, (n, m) for f: Rᵐ → Rⁿ."""

    statement = "J_ij = ∂f_i/∂x_j, n×m for f: Rᵐ → Rⁿ"
    source, heading = JACOBIAN_HESSIAN, "Jacobian Matrix"

    def claim(self, x: Tensor) -> Tensor:
        """The Jacobian of the example, (2, 3)."""
        a, b, c = x
        return torch.stack([torch.stack([2 * a * b, a * a, torch.ones_like(a)]), torch.stack([b * c, a * c, a * b])])

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        def f(x: Tensor) -> Tensor:
            return torch.stack([x[0] ** 2 * x[1] + x[2], x[0] * x[1] * x[2]])

        x = normal(rng, 3)
        bound = gamma(6) * float((1 + x.abs().max()) ** 2)
        yield derivative("f: R³ → R², J 2×3", f, x, self.claim(x), bound)

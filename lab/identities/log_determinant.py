"""The log-determinant.   A (n, n), invertible.

∂ det A/∂A_ij = cof_ij (det is linear in each row), and cof A = det(A) A⁻ᵀ, so ∂ log|det A|/∂A = cof A/det A = A⁻ᵀ.

True of it  log|det| does not see the sign of det, and neither does its gradient: judged at both.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, derivative, gamma
from lab.identities._determinant import cofactors, determinant, inverse_error, leibniz_gamma
from lab.identity import RULES, Identity, normal


class LogDeterminant(Identity):
    """∂ log|det A|/∂A = A⁻ᵀ."""

    statement = "∂/∂A log|det A| = A⁻ᵀ, A invertible"
    source, heading = RULES, "Derivative Rules 4"
    remark = "The source names its conditions. Entries must be free: for a symmetric A see quadratic_form_matrix."

    def claim(self, A: Tensor) -> Tensor:
        """A⁻ᵀ, (n, n)."""
        inverse: Tensor = torch.linalg.inv_ex(A)[0]
        return inverse.T

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        A = normal(rng, 4, 4) + 2 * torch.eye(4, dtype=torch.float64)
        for B, what in ((A, "one orientation"), (A[[1, 0, 2, 3]], "the other, two rows exchanged")):
            d, scale = determinant(B), determinant(B.abs(), signed=False)
            ratio = cofactors(B).abs() / d.abs()
            spread = leibniz_gamma(4) * (cofactors(B.abs(), signed=False) + ratio * scale) / d.abs()
            bound = inverse_error(B).T + 2 * spread + gamma(4) * ratio
            which = f"{what}, det A = {float(d):.3g}"
            yield derivative(which, lambda A: determinant(A).abs().log(), B, self.claim(B), bound)

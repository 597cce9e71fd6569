"""The gradient of the determinant.   A (n, n).

det is linear in each row: det A = Σ_j A_ij cof_ij for every i, and cof_ij does not contain row i. So ∂ det A/∂A_ij =
cof_ij; where A is invertible, cof A = det(A) A⁻ᵀ.

True of it  A polynomial is differentiable everywhere: at a singular A the gradient is cof A, while det(A) A⁻ᵀ is 0 · ∞.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, derivative
from lab.identities import _determinant as by_leibniz
from lab.identity import RULES, Identity, Judgement, normal


class Determinant(Identity):
    """∂ det A/∂A = det(A) A⁻ᵀ for an invertible A."""

    statement = "∂/∂A det A = det(A) A⁻ᵀ, A invertible"
    source, heading = RULES, "Derivative Rules 5"
    expected = Judgement.CONDITION
    remark = "The source names the condition. The cofactor matrix is the gradient at every A, singular or not."

    def claim(self, A: Tensor) -> Tensor:
        """det(A) A⁻ᵀ, (n, n)."""
        det: Tensor = torch.linalg.det(A)
        inverse: Tensor = torch.linalg.inv_ex(A)[0]
        return det * inverse.T

    def mend(self, A: Tensor) -> Tensor:
        """The cofactors of A, (n, n)."""
        return by_leibniz.cofactors(A)

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        A, f = normal(rng, 4, 4), by_leibniz.determinant
        inverse, det = torch.linalg.inv(A).abs(), torch.linalg.det(A).abs()
        of_det = det * (inverse.T * by_leibniz.lu_error(A)).sum()
        bound = det * by_leibniz.inverse_error(A).T + 2 * of_det * inverse.T + self._leibniz(A)
        yield derivative(f"A 4×4, det A = {float(f(A)):.3g}", f, A, self.claim(A), bound)
        S = torch.tensor([[1, 2, 0, -1], [2, 4, 0, -2], [0, 1, 3, 1], [1, 0, 1, 5]], dtype=A.dtype)
        yield derivative("det(A) A⁻ᵀ, A of rank 3", f, S, self.claim(S), self._leibniz(S), Role.OUTSIDE)
        yield derivative("cofactors, A of rank 3", f, S, self.mend(S), self._leibniz(S), Role.MEND)

    def _leibniz(self, A: Tensor) -> Tensor:
        return by_leibniz.leibniz_gamma(len(A)) * by_leibniz.cofactors(A.abs(), signed=False)

"""The determinant is the product of the eigenvalues.   A (n, n), real.

det(λI − A) = ∏(λ − λ_i) at λ = 0:  (−1)ⁿ det A = (−1)ⁿ ∏λ_i.

True of it  Each eigenvalue counts as often as it is a root, complex ones included; one zero makes A singular.
Numerics    The λ are those of A + E, ‖E‖_F ≤ n ε ‖A‖_F in practice, and |δ det| ≤ ‖cof A‖_F ‖E‖_F to first order.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, equality, gamma
from lab.identities._determinant import cofactors, determinant, leibniz_gamma
from lab.identity import RULES, Identity, Judgement, normal


class EigenvaluesDeterminant(Identity):
    """det A = ∏ λ_i."""

    statement = "det A = ∏ᵢ λᵢ"
    source, heading = RULES, "Useful Identities 5"
    expected = Judgement.CONDITION
    remark = "A is square; all n eigenvalues count, the complex ones too, each with its algebraic multiplicity."

    def claim(self, values: Tensor) -> Tensor:
        """∏ λ_i, a real number, from complex eigenvalues."""
        return values.prod().real

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        A = normal(rng, 4, 4)
        values = torch.linalg.eigvals(A)
        of_values = 2 * (4 * 2 * gamma(1) * A.norm() * cofactors(A).norm() + gamma(8) * values.abs().prod())
        bound = of_values + leibniz_gamma(4) * determinant(A.abs(), signed=False)
        yield equality("all eigenvalues, A 4×4", self.claim(values), determinant(A), bound)
        shear = torch.tensor([[2.0, 1.0], [0.0, 2.0]], dtype=A.dtype)
        once = torch.linalg.eigvals(shear)[:1]
        what = "a double eigenvalue 2 counted once"
        yield equality(what, self.claim(once), determinant(shear), gamma(99), Role.OUTSIDE)

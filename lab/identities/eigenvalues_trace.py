"""The trace is the sum of the eigenvalues.   A (n, n), real.

det(λI − A) = ∏(λ − λ_i); the coefficient of λ^{n−1} is −Tr A on the left and −Σλ_i on the right.

True of it  Complex eigenvalues come in conjugate pairs, so the sum is real. Each counts as often as it is a root.
Numerics    The computed λ are exact for A + E, ‖E‖_F ≤ n ε ‖A‖_F in practice (Golub & Van Loan, Matrix Computations,
            4th ed., §7.5.6), and |Tr E| ≤ √n ‖E‖_F.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, equality, gamma
from lab.identity import RULES, Identity, Judgement, normal


class EigenvaluesTrace(Identity):
    """Tr A = Σ λ_i."""

    statement = "Tr A = Σᵢ λᵢ"
    source, heading = RULES, "Useful Identities 4"
    expected = Judgement.CONDITION
    remark = "A is square; all n eigenvalues count, the complex ones too, each with its algebraic multiplicity."

    def claim(self, values: Tensor) -> Tensor:
        """Σ λ_i, a real number, from complex eigenvalues."""
        return values.sum().real

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        A = normal(rng, 5, 5)
        values = torch.linalg.eigvals(A)
        bound = 5**1.5 * 2 * gamma(1) * 5**0.5 * A.norm() + gamma(5) * (values.abs().sum() + A.diagonal().abs().sum())
        yield equality("all eigenvalues, A 5×5", self.claim(values), A.trace(), bound)
        quarter = torch.tensor([[3.0, -4.0], [4.0, 3.0]], dtype=A.dtype)  # 3 ± 4i
        real = [value for value in torch.linalg.eigvals(quarter) if not value.imag]
        only = torch.stack(real) if real else torch.zeros(0, dtype=torch.complex128)
        yield equality("real eigenvalues only, of 3 ± 4i", self.claim(only), quarter.trace(), gamma(99), Role.OUTSIDE)
        shear = torch.tensor([[2.0, 1.0], [0.0, 2.0]], dtype=A.dtype)
        once = torch.linalg.eigvals(shear)[:1]
        yield equality("a double eigenvalue 2 counted once", self.claim(once), shear.trace(), gamma(99), Role.OUTSIDE)

"""The gradient of a quadratic form, symmetric matrix.   x (n,), A = Aᵀ (n, n).

∇(xᵀAx) = (A + Aᵀ)x = 2Ax. Where A ≠ Aᵀ the form sees only A's symmetric part, and 2Ax is wrong by (A − Aᵀ)x.
"""

from collections.abc import Iterator

from torch import Generator, Tensor

from lab.evidence import Evidence, Role, derivative, gamma
from lab.identity import RULES, Identity, Judgement, normal, symmetric


class QuadraticFormSymmetric(Identity):
    """∇(xᵀAx) = 2Ax for a symmetric A."""

    statement = "∇ₓ xᵀAx = 2Ax, A symmetric"
    source, heading = RULES, "Derivative Rules 1"
    expected = Judgement.CONDITION
    remark = "The source names the condition, and what is right without it: (A + Aᵀ)x."

    def claim(self, A: Tensor, x: Tensor) -> Tensor:
        """2Ax, (n,)."""
        return 2 * A @ x

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        S, A, x = symmetric(rng, 5), normal(rng, 5, 5), normal(rng, 5)

        def against(what: str, B: Tensor, role: Role) -> Evidence:
            bound = gamma(5 + 3) * (B.abs() + B.abs().T) @ x.abs()
            return derivative(what, lambda x: x @ B @ x, x, self.claim(B, x), bound, role)

        yield against("A symmetric", S, Role.CLAIM)
        yield against("A not symmetric", A, Role.OUTSIDE)

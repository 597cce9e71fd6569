"""The gradient of a quadratic function.   x, b (n,), A (n, n), c a number.

∇(xᵀAx) = (A + Aᵀ)x, ∇(bᵀx) = b, ∇c = 0;   so ∇f = (A + Aᵀ)x + b, and 2Ax + b where A = Aᵀ.
"""

from collections.abc import Iterator

from torch import Generator, Tensor

from lab.evidence import Evidence, Role, derivative, gamma
from lab.identity import RULES, Identity, Judgement, normal, symmetric


class QuadraticAffine(Identity):
    """∇(xᵀAx + bᵀx + c) = 2Ax + b for a symmetric A."""

    statement = "∇ₓ (xᵀAx + bᵀx + c) = 2Ax + b, A symmetric"
    source, heading = RULES, "Derivative Rules 7"
    expected = Judgement.CONDITION
    remark = "The source names the condition. Without it the gradient is (A + Aᵀ)x + b."

    def claim(self, A: Tensor, b: Tensor, x: Tensor) -> Tensor:
        """2Ax + b, (n,)."""
        return 2 * A @ x + b

    def mend(self, A: Tensor, b: Tensor, x: Tensor) -> Tensor:
        """(A + Aᵀ)x + b, (n,), for any A."""
        return (A + A.T) @ x + b

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        S, A, b, x = symmetric(rng, 4), normal(rng, 4, 4), normal(rng, 4), normal(rng, 4)

        def against(what: str, B: Tensor, ours: Tensor, role: Role) -> Evidence:
            bound = gamma(4 + 4) * ((B.abs() + B.abs().T) @ x.abs() + b.abs())
            return derivative(what, lambda x: x @ B @ x + b @ x + 3, x, ours, bound, role)

        yield against("A symmetric", S, self.claim(S, b, x), Role.CLAIM)
        yield against("2Ax + b, A not symmetric", A, self.claim(A, b, x), Role.OUTSIDE)
        yield against("(A + Aᵀ)x + b, A not symmetric", A, self.mend(A, b, x), Role.MEND)

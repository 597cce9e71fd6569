"""The Hessian of a quadratic form.   x (n,), A (n, n).

∇(xᵀAx) = (A + Aᵀ)x is linear, so its Jacobian is A + Aᵀ: symmetric, as a Hessian must be. A = Aᵀ makes it 2A.
"""

from collections.abc import Iterator

from torch import Generator, Tensor

from lab.evidence import Evidence, Role, gamma, second_derivative
from lab.identity import RULES, Identity, Judgement, normal, symmetric


class QuadraticFormHessian(Identity):
    """∇²(xᵀAx) = 2A for a symmetric A."""

    statement = "∇²ₓ xᵀAx = 2A, A symmetric"
    source, heading = RULES, "Derivative Rules 10"
    expected = Judgement.CONDITION
    remark = "The source names the condition. Without it the Hessian is A + Aᵀ; 2A would not be symmetric."

    def claim(self, A: Tensor) -> Tensor:
        """2A, (n, n)."""
        return 2 * A

    def mend(self, A: Tensor) -> Tensor:
        """A + Aᵀ, (n, n), for any A."""
        return A + A.T

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        S, A, x = symmetric(rng, 4), normal(rng, 4, 4), normal(rng, 4)

        def against(what: str, B: Tensor, ours: Tensor, role: Role) -> Evidence:
            return second_derivative(what, lambda x: x @ B @ x, x, ours, gamma(4) * (B.abs() + B.abs().T), role)

        yield against("A symmetric", S, self.claim(S), Role.CLAIM)
        yield against("2A, A not symmetric", A, self.claim(A), Role.OUTSIDE)
        yield against("A + Aᵀ, A not symmetric", A, self.mend(A), Role.MEND)

"""The gradient of a quadratic form, any matrix.   x (n,), A (n, n).

f(x) = Σ_ij x_i A_ij x_j,   ∂f/∂x_k = Σ_j A_kj x_j + Σ_i x_i A_ik,   so ∇f = Ax + Aᵀx.
"""

from collections.abc import Iterator

from torch import Generator, Tensor

from lab.evidence import Evidence, derivative, gamma
from lab.identity import RULES, Identity, normal


class QuadraticForm(Identity):
    """∇(xᵀAx) = (A + Aᵀ)x."""

    statement = "∇ₓ xᵀAx = (A + Aᵀ)x"
    source, heading = RULES, "Derivative Rules 1"

    def claim(self, A: Tensor, x: Tensor) -> Tensor:
        """(A + Aᵀ)x, (n,)."""
        return (A + A.T) @ x

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        A, x = normal(rng, 5, 5), normal(rng, 5)
        bound = gamma(5 + 3) * (A.abs() + A.abs().T) @ x.abs()
        yield derivative("A 5×5, not symmetric", lambda x: x @ A @ x, x, self.claim(A, x), bound)

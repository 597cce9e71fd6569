"""The Jacobian of a matrix-vector product.   A (m, n), x (n,).

y_i = Σ_j A_ij x_j,   so ∂y_i/∂x_j = A_ij: the Jacobian (m, n) is A. (Of xᵀA by x it would be Aᵀ.)
"""

from collections.abc import Iterator

from torch import Generator, Tensor

from lab.evidence import Evidence, Role, derivative
from lab.identity import RULES, Identity, normal


class MatrixVector(Identity):
    """∂(Ax)/∂x = A."""

    statement = "∂(Ax)/∂x = A"
    source, heading = RULES, "Derivative Rules 9"
    remark = "Headed as a vector-matrix product, it is a matrix-vector product; that of xᵀA is Aᵀ."

    def claim(self, A: Tensor) -> Tensor:
        """A, (m, n)."""
        return A

    def mend(self, A: Tensor) -> Tensor:
        """Aᵀ, (n, m): the Jacobian of xᵀA, which the source's heading names."""
        return A.T

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        A, x, w = normal(rng, 3, 5), normal(rng, 5), normal(rng, 3)
        yield derivative("Ax, A 3×5", lambda x: A @ x, x, self.claim(A), 0)
        yield derivative("Aᵀ of the vector-matrix product xᵀA", lambda w: w @ A, w, self.mend(A), 0, Role.MEND)

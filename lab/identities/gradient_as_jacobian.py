"""The gradient as a Jacobian.   f: Rⁿ → R.

The Jacobian of one output is one row, (1, n), of partial derivatives: the gradient, a column (n,), transposed.

Example     f(x) = Σ a_i x_i³ has the partial derivatives 3 a_i x_i².
"""

from collections.abc import Iterator

from torch import Generator, Tensor

from lab.evidence import Evidence, derivative, gamma
from lab.identity import CROSS_ENTROPY, Identity, normal


class GradientAsJacobian(Identity):
    """For m = 1 the Jacobian is the gradient, transposed."""

    statement = "J = (∇f)ᵀ, 1×n, for f: Rⁿ → R"
    source, heading = CROSS_ENTROPY, "Jacobian"
    remark = "The transpose is left unsaid: J is a row and maps h to a number, ∇f is a column and a direction."

    def claim(self, a: Tensor, x: Tensor) -> Tensor:
        """(∇f)ᵀ of f = Σ a x³, (1, n)."""
        return (3 * a * x**2)[None, :]

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        a, x = normal(rng, 5), normal(rng, 5)
        J = self.claim(a, x)
        bound = gamma(8) * 3 * (a * x**2).abs()
        yield derivative("Jacobian 1×5 of Σ a x³", lambda x: (a * x**3).sum()[None], x, J, bound)
        yield derivative("gradient of Σ a x³", lambda x: (a * x**3).sum(), x, J.reshape(-1), bound)

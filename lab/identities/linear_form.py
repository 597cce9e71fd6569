"""The gradient of a linear form.   a, x (n,).

f(x) = Σ_i a_i x_i,   so ∂f/∂x_i = a_i. As a Jacobian of a number by a vector it is the row aᵀ.
"""

from collections.abc import Iterator

from torch import Generator, Tensor

from lab.evidence import Evidence, derivative
from lab.identity import RULES, Identity, normal


class LinearForm(Identity):
    """∂(aᵀx)/∂x = a."""

    statement = "∂/∂x aᵀx = a"
    source, heading = RULES, "Derivative Rules 3"
    remark = "Headed as a matrix-vector product, it is a dot product; the matrix's rule is number 9."

    def claim(self, a: Tensor) -> Tensor:
        """a, (n,)."""
        return a

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        a, x = normal(rng, 5), normal(rng, 5)
        yield derivative("a, x in R⁵", lambda x: a @ x, x, self.claim(a), 0)

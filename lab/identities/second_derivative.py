"""The second derivative as the change of the first.   f: Rⁿ → R.

∇f(x + h) = ∇f(x) + Hh + O(|h|²): H says how the gradient changes along a step, column by column of H how it does so
along each axis. So ∂²f/∂x_i∂x_j is the derivative by x_i of the derivative by x_j.
"""

from collections.abc import Iterator

from torch import Generator, Tensor

from lab import oracle
from lab.evidence import Evidence, gamma, hessian, remainder
from lab.identities._scalar import gradient_size, scalar
from lab.identity import JACOBIAN_HESSIAN, Identity, normal


class SecondDerivative(Identity):
    """∇f(x + h) − ∇f(x) = Hh + o(|h|)."""

    statement = "∇f(x + h) − ∇f(x) = H h + o(|h|)"
    source, heading = JACOBIAN_HESSIAN, "Second derivative and Curvature"

    def claim(self, H: Tensor, h: Tensor) -> Tensor:
        """Hh, (n,)."""
        return H @ h

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        x, v = normal(rng, 3), normal(rng, 3)
        H, start = hessian(scalar, x), oracle.gradient(scalar, x)
        eta = gamma(12) * float((gradient_size(x) + H.abs() @ (x.abs() + v.abs())).norm())

        def left(h: float) -> float:
            return float((oracle.gradient(scalar, x + h * v) - start - self.claim(H, h * v)).norm())

        yield remainder("order of the remainder", left, 2, lambda h: eta)

"""The Hessian as the Jacobian of the gradient.   f: Rⁿ → R, ∇f: Rⁿ → Rⁿ.

(J of ∇f)_ij = ∂(∇f)_i/∂x_j = ∂/∂x_j ∂f/∂x_i. Row i is the gradient of the i-th partial derivative. With the order of
the definition, H_ij = ∂/∂x_i ∂f/∂x_j, that is Hᵀ; the two are one where H is symmetric.

Judged with a gradient derived by hand, whose Jacobian the oracle takes, against the oracle's Hessian of f alone.
"""

from collections.abc import Iterator

from torch import Generator, Tensor

from lab.evidence import Evidence, Function, gamma, jacobian, second_derivative
from lab.identities._scalar import gradient, scalar, size
from lab.identity import JACOBIAN_HESSIAN, Identity, drawn, normal


class HessianAsJacobian(Identity):
    """H = J of ∇f."""

    statement = "H(f) = J(∇f)"
    source, heading = JACOBIAN_HESSIAN, "Hessian Matrix"
    remark = "By the letter J(∇f) is the transpose of the matrix defined above it; symmetry makes them one."

    def claim(self, gradient: Function, x: Tensor) -> Tensor:
        """The Jacobian of the gradient, (n, n)."""
        return jacobian(gradient, x)

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        for _ in range(2):
            x = normal(rng, 3)
            bound = gamma(12) * size(x)
            what = f"x₁²x₂ + x₂ sin x₃ + x₁ e^{{x₃}}, J of its gradient by hand at {drawn(x)}"
            yield second_derivative(what, scalar, x, self.claim(gradient, x), bound)

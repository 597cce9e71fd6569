"""The Jacobian written out, with the letters of its display.   f(x₁, …, x_n) = (f₁, …, f_m).

n inputs and m outputs make J (m, n): its last row is f_m and its last column x_n. The display has f_n and x_m there,
(n, m), which is the shape for the letters of the definition above it, f: Rᵐ → Rⁿ. The two agree where n = m.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, equality, jacobian
from lab.identity import JACOBIAN_HESSIAN, Identity, Judgement, normal


class JacobianDisplay(Identity):
    """n inputs and m outputs make a Jacobian of n rows and m columns."""

    statement = "J of f(x₁, …, x_n) = (f₁, …, f_m) has n rows and m columns"
    source, heading = JACOBIAN_HESSIAN, "Jacobian Matrix"
    expected = Judgement.WRONG
    remark = "n and m change places between the function and the matrix: J has m rows, one an output, and n columns."

    def claim(self, n: int, m: int) -> Tensor:
        """The shape as displayed, (2,)."""
        return torch.tensor([n, m])

    def mend(self, n: int, m: int) -> Tensor:
        """The shape that it has, (2,)."""
        return torch.tensor([m, n])

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        def shape(n: int, m: int) -> Tensor:
            A, x = normal(rng, m, n), normal(rng, n)
            return torch.tensor(jacobian(lambda x: (A @ x).sin(), x).shape)

        yield equality("rows and columns for n = 3, m = 2", self.claim(3, 2), shape(3, 2), 0)
        yield equality("as displayed, for n = m = 3", self.claim(3, 3), shape(3, 3), 0, Role.MEND)
        yield equality("m rows and n columns, for n = 3, m = 2", self.mend(3, 2), shape(3, 2), 0, Role.MEND)

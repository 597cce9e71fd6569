"""The rank of the Jacobian as degeneracy.   f: Rⁿ → Rᵐ.

Where the rank is a constant r about p, the image of a neighbourhood of p is a surface of dimension r (constant rank
theorem).

Example     f(x) = (s, t, s² + t²), s = x₁ + x₂, t = x₂x₃, maps R³ to a surface of dimension 2: rank 2, det J = 0.
True of it  At p alone the rank says less: x³ has rank 0 at 0, and its image is the whole line.
Numerics    Singular values below n ε σ₁ are zero to rounding, for J itself is known to a few units.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, equality, jacobian
from lab.identity import CROSS_ENTROPY, Identity, Judgement, drawn, normal


def sheet(x: Tensor) -> Tensor:
    """R³ onto a paraboloid."""
    s, t = x[0] + x[1], x[1] * x[2]
    return torch.stack([s, t, s**2 + t**2])


class JacobianRank(Identity):
    """The rank of J is the dimension of the image near p."""

    statement = "rank J = dimension of f's image near p"
    source, heading = CROSS_ENTROPY, "Jacobian"
    expected = Judgement.CONDITION
    remark = "The rank must be constant about p. At one point a low rank need not mean that f loses anything: x³ at 0."

    def claim(self, J: Tensor) -> Tensor:
        """The rank of J, a number."""
        values: Tensor = torch.linalg.svdvals(J)
        radius = 4 * max(J.shape) * torch.finfo(J.dtype).eps * values[0]
        return (values > radius).sum().to(J.dtype)

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        line, surface = torch.tensor([1.0, 2.0], dtype=torch.float64)
        for _ in range(3):
            x = normal(rng, 3)
            yield equality(f"R³ onto a paraboloid, at {drawn(x)}", self.claim(jacobian(sheet, x)), surface, 0)
        zero = torch.zeros(1, dtype=line.dtype)
        yield equality("x³ at 0, onto a line", self.claim(jacobian(lambda x: x**3, zero)), line, 0, Role.OUTSIDE)

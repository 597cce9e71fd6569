"""The implicit function theorem.   F(x, y) = 0 with y in Rᵐ and m equations; here m = 1 and F = x² + y² − 1.

Where F_y has full rank, y is a function of x near the point, and F_x + F_y y′ = 0 gives y′ = −F_y⁻¹F_x. On the circle
y = √(1 − x²), y′ = −x/y. At (1, 0) F_y = 0: at x = 1 − h there are two solutions, ±√(2h − h²), of order ½ and not 1,
and at x = 1 + h none.
"""

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, equality, gamma, jacobian, remainder
from lab.identity import CROSS_ENTROPY, Identity, Judgement


def circle(q: Tensor) -> Tensor:
    """F(x, y), (1,), zero on the circle."""
    return (q * q).sum()[None] - 1


class ImplicitFunction(Identity):
    """y′ = −F_y⁻¹F_x where F_y has full rank."""

    statement = "F(x, y) = 0 ⇒ y = y(x) near p, y′ = −F_y⁻¹ F_x, F_y of full rank"
    source, heading = CROSS_ENTROPY, "Jacobian"
    expected = Judgement.CONDITION
    remark = "The theorem is only named there. What counts is the rank of F_y, the square block, not that of all of J."

    def claim(self, F_x: Tensor, F_y: Tensor) -> Tensor:
        """y′, a number."""
        return -F_x / F_y

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        def y(x: float) -> float:
            return math.sqrt((1 - x) * (1 + x))

        def slope(x: float) -> float:
            return float(self.claim(*jacobian(circle, torch.tensor([x, y(x)], dtype=torch.float64))[0]))

        p = 0.625
        rise = slope(p)
        what = f"y(x + h) − y(x) − y′h at ({p:g}, {y(p):.4g}), y′ = {rise:.4g}"
        yield remainder(what, lambda h: abs(y(p + h) - y(p) - rise * h), 2, lambda h: gamma(12))
        yield remainder("y itself at (1, 0), where F_y = 0", lambda h: y(1 - h), 0.5, lambda h: gamma(4) * y(1 - h))
        lower, upper = torch.tensor([-y(0.99), y(0.99)], dtype=torch.float64)
        yield equality("two y at x = 0.99, near (1, 0)", lower, upper, gamma(4), Role.OUTSIDE)

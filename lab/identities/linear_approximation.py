"""The Jacobian as the best linear approximation.   f: Rⁿ → Rᵐ differentiable at p, J (m, n).

f(p + h) = f(p) + Jh + o(|h|). Where f has second derivatives the remainder is ½ h·∇²f·h + …, of order 2; with less,
as |x|^{3/2} at 0, it is only of an order above 1. Any other matrix leaves one of order exactly 1, so J is the best.

True of it  Partial derivatives are not enough: x²y/(x²+y²) has the partial derivatives 0 at 0, where it is 0 on both
            axes, and along (1, 1) it is h/2: a remainder of order 1.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, gamma, jacobian, remainder
from lab.identity import CROSS_ENTROPY, Identity, Judgement, normal


def bend(x: Tensor) -> Tensor:
    """A map R³ → R² with nothing flat about it."""
    return torch.stack([(x[0] * x[1]).sin() + x[2] ** 2, x[0].exp() * x[2] + x[1]])


class LinearApproximation(Identity):
    """f(p + h) = f(p) + Jh + o(|h|)."""

    statement = "f(p + h) = f(p) + J h + o(|h|), and no other matrix has this"
    source, heading = CROSS_ENTROPY, "Jacobian"
    expected = Judgement.CONDITION
    remark = "The source names the condition, f differentiable; that all its partial derivatives exist is not enough."

    def claim(self, J: Tensor, h: Tensor) -> Tensor:
        """Jh, (m,)."""
        return J @ h

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        p, v = normal(rng, 3), normal(rng, 3)
        J, E = jacobian(bend, p), normal(rng, 2, 3) / 1000
        size = float(bend(p).abs().max() + (J.abs() @ (p.abs() + v.abs())).max())

        def left(J: Tensor, h: float) -> float:
            return float((bend(p + h * v) - bend(p) - self.claim(J, h * v)).norm())

        yield remainder("order of the remainder with J", lambda h: left(J, h), 2, lambda h: gamma(16) * size)
        yield remainder("with a matrix a thousandth off", lambda h: left(J + E, h), 1, lambda h: gamma(16) * size)
        flat = torch.zeros(1, 1, dtype=p.dtype)
        yield remainder(
            "|x|^{3/2} at 0, where J = 0",
            lambda h: float((h**1.5 - self.claim(flat, torch.full((1,), h, dtype=p.dtype))).abs()),
            1.5,
            lambda h: gamma(4) * h**1.5,
        )

        def kinked(h: float) -> float:
            diagonal = torch.full((2,), h, dtype=p.dtype)
            value = diagonal[0] ** 2 * diagonal[1] / (diagonal @ diagonal)
            return float((value - self.claim(torch.zeros(1, 2, dtype=p.dtype), diagonal)).abs())

        yield remainder("x²y/(x²+y²) at 0 along (1, 1)", kinked, 2, lambda h: gamma(8) * h, Role.OUTSIDE)

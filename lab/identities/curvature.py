"""Curvature as how a gradient step fares.   f: Rⁿ → R, g = ∇f(x), H its Hessian.

f(x − εg) = f(x) − ε‖g‖² + ½ε² gᵀHg + O(ε³). The gradient predicts a fall of ε‖g‖²; with κ = gᵀHg constant along the
step, f falls by ½ε²κ less: just as much for κ = 0, more for κ < 0, less for κ > 0.

True of it  The fall predicted is ε only for ‖g‖ = 1. A sign of κ at x tells of a long step only if it lasts: f = t −
            t²/2 + t⁴ at 0 has κ = −1, and a step of 1 falls by ½.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, equality, gamma
from lab.identity import JACOBIAN_HESSIAN, Identity, Judgement


class Curvature(Identity):
    """A step of ε down the gradient falls by ε, by more, or by less, as the curvature is 0, negative, or positive."""

    statement = "f(x) − f(x − εg) = ε, > ε, < ε for gᵀHg = 0, < 0, > 0"
    source, heading = JACOBIAN_HESSIAN, "Second derivative and Curvature"
    expected = Judgement.CONDITION
    remark = "ε is right for ‖g‖ = 1 alone: the prediction is ε‖g‖². The curvature must keep its sign along the step."

    def claim(self, eps: float, g: Tensor) -> Tensor:
        """The fall that the gradient predicts, a number."""
        return torch.tensor(eps, dtype=g.dtype)

    def mend(self, eps: float, g: Tensor) -> Tensor:
        """ε‖g‖², a number."""
        return eps * (g @ g)

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        H, eps = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64), 0.125

        def fall(g: Tensor, kappa: float) -> Tensor:
            step = -eps * g
            return -(g @ step) - kappa * (step @ H @ step) / 2

        unit = torch.tensor([0.6, 0.8], dtype=H.dtype)
        flat = fall(unit, 0)
        what = "curvature 0, fall of a step of 0.125"
        yield equality(what, self.claim(eps, unit), flat, gamma(12) * eps)
        for kappa, word in ((-1, "negative, falls by more"), (1, "positive, falls by less")):
            excess = fall(unit, kappa) - self.claim(eps, unit)
            figures = f"curvature {word}: {float(fall(unit, kappa)):.4g} for {eps:g}"
            yield equality(figures, excess.sign(), torch.tensor(-kappa).to(excess), 0)
        yield equality("‖g‖ = 2", self.claim(eps, 2 * unit), fall(2 * unit, 0), gamma(12), Role.OUTSIDE)
        yield equality("ε‖g‖², ‖g‖ = 2", self.mend(eps, 2 * unit), fall(2 * unit, 0), gamma(12), Role.MEND)
        one = torch.ones(1, dtype=H.dtype)
        long = torch.tensor(-(-1 - 1 / 2 + 1), dtype=H.dtype) - self.claim(1.0, one)
        yield equality("more for κ = −1 at the start only, t − t²/2 + t⁴", long.sign(), one, 0, Role.OUTSIDE)

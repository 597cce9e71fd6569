"""Whether all of the calculus of derivatives carries over to Jacobians.

Linearity, the chain rule, the inverse function theorem and f′ = 0 ⇒ f constant do. The mean value theorem does not:
for f: R → R there is a c between a and b with f(b) − f(a) = f′(c)(b − a). For f(t) = (cos t, sin t), a = 0, b = 2π, the
left side is 0, while |f′(c)(b − a)| = 2π at every c. What stays is |f(b) − f(a)| ≤ max|f′| (b − a).

Example     f(t) = t³ has f′(c) = (a² + ab + b²) at c = √((a² + ab + b²)/3).
"""

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, equality, gamma
from lab.identity import CROSS_ENTROPY, Identity, Judgement


class EverythingCarriesOver(Identity):
    """Everything done with derivatives can be done with Jacobians: here, the mean value theorem."""

    statement = "all that holds of derivatives holds of Jacobians: f(b) − f(a) = f′(c)(b − a) for some c in [a, b]"
    source, heading = CROSS_ENTROPY, "Jacobian"
    expected = Judgement.WRONG
    remark = "The mean value theorem needs values in R; of vectors only |f(b) − f(a)| ≤ max|f′|(b − a) is left."

    def claim(self, slope: Tensor, a: float, b: float) -> Tensor:
        """f′(c)(b − a), in f's shape."""
        return slope * (b - a)

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        c = torch.linspace(0, 2 * math.pi, 1001, dtype=torch.float64)
        steps = self.claim(torch.stack([-c.sin(), c.cos()], dim=1), 0.0, 2 * math.pi)
        lengths, turn = steps.norm(dim=1), torch.full_like(c, 2 * math.pi)
        end = torch.zeros(1, dtype=c.dtype)  # f(2π) − f(0)
        yield equality("(cos, sin) over a turn, least |f′(c)·2π| of 1001 c", lengths.min(), end, gamma(8) * turn[0])
        yield equality("|f′(c)·2π| = 2π at all of them", lengths, turn, gamma(12) * turn, Role.MEND)
        a, b = 0.5, 2.0
        slope = 3 * torch.tensor((a * a + a * b + b * b) / 3, dtype=c.dtype).sqrt() ** 2
        rise = torch.tensor(b**3 - a**3, dtype=c.dtype)
        yield equality("t³ on [½, 2], at its c", self.claim(slope, a, b), rise, gamma(12) * b**3, Role.MEND)

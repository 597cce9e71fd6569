"""The determinant of the Jacobian as the local factor of volume.   f: Rⁿ → Rⁿ, J (n, n), here n = 2.

Near p, f acts as J does, and J maps the unit square to a parallelogram of signed area det J. So the image of a square
of side ε about p has the signed area ε² det J + O(ε⁴) (the term of order 3 is odd about p, and cancels). The sign says
whether f keeps orientation; the factor of volume itself is |det J|.

Measured: the shoelace formula on the image of the square's corners, read from the centre's image.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Function, Role, gamma, jacobian, remainder
from lab.identity import CROSS_ENTROPY, Identity, Judgement, normal

CORNERS = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], dtype=torch.float64)


def swirl(x: Tensor) -> Tensor:
    """A map of the plane that keeps orientation near 0."""
    return torch.stack([x[0] + x[1].sin() / 2 + x[0] ** 3, x[1].exp() - x[0] * x[1]])


def swirled(x: Tensor) -> Tensor:
    """The same with its two values exchanged: orientation reversed."""
    return swirl(x).flip(0)


class VolumeFactor(Identity):
    """f dilates volumes near p by det J."""

    statement = "vol f(cell at p) / vol(cell) → det J"
    source, heading = CROSS_ENTROPY, "Jacobian"
    expected = Judgement.CONDITION
    remark = "The factor is |det J|; det J itself counts volume with a sign, negative where f reverses orientation."

    def claim(self, J: Tensor) -> Tensor:
        """det J, a number."""
        return J[0, 0] * J[1, 1] - J[0, 1] * J[1, 0]

    def mend(self, J: Tensor) -> Tensor:
        """|det J|, a number."""
        return (J[0, 0] * J[1, 1] - J[0, 1] * J[1, 0]).abs()

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        p = normal(rng, 2) / 8
        J, mirrored = jacobian(swirl, p), jacobian(swirled, p)
        size = float(swirl(p).abs().max() + (J.abs() @ (p.abs() + 1)).max())

        def area(eps: float, f: Function) -> Tensor:
            x = torch.stack([f(p + eps * corner) for corner in CORNERS]) - f(p)
            following = x.roll(-1, 0)
            return (x[:, 0] * following[:, 1] - x[:, 1] * following[:, 0]).sum() / (2 * eps**2)

        def against(what: str, measured: Callable[[float], Tensor], factor: Tensor, role: Role) -> Evidence:
            def error(eps: float) -> float:
                return float((measured(eps) - factor).abs())

            return remainder(what, error, 2, lambda eps: gamma(64) * size**2 / eps, role)

        det = self.claim(mirrored)
        yield against("signed area, orientation kept", lambda eps: area(eps, swirl), self.claim(J), Role.CLAIM)
        yield against("signed area, reversed", lambda eps: area(eps, swirled), det, Role.CLAIM)
        unsigned = f"area, orientation reversed, det J = {float(det):.4g}"
        yield against(unsigned, lambda eps: area(eps, swirled).abs(), det, Role.OUTSIDE)
        mend = self.mend(mirrored)
        yield against(f"|det J| = {float(mend):.4g}", lambda eps: area(eps, swirled).abs(), mend, Role.MEND)

"""The divergence as the trace of the Jacobian.   F: Rⁿ → Rⁿ, here n = 3.

The flux out of a small cube is, axis by axis, the difference of F_k over two faces: ε³ Σ_k ∂F_k/∂x_k + O(ε⁵). Per
volume, in the limit, it is div F = Tr J.

True of it  In Cartesian coordinates. The field F = r e_r of the plane has the polar components (r, 0), whose partial
            derivatives by (r, φ) have the trace 1; its flux through a circle is 2πr·r over an area πr²: div F = 2.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, equality, jacobian, remainder
from lab.identities._field import field, flux, noise
from lab.identity import CROSS_ENTROPY, Identity, Judgement, normal


class Divergence(Identity):
    """div F = Tr J."""

    statement = "div F = Tr J, n = m"
    source, heading = CROSS_ENTROPY, "Jacobian"
    expected = Judgement.CONDITION
    remark = "In Cartesian coordinates; of polar components the trace of partial derivatives is not the divergence."

    def claim(self, J: Tensor) -> Tensor:
        """Tr J, a number."""
        return J.trace()

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        p = normal(rng, 3) / 2
        trace, eta = self.claim(jacobian(field, p)), noise(p, 1.0)
        what = f"flux out of a cube of side h per volume, less Tr J = {float(trace):.4g}"
        yield remainder(what, lambda eps: float((flux(p, eps) - trace).abs()), 2, lambda eps: eta / eps)
        polar = self.claim(jacobian(lambda q: torch.stack([q[0], 0 * q[1]]), torch.ones(2, dtype=p.dtype)))
        yield equality("r e_r by its polar components", polar, torch.tensor(2.0, dtype=p.dtype), 0, Role.OUTSIDE)

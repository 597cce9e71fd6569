"""The derivative of the sigmoid.   z a number, here a row of them.

σ(z) = 1/(1 + e^{−z}),   σ′ = e^{−z}/(1 + e^{−z})² = σ(z) · e^{−z}/(1 + e^{−z}) = σ(z)(1 − σ(z)) = σ(z)σ(−z).

Numerics    1 − σ cancels at large z: the error is relative to σ, not to σ′; σ(z)σ(−z) keeps every digit. The oracle
            differentiates 1/(1 + e^{−z}), bare: torch's own sigmoid is differentiated by the formula judged here.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, derivative, gamma
from lab.identity import RULES, Identity, normal


class SigmoidDerivative(Identity):
    """σ′ = σ(1 − σ)."""

    statement = "dσ/dz = σ(z)(1 − σ(z))"
    source, heading = RULES, "Derivative Rules 12"
    remark = "Said of an array in step 1 of the section Jacobian too. In floating point σ(z)σ(−z) is the exact form."

    def claim(self, z: Tensor) -> Tensor:
        """σ(z)(1 − σ(z)), in z's shape."""
        s = torch.sigmoid(z)
        return s * (1 - s)

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        for scale in (1, 10, 40):
            z = scale * torch.cat([normal(rng, 6), torch.tensor([0, 1, -1], dtype=torch.float64)])
            bound = gamma(8 + 2 * float(z.abs().max())) * torch.sigmoid(z)
            largest = f"|z| up to {float(z.abs().max()):.2g}"
            yield derivative(largest, lambda z: (1 / (1 + (-z).exp())).sum(), z, self.claim(z), bound)

"""The Jacobian of softmax.   z (K,), p = exp z/Σ exp z.

log p_i = z_i − log Σ_c exp z_c,   ∂ log p_i/∂z_j = δ_ij − p_j,   so ∂p_i/∂z_j = p_i(δ_ij − p_j): diag p − ppᵀ.

True of it  Symmetric; rows sum to 0; positive semi-definite.
Numerics    p is known to (8 + K + 2 max|z|) units of rounding, relative to itself; 1 − p_j cancels where p_j is near 1,
            so the error is relative to p_i and not to p_i(1 − p_i). The oracle differentiates exp z/Σ exp z, bare.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, derivative, gamma
from lab.identity import RULES, Identity, normal


class SoftmaxDerivative(Identity):
    """∂p_i/∂z_j = p_i(δ_ij − p_j)."""

    statement = "∂pᵢ/∂zⱼ = pᵢ(δᵢⱼ − pⱼ), p = softmax(z)"
    source, heading = RULES, "Derivative Rules 11"
    remark = "In floating point 1 − pⱼ loses its digits where pⱼ is near 1; the sum of the other p keeps them."

    def claim(self, z: Tensor) -> Tensor:
        """p_i(δ_ij − p_j), (K, K)."""
        p = torch.softmax(z, dim=0)
        return p[:, None] * (torch.eye(len(z), dtype=z.dtype) - p)

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        for scale in (0, 1, 8, 30):
            z = scale * normal(rng, 4)
            p = torch.softmax(z, dim=0)
            bound = gamma(2 * (8 + 4 + 2 * float(z.abs().max()))) * (torch.diag(p) + torch.outer(p, p))
            largest = f"logits up to {float(z.abs().max()):.2g}"
            yield derivative(largest, lambda z: z.exp() / z.exp().sum(), z, self.claim(z), bound)

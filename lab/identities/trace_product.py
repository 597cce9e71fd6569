"""The trace of a product by its first factor.   X (m, n), A (n, m).

f(X) = Tr(XA) = Σ_ij X_ij A_ji,   so ∂f/∂X_ij = A_ji, the gradient (m, n) is Aᵀ.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, derivative, gamma
from lab.identity import RULES, Identity, normal


class TraceProduct(Identity):
    """∂Tr(XA)/∂X = Aᵀ."""

    statement = "∂/∂X Tr(XA) = Aᵀ"
    source, heading = RULES, "Useful Identities 2"

    def claim(self, A: Tensor) -> Tensor:
        """Aᵀ, (m, n)."""
        return A.T

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        X, A = normal(rng, 3, 5), normal(rng, 5, 3)
        bound = gamma(5) * A.abs().T
        yield derivative("gradient, X 3×5", lambda X: torch.trace(X @ A), X, self.claim(A), bound)

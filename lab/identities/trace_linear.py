"""The trace of a product by its first factor, in the letters of the derivative rules.   A (m, n), X (n, m).

f(A) = Tr(AX) = Σ_ij A_ij X_ji,   so the gradient (m, n) is Xᵀ. By the cyclic property the second factor's is Aᵀ.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, derivative, gamma
from lab.identity import RULES, Identity, normal


class TraceLinear(Identity):
    """∂Tr(AX)/∂A = Xᵀ."""

    statement = "∂/∂A Tr(AX) = Xᵀ"
    source, heading = RULES, "Derivative Rules 6"
    remark = "The same statement as identity 2, with the letters changed."

    def claim(self, X: Tensor) -> Tensor:
        """Xᵀ, (m, n)."""
        return X.T

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        A, X = normal(rng, 4, 2), normal(rng, 2, 4)
        bound = gamma(4) * X.abs().T
        yield derivative("gradient, A 4×2", lambda A: (A * X.T).sum(), A, self.claim(X), bound)
        yield derivative("by the trace itself", lambda A: torch.trace(A @ X), A, self.claim(X), bound)

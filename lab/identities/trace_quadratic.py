"""The trace of a quadratic form in a matrix.   X (n, k), A (n, n).

f(X) = Tr(XᵀAX) = Σ_c x_cᵀ A x_c over X's columns;   ∂(xᵀAx)/∂x = (A + Aᵀ)x,   so ∇f = (A + Aᵀ)X.
A = Aᵀ makes that 2AX.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, derivative, gamma
from lab.identity import RULES, Identity, Judgement, normal, symmetric


class TraceQuadratic(Identity):
    """∂Tr(XᵀAX)/∂X = 2AX for a symmetric A."""

    statement = "∂/∂X Tr(XᵀAX) = 2AX, A symmetric"
    source, heading = RULES, "Useful Identities 3"
    expected = Judgement.CONDITION
    remark = "The source names the condition. Without it the gradient is (A + Aᵀ)X."

    def claim(self, A: Tensor, X: Tensor) -> Tensor:
        """2AX, (n, k)."""
        return 2 * A @ X

    def mend(self, A: Tensor, X: Tensor) -> Tensor:
        """(A + Aᵀ)X, (n, k), for any A."""
        return (A + A.T) @ X

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        X, S, A = normal(rng, 5, 3), symmetric(rng, 5), normal(rng, 5, 5)
        bound = [gamma(2 * 5 + 4) * (B.abs() + B.abs().T) @ X.abs() for B in (S, A)]
        yield derivative("A symmetric", lambda X: torch.trace(X.T @ S @ X), X, self.claim(S, X), bound[0])

        def f(X: Tensor) -> Tensor:
            return torch.trace(X.T @ A @ X)

        yield derivative("A not symmetric", f, X, self.claim(A, X), bound[1], Role.OUTSIDE)
        yield derivative("(A + Aᵀ)X, A not symmetric", f, X, self.mend(A, X), bound[1], Role.MEND)

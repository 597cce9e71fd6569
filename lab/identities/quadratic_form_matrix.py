"""A quadratic form by its matrix.   x (n,), A (n, n).

f(A) = Σ_ij A_ij x_i x_j,   so ∂f/∂A_ij = x_i x_j, the gradient is xxᵀ.

True of it  The n² entries must be free. Where A is symmetric by construction, with its lower triangle free, each entry
            off the diagonal stands in two places: the derivative by it is 2 x_i x_j, so 2xxᵀ − diag(x∘x) as a matrix.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, derivative, gamma
from lab.identity import RULES, Identity, Judgement, normal, symmetric


class QuadraticFormMatrix(Identity):
    """∂(xᵀAx)/∂A = xxᵀ."""

    statement = "∂/∂A xᵀAx = xxᵀ"
    source, heading = RULES, "Derivative Rules 2"
    expected = Judgement.CONDITION
    remark = "All n² entries of A must be free; for A kept symmetric it is 2xxᵀ − diag(x∘x) by the lower triangle."

    def claim(self, x: Tensor) -> Tensor:
        """xxᵀ, (n, n)."""
        return torch.outer(x, x)

    def mend(self, x: Tensor) -> Tensor:
        """2xxᵀ − diag(x∘x), (n, n), for a symmetric A."""
        return 2 * torch.outer(x, x) - torch.diag(x * x)

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        A, S, x = normal(rng, 4, 4), symmetric(rng, 4), normal(rng, 4)
        i, j = torch.tril_indices(4, 4)

        def f(triangle: Tensor) -> Tensor:
            L = torch.zeros_like(S).index_put((i, j), triangle)
            return x @ (L + L.T - torch.diag(L.diagonal())) @ x

        bound = gamma(4) * torch.outer(x, x).abs()
        yield derivative("A 4×4, every entry free", lambda A: x @ A @ x, A, self.claim(x), bound)
        half = 3 * bound[i, j]
        yield derivative("A kept symmetric", f, S[i, j], self.claim(x)[i, j], half, Role.OUTSIDE)
        yield derivative("2xxᵀ − diag(x∘x), A kept symmetric", f, S[i, j], self.mend(x)[i, j], half, Role.MEND)

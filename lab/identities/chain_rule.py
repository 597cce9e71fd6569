"""The chain rule for functions of matrices.   X (m, n), H = h(X) (m, k), g(H) a number.

∂f/∂X_kl = Σ_ij ∂g/∂H_ij ∂H_ij/∂X_kl: a sum over both of H's indices. It is a matrix product once H and X are each
flattened into a vector: (1, mk) times (mk, mn), reshaped to (m, n).

Example     h(X) = (XB)∘(XB), g(H) = Σ C∘H∘H.   ∂g/∂H = 2C∘H,   ∂H_ij/∂X_kl = δ_ik 2(XB)_ij B_lj.
True of it  Unflattened, ∂g/∂H is (m, k) and ∂h/∂X has four indices. For an entrywise h(X) = X∘X, whose derivative one
            writes as the matrix 2X, the product of matrices is wrong: it is G∘2X, not G·2X.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, derivative, gamma
from lab.identity import RULES, Identity, Judgement, normal


class ChainRule(Identity):
    """∂f/∂X = ∂g/∂h · ∂h/∂X, flattened."""

    statement = "∂f/∂X = ∂g/∂h · ∂h/∂X for f = g∘h"
    source, heading = RULES, "Derivative Rules 8"
    expected = Judgement.CONDITION
    remark = "Flattening is left out: the dot multiplies flattened Jacobians, the outer first, and sums over all of h."

    def claim(self, G: Tensor, J: Tensor) -> Tensor:
        """∂g/∂h · ∂h/∂X as a product of matrices."""
        return G @ J

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        X, B, C = normal(rng, 3, 4), normal(rng, 4, 2), normal(rng, 3, 2)

        def parts(X: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
            J = 2 * torch.einsum("ik,ij,lj->ijkl", torch.eye(3, dtype=X.dtype), X @ B, B)
            return (2 * C * (X @ B) ** 2).reshape(1, -1), J.reshape(6, 12)

        G, J = parts(X.abs(), B.abs(), C.abs())
        flat, bound = self.claim(*parts(X, B, C)), gamma(3 * 4 + 6 + 10) * (G @ J).reshape(3, 4)
        ours = flat.reshape(3, 4) if flat.shape == (1, 12) else flat
        yield derivative("flattened, X 3×4", lambda X: (C * (X @ B) ** 4).sum(), X, ours, bound)
        S, D = normal(rng, 3, 3), normal(rng, 3, 3)
        size = gamma(8) * (4 * D * S**3).abs()
        matrices = self.claim(2 * D * S**2, 2 * S)
        yield derivative("matrices multiplied, h(X) = X∘X", lambda S: (D * S**4).sum(), S, matrices, size, Role.OUTSIDE)

"""A layer of sigmoids by its weights.   X (b, d), W (d, 1), Y = σ(XW) (b, 1).

Y_i = σ(x_iᵀW),   ∂Y_i/∂W_j = σ′(x_iᵀW) X_ij,   so the Jacobian of Y is diag(s)X, (b, d), with s = σ(XW)∘(1 − σ(XW)).
Xᵀs, (d, 1), is its column sums: Σ_i ∂Y_i/∂W_j, the gradient of the number ΣY.

Numerics    |δz| ≤ γ_d |X||W|, |σ″| < 1/8, and s is known to (8 + 2|z|) units of rounding relative to σ < 1.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, derivative, equality, gamma
from lab.identity import RULES, Identity, Judgement, normal


def figures(row: Tensor) -> str:
    """A few numbers, to read."""
    return ", ".join(f"{value:.4g}" for value in row.flatten().tolist())


class SigmoidLayer(Identity):
    """∇_W σ(XW) = Xᵀ(σ∘(1 − σ))."""

    statement = "∇_W Y = Xᵀ(σ(XW)∘(1 − σ(XW))), d×1, for Y = σ(XW), b×1"
    source, heading = RULES, "Jacobian"
    expected = Judgement.WRONG
    remark = "Y has b entries, so its derivative is b×d: diag(σ∘(1 − σ))X. The d×1 formula is the gradient of ΣY."

    def claim(self, X: Tensor, W: Tensor) -> Tensor:
        """Xᵀ(σ∘(1 − σ)), (d, 1)."""
        s = torch.sigmoid(X @ W)
        return X.T @ (s * (1 - s))

    def mend(self, X: Tensor, W: Tensor) -> Tensor:
        """diag(σ∘(1 − σ))X, (b, d)."""
        s = torch.sigmoid(X @ W)
        return s * (1 - s) * X

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        X, W = normal(rng, 5, 3), normal(rng, 3, 1)
        z = X @ W
        of_s = gamma(3) * X.abs() @ W.abs() / 8 + gamma(8 + 2 * float(z.abs().max()))
        bound = of_s * X.abs()

        def Y(W: Tensor) -> Tensor:
            return 1 / (1 + (-(X @ W)).exp())

        total = bound.sum(dim=0)[:, None] + gamma(5) * X.abs().sum(dim=0)[:, None]
        yield derivative("as the Jacobian of Y, b = 5, d = 3", Y, W, self.claim(X, W), bound)
        ours, rows = self.claim(X, W), self.mend(X, W)
        summed = f"Xᵀ(σ∘(1 − σ)) = ({figures(ours)}) as the gradient of ΣY"
        full = f"diag(σ∘(1 − σ))X, first row ({figures(rows[:1])}), as the Jacobian of Y"
        yield derivative(summed, lambda W: Y(W).sum(), W, ours, total, Role.MEND)
        yield derivative(full, Y, W, rows, bound, Role.MEND)
        column = "Xᵀ(σ∘(1 − σ)) as that Jacobian's column sums"
        yield equality(column, ours, rows.sum(dim=0)[:, None], 2 * total, Role.MEND)

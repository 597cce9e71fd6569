"""The linear model: logits are inner products; the intercept, where there is one, is a column of ones in X.

Rows x_n of X (N, D), parameters θ (D, K), direction V (D, K), logit gradient g (N, K), logit Hessians h (N, K, K).

Forward      z = Xθ,  z_nk = Σ_d X_nd θ_dk                so ∂z_nk/∂θ_dl = X_nd δ_kl
Pushforward  J V = X V                                    (N, K)
Pullback     (Jᵀg)_dk = Σ_n X_nd g_nk = (Xᵀg)_dk          (D, K)
Gauss–Newton (JᵀhJ)_(dk)(el) = Σ_n X_nd h_nkl X_ne        block (k, l) is Xᵀ diag(h_kl) X
Curvature    ∂²z/∂θ² = 0

A loss's Hessian in θ is therefore JᵀhJ exactly. h is symmetric, so only blocks l ≥ k are computed: for each k one
product of Xᵀ with the (N, (K−k)·D) matrix of X's rows scaled by h_nkl.

Logits are laid out column by column in memory (zᵀ = θᵀXᵀ is what is computed): K is small and N is not, so that
whatever a loss does along a row then runs over N numbers in sequence.

Source       Böhning, Ann. Inst. Statist. Math. 44 (1992), §2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.model import Model


@dataclass(frozen=True)
class Linear(Model):
    """Logits z = Xθ, linear in the parameters."""

    def forward(self, X: Tensor, theta: Tensor) -> Tensor:
        """z = Xθ, (N, K)."""
        return (theta.T @ X.T).T

    def pushforward(self, X: Tensor, theta: Tensor, V: Tensor) -> Tensor:
        """J V = X V, (N, K)."""
        return (V.T @ X.T).T

    def pullback(self, X: Tensor, theta: Tensor, g: Tensor) -> Tensor:
        """Jᵀ g = Xᵀ g, (D, K)."""
        return (g.T @ X).T

    def gauss_newton(self, X: Tensor, theta: Tensor, h: Tensor, out: Tensor) -> None:
        """Add block (k, l) = Xᵀ diag(h_kl) X to `out` (D, K, D, K) for every pair, l ≥ k computed, l < k mirrored."""
        N, D = X.shape
        K = h.shape[1]
        room, result = X.new_empty(N * K * D), X.new_empty(D * K * D)  # for all k: what is freed is touched anew
        for k in range(K):
            width = (K - k) * D
            scaled = room[: N * width].view(N, width)  # h_kl x for every l ≥ k, side by side
            torch.mul(h[:, k, k:, None], X[:, None, :], out=scaled.view(N, K - k, D))
            blocks = torch.mm(X.T, scaled, out=result[: D * width].view(D, width)).view(D, K - k, D)
            out[:, k, :, k:] += blocks.transpose(1, 2)
            if k + 1 < K:
                out[:, k + 1 :, :, k] += blocks[:, 1:]

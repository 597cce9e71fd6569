"""The linear model: logits are inner products; the intercept, where there is one, is a column of ones in X.

Rows x_n of X (N, D), parameters θ (D, K), direction V (D, K), logit gradient g (N, K), logit Hessians h (N, K, K).

Forward      z = Xθ,  z_nk = Σ_d X_nd θ_dk                so ∂z_nk/∂θ_dl = X_nd δ_kl
Pushforward  J V = X V                                    (N, K)
Pullback     (Jᵀg)_dk = Σ_n X_nd g_nk = (Xᵀg)_dk          (D, K)
Gauss–Newton (JᵀhJ)_(dk)(el) = Σ_n X_nd h_nkl X_ne        block (k, l) is Xᵀ diag(h_kl) X
Curvature    ∂²z/∂θ² = 0

A loss's Hessian in θ is therefore JᵀhJ exactly. h is symmetric and every block is, so that block (l, k) is block (k, l)
and pairs l ≥ k are all there is, less those whose h_kl is 0 in every row (two labels of the sigmoid's). For Q pairs the
sums over rows can be read in two ways, and the cheaper one is taken:
    by pairs      Xᵀ · (h_kl x_n), rows scaled Q times:           N·Q·D products to form,  N·Q·D² multiply-adds
    by columns    h_klᵀ · (X_nd X_ne), d ≤ e, for all Q at once:  N·D²/2 products to form, N·Q·D²/2 multiply-adds
A number that is formed costs as much as FORMING multiply-adds of a matrix product, as it goes through memory; so that
columns win where Q (2·FORMING + D) > D·FORMING.

Logits are laid out column by column in memory (zᵀ = θᵀXᵀ is what is computed): K is small and N is not, so that
whatever a loss does along a row then runs over N numbers in sequence.

Source       Böhning, Ann. Inst. Statist. Math. 44 (1992), §2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.model import Model

FORMING = 30  # of a product of vectors against a multiply-add of matrices: 20 to 40 on machines of today
TILE = 256, 512  # rows and columns of X_nd X_ne formed at a time: a megabyte in float64, which stays in cache


@dataclass(frozen=True)
class Linear(Model):
    """Logits z = Xθ, linear in the parameters."""

    def forward(self, X: Tensor, theta: Tensor) -> Tensor:
        """z = Xθ, (N, K)."""
        return _product(X, theta)

    def pushforward(self, X: Tensor, theta: Tensor, V: Tensor) -> Tensor:
        """J V = X V, (N, K)."""
        return _product(X, V)

    def pullback(self, X: Tensor, theta: Tensor, g: Tensor) -> Tensor:
        """Jᵀ g = Xᵀ g, (D, K)."""
        return (g.T @ X).T

    def gauss_newton(self, X: Tensor, theta: Tensor, h: Tensor, out: Tensor) -> None:
        """Add block (k, l) = Xᵀ diag(h_kl) X to `out` (D, K, D, K) for every pair, those with l < k as a mirror."""
        D, K = X.shape[1], h.shape[1]
        seen = h.any(dim=0)
        pairs = [(k, l) for k, row in enumerate(seen.tolist()) for l in range(k, K) if row[l]]
        Q = len(pairs)
        add = _add_by_columns if Q * (2 * FORMING + D) > D * FORMING else _add_by_pairs
        blocks, weights = out.permute(0, 2, 1, 3), h.permute(1, 2, 0).reshape(K * K, -1)
        weights = weights[torch.tensor([k * K + l for k, l in pairs], dtype=torch.long, device=h.device)]
        del h  # whoever adds it up drops it too: the weights are half as much
        if Q:
            add(X, weights, pairs, blocks)


def _product(X: Tensor, W: Tensor) -> Tensor:
    """X W (N, M), column by column in memory."""
    # Of fewer rows than these a strided Wᵀ takes BLAS, on one thread, ten times as long as a copy of it.
    rows = W.T.contiguous() if W.shape[1] < 8 else W.T
    return (rows @ X.T).T


def _add_by_pairs(X: Tensor, weights: Tensor, pairs: list[tuple[int, int]], blocks: Tensor) -> None:
    """Add Σ_n w_qn x_n x_nᵀ, for weights (Q, N), to `blocks` (D, D, K, K) at its pair and the mirrored one."""
    (N, D), Q = X.shape, len(pairs)
    most = min(max(blocks.shape[2], 1), Q)
    room = X.new_empty(N * most * D)  # what is freed is touched anew
    for first in range(0, Q, most):
        some = pairs[first : first + most]
        scaled = room[: N * len(some) * D].view(N, len(some), D)  # w_q x for some q, side by side
        torch.mul(weights[first : first + most].T[:, :, None], X[:, None, :], out=scaled)
        found = (X.T @ scaled.view(N, -1)).view(D, len(some), D)
        for q, (k, l) in enumerate(some):
            blocks[:, :, k, l] += found[:, q]
            if k != l:
                blocks[:, :, l, k] += found[:, q]


def _add_by_columns(X: Tensor, weights: Tensor, pairs: list[tuple[int, int]], blocks: Tensor) -> None:
    """The same by way of all products X_nd X_ne, d ≤ e, a tile of rows and columns at a time."""
    (D, K), Q = (X.shape[1], blocks.shape[2]), len(pairs)
    places = [Q] * (K * K)  # beyond the pairs there is a column of zeros
    for q, (k, l) in enumerate(pairs):
        places[k * K + l] = places[l * K + k] = q
    place, start, room = torch.tensor(places, device=X.device), 0, X.new_empty(TILE[0] * max(TILE[1], D))
    while start < D:
        end = min(start + max(TILE[1] // (D - start), 1), D)
        width = (end - start) * (D - start)
        total = X.new_zeros(Q + 1, width)
        for x, w in zip(torch.split(X, TILE[0]), torch.split(weights, TILE[0], dim=1), strict=True):
            products = room[: len(x) * width].view(len(x), end - start, D - start)
            torch.mul(x[:, start:end, None], x[:, None, start:], out=products)
            total[:Q].addmm_(w, products.view(len(x), width))
        found = total[place].view(K, K, end - start, D - start).permute(2, 3, 0, 1)
        blocks[start:end, start:] += found
        blocks[end:, start:end] += found[:, end - start :].transpose(0, 1)
        start = end

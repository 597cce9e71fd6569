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

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.model import Model

FORMING = 30  # of a product of vectors against a multiply-add of matrices: 20 to 40 on machines of today
TILE = 256, 256  # rows and columns of X_nd X_ne formed at a time: half a megabyte in float64, which stays in cache


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
        seen = h.any(dim=0).tolist()
        ends = [max((l + 1 for l in range(k, K) if seen[k][l]), default=k) for k in range(K)]
        Q = sum(end - k for k, end in enumerate(ends))
        sums = _by_columns if Q * (2 * FORMING + D) > D * FORMING else _by_pairs
        by_class, found = out.permute(1, 3, 0, 2), sums(X, h, ends)
        del h  # whoever sums drops it too once it has been read: it is half as large as all blocks
        for k, blocks in enumerate(found):
            by_class[k, k : ends[k]] += blocks
            by_class[k + 1 : ends[k], k] += blocks[1:]


def _product(X: Tensor, W: Tensor) -> Tensor:
    """X W (N, M), column by column in memory."""
    # Of fewer rows than these a strided Wᵀ takes BLAS, on one thread, ten times as long as a copy of it.
    rows = W.T.contiguous() if W.shape[1] < 8 else W.T
    return (rows @ X.T).T


def _by_pairs(X: Tensor, h: Tensor, ends: list[int]) -> Iterator[Tensor]:
    """For each k blocks (k, l) = Σ_n h_nkl x_n x_nᵀ, k ≤ l < ends[k]: (ends[k] − k, D, D), overwritten by the next."""
    N, D = X.shape
    most = max(end - k for k, end in enumerate(ends))
    room, result = X.new_empty(N * most * D), X.new_empty(D * most * D)  # for all k: what is freed is touched anew
    for k, end in enumerate(ends):
        width = (end - k) * D
        scaled = room[: N * width].view(N, width)  # h_kl x for every l, side by side
        torch.mul(h[:, k, k:end, None], X[:, None, :], out=scaled.view(N, end - k, D))
        yield torch.mm(X.T, scaled, out=result[: D * width].view(D, width)).view(D, end - k, D).transpose(0, 1)


def _by_columns(X: Tensor, h: Tensor, ends: list[int]) -> Iterator[Tensor]:
    """The same by way of all products X_nd X_ne, d ≤ e, a tile of rows and columns at a time."""
    D, Q = X.shape[1], sum(end - k for k, end in enumerate(ends))
    weights = torch.cat([h[:, k, k:end].T for k, end in enumerate(ends)])
    del h
    sums, start = X.new_empty(Q, D, D), 0
    room = X.new_empty(TILE[0] * max(TILE[1], D))
    while start < D:
        end = min(start + max(TILE[1] // (D - start), 1), D)
        width = (end - start) * (D - start)
        total = X.new_zeros(Q, width)
        for x, w in zip(torch.split(X, TILE[0]), torch.split(weights, TILE[0], dim=1), strict=True):
            products = room[: len(x) * width].view(len(x), end - start, D - start)
            torch.mul(x[:, start:end, None], x[:, None, start:], out=products)
            total.addmm_(w, products.view(len(x), width))
        block = total.view(Q, end - start, D - start)
        sums[:, start:end, start:] = block
        sums[:, start:, start:end] = block.transpose(1, 2)
        start = end
    first = 0
    for k, end in enumerate(ends):
        yield sums[first : first + end - k]
        first += end - k

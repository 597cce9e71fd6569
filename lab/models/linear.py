"""The linear model: logits are inner products; the intercept, where there is one, is a column of ones in X.

Rows x_n of X (N, D), parameters θ (D, K), direction V (D, K), logit gradient g (N, K), logit Hessians h (N, K, K).

Forward      z = Xθ,  z_nk = Σ_d X_nd θ_dk                so ∂z_nk/∂θ_dl = X_nd δ_kl
Pushforward  J V = X V                                    (N, K)
Pullback     (Jᵀg)_dk = Σ_n X_nd g_nk = (Xᵀg)_dk          (D, K)
Gauss–Newton (JᵀhJ)_(dk)(el) = Σ_n X_nd h_nkl X_ne        block (k, l) is Xᵀ diag(h_kl) X
Curvature    ∂²z/∂θ² = 0

A loss's Hessian in θ is therefore JᵀhJ exactly. h is symmetric and every block is, so that block (l, k) is block (k, l)
and pairs l ≥ k are all there is, less those whose h_kl is 0 in every row (two labels of the sigmoid's). Where every row
of h sums to 0, as softmax's does, the pairs l > k are enough: block (k, k) is −Σ_{l≠k} of the others. For Q pairs the
sums over rows can be read in two ways, and the cheaper one is taken:
    by pairs      Xᵀ · (h_kl x_n), rows scaled Q times:           N·Q·D products to form,  N·Q·D² multiply-adds
    by columns    (X_nd X_ne)ᵀ · h_kl, d ≤ e, for all Q at once:  N·D²/2 products to form, N·Q·D²/2 multiply-adds
A number that is formed costs as much as FORMING multiply-adds of a matrix product, as it goes through memory; so that
columns win where Q (2·FORMING + D) > D·FORMING (`_columns`).

Logits are laid out column by column in memory (zᵀ = θᵀXᵀ is what is computed): K is small and N is not, so that
whatever a loss does along a row then runs over N numbers in sequence.

Source       Böhning, Ann. Inst. Statist. Math. 44 (1992), §2.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lab.model import Model
from lab.models._columns import Sums
from lab.pairs import Pairs

FORMING = 30  # of a product of vectors against a multiply-add of matrices: 20 to 40 on machines of today


@dataclass(frozen=True)
class Linear(Model):
    """Logits z = Xθ, linear in the parameters."""

    is_product: ClassVar[bool] = True

    def forward(self, X: Tensor, theta: Tensor) -> Tensor:
        """z = Xθ, (N, K)."""
        return _product(X, theta)

    def pushforward(self, X: Tensor, theta: Tensor, V: Tensor) -> Tensor:
        """J V = X V, (N, K)."""
        return _product(X, V)

    def pullback(self, X: Tensor, theta: Tensor, g: Tensor) -> Tensor:
        """Jᵀ g = Xᵀ g, (D, K)."""
        return (g.T @ X).T

    def gauss_newton(self, rows: Iterable[tuple[Tensor, Tensor]], theta: Tensor) -> Tensor:
        """Σ Jᵀ h J, (D, K, D, K): block (k, l) is Xᵀ diag(h_kl) X."""
        D = theta.shape[0]
        # h.pop(): once its entries are there, which are half as much, nothing holds h.
        return Linear.gauss_newton_by_pairs(self, ((X, *Pairs.of(h.pop(), D)) for X, *h in rows), theta)

    def gauss_newton_by_pairs(self, rows: Iterable[tuple[Tensor, Pairs, Tensor]], theta: Tensor) -> Tensor:
        """The same for every pair of classes, those with l < k as a mirror."""
        (D, K), sums = theta.shape, None
        found: Tensor | None = None
        whole: Tensor | None = None  # what is added up by pairs
        for X, pairs, entries in rows:
            if len(pairs.k) * (2 * FORMING + D) > D * FORMING:
                columns = X.abs().amax(dim=0).nonzero()[:, 0]
                if sums is None or not (torch.equal(sums.columns, columns) and sums.pairs.same(pairs)):
                    found = _with(found, sums)
                    sums = Sums.none(columns, pairs, theta)
                sums.add(X, entries)
            elif len(pairs.k):
                whole = theta.new_zeros(D, K, D, K) if whole is None else whole
                _add_by_pairs(X, entries, pairs, whole.permute(0, 2, 1, 3))
            del entries  # before the next are made, or all is laid out
        found = _with(found, sums)
        if found is None:
            return theta.new_zeros(D, K, D, K) if whole is None else whole
        return found if whole is None else found.add_(whole)


def _with(found: Tensor | None, sums: Sums | None) -> Tensor | None:
    """What is found, and the sums, laid out."""
    if sums is None:
        return found
    return sums.blocks() if found is None else found.add_(sums.blocks())


def _product(X: Tensor, W: Tensor) -> Tensor:
    """X W (N, M), column by column in memory."""
    # Of fewer rows than these a strided Wᵀ takes BLAS, on one thread, ten times as long as a copy of it.
    rows = W.T.contiguous() if W.shape[1] < 8 else W.T
    return (rows @ X.T).T


def _add_by_pairs(X: Tensor, weights: Tensor, pairs: Pairs, blocks: Tensor) -> None:
    """Add Σ_n w_qn x_n x_nᵀ, for weights (Q, N), to `blocks` (D, D, K, K) at its pair and wherever else it belongs."""
    (N, D), Q = X.shape, len(pairs.k)
    classes = torch.stack([pairs.k, pairs.l], dim=1).tolist()
    most = min(max(blocks.shape[2], 1), Q)
    room = X.new_empty(N * most * D)  # what is freed is touched anew
    for first in range(0, Q, most):
        some = classes[first : first + most]
        scaled = room[: N * len(some) * D].view(N, len(some), D)  # w_q x for some q, side by side
        torch.mul(weights[first : first + most].T[:, :, None], X[:, None, :], out=scaled)
        found = (X.T @ scaled.view(N, -1)).view(D, len(some), D)
        for q, (k, l) in enumerate(some):
            blocks[:, :, k, l] += found[:, q]
            if k != l:
                blocks[:, :, l, k] += found[:, q]
            if pairs.closed:
                blocks[:, :, k, k] -= found[:, q]
                blocks[:, :, l, l] -= found[:, q]

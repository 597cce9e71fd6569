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
columns win where Q (2·FORMING + D) > D·FORMING. What they give is added up as it comes, a row for each pair, and laid
out as blocks once all rows are through.

Logits are laid out column by column in memory (zᵀ = θᵀXᵀ is what is computed): K is small and N is not, so that
whatever a loss does along a row then runs over N numbers in sequence.

Source       Böhning, Ann. Inst. Statist. Math. 44 (1992), §2.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lab import pairs
from lab.model import Model

FORMING = 30  # of a product of vectors against a multiply-add of matrices: 20 to 40 on machines of today
TILE = 1024, 512  # rows and columns of X_nd X_ne formed at a time: in smaller ones BLAS starts and ends too often


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

    def gauss_newton(self, rows: Iterable[tuple[Tensor, Tensor]], theta: Tensor) -> Tensor:
        """Σ Jᵀ h J, (D, K, D, K): block (k, l) is Xᵀ diag(h_kl) X for every pair, those with l < k as a mirror."""
        (D, K), (k, l) = theta.shape, pairs.upper(theta.shape[1], theta.device)
        tiles, found, every = _tiles(D), theta.new_empty(D, K, D, K), torch.arange(len(k), device=k.device)
        whole: Tensor | None = None  # what is added up by pairs
        packed: Tensor | None = None  # and by columns
        for X, h in rows:
            seen = every if bool(h[:1].all()) else h.any(dim=0)[k, l].nonzero()[:, 0]
            weights, Q = h.permute(1, 2, 0)[k[seen], l[seen]], len(seen)
            del h  # whoever makes it drops it too: the weights are half as much
            if D and Q * (2 * FORMING + D) > D * FORMING:
                packed = theta.new_zeros(len(k), tiles[-1].stop) if packed is None else packed
                _add_by_columns(X, weights, seen, tiles, packed, found)
            elif Q:
                whole = theta.new_zeros(D, K, D, K) if whole is None else whole
                _add_by_pairs(X, weights, torch.stack([k[seen], l[seen]], dim=1).tolist(), whole.permute(0, 2, 1, 3))
        if packed is None:
            return found.zero_() if whole is None else whole
        _unpack(packed, tiles, found)
        return found if whole is None else found.add_(whole)


def _product(X: Tensor, W: Tensor) -> Tensor:
    """X W (N, M), column by column in memory."""
    # Of fewer rows than these a strided Wᵀ takes BLAS, on one thread, ten times as long as a copy of it.
    rows = W.T.contiguous() if W.shape[1] < 8 else W.T
    return (rows @ X.T).T


def _add_by_pairs(X: Tensor, weights: Tensor, classes: list[list[int]], blocks: Tensor) -> None:
    """Add Σ_n w_qn x_n x_nᵀ, for weights (Q, N), to `blocks` (D, D, K, K) at its pair and the mirrored one."""
    (N, D), Q = X.shape, len(classes)
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


@dataclass(frozen=True)
class _Tile:
    """Products of columns d in [start, end) by columns e in [start, D): [first, stop) among all that are made."""

    start: int
    end: int
    first: int
    stop: int


def _tiles(D: int) -> list[_Tile]:
    """Tiles with every pair d ≤ e of D columns in them; and some d > e, where a tile crosses the diagonal."""
    tiles: list[_Tile] = []
    start = first = 0
    while start < D:
        end = min(start + max(TILE[1] // (D - start), 1), D)
        tiles.append(_Tile(start, end, first, first + (end - start) * (D - start)))
        start, first = end, tiles[-1].stop
    return tiles


def _add_by_columns(
    X: Tensor, weights: Tensor, seen: Tensor, tiles: list[_Tile], packed: Tensor, spare: Tensor
) -> None:
    """The same by way of products X_nd X_ne, to the rows of `packed` that are `seen` (Q,), a tile after another.

    The products are formed in memory to `spare`, that of the result, where there is enough of it.
    """
    D, widest = X.shape[1], max(tile.stop - tile.first for tile in tiles)
    room = spare.view(-1) if spare.numel() >= widest * TILE[0] // 2 else X.new_empty(widest * min(TILE[0], len(X)))
    step = min(TILE[0], room.numel() // widest)
    for tile in tiles:
        width, place = tile.stop - tile.first, packed[:, tile.first : tile.stop]
        for x, w in zip(torch.split(X, step), torch.split(weights, step, dim=1), strict=True):
            products = room[: len(x) * width].view(len(x), tile.end - tile.start, D - tile.start)
            torch.mul(x[:, tile.start : tile.end, None], x[:, None, tile.start :], out=products)
            if len(seen) == len(packed):
                place.addmm_(w, products.view(len(x), width))
            else:
                place.index_add_(0, seen, w @ products.view(len(x), width))


def _unpack(packed: Tensor, tiles: list[_Tile], blocks: Tensor) -> None:
    """Lay out in `blocks` (D, K, D, K) the sums for each pair k ≤ l, row by row, and each of the tiles' products."""
    (D, K), pair = blocks.shape[:2], pairs.places(blocks.shape[1], packed.device).flatten()
    for tile in tiles:
        width = tile.end - tile.start
        found = packed[:, tile.first : tile.stop].index_select(0, pair).view(K, K, width, D - tile.start)
        square = found[..., :width]
        found[..., :width] = square.triu() + square.triu(1).mT  # the same to the bit on both sides of the diagonal
        blocks[tile.start : tile.end, :, tile.start :] = found.permute(2, 0, 3, 1)
        blocks[tile.end :, :, tile.start : tile.end] = found[..., width:].permute(3, 0, 2, 1)

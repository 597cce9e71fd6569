"""Σ_n h_nkl X_nd X_ne by products of X's columns, for all pairs of classes at once.

A row for each product X_nd X_ne, d ≤ e, and a column for each pair k ≤ l: the sums are one product of matrices,
    (r(r + 1)/2, N) by (N, Q)   for r columns of X that are not 0 in every row,
a tile of it after another. They are laid out as blocks once all rows are through.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# Rows and products formed at a time: in smaller tiles BLAS starts and ends too often; rows a power of two apart share
# their places in the cache.
TILE = 640, 512
WIDTH = 8  # BLAS is fastest where there are so many pairs, or a multiple of that


@dataclass(frozen=True)
class Pairs:
    """The pairs of classes k, l (Q,), k ≤ l, in which some logit Hessian h is not 0.

    Where every row of h sums to 0 it is `closed`: the pairs are those with k < l, and h_kk = −Σ_{l≠k} h_kl.
    """

    k: Tensor
    l: Tensor
    closed: bool

    @staticmethod
    def of(h: Tensor) -> "Pairs":
        """Those of h (N, K, K), symmetric.

        A row counts as closed where its sum is 0 to rounding, of 8 steps an entry and K of the sum: relative to h_kk,
        which is all that is left of it where the rest is of one sign. What is wrong in h by more than that stays in it.
        """
        K, numbers, entries = h.shape[1], torch.finfo(h.dtype), h.permute(1, 2, 0)  # as softmax's lie in memory
        slack = entries.diagonal().T.abs() * ((K + 8) * numbers.eps) + 4 * K * numbers.tiny * numbers.eps
        closed = K > 1 and bool((entries.sum(dim=1).abs() <= slack).all())
        k, l = torch.triu_indices(K, K, int(closed), device=h.device)
        if not bool(h[:1].all()):
            seen = h.any(dim=0)[k, l]
            k, l = k[seen], l[seen]
        return Pairs(k, l, closed)

    def weights(self, h: Tensor) -> Tensor:
        """The entries of h (N, K, K) in question, (Q, N)."""
        return h.permute(1, 2, 0)[self.k, self.l]

    def same(self, other: "Pairs") -> bool:
        """Whether `other` are these."""
        return self.closed == other.closed and torch.equal(self.k, other.k) and torch.equal(self.l, other.l)


@dataclass(frozen=True)
class Sums:
    """Sums over rows (r(r + 1)/2 and some, Q and some) for products of `columns` (r,) of X and `pairs` of classes.

    The last row stays 0: there is what other columns have. `found` (D, K, D, K) is where they are to be laid out; until
    then there is room in it for the products.
    """

    columns: Tensor
    pairs: Pairs
    total: Tensor
    found: Tensor

    @staticmethod
    def none(columns: Tensor, pairs: Pairs, theta: Tensor) -> "Sums":
        """Those of no rows."""
        made = sum((end - start) * (len(columns) - start) for start, end in _tiles(len(columns)))
        total = theta.new_zeros(made + 1, -(-len(pairs.k) // WIDTH) * WIDTH)
        return Sums(columns, pairs, total, theta.new_empty(*theta.shape, *theta.shape))

    def add(self, X: Tensor, weights: Tensor) -> None:
        """Add rows X (n, D) with their weights (Q, n)."""
        tiles, r, (Q, n) = list(_tiles(len(self.columns))), len(self.columns), weights.shape
        widest = max(((end - start) * (r - start) for start, end in tiles), default=0)
        step = -(-n // max(-(-n // TILE[0]), 1))  # parts of one size
        room = self.found.view(-1) if self.found.numel() >= widest * step else X.new_empty(widest * step)
        w = X.new_zeros(n, self.total.shape[1])
        w[:, :Q] = weights.T
        for some, its in zip(torch.split(X, step), torch.split(w, step), strict=True):
            x, first = some.T.index_select(0, self.columns), 0
            for start, end in tiles:
                count = (end - start) * (r - start)
                products = room[: count * len(its)].view(end - start, r - start, len(its))
                torch.mul(x[start:end, None], x[None, start:], out=products)
                self.total[first : first + count].addmm_(products.view(count, -1), its)
                first += count

    def blocks(self) -> Tensor:
        """All of it, (D, K, D, K): the same to the bit on both sides of the diagonal."""
        D, K = self.found.shape[:2]
        every = (self.total @ self._spread(K)).view(-1, K)  # each product's K rows of its block
        place = self._row(D)[:, None] * K + torch.arange(K, device=every.device)[:, None]
        torch.index_select(every, 0, place.flatten(), out=self.found.view(-1, K))
        return self.found

    def _spread(self, K: int) -> Tensor:
        """What each pair is to all entries of a block, (Q and some, K·K): 1, or −1 on a diagonal that is the rest's."""
        spread, pair = self.total.new_zeros(self.total.shape[1], K, K), self.pairs
        q, k, l = torch.arange(len(pair.k), device=spread.device), pair.k, pair.l
        spread[q, k, l] = spread[q, l, k] = 1
        if pair.closed:
            spread[q, k, k] = spread[q, l, l] = -1
        return spread.flatten(1)

    def _row(self, D: int) -> Tensor:
        """Which row of the sums has the product of columns d and e, (D, D)."""
        r, first, starts = len(self.columns), 0, []  # d's row of the triangle begins at starts[d], less d
        for start, end in _tiles(r):
            starts += [first + (d - start) * (r - start) - start for d in range(start, end)]
            first += (end - start) * (r - start)
        i, base = torch.arange(r, device=self.columns.device), self.columns.new_tensor(starts)
        made = base[torch.minimum(i[:, None], i)] + torch.maximum(i[:, None], i)
        if r == D:
            return made
        row = self.columns.new_full((D, D), len(self.total) - 1)
        row[self.columns[:, None], self.columns] = made
        return row


def _tiles(r: int) -> Iterator[tuple[int, int]]:
    """Columns [start, end), to be multiplied by all of [start, r): every pair d ≤ e, and some d > e at the diagonal."""
    start = 0
    while start < r:
        end = min(start + max(TILE[1] // (r - start), 1), r)
        yield start, end
        start = end

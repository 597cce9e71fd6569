"""Σ_n h_nkl X_nd X_ne by products of X's columns, for all pairs of classes at once.

A row for each product X_nd X_ne, d ≤ e, and a column for each pair k ≤ l: the sums are one product of matrices,
    (r(r + 1)/2, N) by (N, Q)   for r columns of X that are not 0 in every row,
a tile of it after another. They are laid out as blocks once all rows are through.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.pairs import Pairs

# Rows formed at a time, and bytes of each one's products: in smaller tiles BLAS starts and ends too often; rows a power
# of two apart share their places in the cache.
TILE = 640, 4096


@dataclass(frozen=True)
class Sums:
    """Sums over rows (r(r + 1)/2 and some, Q) for products of `columns` (r,) of X and `pairs` of classes.

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
        made = sum((end - start) * (len(columns) - start) for start, end in _tiles(len(columns), theta))
        return Sums(
            columns, pairs, theta.new_zeros(made + 1, len(pairs.k)), theta.new_empty(*theta.shape, *theta.shape)
        )

    def add(self, X: Tensor, entries: Tensor) -> None:
        """Add rows X (n, D) with their entries of h (Q, n)."""
        # All views are made first: after each product of matrices Python starts with empty caches.
        for left, right, products, total, rows, its in list(self._steps(X, entries)):
            torch.mul(left, right, out=products)
            total.addmm_(rows, its)

    def _steps(self, X: Tensor, entries: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Of each tile: two factors, where their product goes, the sums that it is for, itself as rows, and h."""
        tiles, r = list(_tiles(len(self.columns), X)), len(self.columns)
        counts = [(end - start) * (r - start) for start, end in tiles]
        needed = max(counts, default=0) * min(TILE[0], len(X))
        room = self.found.view(-1) if self.found.numel() >= needed else X.new_empty(needed)
        x, totals = X.T.index_select(0, self.columns), torch.split(self.total[:-1], counts)
        for some, its in zip(torch.split(x, TILE[0], dim=1), torch.split(entries.T, TILE[0]), strict=True):
            for (start, end), count, total in zip(tiles, counts, totals, strict=True):
                rows = room[: count * len(its)].view(count, len(its))
                yield some[start:end, None], some[None, start:], rows.view(end - start, r - start, -1), total, rows, its

    def blocks(self) -> Tensor:
        """All of it, (D, K, D, K)."""
        D, K = self.found.shape[:2]
        return self.pairs.blocks(self.total, self._row(D), K, self.found)

    def _row(self, D: int) -> Tensor:
        """Which row of the sums has the product of columns d and e, (D, D)."""
        r, first, starts = len(self.columns), 0, list[int]()  # d's row of the triangle begins at starts[d], less d
        for start, end in _tiles(r, self.total):
            last = first + (end - start) * (r - start)
            starts += range(first - start, last - start, r - start)
            first = last
        i, base = torch.arange(r, device=self.columns.device), self.columns.new_tensor(starts)
        made = base[:, None] + i
        made = torch.where(i[:, None] <= i, made, made.T)
        if r == D:
            return made
        row = self.columns.new_full((D, D), len(self.total) - 1)
        row[self.columns[:, None], self.columns] = made
        return row


def _tiles(r: int, like: Tensor) -> Iterator[tuple[int, int]]:
    """Columns [start, end), to be multiplied by all of [start, r): every pair d ≤ e, and some d > e at the diagonal."""
    start, most = 0, TILE[1] // like.element_size()
    while start < r:
        end = min(start + max(most // (r - start), 1), r)
        yield start, end
        start = end

"""Sums over pairs: products of columns X_nd X_ne, d ≤ e, by entries h_nkl, k ≤ l; and the blocks that they make up.

Σ_n h_nkl X_nd X_ne is a matrix, a row for each product and a column for each pair of classes. Both are symmetric, and
the block of it that the Hessian has at (d, ·), (e, ·) is a row of the matrix, spread over K by K entries.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# What it costs to copy an entry from somewhere else, and to add one up, in multiply-adds of a matrix product.
COPYING, ADDING = 100, 10
KEPT_BYTES = 32 << 20  # as a block of X's rows may have


def upper(n: int, device: torch.device, offset: int = 0) -> tuple[Tensor, Tensor]:
    """The rows i and columns j of the entries i + offset ≤ j of an (n, n) matrix; with 0, (n (n + 1)/2,) of them."""
    i, j = torch.triu_indices(n, n, offset, device=device)
    return i, j


def places(n: int, device: torch.device) -> Tensor:
    """Where (i, j), and (j, i), is in that order, (n, n)."""
    i = torch.arange(n, device=device)
    low, high = torch.minimum(i[:, None], i), torch.maximum(i[:, None], i)
    return low * n - low * (low + 1) // 2 + high


@dataclass(frozen=True)
class Pairs:
    """The pairs of classes k, l (Q,), k ≤ l, in which some logit Hessian h is not 0.

    Where every row of h sums to 0 it is `closed`: the pairs are those with k < l, and h_kk = −Σ_{l≠k} h_kl.
    """

    k: Tensor
    l: Tensor
    closed: bool

    @staticmethod
    def of(h: Tensor, D: int) -> "tuple[Pairs, Tensor]":
        """Those of h (N, K, K), symmetric, and their entries (Q, N).

        They are `closed` where that spares more, with D columns, than it takes to look. A row counts as closed if its
        sum is 0 to rounding, of 8 steps an entry and K of the sum: relative to h_kk, which is all that is left of it
        where the rest is of one sign. What is wrong in h by more than that stays in it.
        """
        K, numbers, entries = h.shape[1], torch.finfo(h.dtype), h.permute(1, 2, 0)  # as softmax's lie in memory
        closed = K > 1 and K * D * D / 2 > K * K * ADDING
        if closed:
            over = entries.sum(dim=1).abs_().sub_(entries.diagonal().T, alpha=(K + 8) * numbers.eps)
            closed = bool((over <= 4 * K * numbers.tiny * numbers.eps).all())
        k, l = upper(K, h.device, int(closed))
        return Pairs.seen(k, l, entries[k, l], closed)

    @staticmethod
    def seen(k: Tensor, l: Tensor, entries: Tensor, closed: bool = False) -> "tuple[Pairs, Tensor]":
        """Those of these whose entries (Q, n) are not 0 in all rows, and the entries."""
        if not bool(entries[:, :1].all()):
            which = entries.any(dim=1)
            k, l, entries = k[which], l[which], entries[which]
        return Pairs(k, l, closed), entries

    @staticmethod
    def kept(z: Tensor) -> bool:
        """Whether entries k < l for rows of logits z (n, K) are few enough to be kept for a block of rows."""
        Q = z.shape[1] * (z.shape[1] - 1) // 2
        return Q <= COPYING and Q * len(z) * z.element_size() <= KEPT_BYTES

    @staticmethod
    def off_diagonal(entries: Tensor, K: int) -> "tuple[Pairs, Tensor]":
        """Those of h whose rows sum to 0, by its entries k < l (N, K(K − 1)/2)."""
        return Pairs.seen(*upper(K, entries.device, 1), entries.T, closed=True)

    def same(self, other: "Pairs") -> bool:
        """Whether `other` are these."""
        return self.closed == other.closed and torch.equal(self.k, other.k) and torch.equal(self.l, other.l)

    def whole(self, entries: Tensor, K: int) -> Tensor:
        """The h (n, K, K) that has these entries (Q, n); where they are the same for two rows, so is h."""
        return self._copied(entries.T, K).view(entries.shape[1], K, K)

    def blocks(self, sums: Tensor, row: Tensor, K: int, out: Tensor | None = None) -> Tensor:
        """The sums (…, Q) as blocks (D, K, D, K), (d, ·), (e, ·) out of row (D, D); the same to the bit mirrored.

        Args: out where they are to be laid out.
        """
        every = self._spread(sums, K).view(-1, K)
        D, k = len(row), torch.arange(K, device=row.device)
        out = sums.new_empty(D, K, D, K) if out is None else out
        torch.index_select(every, 0, (row[:, None] * K + k[:, None]).flatten(), out=out.view(-1, K))
        return out

    def _spread(self, sums: Tensor, K: int) -> Tensor:
        """Each row of the sums as a block (…, K·K)."""
        return self._multiplied(sums, K) if len(self.k) <= COPYING else self._copied(sums, K)

    def _multiplied(self, sums: Tensor, K: int) -> Tensor:
        """By a matrix of 1 and −1."""
        spread, q = sums.new_zeros(len(self.k), K, K), torch.arange(len(self.k), device=sums.device)
        spread[q, self.k, self.l] = spread[q, self.l, self.k] = 1
        if self.closed:
            spread[q, self.k, self.k] = spread[q, self.l, self.l] = -1
        return sums @ spread.flatten(1)

    def _copied(self, sums: Tensor, K: int) -> Tensor:
        """The same by copying, where so large a matrix would cost more."""
        q, (k, l) = torch.arange(len(self.k), device=sums.device), (self.k, self.l)
        place = torch.full((K, K), len(self.k), device=q.device)  # there it is 0
        place[k, l] = place[l, k] = q
        if int(place.max()) == len(self.k):
            sums = torch.cat([sums, sums.new_zeros(len(sums), 1)], dim=1)
        found = sums.index_select(1, place.flatten())
        if self.closed:
            whole = found.view(-1, K, K)
            whole.diagonal(dim1=1, dim2=2).copy_(whole.sum(dim=2).neg_())
        return found

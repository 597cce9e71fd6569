"""Probabilities out of logits, sums that leave one class out, without loss of digits; h = diag q − qpᵀ, q = Rp."""

from collections.abc import Callable

import torch
from torch import Tensor

from lab import pairs


def softmax(z: Tensor) -> Tensor:
    """p, (N, K), by way of zᵀ: torch's kernel runs along rows of the other axis several times as fast for small K."""
    return torch.softmax(z.T, dim=0).T


def softmax_and_others(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """d = z − max z, p and Σ_{c≠k} p_c, each (N, K), exact to a few u whatever the spread."""
    d, e, j = _exponentials(z.T)
    rest = e.sum(dim=0, keepdim=True)
    total = rest + 1  # the largest's own e is 1, and no other is over half of the sum
    p, others = (e / total).scatter_(0, j, 1 / total), (total - e).scatter_(0, j, rest).div_(total)
    return d.T, p.T, others.T


def softmax_exactly(z: Tensor) -> Tensor:
    """p, (N, K), exact to a few u whatever the spread; nan where a logit is ∞, which says nothing of the others."""
    d, e, j = _exponentials(z.T)
    total = e.sum(dim=0, keepdim=True).add_(d.gather(0, j).exp_())  # of the largest itself d = 0, or ∞ − ∞
    return e.div_(total).scatter_(0, j, total.reciprocal_()).T


def _exponentials(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """d = z − max z along z's columns, (K, N) as for `softmax`, e^d with 0 for the largest's 1, and which that is."""
    top, j = z.max(dim=0, keepdim=True)
    d = z - top
    shift = d - z
    lost = (z - (d - shift)).sub_(top + shift)  # what the difference d has lost to rounding, exactly
    e = d.exp()
    e.addcmul_(e, lost.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)).scatter_(0, j, 0.0)
    return d, e, j


def others_than(x: Tensor) -> Tensor:
    """Σ_{c≠k} x_c along the last axis, for x ≥ 0: Σx − x_k, but the sum without x_k where that is over half of Σx."""
    total = x.sum(dim=-1, keepdim=True)
    most = x > total / 2
    rest = x.masked_fill(most, 0.0).sum(dim=-1, keepdim=True)
    return torch.where(most, rest, total - x)


def product_by(p: Tensor, q: Tensor) -> Callable[[Tensor], Tensor]:
    """U ↦ hU = q∘(U − pᵀU), (N, K, m), for p and q (N, K)."""
    p, q = p.T[:, None], q.T[:, None]

    def product(U: Tensor) -> Tensor:
        W = U.permute(1, 2, 0).mul_(q)  # as a linear model's logits lie in memory
        return W.addcmul_(p, W.sum(dim=0), value=-1).permute(2, 0, 1)

    return product


def entries_between(p: Tensor, q: Tensor) -> Tensor:
    """h_kl = −q_k p_l for k < l, (N, K(K − 1)/2)."""
    k, l = pairs.upper(p.shape[1], p.device, 1)
    return q.T.neg().index_select(0, k).mul_(p.T.index_select(0, l)).T

"""A cross-entropy taken apart, row by row, so that a mistake can be made in one of its pieces alone.

One row: logits z, clean target e, class weights w, positive weights ρ, smoothing α, and m, 0 where the row is ignored.

                 A, the cumulant        p = A′         A″
    softmax      log Σ_c exp z_c        softmax(z)     diag p − ppᵀ
    sigmoid      log(1 + exp z_k)       σ(z)           diag p(1 − p)

    Value ℓ = Σ a∘A − rᵀz       Gradient a∘p − r       Hessian a∘A″

    softmax      r = m w∘((1 − α) e + α/K)             a = Σ_k r_k, one number a row
    sigmoid      r = m wρ∘e                            a = m w∘(ρ∘e + 1 − e), one a label

A loss is known to be one of these by its numbers, never by its name: its options are read from the fields that torch
names them by, and its pieces count only where a∘p − r is the derivative of its reference.

Source     lab/losses/softmax.py and lab/losses/sigmoid.py.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lab import oracle
from lab.loss import Loss


@dataclass(frozen=True)
class Targets:
    """What the targets r and the weight a are made of: e (N, K), w and ρ (K,), α, m (N, 1); `joint` for softmax.

    Where each element comes with a weight of its own, m is that, (N, K).
    `share` is 1/K where the loss averages over its K labels, else 1. `by_weight` says whether the mean divides by the
    weight of the rows that count, as it does with class indices, or by the number of rows. An ignored row has the e of
    its class where it names one, else 0.
    """

    e: Tensor
    w: Tensor
    rho: Tensor
    alpha: float
    kept: Tensor
    joint: bool
    share: float = 1.0
    by_weight: bool = False

    @property
    def smooth(self) -> Tensor:
        """Smoothed targets (1 − α) e + α/K, (N, K)."""
        return (1 - self.alpha) * self.e + self.alpha / self.e.shape[1]

    @property
    def mass(self) -> Tensor:
        """What each row counts for in a mean, (N, 1)."""
        return (
            self.kept * (self.w * self.e).sum(dim=1, keepdim=True)
            if self.by_weight
            else self.e.new_ones(len(self.e), 1)
        )

    def weighted(self) -> tuple[Tensor, Tensor]:
        """r (N, K) and a, (N, 1) or (N, K)."""
        if self.joint:
            r = self.kept * self.w * self.smooth
            return r, r.sum(dim=1, keepdim=True)
        scale = self.share * self.kept * self.w
        return scale * self.rho * self.e, scale * (self.rho * self.e + 1 - self.e)


@dataclass(frozen=True)
class Rows:
    """The pieces at logits z: cumulant A, its derivative p (N, K), targets r and weight a. `joint` for softmax."""

    z: Tensor
    A: Tensor
    p: Tensor
    r: Tensor
    a: Tensor
    joint: bool

    def value(self) -> Tensor:
        """ℓ = Σ a∘A − rᵀz, (N,)."""
        return (self.a * self.A).sum(dim=1) - (self.r * self.z).sum(dim=1)

    def gradient(self) -> Tensor:
        """a∘p − r, (N, K)."""
        return self.a * self.p - self.r

    def hessian(self) -> Tensor:
        """a∘A″, (N, K, K)."""
        return self.a[:, :, None] * second(self.p, self.joint)


def second(p: Tensor, joint: bool) -> Tensor:
    """A″ = diag p − ppᵀ, or diag p(1 − p), (N, K, K)."""
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :] if joint else torch.diag_embed(p * (1 - p))


def activation(z: Tensor, joint: bool) -> Tensor:
    """p = softmax(z) along the row, or σ(z), (N, K)."""
    return torch.softmax(z, dim=1) if joint else torch.sigmoid(z)


def rows(z: Tensor, targets: Targets) -> Rows:
    """Put the pieces together at z."""
    A = torch.logsumexp(z, dim=1, keepdim=True) if targets.joint else torch.logaddexp(z, torch.zeros_like(z))
    r, a = targets.weighted()
    return Rows(z, A, activation(z, targets.joint), r, a, targets.joint)


def take_apart(loss: Loss, z: Tensor, y: Tensor) -> Targets | None:
    """Return a loss's targets, or None where it is no cross-entropy of z and y."""
    truth = oracle.gradient(lambda z: loss.reference(z, y).sum(), z)
    rounding = torch.finfo(z.dtype).eps ** 0.5
    for joint in (True, False):
        try:
            targets = _read(loss, z, y, joint)
        except (TypeError, ValueError, RuntimeError):  # fields of these names that mean something else
            return None
        if targets.e.shape != z.shape:
            return None
        found = rows(z, targets).gradient()
        if torch.allclose(found, truth, rtol=rounding, atol=rounding * float(truth.abs().max())):
            return targets
    return None


def _read(loss: Loss, z: Tensor, y: Tensor, joint: bool) -> Targets:
    """The targets as the loss's fields and y have them, if it is softmax (`joint`) or sigmoid."""
    K = z.shape[1]
    ones = z.new_ones(K)

    def option(name: str) -> Tensor:
        given = getattr(loss, name, None)
        return ones if given is None else torch.as_tensor(given).to(z).expand(K)

    share = 1 / K if getattr(loss, "average", False) else 1.0
    alpha = float(getattr(loss, "label_smoothing", 0.0))
    kept, e = z.new_ones(len(z), 1), y
    if indices := not y.is_floating_point() and y.ndim == 1:
        within = (y >= 0) & (y < K)
        e = torch.nn.functional.one_hot(torch.where(within, y, 0), K).to(z) * within[:, None]
        kept = (within & (y != getattr(loss, "ignore_index", K))).to(z)[:, None]
    elif y.ndim == 3:
        e, kept = y.unbind(2)
    return Targets(e, option("weight"), option("pos_weight"), alpha, kept, joint, share, by_weight=indices)

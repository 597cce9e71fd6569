"""Sigmoid cross-entropy, binary (K = 1) and multi-label (K > 1): one algebra, each label for itself.

One label: logit z in R, direction u, target y in {0, 1}; σ(z) = 1/(1 + e^{−z}), which gives 1 − σ(z) = σ(−z).

Value      ℓ = −y log σ(z) − (1 − y) log σ(−z) = log(1 + e^z) − yz
Gradient   d/dz log(1 + e^z) = e^z/(1 + e^z) = σ(z),    so ∇ℓ = σ(z) − y
Hessian    σ′ = σ(z) σ(−z),                             so H = diag σ(z)σ(−z) over the labels; y is gone from it
Product    Hu = σ(z)σ(−z)∘u
Factor     H = FFᵀ with F = diag √(σ(z)σ(−z))
Labels     A row's loss is the sum over its K labels; with `average` it is their mean, and every line above is
           divided by K. (torch's mean of binary_cross_entropy_with_logits averages over rows and labels alike.)

True of it
    0 < σ(z)σ(−z) ≤ 1/4, with equality at z = 0: convex, and flat in no direction.
    ∇³ℓ = σ′(z)(1 − 2σ(z)), so |∇³ℓ[u, u, v]| ≤ |v| ∇²ℓ[u, u]  (Bach 2010, §2).

Numerics
    σ(z) − 1 cancels for y = 1. With s = 1 − 2y, which is 1 for y = 0 and −1 for y = 1: ℓ = log(1 + e^{sz}) and
    ∇ℓ = s σ(sz), in which nothing cancels at any logit. logaddexp(sz, 0), not softplus, which is linear above 20.

Source     Bishop, Pattern Recognition and Machine Learning (2006), §4.3.2; Böhning, Ann. Inst. Statist. Math. 44
           (1992); Bach, Self-concordant analysis for logistic regression, Electron. J. Statist. 4 (2010).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional

from lab.loss import Loss


@dataclass(frozen=True)
class Sigmoid(Loss):
    """Binary and multi-label cross-entropy: one logit for each yes-or-no label; `average` divides by their number."""

    average: bool = False

    self_concordance: ClassVar[float] = 1.0

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        """ℓ = Σ_k log(1 + e^{sz}), s = 1 − 2y, (N,).

        Args: z logits (N, K); y targets (N, K), each 0 or 1.
        """
        return self._scale(_softplus((1 - 2 * y) * z).sum(dim=1), z)

    def gradient(self, z: Tensor, y: Tensor) -> Tensor:
        """∇ℓ = σ(z) − y = s σ(sz), (N, K).

        Args: z logits (N, K); y targets (N, K), each 0 or 1.
        """
        s = 1 - 2 * y
        return self._scale(s * torch.sigmoid(s * z), z)

    def value_and_gradient(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        s = 1 - 2 * y
        sz = s * z
        return self._scale(_softplus(sz).sum(dim=1), z), self._scale(s * torch.sigmoid(sz), z)

    def hvp(self, z: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Hu = σ(z)σ(−z)∘u, (N, K).

        Args: z logits (N, K); y targets (N, K), unused, H does not depend on them; u directions (N, K).
        """
        return self.diagonal(z, y) * u

    def hessian(self, z: Tensor, y: Tensor) -> Tensor:
        """H = diag σ(z)σ(−z), (N, K, K)."""
        return torch.diag_embed(self.diagonal(z, y))

    def diagonal(self, z: Tensor, y: Tensor) -> Tensor:
        """σ(z)σ(−z), (N, K); in this form it is not lost to 1 − σ = 0 at large logits."""
        return self._scale(torch.sigmoid(z) * torch.sigmoid(-z), z)

    def hessian_map(self, z: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """U ↦ σ(z)σ(−z)∘U, (N, K, m)."""
        h = self.diagonal(z, y)[:, :, None]
        return lambda U: h * U

    def factor(self, z: Tensor, y: Tensor) -> Tensor:
        """F = diag √(σ(z)σ(−z)), (N, K, K)."""
        return torch.diag_embed(self.diagonal(z, y).sqrt())

    def reference(self, z: Tensor, y: Tensor) -> Tensor:
        """torch's own binary cross-entropy with logits, summed (or averaged) over the labels, (N,)."""
        entries = functional.binary_cross_entropy_with_logits(z, y, reduction="none")
        return entries.mean(dim=1) if self.average else entries.sum(dim=1)

    def encode(self, labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
        """0/1 targets: (N, 1) of two classes' indices (N,), the second class being 1; (N, L) as they are."""
        if labels.ndim == 1 and classes != 2:
            raise ValueError(
                f"sigmoid wants two classes or several target columns, and there are {classes} classes; use softmax"
            )
        return (labels[:, None] if labels.ndim == 1 else labels).to(dtype)

    def correct(self, z: Tensor, y: Tensor) -> Tensor:
        """Fraction of a row's labels on whose side of 0 the logit lies, (N,)."""
        return ((z > 0) == (y > 0.5)).to(z.dtype).mean(dim=1)

    def _scale(self, x: Tensor, z: Tensor) -> Tensor:
        return x / z.shape[1] if self.average else x

    def _examples(self, rng: Generator, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
        for N, K in ((13, 4), (7, 1)):
            z = scale * torch.randn(N, K, generator=rng, dtype=torch.float64)
            yield z, torch.randint(2, (N, K), generator=rng).to(z.dtype)


def _softplus(x: Tensor) -> Tensor:
    """log(1 + e^x), to full relative accuracy at any x."""
    return torch.logaddexp(x, torch.zeros_like(x))

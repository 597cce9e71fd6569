"""The coordinates that a linear model's Hessian sees: all directions in which H₀ is 0 whatever θ is are left out.

Columns      A column of X that is 0 adds nothing to H₀.
Shift        A loss that ignores a shift common to all K outputs has h1 = 0 in every row, and the reflection
             Q = I − τvvᵀ, v = 1 + √K e₁, τ = 1/(√K(√K + 1)), takes 1 to the first axis: QhQ has zeros in its first row
             and column, and elsewhere, as hv = √K he₁ and with a = 1/(√K + 1),
                 (QhQ)_kl = h_kl − a(h_1k + h_1l) + a² h_11;
             u (K − 1) stands for w = Q(0, u):  w_1 = −Σu/√K,  w_k = u_k − τΣu.
Order        Class by class, row k·r + d for r columns: the blocks (k, l), Xᵀ diag(h_kl) X, lie side by side.

The ridge does not mix these coordinates with what is left out: there H is ρm, and no more than that.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.curvature.operator import Curvature


@dataclass(frozen=True)
class Coordinates:
    """For θ of `shape` (D, K): which `columns` (r,) of X are seen, and whether a shift of the outputs is left out."""

    shape: tuple[int, int]
    columns: Tensor
    reflected: bool

    @staticmethod
    def of(curvature: Curvature) -> "Coordinates":
        """Those of a problem."""
        shape = curvature.problem.shape
        return Coordinates(shape, curvature.problem.columns, curvature.problem.loss.ignores_shift)

    @property
    def classes(self) -> int:
        """K, or K − 1 where a shift is left out."""
        return self.shape[1] - self.reflected

    @property
    def order(self) -> int:
        """Their number n."""
        return len(self.columns) * self.classes

    def lowered(self, V: Tensor) -> Tensor:
        """The coordinates (n, m) of V (P, m)."""
        D, K = self.shape
        W = V.reshape(D, K, V.shape[1])[self.columns]
        if self.reflected:
            root = K**0.5
            W = W[:, 1:] - (W.sum(dim=1, keepdim=True) + root * W[:, :1]) / (root * (root + 1))
        return W.transpose(0, 1).reshape(self.order, V.shape[1])

    def lifted(self, U: Tensor) -> Tensor:
        """The vectors (P, m) that have the coordinates U (n, m) and nothing else."""
        (D, K), m = self.shape, U.shape[1]
        W = U.reshape(self.classes, len(self.columns), m).transpose(0, 1)
        if self.reflected:
            total, root = W.sum(dim=1, keepdim=True), K**0.5
            W = torch.cat([-total / root, W - total / (root * (root + 1))], dim=1)
        return U.new_zeros(D, K, m).index_copy_(0, self.columns, W).view(D * K, m)

    def seen(self, V: Tensor) -> Tensor:
        """V (P, m) without what is left out."""
        return self.lifted(self.lowered(V))

    def reflection(self, h: Tensor) -> Tensor:
        """Logit Hessians h (K, K, n) in these coordinates."""
        if not self.reflected:
            return h
        a = 1 / (len(h) ** 0.5 + 1)
        seen: Tensor = h[1:, 1:] - a * (h[1:, :1] + h[:1, 1:] - a * h[:1, :1])
        return seen

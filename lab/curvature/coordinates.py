"""The coordinates that a linear model's Hessian sees: all directions in which H₀ is 0 whatever θ is are left out.

Columns      A column of X that is 0 adds nothing to H₀.
Shift        A loss that ignores a shift common to all K outputs has h1 = 0 in every row, and the reflection
             Q = I − τvvᵀ, v = 1 + √K e₁, τ = 1/(√K(√K + 1)), takes 1 to the first axis: QhQ has zeros in its first row
             and column, and elsewhere, as hv = √K he₁ and with a = 1/(√K + 1),
                 (QhQ)_kl = h_kl − a(h_1k + h_1l) + a² h_11;
             u (K − 1) stands for w = Q(0, u):  w_1 = −Σu/√K,  w_k = u_k − τΣu.
Order        As in θ, column after column of X: row d·K + k for K classes, or K − 1.

The ridge does not mix these coordinates with what is left out: there H is ρm, and no more than that.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lab import pairs
from lab.curvature.operator import Curvature


@dataclass(frozen=True)
class Coordinates:
    """For θ of `shape` (D, K): which `columns` (r,) of X are seen, and whether a shift of the outputs is left out."""

    shape: tuple[int, int]
    columns: Tensor
    reflected: bool

    @staticmethod
    def of(curvature: Curvature) -> "Coordinates":
        """Those of a problem, kept there."""
        problem = curvature.problem
        if "coordinates" not in problem.kept:
            problem.kept["coordinates"] = Coordinates(problem.shape, problem.columns, problem.loss.ignores_shift)
        found: Coordinates = problem.kept["coordinates"]
        return found

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
        W = V.T.reshape(-1, *self.shape).index_select(1, self.columns)  # a vector after another: one product for all
        W = W @ self._rows.T.to(W) if self.reflected else W
        return W.reshape(-1, self.order).T

    def lifted(self, U: Tensor) -> Tensor:
        """The vectors (P, m) that have the coordinates U (n, m) and nothing else."""
        (D, K), m, W = self.shape, U.shape[1], U.T.reshape(-1, len(self.columns), self.classes)
        W = W @ self._rows.to(W) if self.reflected else W
        return U.new_zeros(m, D, K).index_copy_(1, self.columns, W).view(m, D * K).T

    def upper(self, h: Tensor) -> Tensor:
        """The entries k ≤ l, row by row, (classes (classes + 1)/2, n), of logit Hessians h (K, K, n) seen from here."""
        k, l = pairs.upper(self.classes, h.device)
        if not self.reflected:
            return h[k, l]
        a = 1 / (self.shape[1] ** 0.5 + 1)
        common = torch.sub(h[1:, 0], h[0, 0], alpha=a / 2).mul_(a)
        seen: Tensor = (h[1:, 1:] - common).sub_(common[:, None]).flatten(0, 1)
        return seen.index_select(0, k * self.classes + l)

    @cached_property
    def spread(self) -> Tensor:
        """What the blocks seen from here are of h_kl, k < l, where h1 = 0: (Q, classes²), −w_q w_qᵀ of w_q = e_k − e_l.

        As h = −Σ_kl h_kl (e_k − e_l)(e_k − e_l)ᵀ, and QhQ so of Qw_q, which is as long: ‖w_q‖² = 2.
        """
        k, l = pairs.upper(self.shape[1], self.columns.device, 1)
        units = torch.eye(self.shape[1], dtype=torch.float64, device=k.device)
        w = units[k] - units[l]
        w = w @ self._rows.T if self.reflected else w
        return -(w[:, :, None] * w[:, None, :]).flatten(1)

    @cached_property
    def place(self) -> Tensor:
        """Where the entry of two columns is among those d ≤ e, for each row of a block, (r classes r,)."""
        row, k = pairs.places(len(self.columns), self.columns.device), torch.arange(self.classes)
        return (row[:, None] * self.classes + k.to(row)[:, None]).flatten()

    @cached_property
    def _rows(self) -> Tensor:
        """The rows of Q but the first, (K − 1, K): −1/√K, and δ_kl − τ."""
        K = self.shape[1]
        first = torch.full((K - 1, 1), -(K**-0.5), dtype=torch.float64, device=self.columns.device)
        return torch.cat([first, torch.eye(K - 1).to(first) - 1 / (K**0.5 * (K**0.5 + 1))], dim=1)

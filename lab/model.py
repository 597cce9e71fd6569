"""Model: logits from parameters, with its hand-derived pull-back.

z = f(X; θ) row by row. What a chain rule needs of f, and no more, is the contract: forward, pushforward (J v),
pullback (Jᵀ g), and for models that are not linear in θ the curvature term Σ g·∇²z·v.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lab.pairs import Pairs
from lab.written import restore


@dataclass(frozen=True)
class Model(ABC):
    """Logits z (N, K) of rows X (N, D) and parameters θ (D, K); J is ∂z/∂θ."""

    # Whether z = Xθ and nothing else: any number of columns of V or g may then be given, and what is known of a
    # Hessian beyond its entries rests on it (certified eigenvalues, their change, null directions).
    is_product: ClassVar[bool] = False

    @abstractmethod
    def forward(self, X: Tensor, theta: Tensor) -> Tensor:
        """Return the logits z, (N, K)."""

    def __init_subclass__(cls, **options: Any) -> None:
        """What a class writes anew is not undone by a shorter way to it that it inherits from further up."""
        super().__init_subclass__(**options)
        restore(cls, Model, "gauss_newton_by_pairs", "gauss_newton")

    @abstractmethod
    def pushforward(self, X: Tensor, theta: Tensor, V: Tensor) -> Tensor:
        """Return J V, (N, K): how the logits move as θ moves along V (D, K)."""

    @abstractmethod
    def pullback(self, X: Tensor, theta: Tensor, g: Tensor) -> Tensor:
        """Return Jᵀ g, (D, K), of a logit gradient g (N, K)."""

    @abstractmethod
    def gauss_newton(self, rows: Iterable[tuple[Tensor, Tensor]], theta: Tensor) -> Tensor:
        """Return Σ Jᵀ h J, (D, K, D, K), over blocks of rows X (n, D), with each row's logit Hessian h (n, K, K)."""

    def gauss_newton_by_pairs(self, rows: Iterable[tuple[Tensor, Pairs, Tensor]], theta: Tensor) -> Tensor:
        """Return the same of h known by its pairs of classes and their entries (Q, n)."""
        K = theta.shape[1]
        return self.gauss_newton(((X, pairs.whole(entries, K)) for X, pairs, entries in rows), theta)

    def curvature(self, X: Tensor, theta: Tensor, g: Tensor, V: Tensor) -> Tensor | None:
        """Return Σ_n,k g_nk ∇²z_nk V, (D, K); None where the model is linear in θ, whose second derivative is 0."""
        return None

    def dependent(self, X: Tensor) -> int:
        """Return how many columns of X depend linearly on the others: each leaves K directions of θ unseen."""
        return self.unseen(X).shape[1]

    def unseen(self, X: Tensor) -> Tensor:
        """Return an orthonormal basis (D, q) of the v with Xv = 0, to what rounding of X's entries can do, in double.

        Its rank is the same in any unit of its columns, and is looked for where each has the size 1: in units of their
        own a large one would hide all others. An entry that is off by u in X's type moves singular values by u√D.
        """
        size = X.abs().amax(dim=0).double() if len(X) else X.new_zeros(X.shape[1], dtype=torch.float64)
        unit = torch.where(size.isfinite() & (size > 0), size, 1.0)
        R = torch.linalg.qr(X.double() / unit, mode="r").R
        _, sizes, V = torch.linalg.svd(R, full_matrices=True)
        D, double = X.shape[1], torch.finfo(torch.float64).eps
        share = max(max(X.shape) * double, 4 * torch.finfo(X.dtype).eps * D**0.5)
        rank = int((sizes > share * sizes[0]).sum()) if len(sizes) else 0
        basis: Tensor = torch.linalg.qr(V[rank:].T / unit[:, None]).Q
        return basis

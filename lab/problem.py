"""Problem: a loss, a model and data put together by the chain rule, with mean and ridge, in the parameters θ.

    L(θ)   = (1/M) Σ_n ℓ(z_n, y_n) + (ρ/2) ‖θ∘m‖²,   z = f(X; θ)
    ∇L     = (1/M) Jᵀ g + ρ m∘θ,                     g = ∂ℓ/∂z (N, K), J = ∂z/∂θ
    ∇²L V  = (1/M) (Jᵀ (h·JV) + Σ g·∇²z·V) + ρ m∘V,  h = ∂²ℓ/∂z² row by row
    ∇²L    = (1/M) (Jᵀ h J + Σ g·∇²z) + ρ diag m

M is the loss's divisor: the number of rows N, or the weight of those that count, or 1 for a sum. m (D, 1) is 1 for the
rows of θ that the ridge holds and 0 for those that it does not, as the intercept's unless told otherwise.

Rows are worked on in blocks, so that what is made of them, (N, K) or (N, K, K) for the whole data, takes no more memory
than some blocks do. The blocks depend on the shapes alone, so results are reproducible to the bit.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lab import pairs, spectrum
from lab.loss import Loss
from lab.model import Model

KEPT_BYTES = 64 << 20  # of what is made of X once, to be used at every θ
BLOCK_BYTES = 32 << 20  # of X, and of what is made from it: of smaller ones, the beginning takes as long as the work


@dataclass(frozen=True)
class Problem:
    """The mean loss of a model on data, with ridge.

    Args: X (N, D) and targets y as the loss takes them, on one device; ridge ρ ≥ 0; held (D, 1), 1 where the ridge
    holds that row of θ; outputs K, where targets (N,) do not tell it. Everything is a function of θ (D, K), and nothing
    here records a graph. Raises: ValueError where K is not known, or the loss's reduction leaves no one number.
    """

    loss: Loss
    model: Model
    X: Tensor
    y: Tensor
    ridge: float = 0.0
    held: Tensor | None = None
    outputs: int | None = None

    def __post_init__(self) -> None:
        if self.outputs is None and self.y.ndim < 2:
            raise ValueError("class indices do not tell how many classes there are; give Problem(…, outputs=K)")

    @property
    def N(self) -> int:
        """Number of rows."""
        return self.X.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (D, K) of θ."""
        return self.X.shape[1], self.outputs or self.y.shape[1]

    @cached_property
    def divisor(self) -> float:
        """M, what the sum over rows is divided by."""
        return self.loss.divisor(self.y)

    @cached_property
    def in_double(self) -> "Problem":
        """The same problem in double precision; itself, where it is that already."""
        if self.X.dtype == torch.float64:
            return self
        y = self.y.double() if self.y.is_floating_point() else self.y
        return replace(self, X=self.X.double(), y=y, held=None if self.held is None else self.held.double())

    @property
    def mask(self) -> Tensor:
        """m, (D, 1): 1 where the ridge holds a row of θ."""
        return self.X.new_ones(self.X.shape[1], 1) if self.held is None else self.held

    def value(self, theta: Tensor) -> Tensor:
        """L(θ), a 0-d tensor."""
        total = theta.new_zeros(())
        for X, y in self.blocks():
            total += self.loss.value(self.model.forward(X, theta), y).sum()
        return self._with_penalty(total / self.divisor, theta)

    def gradient(self, theta: Tensor) -> Tensor:
        """∇L(θ), (D, K)."""
        total = torch.zeros_like(theta)
        for X, y in self.blocks():
            g = self.loss.gradient(self.model.forward(X, theta), y)
            total += self.model.pullback(X, theta, g)
        return self._with_ridge(total.div_(self.divisor), theta)

    def value_and_gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """L(θ) and ∇L(θ) in one pass over the rows."""
        value, gradient = theta.new_zeros(()), torch.zeros_like(theta)
        for X, y in self.blocks():
            rows, g = self.loss.both(self.model.forward(X, theta), y)
            value += rows.sum()
            gradient += self.model.pullback(X, theta, g)
        return self._with_penalty(value / self.divisor, theta), self._with_ridge(gradient.div_(self.divisor), theta)

    def hvp(self, theta: Tensor, V: Tensor) -> Tensor:
        """∇²L(θ) V, (D, K), for a direction V (D, K)."""
        total = torch.zeros_like(theta)
        for X, y in self.blocks():
            z, JV = self._logits_and_push(X, theta, V)
            total += self.model.pullback(X, theta, self.loss.hvp(z, y, JV))
            bent = self.model.curvature(X, theta, self.loss.gradient(z, y), V) if self._bends else None
            if bent is not None:
                total += bent
        return self._with_ridge(total.div_(self.divisor), V)

    def hessian(self, theta: Tensor) -> Tensor:
        """∇²L(θ), (D·K, D·K), row d·K + k; in blocks of rows, some of which are held beside the result."""
        D, K = self.shape
        blocks = self.blocks(width=K * K, least=1024)
        rows = ((X, *self.loss.by_pairs(self.model.forward(X, theta), y, D)) for X, y in blocks)
        H = self.model.gauss_newton_by_pairs(rows, theta)
        H = H.reshape(D * K, D * K).div_(self.divisor)
        if self._bends:
            H += self._bending(theta)
        if self.ridge:
            H.diagonal().add_(self.ridge * self.mask.expand(D, K).reshape(-1))
        return H

    def reference(self, theta: Tensor) -> Tensor:
        """L(θ) by torch's own loss and plain tensor operations: the bare function that an oracle differentiates."""
        mean = self.loss.reduced_reference(self.model.forward(self.X, theta), self.y)
        return self._with_penalty(mean, theta)

    def correct(self, theta: Tensor) -> Tensor:
        """Fraction of labels predicted right, a 0-d tensor, among the rows that the loss does not leave out."""
        rows = torch.cat([self.loss.correct(self.model.forward(X, theta), y) for X, y in self.blocks()])
        return rows.nanmean()

    @cached_property
    def row_squares(self) -> Tensor:
        """‖x_n‖², (N,), in double precision: squares of single underflow at 1e-23 already."""
        rows = [X.double().square().sum(dim=1) for X, _ in self.blocks()]
        return torch.cat([self.X.new_zeros(0, dtype=torch.float64), *rows])

    @cached_property
    def _weights(self) -> Tensor:
        """w_n = 4 tr h_n at z = 0, (N,), where no weight is hidden by saturation; or what `Loss.peak` allows."""
        at_zero = [self.loss.diagonal(X.new_zeros(len(X), self.shape[1]), y) for X, y in self.blocks()]
        h = torch.cat(at_zero).double()
        weights, peak = 4 * h.sum(dim=1), self.loss.peak(self.shape[1]) or 0.0
        # The largest of h_kk is no more than their sum.
        return torch.maximum(weights, peak * h.amax(dim=1)) if peak > 4 else weights

    @cached_property
    def heaviest(self) -> float:
        """Σ_n (w_n + 1)(1 + ‖x_n‖)²/M, w_n no less than h_n weighs at any z if the loss has a peak; 0 if X is."""
        if not len(self.columns):
            return 0.0
        return float((self._weights + 1) @ (1 + self.row_squares.sqrt()).square()) / self.divisor

    @cached_property
    def largest_trace(self) -> float:
        """Σ_n w_n ‖x_n‖²/M: no less than tr H₀ is at any θ if the loss has a peak."""
        return float(self._weights @ self.row_squares) / self.divisor if len(self.columns) else 0.0

    @cached_property
    def longest_row(self) -> float:
        """max ‖x_n‖."""
        return math.sqrt(float(self.row_squares.max())) if self.N else 0.0

    @cached_property
    def columns(self) -> Tensor:
        """Which of X's columns are not 0 in every row, (r,): no other has a part in a linear model's curvature."""
        seen = torch.zeros(self.X.shape[1], dtype=torch.bool, device=self.X.device)
        for X, _ in self.blocks():
            seen |= X.abs().amax(dim=0) != 0
        return seen.nonzero()[:, 0]

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What others make of X once, to have it at every θ, by a name of theirs."""
        return {}

    @cached_property
    def products(self) -> Tensor | None:
        """X_nd X_ne, d ≤ e of `columns`, in single precision, (r(r + 1)/2, N); None where it is more than KEPT_BYTES.

        What a linear model's curvature has of X, whatever θ is: kept, it spares forming it anew at every step.
        """
        r, single = len(self.columns), torch.float32
        if not self.model.is_product or self.N * r * (r + 1) // 2 * single.itemsize > KEPT_BYTES:
            return None
        X, (d, e) = self.X.T[self.columns].to(single), pairs.upper(r, self.X.device)
        return X[d].mul_(X[e])

    @cached_property
    def flat_directions(self) -> list[tuple[int, str]]:
        """Count the directions in which L is flat at every θ, each with its reason.

        The loss may be blind to c directions of R^K (softmax: a common shift), and X to some combinations of columns.
        The ridge holds the rest up: with ρ > 0 only the rows of θ that it leaves alone count. With X's remaining D
        columns of rank r, the null space of Jᵀ h J has dimension D·K − r(K − c) = r·c + (D − r)·K.
        """
        X = self.X if not self.ridge else self.X[:, self.mask[:, 0] == 0]
        D, K = X.shape[1], self.shape[1]
        if D == 0 or not self.model.is_product:
            return []
        lost = self.model.dependent(X)
        blind, why = self.loss.flat(K)
        columns = "1 column of X depends" if lost == 1 else f"{lost} columns of X depend"
        found = [((D - lost) * blind, why), (lost * K, f"{columns} on the others")]
        return [(count, reason) for count, reason in found if count]

    def without_flat(self, A: Tensor) -> Tensor:
        """Return Q A Q of a symmetric A (D·K, D·K), Q the projection off all such directions; A where the model bends.

        On the rows of θ that the ridge leaves alone Q is R ⊗ S, R onto the rows of X and S off what the loss is blind
        to: V is flat where every (XV)_n is something that no row sees. Of A the lower triangle is read, as whoever
        decomposes it does: with the upper one's rounding in it, the lower triangle of Q A Q would not be flat.
        """
        if not self.model.is_product:
            return A
        (D, K), (free, R, S) = self.shape, self._sloped
        A = (A.tril() + A.tril(-1).T).view(D, K, D * K)
        for _ in range(2):  # Q A, then Q (Q A)ᵀ = (Q A Q)ᵀ
            A[free] = torch.einsum("de,kl,elp->dkp", R, S, A[free])
            A = A.reshape(D * K, D * K).T.reshape(D, K, D * K)
        return A.reshape(D * K, D * K)

    @property
    def sloped(self) -> int:
        """The rank of Q: how many directions are not flat at every θ."""
        (D, K), (free, R, S) = self.shape, self._sloped
        held = D - int(free.sum())
        return held * K + round(float(R.trace() * S.trace())) if self.model.is_product else D * K

    @cached_property
    def _sloped(self) -> tuple[Tensor, Tensor, Tensor]:
        """Which rows of θ the ridge leaves alone, (D,), and for them R and S of `without_flat`."""
        free = self.mask[:, 0] == 0 if self.ridge else torch.ones_like(self.mask[:, 0], dtype=torch.bool)
        K = self.shape[1]
        unseen = self.model.unseen(self.X[:, free])
        R = torch.eye(len(unseen), dtype=torch.float64, device=unseen.device) - unseen @ unseen.T
        # What no row's Hessian ever sees it does not see at z = 0, where no row is saturated.
        at_zero = self.X.new_zeros(K, K)
        for part, y in self.blocks(width=K * K):
            at_zero += self.loss.hessian(part.new_zeros(len(part), K), y).sum(dim=0)
        seen = spectrum.eigh(at_zero)[1][:, self.loss.flat(K)[0] :]
        return free, R.to(self.X), seen @ seen.T

    def _logits_and_push(self, X: Tensor, theta: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
        """z and JV, each (N, K)."""
        if not self.model.is_product:
            return self.model.forward(X, theta), self.model.pushforward(X, theta, V)
        # z = Jθ, and one product takes less than two.
        both = self.model.pushforward(X, theta, torch.cat([theta, V], dim=1))
        return both[:, : theta.shape[1]], both[:, theta.shape[1] :]

    @property
    def _bends(self) -> bool:
        return type(self.model).curvature is not Model.curvature

    def _bending(self, theta: Tensor) -> Tensor:
        """(1/M) Σ g·∇²z as a matrix, a column for each unit direction."""
        D, K = self.shape
        units = torch.eye(D * K, dtype=theta.dtype, device=theta.device).view(D * K, D, K)
        g = self.loss.gradient(self.model.forward(self.X, theta), self.y)
        columns = ((i, self.model.curvature(self.X, theta, g, V)) for i, V in enumerate(units))
        bent = units.new_zeros(D * K, D * K)
        for i, column in columns:
            if column is not None:
                bent[:, i] = column.reshape(-1)
        return bent.div_(self.divisor)

    def blocks(self, width: int = 0, least: int = 64) -> Iterator[tuple[Tensor, Tensor]]:
        """X and y, at least `least` rows at a time, for work that makes up to `width` numbers of each row."""
        D, K = self.shape
        per_row = max(D + 4 * K, width) * self.X.element_size()
        # A multiple of 64 rows keeps every block's start on a cache line, whatever D.
        rows = max(-(-least // 64) * 64, BLOCK_BYTES // per_row // 64 * 64)
        for start in range(0, self.N, rows):
            yield self.X[start : start + rows], self.y[start : start + rows]

    def _with_penalty(self, mean: Tensor, theta: Tensor) -> Tensor:
        return mean + self.ridge / 2 * (self.mask * theta.square()).sum() if self.ridge else mean

    def _with_ridge(self, mean: Tensor, V: Tensor) -> Tensor:
        return mean.addcmul_(self.mask, V, value=self.ridge) if self.ridge else mean

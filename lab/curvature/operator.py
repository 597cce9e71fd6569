"""Curvature: the Hessian of a problem at one θ as an operator, by hand, without ever being a matrix unless asked for.

P = D·K parameters; H (P, P) is ∇²L(θ), row d·K + k; z = Xθ, h_n the logit Hessian of row n, ρ m the ridge.

Product    H V for m directions at once. V (P, m) is (D, K·m) as it lies in memory, all directions side by side, so that
           X V (N, K·m) is one wide product, h_n acts on each row, and Xᵀ(·) is a second: X is read once for m of them.
Diagonal   H_(dk)(dk) = Σ_n X_nd² h_nkk/N + ρ m_d
Trace      the sum of that
Change     With δ the largest drift of a row's logits between θ and θ + Δ (`Loss.drift`), z being Xθ,
           e^{−δ} H₀(θ) ⪯ H₀(θ + Δ) ⪯ e^δ H₀(θ)   (Bach, Electron. J. Statist. 4 (2010), prop. 1 and its proof).
           A drift is a seminorm and z_n moves by Σ_d X_nd Δ_d, so that δ_n ≤ Σ_d |X_nd| δ(Δ_d) ≤ ‖x_n‖ ‖(δ(Δ_d))_d‖:
           a bound for all rows at once at the price of looking at Δ; or, with δ(v) ≤ c‖v‖, at that of ‖Δ‖: ‖x_n‖ c ‖Δ‖.

Rounding of a product: |δ(HV)| ≤ (γ_N + γ_D + e) G|V| entrywise with G = Σ_n (r_n ⊗ |x_n|)(r_n ⊗ |x_n|)ᵀ/N and
r² = h_kk + p_k as in `lab.rounding`, so that its 2-norm is at most (γ_N + γ_D + e) tr G for a unit direction.

Underflow: what is below the smallest normal number t may come out as 0, in p, in products with x and with directions.
Each of these is off by no more than t, so that H is by about t K Σ_n (R_n + 1)(1 + ‖x_n‖)²/M, R_n a row's weight. It is
4 tr h_n or c max h_kk at z = 0 at most, for losses whose h is bounded (`Loss.peak`, c), and about tr h_n at z for
others: a saturated H that is 0 in floating point is not 0, and its eigenvalues are below that.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lab.loss import Local
from lab.problem import Problem
from lab.rounding import closing, gamma, hessian_bound, terms

Blocked = tuple[Tensor, Tensor, Tensor]  # some rows' X, y and logits


@dataclass(frozen=True)
class Curvature:
    """The Hessian H (P, P) of `problem` at `theta` (D, K). Logits, and what products need of them, are kept.

    That is O(N·K) numbers, and entries for each pair of classes, where they take no more than blocks of X do.
    """

    problem: Problem
    theta: Tensor

    @property
    def P(self) -> int:
        """Number of parameters D·K, the order of H."""
        return self.theta.numel()

    def __call__(self, V: Tensor) -> Tensor:
        """H V, (P, m), for directions V (P, m)."""
        if not self.problem.model.is_product:
            columns = [self.problem.hvp(self.theta, v.reshape(self.theta.shape)).reshape(-1) for v in V.unbind(1)]
            return torch.stack(columns, dim=1)
        (D, K), m = self.theta.shape, V.shape[1]
        wide = V.reshape(D, K * m)
        total: Tensor | None = None  # the first block's own, which lies in memory as the others do
        for (X, _, _), local in zip(self.rows, self._local, strict=True):
            U = self.problem.model.pushforward(X, self.theta, wide)
            part = self.problem.model.pullback(X, self.theta, local.product(U.view(-1, K, m)).flatten(1))
            total = part if total is None else total.add_(part)
        if total is None:
            total = torch.zeros_like(wide)
        return self._ridged(total.div_(self.problem.divisor), wide).reshape(self.P, m)

    @cached_property
    def in_double(self) -> "Curvature":
        """The same Hessian in double precision: a bound on rounding in single hides most of what is small."""
        if self.theta.dtype == torch.float64:
            return self
        return Curvature(self.problem.in_double, self.theta.double())

    @cached_property
    def diagonal(self) -> Tensor:
        """diag H, (P,)."""
        ridge = self.problem.ridge * self.problem.mask.expand(self.theta.shape)
        return (self._bare_diagonal + ridge).reshape(-1)

    @cached_property
    def trace(self) -> float:
        """tr H = Σ_n ‖x_n‖² tr h_n/M + ρ K Σ m."""
        return self.bare_trace + self.problem.ridge * self.theta.shape[1] * float(self.problem.mask.sum())

    @cached_property
    def bare_trace(self) -> float:
        """tr H₀, without the ridge."""
        if not self.problem.model.is_product:
            return float(self._bare_diagonal.sum())
        return self._weighed([local.trace for local in self._local])

    @property
    def pairwise(self) -> list[Tensor] | None:
        """h_kl for k < l of each block of rows, (n, Q), where that says all of h and Q is small (`Local.entries`)."""
        found = [local.entries for local in self._local if local.entries is not None]
        return found if found and len(found) == len(self._local) else None

    def logits(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The logits and targets, in blocks of rows."""
        return ((z, y) for _, y, z in self.rows)

    @cached_property
    def dense(self) -> Tensor:
        """H, (P, P); not to be written to."""
        return self.problem.hessian(self.theta)

    @cached_property
    def rounding(self) -> float:
        """Bound on ‖computed H v − H v‖ for a unit v."""
        dtype, r2 = self.theta.dtype, [local.size for local in self._local]
        relative = gamma(terms(self.problem), dtype) + gamma(len(self.theta), dtype) + self._logit_rounding
        return self._at_most(relative * self._weighed(r2)) + self._ridge_rounding + self.underflow(dtype)

    @cached_property
    def dense_rounding(self) -> float:
        """Bound on the 2-norm of the error of `dense`, and of `dual`: (γ_N + γ_D + 2e) tr H₀, e as in `lab.rounding`.

        It rests on h being exact relative to itself, which is in the contract of `Loss`, and on z = Xθ; for other
        models it is an estimate, the norm of `hessian_bound`.
        """
        if not self.problem.model.is_product:
            return float(hessian_bound(self.problem, self.theta).norm())
        dtype, (D, K) = self.theta.dtype, self.theta.shape
        relative = gamma(terms(self.problem), dtype) + gamma(D, dtype) + 2 * self._logit_rounding + closing(K, dtype)
        return self._at_most(relative * self.bare_trace) + self._ridge_rounding + self.underflow(dtype)

    @property
    def _ridge_rounding(self) -> float:
        """Bound on what rounding makes of ρ diag m, and of adding it, in norm, whatever is known of H₀."""
        if not self.problem.ridge:
            return 0.0
        return 4 * torch.finfo(self.theta.dtype).eps * self.problem.ridge * float(self.problem.mask.abs().max())

    def rounding_between(self, d: Tensor) -> float:
        """Bound on the 2-norm of the error of D H D, and of D H (D v) for a unit v, D = diag d, d (P, 1).

        As |δH| ≤ e G entrywise with G ⪰ 0, ‖D δH D‖ ≤ e tr DGD: where a column of X is 0, no d makes anything of it.
        """
        dtype, stretch, total = self.theta.dtype, float(d.square().max()), torch.zeros_like(self.theta)
        for (X, y, z), h in zip(self.rows, self.diagonals, strict=True):
            total += X.square().T @ (h.abs() + self.problem.loss.predicted(z, y).abs())
        squares = d.square().view(self.theta.shape)
        relative = gamma(terms(self.problem), dtype) + gamma(len(self.theta), dtype) + 2 * self._logit_rounding
        relative += closing(self.theta.shape[1], dtype)
        eps = torch.finfo(dtype).eps
        held = 4 * eps * self.problem.ridge * float((squares * self.problem.mask).max())
        between = (relative + 4 * eps) * float((squares * total).sum()) / self.problem.divisor + held
        between += stretch * self.underflow(dtype)
        whole = stretch * (max(self.rounding, self.dense_rounding) + 4 * eps * self.trace)
        return between if between <= whole else whole

    def underflow(self, dtype: torch.dtype) -> float:
        """Bound on what H in `dtype` loses, in norm, to numbers below the smallest normal one."""
        problem, tiny = self.problem, torch.finfo(dtype).tiny
        rank = self.theta.shape[1] - problem.loss.flat(self.theta.shape[1])[0]
        if not problem.model.is_product or not rank:
            return 0.0
        heaviest = problem.heaviest
        if problem.loss.peak(self.theta.shape[1]) is None and problem.N:  # h is not bounded by that at z = 0
            weights = torch.cat([h.double().sum(dim=1) for h in self.diagonals])
            heaviest += float(weights @ (1 + problem.row_squares.sqrt()).square()) / problem.divisor
        return 4 * tiny * (rank + 1) * heaviest

    @cached_property
    def floor(self) -> float:
        """A number that no eigenvalue is below: the ridge's ρ, or 0 where it leaves some parameter alone."""
        self.needs_product("a floor")
        return self.problem.ridge * float(self.problem.mask.min()) if self.problem.ridge else 0.0

    def floors(self, k: int) -> list[float]:
        """Numbers that λ_1 … λ_k are not below, as H ⪰ ρ diag m: the largest ρ m_d, each of them K times."""
        self.needs_product("a floor")
        held = (self.problem.ridge * self.problem.mask.double().flatten()).sort(descending=True).values.tolist()
        return [held[j // self.theta.shape[1]] for j in range(min(k, self.P))]

    def log_change(self, theta: Tensor) -> float:
        """δ with e^{−δ} H₀ ⪯ H₀(theta) ⪯ e^δ H₀, from how far every row's logits drift; a pass over the rows.

        ∞ where the model is not Xθ, for which nothing is known. Rounded up by what rounding can do.
        """
        if not self.problem.model.is_product:
            return math.inf
        move, loss, forward = theta - self.theta, self.problem.loss, self.problem.model.forward
        drifts = [loss.drift(forward(X, move)) for X, _ in self.problem.blocks()]
        return self._rounded_up(float(torch.cat(drifts).max()), size_of(move), len(move)) if drifts else 0.0

    def log_change_at_most(self, theta: Tensor) -> float:
        """A larger δ than `log_change`, from Δ = theta − self.theta alone: that of the longest row, were it in line."""
        if not self.problem.model.is_product:
            return math.inf
        move = theta - self.theta
        delta = self.problem.longest_row * size_of(self.problem.loss.drift(move))
        return self._rounded_up(delta, size_of(move), len(move))

    def log_change_by_length(self, theta: Tensor) -> float:
        """A δ larger still, from ‖theta − self.theta‖: for next to nothing."""
        return self.log_change_within(size_of(theta - self.theta))

    def log_change_within(self, radius: float) -> float:
        """A δ for every θ that is no farther from here than that."""
        if not self.problem.model.is_product:
            return math.inf
        return self._rounded_up(self.problem.longest_row * self.problem.loss.drift_norm * radius, radius, self.P)

    def _rounded_up(self, delta: float, size: float, summed: int) -> float:
        # Δ's entries round, and so do the sums of them: v is off by no more than 2n ‖x‖ ‖Δ‖, and δ by c times that.
        n = gamma(summed + 8, self.theta.dtype)
        found = delta * (1 + 8 * n) + 2 * n * self.problem.loss.drift_norm * self.problem.longest_row * size
        return math.inf if math.isnan(found) else found  # what overflows says nothing

    @cached_property
    def _logit_rounding(self) -> float:
        """e = e^{M max d} − 1 + c u, to first order that of `lab.rounding`, with d = γ_D |X||θ| bounded by norms."""
        K, dtype, loss = self.theta.shape[1], self.theta.dtype, self.problem.loss
        reach = self.problem.longest_row * float(torch.linalg.vector_norm(self.theta, dim=0).max())
        unit = torch.finfo(dtype).eps / 2
        moved = loss.self_concordance * gamma(self.theta.shape[0], dtype) * reach
        return (math.expm1(moved) if moved < 50 else math.inf) + unit * (8 + K + 2 * reach)

    def _at_most(self, error: float) -> float:
        """The error, or all that H₀ and what is computed can be where logits are nothing but rounding."""
        problem = self.problem
        known = problem.model.is_product and problem.loss.peak(self.theta.shape[1]) is not None
        if not known or error <= self.bare_trace:
            return math.inf if math.isnan(error) else error
        return 2 * problem.heaviest if math.isnan(error) else min(error, 2 * problem.heaviest)

    @cached_property
    def rows(self) -> list[Blocked]:
        """X, y and the logits in blocks of rows."""
        # Of each block of rows D·K·m numbers are added up: with 32 K rows and more they are no more than X itself.
        blocks = self.problem.blocks(least=32 * self.theta.shape[1])
        return [(X, y, self.problem.model.forward(X, self.theta)) for X, y in blocks]

    @cached_property
    def _local(self) -> list[Local]:
        return [self.problem.loss.local(z, y) for _, y, z in self.rows]

    @cached_property
    def _bare_diagonal(self) -> Tensor:
        """diag H₀, (D, K)."""
        if not self.problem.model.is_product:
            ridge = self.problem.ridge * self.problem.mask
            return self.dense.diagonal().view(self.theta.shape) - ridge
        total = torch.zeros_like(self.theta)
        for (X, _, _), h in zip(self.rows, self.diagonals, strict=True):
            total += X.square().T @ h
        return total / self.problem.divisor

    @cached_property
    def diagonals(self) -> list[Tensor]:
        """diag h_n, (n, K) for each block of rows."""
        return [self.problem.loss.diagonal(z, y) for _, y, z in self.rows]

    def _weighed(self, blocks: list[Tensor]) -> float:
        """Σ_n ‖x_n‖² w_n / M, w (N,) in blocks of rows."""
        rows = self.problem.row_squares
        weights = torch.cat([rows.new_zeros(0), *(block.double() for block in blocks)])
        return float(rows @ weights) / self.problem.divisor

    def _ridged(self, total: Tensor, wide: Tensor) -> Tensor:
        problem = self.problem
        return total.addcmul_(problem.mask, wide, value=problem.ridge) if problem.ridge else total

    def needs_product(self, what: str) -> None:
        """Raise ValueError where the model is not Xθ."""
        if not self.problem.model.is_product:
            raise ValueError(f"{what} of the Hessian is known for models that are Xθ")


def size_of(move: Tensor) -> float:
    """‖move‖, in double precision: squares of single underflow soon."""
    return float(torch.linalg.vector_norm(move, dtype=torch.float64))

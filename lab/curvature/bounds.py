"""Bounds on the eigenvalues λ₁ ≥ λ₂ ≥ … of a symmetric H as they travel: ceilings, enclosures, majorants; their change.

Trace       Σλ = tr H and λ ≥ floor:  λ_j ≤ tr H − Σ_{i≠j} (what λ_i is known to be at least); λ_j ≤ tr H/j if λ ≥ 0.
Norm        Σλ² = ‖H‖²_F: the same of squares.
Majorant    What Cholesky proves is H ⪯ σ + VΘVᵀ; so B′ ⪯ σ + ‖(I − V′V′ᵀ)VΘ^{1/2}‖² for any other V′ too.
Change      e^{−δ}H₀ ⪯ H₀′ ⪯ e^δ H₀ moves every eigenvalue by a factor within [e^{−δ}, e^δ] (Weyl); for H = H₀ + ρI
            that is λ − ρ; for H = H₀ + ρ diag m it holds of λ, since ρ diag m ⪰ 0 only comes nearer to itself.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

PROVED = "proved"


@dataclass(frozen=True)
class Ceiling:
    """λ_j ≤ values[j−1], (n,) in float64; beyond its end the last one holds. `chance` is the probability of failure."""

    values: Tensor
    chance: float = 0.0

    def at(self, j: int) -> float:
        """The bound on λ_j, j = 1, 2, …"""
        return float(self.values[min(j, len(self.values)) - 1])

    def first(self, m: int) -> Tensor:
        """The bounds on λ_1 … λ_m, (m,)."""
        more = m - len(self.values)
        return torch.cat([self.values, self.values[-1:].expand(more)]) if more > 0 else self.values[:m]

    def meet(self, other: "Ceiling") -> "Ceiling":
        """The lower of both everywhere; it fails if either does."""
        n = max(len(self.values), len(other.values))
        return Ceiling(torch.minimum(self.first(n), other.first(n)), self.chance + other.chance)

    def moved(self, delta: float, ridge: float) -> "Ceiling":
        """The ceiling of H′ with e^{−δ}H₀ ⪯ H₀′ ⪯ e^δ H₀ for H = H₀ + ridge·I."""
        return replace(self, values=raised(self.values, delta, ridge))


@dataclass(frozen=True)
class Band:
    """λ_j is in [lower[j], upper[j]], as plain numbers: a few, of which tensors would make more work than there is."""

    lower: list[float]
    upper: list[float]

    @property
    def width(self) -> float:
        """The widest interval, relative to the largest end in magnitude; 0 where all are zero, ∞ where an end is."""
        size = max(map(abs, self.lower + self.upper))
        if size == math.inf:
            return math.inf
        return max(b - a for a, b in zip(self.lower, self.upper, strict=True)) / size if size else 0.0

    def moved(self, delta: float, ridge: float) -> "Band":
        """The band of H′ with e^{−δ}H₀ ⪯ H₀′ ⪯ e^δ H₀ for H = H₀ + ridge·I."""
        return Band(_raised(self.lower, -delta, ridge), _raised(self.upper, delta, ridge))

    def above(self, floors: Sequence[float]) -> "Band":
        """The band of an H whose λ_j is at least floors[j]."""
        return replace(self, lower=list(map(max, self.lower, floors)))

    def below(self, ceilings: Sequence[float]) -> "Band":
        """The band of an H whose λ_j is at most ceilings[j]."""
        return replace(self, upper=list(map(min, self.upper, ceilings)))


@dataclass(frozen=True)
class Enclosure:
    """λ_j is in [lower[j], upper[j]], each (k,) in float64; `chance` is the probability that an upper end fails."""

    lower: Tensor
    upper: Tensor
    chance: float = 0.0

    @property
    def how(self) -> str:
        """How the intervals are known."""
        return PROVED if not self.chance else f"probable, failing with a probability of at most {upward(self.chance)}"

    @property
    def width(self) -> float:
        """How wide its band is."""
        return self.band.width

    @property
    def band(self) -> Band:
        """The same as plain numbers."""
        return Band(self.lower.tolist(), self.upper.tolist())


@dataclass(frozen=True)
class Majorant:
    """H ⪯ rest + V diag(values) Vᵀ, V (P, m) of orthonormal columns: what Cholesky proved, and what moves with H."""

    vectors: Tensor
    values: Tensor
    rest: float

    def moved(self, delta: float, ridge: float) -> "Majorant":
        """The majorant of H′ with e^{−δ}H₀ ⪯ H₀′ ⪯ e^δ H₀ for H = H₀ + ridge·I."""
        rest = float(raised(torch.tensor([self.rest], dtype=torch.float64), delta, ridge))
        return replace(self, values=self.values * _exp(delta) * (1 + 1e-15), rest=rest)

    def beyond(self, V: Tensor, skew: float) -> float:
        """A bound on H compressed to what is orthogonal to V (P, q), whatever V: σ + ‖(I − VVᵀ) V₀ Θ₀^{1/2}‖².

        Args: skew a bound on ‖VᵀV − I‖.
        """
        C = self.vectors * self.values.clamp(min=0).sqrt().to(V)
        C = torch.addmm(C, V, V.T @ C, alpha=-1)
        slack = 4 * (skew + len(V) * torch.finfo(V.dtype).eps) * float(self.values.abs().sum())
        return self.rest + float(torch.linalg.eigvalsh((C.T @ C).double())[-1]) + slack


def upward(x: float) -> str:
    """A positive number in one digit, rounded up: what is at most x is not more than is said."""
    text = f"{x:.0e}"
    return text if float(text) >= x else f"{x + 0.5 * 10.0 ** math.floor(math.log10(x)):.0e}"


def raised(values: Tensor, delta: float, ridge: float = 0.0) -> Tensor:
    """(λ − ρ)e^δ + ρ, rounded outward in the direction of δ; below ρ, where only rounding can be, e^{−δ} is used."""
    return torch.tensor(_raised(values.tolist(), delta, ridge), dtype=torch.float64) if delta else values


def _raised(values: list[float], delta: float, ridge: float) -> list[float]:
    if not delta:
        return values
    up, down = _exp(delta), _exp(-delta)
    slack = math.copysign(8 * sys.float_info.epsilon, delta)
    ends = [(value, value - ridge) for value in values]
    moved = [(value, over * (up if over > 0 else down) if over else 0.0) for value, over in ends]
    return [over + ridge + slack * (abs(value) + abs(over) + abs(ridge)) for value, over in moved]


def times(values: Tensor, by: float, up: bool) -> Tensor:
    """Values times a power of two, rounded upward or downward where the product is below normal numbers, or above."""
    product, ends = values * by, torch.finfo(values.dtype)
    product = product.clamp(min=-ends.max) if up else product.clamp(max=ends.max)
    outward = torch.full_like(values, ends.tiny) if up else torch.where(values > 0, 0.0, -ends.tiny)
    return torch.where((product.abs() < ends.tiny) & (values != 0), outward, product)


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf


def exact(values: Tensor, radius: float) -> Ceiling:
    """The ceiling of a whole spectrum that is known to a radius: values (P,), largest first."""
    return Ceiling(values.double().cpu() + radius)


def by_trace(trace: float, lower: Tensor, floor: float, P: int) -> Ceiling:
    """λ_j from an upper bound on the trace, λ_i ≥ lower[i] for the first ones and ≥ floor for all."""
    least = torch.maximum(lower, torch.tensor(floor, dtype=torch.float64))
    rest = trace - float(least.sum()) - (P - len(least)) * floor
    alone = torch.cat([least, torch.tensor([floor], dtype=torch.float64)[: P - len(least)]]) + rest
    return _tidy(alone, trace, float(least.abs().sum()) + P * abs(floor))


def by_norm(frobenius: float, lower: Tensor) -> Ceiling:
    """λ_j from an upper bound on ‖H‖_F and λ_i ≥ lower[i] for the first ones."""
    squares = lower.clamp(min=0).square()
    rest = max(frobenius**2 - float(squares.sum()), 0.0)
    alone = (torch.cat([squares, torch.zeros(1, dtype=torch.float64)]) + rest).sqrt()
    slack = 4 * len(squares) * torch.finfo(torch.float64).eps * frobenius**2
    return _tidy((alone.square() + slack).sqrt(), frobenius, frobenius)


def _tidy(values: Tensor, whole: float, size: float) -> Ceiling:
    slack = 4 * (len(values) + 2) * torch.finfo(torch.float64).eps * (abs(whole) + size)
    return Ceiling(torch.cummin(values + slack, dim=0).values)


def beyond(q: int, rest: float, chance: float = 0.0) -> Ceiling:
    """The ceiling λ_{q+1} ≤ rest, and no word on those before."""
    values = torch.full((q + 1,), math.inf, dtype=torch.float64)
    values[q] = rest
    return Ceiling(values, chance)

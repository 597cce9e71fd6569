"""What is proved of the eigenvalues λ₁ ≥ λ₂ ≥ … of a symmetric H, from a few Ritz vectors and bounds on all the rest.

A small residual ‖Hv − θv‖ says that some eigenvalue is near θ. Which one, it does not say: that takes completeness, a
proof that none above has been missed. Here it comes as a ceiling: numbers c_j with λ_j ≤ c_j, whatever they rest on.

Lower ends (Cauchy's interlacing; Courant–Fischer). V (P, q) with orthonormal columns: λ_j(H) ≥ λ_j(VᵀHV).

Upper ends (Lehmann 1949, Maehly 1952; Parlett, The Symmetric Eigenvalue Problem, §10.5). Let σ ≥ λ_{q+1}, S = H − σ,
    A₁ = VᵀSV ≻ 0, A₂ = VᵀS²V. Then S has exactly q positive eigenvalues. Rayleigh–Ritz for S⁻¹ on span SV has the
    pencil (A₁, A₂), whose j-th largest eigenvalue is at most that of S⁻¹, which is 1/(λ_{q+1−j} − σ). So with
    τ₁ ≥ … ≥ τ_q the eigenvalues of (A₂, A₁):  λ_i ≤ σ + τ_i for i = 1 … q. (S singular: take the limit from above.)
    The error is quadratic in the residual: with V's Ritz values Θ, D = Θ − σ, R = HV − VΘ ⟂ V,
        A₁ = D,  A₂ = D² + RᵀR,  σ + τ_i = λ_i(Θ + D^{−1/2} RᵀR D^{−1/2}).
Rounding. V's columns are orthonormal up to E = VᵀV − I, and R is known up to F, ‖F‖ ≤ f. With n ≥ ‖VᵀR‖, e ≥ ‖E‖:
    A₁ ⪰ D − e₁, e₁ = e‖D‖ + n;  A₂ ⪯ (1 + e)D² + n(D²/c + c) + (1 + t)R̃ᵀR̃ + (1 + 1/t)f² for any t, c > 0.
    With D′ = D − e₁ ≻ 0 and as D² = D′² + 2e₁D′ + e₁²:
        λ_i ≤ λ_i(Θ + e₁ + D′^{−1/2}[e₁² + eD² + n(D²/c + c) + (1 + t)R̃ᵀR̃ + (1 + 1/t)f²]D′^{−1/2}).
    Lower ends: VᵀHV ⪰ Θ − e‖Θ‖ − n, to be divided by 1 ± e as VᵀV ⪯ 1 + e.

Upper ends by deflation. Let B be H compressed to what is orthogonal to V, and B ⪯ σ: the `rest`. Up to V's rounding H
    is [[Θ, Gᵀ], [G, B]] with GᵀG = RᵀR, which grows with B, and an eigenvalue λ > σ of [[Θ, Gᵀ], [G, σ]] solves
    Θx + GᵀGx/(λ − σ) = λx. Of G it has GᵀG alone, so that the triangle T of R = QT may stand in its place:
        λ_i ≤ max(σ, λ_i([[Θ, Tᵀ], [T, σ]])).
    The error is again |r_i|²/(θ_i − σ), and the gap is that from the i-th Ritz value to all that V leaves, not that
    between two neighbours: with a few vectors more than values are asked for it is there in a dense spectrum too.
Rounding. With V = U(1 + E)^{1/2}, U orthonormal, e ≤ 1/20: ‖UᵀHU − Θ‖ ≤ 3e‖Θ‖ + 1.1n, ‖G − U⊥ᵀR‖ ≤ (1 + e)f + e‖R‖,
    and the QR factorisation is exact for an R within γ_{Pm}‖R‖. All of it moves an eigenvalue by its norm (Weyl).

Ceilings.
    Trace       Σλ = tr H and λ ≥ floor:  λ_j ≤ tr H − Σ_{i≠j} (what λ_i is known to be at least), and jλ_j too.
    Norm        Σλ² = ‖H‖²_F: the same of squares.
    Inertia     If σ − H + VΘVᵀ ⪰ 0 then B ⪯ σ, as xᵀV = 0 leaves σ|x|² − xᵀHx ≥ 0, and λ_{q+1}(H) ≤ λ₁(B) by
                Courant–Fischer. A Cholesky factorisation of M that runs to its end proves
                λ_min(M) ≥ −γ_{P+1}/(1 − γ_{P+1}) tr M (Rump, BIT 46, 2006), in whatever precision it ran.
    Chance      Lanczos from a random
                start underestimates λ₁(B) of a B ⪰ 0 by more than the factor 1 − ε after j products with probability at
                most 1.648 √P e^{−√ε(2j−1)} (Kuczyński & Woźniakowski, SIAM J. Matrix Anal. Appl. 13, 1992, thm. 4.2); b
                independent starts fail together with that to the power b.
    Majorant    What Cholesky proves is H ⪯ σ + VΘVᵀ; so B′ ⪯ σ + ‖(I − V′V′ᵀ)VΘ^{1/2}‖² for any other V′ too.
    Change      e^{−δ}H₀ ⪯ H₀′ ⪯ e^δ H₀ moves every eigenvalue by a factor within [e^{−δ}, e^δ] (Weyl); for H = H₀ + ρI
                that is λ − ρ; for H = H₀ + ρ diag m it holds of λ, since ρ diag m ⪰ 0 only comes nearer to itself.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.curvature.krylov import Product, Ritz, largest_within, random_block

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
        n = len(self.values)
        return torch.cat([self.values[:m], self.values[-1:].expand(max(m - n, 0))])

    def meet(self, other: "Ceiling") -> "Ceiling":
        """The lower of both everywhere; it fails if either does."""
        n = max(len(self.values), len(other.values))
        return Ceiling(torch.minimum(self.first(n), other.first(n)), self.chance + other.chance)

    def moved(self, delta: float, ridge: float) -> "Ceiling":
        """The ceiling of H′ with e^{−δ}H₀ ⪯ H₀′ ⪯ e^δ H₀ for H = H₀ + ridge·I."""
        return replace(self, values=raised(self.values, delta, ridge))


@dataclass(frozen=True)
class Enclosure:
    """λ_j is in [lower[j], upper[j]], each (k,) in float64; `chance` is the probability that an upper end fails."""

    lower: Tensor
    upper: Tensor
    chance: float = 0.0

    @property
    def how(self) -> str:
        """How the intervals are known."""
        return PROVED if not self.chance else f"probable, failing with a probability of at most {self.chance:.0e}"

    @property
    def width(self) -> float:
        """The widest interval, relative to the largest eigenvalue in magnitude; 0 where all are zero."""
        size = float(torch.maximum(self.lower.abs(), self.upper.abs()).max())
        return float((self.upper - self.lower).max()) / size if size else 0.0

    def moved(self, delta: float, ridge: float) -> "Enclosure":
        """The enclosure of H′ with e^{−δ}H₀ ⪯ H₀′ ⪯ e^δ H₀ for H = H₀ + ridge·I."""
        return replace(self, lower=raised(self.lower, -delta, ridge), upper=raised(self.upper, delta, ridge))

    def below(self, trace: float) -> "Enclosure":
        """The enclosure of an H with no negative eigenvalue, whose trace is at most `trace`: λ_j ≤ trace/j."""
        j = torch.arange(1, len(self.upper) + 1, dtype=self.upper.dtype)
        return replace(self, upper=torch.minimum(self.upper, trace / j))


@dataclass(frozen=True)
class Majorant:
    """H ⪯ rest + V diag(values) Vᵀ, V (P, m) of orthonormal columns: what Cholesky proved, and what moves with H."""

    vectors: Tensor
    values: Tensor
    rest: float

    def moved(self, delta: float, ridge: float) -> "Majorant":
        """The majorant of H′ with e^{−δ}H₀ ⪯ H₀′ ⪯ e^δ H₀ for H = H₀ + ridge·I."""
        rest = float(raised(torch.tensor(self.rest, dtype=torch.float64), delta, ridge))
        return replace(self, values=self.values * math.exp(delta) * (1 + 1e-15), rest=rest)

    def beyond(self, V: Tensor) -> float:
        """A bound on H compressed to what is orthogonal to V (P, q), whatever V: σ + ‖(I − VVᵀ) V₀ Θ₀^{1/2}‖²."""
        C = self.vectors * self.values.clamp(min=0).sqrt().to(V)
        C = C - V @ (V.T @ C)
        skew = float((V.T @ V - torch.eye(V.shape[1], dtype=V.dtype, device=V.device)).norm())
        slack = 4 * (skew + len(V) * torch.finfo(V.dtype).eps) * float(self.values.abs().sum())
        return self.rest + float(torch.linalg.eigvalsh((C.T @ C).double())[-1]) + slack


def raised(values: Tensor, delta: float, ridge: float = 0.0) -> Tensor:
    """(λ − ρ)e^δ + ρ, rounded outward in the direction of δ; below ρ, where only rounding can be, e^{−δ} is used."""
    above = values - ridge
    moved = torch.where(above >= 0, above * math.exp(delta), above * math.exp(-delta)) + ridge
    return moved + math.copysign(8 * torch.finfo(torch.float64).eps, delta) * (values.abs() + abs(ridge)) * (delta != 0)


def enclose(ritz: Ritz, ceiling: Ceiling, k: int, rest: float = math.inf) -> Enclosure:
    """Enclose the k largest eigenvalues: Cauchy from below; from above the ceiling, deflation, and Lehmann at a gap.

    Args: rest a bound on H compressed to what is orthogonal to all of `ritz.vectors`, where there is one.
    """
    small = _Small.of(ritz)
    lower, m = small.lower, len(small.theta)
    if m == len(ritz.vectors):  # nothing is left to have been missed
        ceiling = ceiling.meet(Ceiling(small.above))
    upper = torch.minimum(ceiling.first(m), small.deflated(rest))
    gaps = small.theta - ceiling.first(m + 1)[1:]
    widest = gaps.argsort(descending=True)[:4]  # what the other gaps would add is not worth it
    for q in (1 + int(i) for i in widest if float(gaps[i]) > 0):
        upper[:q] = torch.minimum(upper[:q], small.upper(q, ceiling.at(q + 1)))
    return Enclosure(lower[:k], torch.maximum(upper[:k], lower[:k]), ceiling.chance)


def lower_ends(ritz: Ritz) -> Tensor:
    """λ_j ≥ lower_ends[j], (m,) in float64, by Cauchy alone."""
    return _Small.of(ritz).lower


@dataclass(frozen=True)
class _Small:
    """All that the proof needs of V and R: Θ (m,), R̃ᵀR̃ (m, m), R̃'s triangle T (m, m), and the numbers e, n, f."""

    theta: Tensor
    square: Tensor
    triangle: Tensor
    e: float
    n: float
    f: float

    @staticmethod
    def of(ritz: Ritz) -> "_Small":
        V, W, theta = ritz.vectors, ritz.images, ritz.values
        P, m = V.shape
        u = torch.finfo(V.dtype).eps / 2
        gamma = (P + 2) * u / (1 - (P + 2) * u)
        R = W - V * theta
        f = ritz.error + 3 * u * (float(W.norm()) + float(theta.abs().max()) * m**0.5)
        size = float(R.norm())
        cross = V.T @ R
        e = float((V.T @ V - torch.eye(m, dtype=V.dtype, device=V.device)).norm()) + gamma * m
        n = float(cross.norm()) + gamma * m**0.5 * size + 1.1 * f
        square = (R.T @ R).double().cpu()
        square.diagonal().add_(gamma * size**2)
        triangle = torch.linalg.qr(R, mode="r").R.double().cpu()
        f += 4 * m * P * u * size
        return _Small(theta.double().cpu(), (square + square.T) / 2, triangle, 1.01 * e, 1.01 * n, 1.01 * f)

    @property
    def lower(self) -> Tensor:
        """λ_j ≥ lower[j]."""
        return self._within(self.theta - self.e * float(self.theta.abs().max()) - self.n, -1) - 4 * _ulp(self.theta)

    @property
    def above(self) -> Tensor:
        """λ_j ≤ above[j] where V spans the whole space."""
        return self._within(self.theta + self.e * float(self.theta.abs().max()) + self.n, 1) + 4 * _ulp(self.theta)

    def deflated(self, rest: float) -> Tensor:
        """λ_i ≤ deflated[i], (m,), given B ⪯ rest; ∞ where nothing is given, or V is far from orthonormal."""
        theta, T = self.theta, self.triangle
        if not math.isfinite(rest) or self.e > 0.05:
            return torch.full_like(theta, math.inf)
        corner = torch.full_like(theta, rest).diag()
        bordered = torch.cat([torch.cat([theta.diag(), T.T], 1), torch.cat([T, corner], 1)])
        found: Tensor = torch.linalg.eigvalsh(bordered).flip(0)[: len(theta)].clamp(min=rest)
        size, spread = float(theta.abs().max()), float(bordered.norm())
        moved = 3 * self.e * size + 1.1 * self.n + 1.1 * self.f + self.e * float(T.norm())
        return found + moved + 8 * len(theta) * torch.finfo(torch.float64).eps * spread

    def _within(self, values: Tensor, side: int) -> Tensor:
        """The values over what 1 − e ≤ VᵀV ≤ 1 + e makes of them at worst, outward on the given side."""
        if self.e >= 1:
            return torch.full_like(values, side * math.inf)
        return torch.where(values * side > 0, values / (1 - self.e), values / (1 + self.e))

    def upper(self, q: int, sigma: float) -> Tensor:
        """λ_i ≤ upper[i] for i ≤ q, given λ_{q+1} ≤ σ; ∞ where σ leaves no gap below the q-th Ritz value."""
        theta = self.theta[:q]
        D = theta - sigma
        size = float(D.abs().max())
        e1 = self.e * size + self.n
        gap = D - e1
        if not float(gap.min()) > 0 or not math.isfinite(sigma):
            return torch.full_like(theta, math.inf)
        t = max(self.f / (self.f + float(self.square.diagonal().sum()) ** 0.5), 1e-3) if self.f else 0.0
        c = (size * float(D.min())) ** 0.5  # spreads the rounding evenly over the eigenvalues
        spill = (1 + t) * self.square[:q, :q] + torch.diag(e1**2 + self.e * D**2 + self.n * (D**2 / c + c))
        spill.diagonal().add_((1 + 1 / t) * self.f**2 if t else 0.0)
        root = gap.rsqrt()
        K = torch.diag(theta + e1) + root[:, None] * spill * root
        found: Tensor = torch.linalg.eigvalsh((K + K.T) / 2).flip(0)
        return found.add(4 * q * torch.finfo(torch.float64).eps * float(K.norm()))


def _ulp(values: Tensor) -> float:
    return torch.finfo(torch.float64).eps * float(values.abs().max())


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


def by_inertia(H: Tensor, V: Tensor, theta: Tensor, sigma: float, error: float) -> float | None:
    """A bound on H compressed to what is orthogonal to V (P, q): σ and a little, if Cholesky proves it; else None.

    Args: theta (q,) at least V's Ritz values nearly; error a bound on ‖H − the true one‖. It works in H's precision.
    """
    P, u = H.shape[0], torch.finfo(H.dtype).eps / 2
    W = (V * theta.clamp(min=0).sqrt()).to(H)
    M = torch.addmm(H, W, W.T, beta=-1)
    M.diagonal().add_(sigma)
    _, failed = torch.linalg.cholesky_ex(M)
    if int(failed):
        return None
    # V and Θ round once each on their way into W, and make as much of what is orthogonal to W as to V.
    gamma = (P + 2) * u / (1 - 2 * (P + 2) * u)
    formed = (V.shape[1] + 12) * 2 * u * (float(theta.abs().sum()) * 1.1 + float(H.norm()) + abs(sigma))
    return sigma + gamma * float(M.diagonal().abs().sum()) * 1.01 + formed + error


def beyond(q: int, rest: float, chance: float = 0.0) -> Ceiling:
    """The ceiling λ_{q+1} ≤ rest, and no word on those before."""
    values = torch.full((q + 1,), math.inf, dtype=torch.float64)
    values[q] = rest
    return Ceiling(values, chance)


def by_chance(
    product: Product, ritz: Ritz, q: int, floor: float, seed: int, chance: float, ease: float, rounding: float
) -> float:
    """A bound on H compressed to what is orthogonal to the first q of V, that holds with probability 1 − chance.

    It is within the factor 1/(1 − ease) of what Lanczos finds.

    Args: floor a lower bound on H's spectrum; seed of the random starts; rounding of a product with a unit vector. It
    holds for exact arithmetic: the basis is kept orthonormal, so that what is found is exact for a matrix that near.
    """
    V = ritz.vectors[:, :q]
    P, starts = V.shape[0], 2
    each = math.log(1.648 * P**0.5) - math.log(chance) / starts
    depth = math.ceil((each / ease**0.5 + 1) / 2)

    def compressed(U: Tensor) -> Tensor:
        U = U - V @ (V.T @ U)
        W = product(U) - floor * U
        return W - V @ (V.T @ W)

    start = random_block(P, starts, seed, V)
    found = largest_within(compressed, start - V @ (V.T @ start), depth)
    skew = float((V.T @ V - torch.eye(q, dtype=V.dtype, device=V.device)).norm()) + P * torch.finfo(V.dtype).eps * q
    slack = 4 * skew * float(ritz.values.abs().max()) + 2 * math.sqrt(depth * starts) * rounding
    return floor + max(found, 0.0) / (1 - ease) + slack

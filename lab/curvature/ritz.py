"""Ritz vectors of a symmetric H, and what they prove of its eigenvalues λ₁ ≥ λ₂ ≥ … beside a bound on all the rest.

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
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.linalg import vector_norm as norm


@dataclass(frozen=True)
class Ritz:
    """Ritz values (m,), largest first, with vectors V (P, m), orthonormal to rounding, and their images HV (P, m).

    `error` bounds ‖images − HV‖_F; `products` is how many vectors H was applied to.
    """

    values: Tensor
    vectors: Tensor
    images: Tensor
    error: float
    products: int

    @property
    def residuals(self) -> Tensor:
        """‖Hv − θv‖ of each, (m,)."""
        norms: Tensor = norm(self.images - self.vectors * self.values, dim=0)
        return norms

    @cached_property
    def small(self) -> "Small":
        """What a proof needs of them."""
        return Small.of(self)


@dataclass(frozen=True)
class Small:
    """All that the proof needs of V and R: Θ (m,), R̃ᵀR̃ (m, m), R̃'s triangle T (m, m), and the numbers e, n, f."""

    theta: Tensor
    square: Tensor
    triangle: Tensor
    e: float
    n: float
    f: float

    @staticmethod
    def of(ritz: Ritz) -> "Small":
        V, W, theta = ritz.vectors, ritz.images, ritz.values
        P, m = V.shape
        u = torch.finfo(V.dtype).eps / 2
        gamma = (P + 2) * u / (1 - (P + 2) * u)
        R = W - V * theta
        both, unit = torch.cat([V, R], dim=1), torch.eye(m, dtype=torch.float64)
        products = (both.T @ both).double().cpu()
        square = products[m:, m:]
        size = float(square.diagonal().sum()) ** 0.5 * (1 + gamma)
        e = float(norm(products[:m, :m] - unit)) + gamma * m
        f = ritz.error + 3 * u * ((2.1 + e) * float(theta.abs().max()) * m**0.5 + size)  # ‖W‖ ≤ ‖Vθ‖ + ‖R‖
        n = float(norm(products[:m, m:])) + gamma * m**0.5 * size + 1.1 * f
        square = square + gamma * size**2 * unit
        triangle = torch.linalg.qr(R, mode="r").R.double().cpu()
        f += 4 * m * P * u * size
        return Small(theta.double().cpu(), (square + square.T) / 2, triangle, 1.01 * e, 1.01 * n, 1.01 * f)

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
        size, spread = float(theta.abs().max()), float(norm(bordered))
        moved = 3 * self.e * size + 1.1 * self.n + 1.1 * self.f + self.e * float(norm(T))
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
        return found.add(4 * q * torch.finfo(torch.float64).eps * float(norm(K)))


def _ulp(values: Tensor) -> float:
    return torch.finfo(torch.float64).eps * float(values.abs().max())

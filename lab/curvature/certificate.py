"""What is proved of the eigenvalues λ₁ ≥ λ₂ ≥ … of a symmetric H, from a few Ritz vectors and bounds on all the rest.

A small residual ‖Hv − θv‖ says that some eigenvalue is near θ. Which one, it does not say: that takes completeness, a
proof that none above has been missed. Here it comes as a ceiling: numbers c_j with λ_j ≤ c_j, whatever they rest on.

What Ritz vectors prove of their own is in `ritz`; the ceilings that go without them in `bounds`.

Inertia     If σ − H + VΘVᵀ ⪰ 0 then B ⪯ σ, as xᵀV = 0 leaves σ|x|² − xᵀHx ≥ 0, and λ_{q+1}(H) ≤ λ₁(B) by
            Courant–Fischer. A Cholesky factorisation of M that runs to its end proves
            λ_min(M) ≥ −γ_{P+1}/(1 − γ_{P+1}) tr M (Rump, BIT 46, 2006), in whatever precision it ran.
Chance      Lanczos from a random start underestimates λ₁(B) of a B ⪰ 0 by more than the factor 1 − ε after j products
            with probability at most 1.648 √P e^{−√ε(2j−1)} (Kuczyński & Woźniakowski, SIAM J. Matrix Anal. Appl. 13,
            1992, thm. 4.2); b independent starts fail together with that to the power b.
"""

import math

import torch
from torch import Tensor

from lab.curvature.bounds import Ceiling, Enclosure
from lab.curvature.krylov import Product, largest_within, random_block
from lab.curvature.ritz import Ritz

CHANCE = 1e-6  # the probability with which a proof by chance may fail


def enclose(ritz: Ritz, ceiling: Ceiling, k: int, rest: float = math.inf) -> Enclosure:
    """Enclose the k largest eigenvalues: Cauchy from below; from above the ceiling, deflation, and Lehmann at a gap.

    Args: rest a bound on H compressed to what is orthogonal to all of `ritz.vectors`, where there is one.
    """
    small = ritz.small
    lower, m = small.lower, len(small.theta)
    if m == len(ritz.vectors):  # nothing is left to have been missed
        ceiling = ceiling.meet(Ceiling(small.above))
    upper = torch.minimum(ceiling.first(m), small.deflated(rest))
    gaps = small.theta - ceiling.first(m + 1)[1:]
    widest = gaps.argsort(descending=True)[:4]  # what the other gaps would add is not worth it
    for q in (1 + int(i) for i in widest if float(gaps[i]) > 0):
        upper[:q] = torch.minimum(upper[:q], small.upper(q, ceiling.at(q + 1)))
    return Enclosure(lower[:k], torch.maximum(upper[:k], lower[:k]), ceiling.chance)


def by_inertia(H: Tensor, V: Tensor, theta: Tensor, sigma: float, error: float) -> float | None:
    """A bound on H compressed to what is orthogonal to V (P, q): σ and a little, if Cholesky proves it; else None.

    Args: theta (q,) any Θ ≥ 0, large enough for the factorisation to run; error a bound on ‖H − the true one‖. It works
    in H's precision.
    """
    P, u = H.shape[0], torch.finfo(H.dtype).eps / 2
    W = (V * theta.clamp(min=0).sqrt()).to(H)
    M = torch.addmm(H, W, W.T, beta=-1)
    M.diagonal().add_(sigma)
    factor, failed = torch.linalg.cholesky_ex(M)
    if int(failed) or not bool(torch.isfinite(factor.diagonal().sum())):
        return None
    # V and Θ round once each on their way into W, and make as much of what is orthogonal to W as to V.
    gamma = (P + 2) * u / (1 - 2 * (P + 2) * u)
    trace, raised = float(M.diagonal().abs().sum()) * 1.01, float(theta.abs().sum()) * 1.1
    size = abs(sigma) * math.sqrt(P) + raised + (1 + P * gamma) * trace  # ‖H‖_F for H = σ + WWᵀ − M, λ_min(M) ≥ −γ tr M
    formed = (V.shape[1] + 12) * 2 * u * (raised + size + abs(sigma))
    return sigma + gamma * trace + formed + error


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
    if q >= P:
        return floor  # nothing is left
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

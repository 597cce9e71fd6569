"""The Hessian as a matrix in single precision, at a fraction of the price of the exact one.

It is good enough to search in, and to count eigenvalues on either side of a gap: how far off it is, is known.

Order      Class by class, row k·D + d: its blocks (k, l), Xᵀ diag(h_kl) X, lie side by side in memory as they are made.
Kept       With the products X_nd X_ne, d ≤ e, kept from θ to θ (`Problem.products`), all blocks are one product of
           matrices, (Q, N) by (N, D(D + 1)/2) for the Q = K(K + 1)/2 pairs of classes.
Error      Logit Hessians are exact to rounding in θ's precision; then h, and X twice or its products once, are rounded
           to u = 2⁻²⁴ and multiplied: |δH| ≤ (γ_N + 6u) Σ|X||h||X|/M entrywise, in norm at most that share of tr H.
           Single precision underflows at 1e-38, which costs what `Curvature.underflow` says.
"""

import math

import torch
from torch import Tensor

from lab.curvature.operator import Curvature
from lab.rounding import gamma

SINGLE = torch.float32


def coarse(curvature: Curvature) -> tuple[Tensor, float]:
    """H (P, P) in single precision, in the order of `by_class`; and a bound on its error's norm, ∞ if it overflows."""
    problem, (D, K) = curvature.problem, curvature.theta.shape
    H = torch.zeros(K, D, K, D, dtype=SINGLE, device=curvature.theta.device)
    if problem.products is not None:
        _from_products(curvature, problem.products, out=H)
    else:
        theta = curvature.theta.to(SINGLE)
        for X, y in problem.blocks(width=K * K, least=1024):
            h = problem.loss.hessian(problem.model.forward(X, curvature.theta), y).div_(problem.divisor)
            problem.model.gauss_newton(X.to(SINGLE), theta, h.to(SINGLE), out=H.permute(1, 0, 3, 2))
    whole = H.view(curvature.P, curvature.P)
    whole.diagonal().add_((problem.ridge * problem.mask.T.expand(K, D)).reshape(-1).to(SINGLE))
    share = gamma(problem.N + 2, SINGLE) + 6 * torch.finfo(SINGLE).eps
    lost = curvature.dense_rounding + curvature.underflow(SINGLE)
    error = share * (curvature.bare_trace + problem.ridge) + lost
    return whole, error if bool(torch.isfinite(whole).all()) else math.inf


def by_class(curvature: Curvature, V: Tensor) -> Tensor:
    """V (P, m), row d·K + k, in the order of `coarse`: row k·D + d."""
    (D, K), m = curvature.theta.shape, V.shape[1]
    return V.reshape(D, K, m).transpose(0, 1).reshape(curvature.P, m)


def by_column(curvature: Curvature, V: Tensor) -> Tensor:
    """V (P, m) in the order of `coarse` back in that of θ."""
    (D, K), m = curvature.theta.shape, V.shape[1]
    return V.reshape(K, D, m).transpose(0, 1).reshape(curvature.P, m)


def _from_products(curvature: Curvature, products: Tensor, out: Tensor) -> None:
    """Blocks (k, l) out of X_nd X_ne (N, D(D + 1)/2) into `out` (K, D, K, D)."""
    problem, (D, K) = curvature.problem, curvature.theta.shape
    k, l = torch.triu_indices(K, K, device=out.device)
    weights = torch.cat([problem.loss.hessian(z, y)[:, k, l].to(SINGLE) for z, y in curvature.logits()])
    packed = weights.div_(problem.divisor).T @ products
    d, e = torch.triu_indices(D, D, device=out.device)
    place = torch.empty(D, D, dtype=torch.long, device=out.device)
    place[d, e] = place[e, d] = torch.arange(len(d), device=out.device)
    blocks = packed[:, place.reshape(-1)].view(-1, D, D)
    first = 0
    for row in range(K):
        side = blocks[first : first + K - row]
        out[row, :, row:] = side.transpose(0, 1)
        out[row:, :, row] = side
        first += K - row

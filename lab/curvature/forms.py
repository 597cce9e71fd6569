"""Other forms of a Hessian H = H₀ + ρ diag m than the operator, in its notation (`lab.curvature.operator`).

Frobenius  ‖H₀‖² = Σ_kl ‖Xᵀ diag(h_kl) X‖²/N², or, with G = XXᵀ, Σ_nm G_nm² ⟨h_n, h_m⟩/N², whichever is cheaper;
           ‖H₀ + ρ diag m‖² = ‖H₀‖² + 2ρ Σ_d m_d Σ_k H₀_(dk)(dk) + ρ² K Σ m²
Factor     h_n = F_n F_nᵀ with F_n (K, r) gives H₀ = AᵀA,  A_(nj)(dk) = X_nd F_nkj/√N, (N·r, P)
Dual       AAᵀ, (nj)(mi) = G_nm (F_nᵀF_m)_ji/N, has H₀'s eigenvalues apart from zeros, and N·r rows for P
Block      (k, l) of H₀: Xᵀ diag(h_kl) X/N, (D, D)
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from lab.curvature.operator import Curvature


def block(curvature: Curvature, k: int, l: int) -> Tensor:
    """Block (k, l) of H, (D, D): the curvature between θ's columns k and l."""
    curvature.needs_product("a block by class")
    problem, D = curvature.problem, curvature.theta.shape[0]
    total = curvature.theta.new_zeros(D, D)
    for X, y, z in curvature.rows:
        total += X.T @ (X * problem.loss.hessian(z, y)[:, k, l, None])
    total /= problem.divisor
    if k == l:
        total.diagonal().add_(problem.ridge * problem.mask[:, 0])
    return total


def factor(curvature: Curvature) -> Tensor:
    """A (N·r, P) with AᵀA = H₀, the Hessian without the ridge."""
    curvature.needs_product("a factor")
    parts = [
        torch.einsum("nd,nkj->njdk", X, curvature.problem.loss.factor(z, y)).reshape(-1, curvature.P)
        for X, y, z in curvature.rows
    ]
    return torch.cat(parts) / math.sqrt(curvature.problem.divisor)


def dual(curvature: Curvature) -> Tensor:
    """AAᵀ (N·r, N·r): H₀'s non-zero eigenvalues, in a smaller matrix where N·r < P."""
    curvature.needs_product("a dual")
    problem = curvature.problem
    F = torch.cat([problem.loss.factor(z, y) for _, y, z in curvature.rows])
    N, K, r = F.shape
    wide = F.transpose(1, 2).reshape(N * r, K)
    found = (wide @ wide.T).view(N, r, N, r)
    found *= (problem.X @ problem.X.T / problem.divisor)[:, None, :, None]
    return found.view(N * r, N * r)


def frobenius(curvature: Curvature) -> float:
    """‖H‖_F, by the cheaper of the sum over pairs of classes and the sum over pairs of rows."""
    problem, (D, K) = curvature.problem, curvature.theta.shape
    N, ridge, bare = problem.N, problem.ridge, Curvature(replace(problem, ridge=0.0), curvature.theta)
    by_classes, by_rows = N * D * D * K * (K + 1) / 2, N * N * (D + K * K)
    square = _square_by_classes(bare) if by_classes <= by_rows else _square_by_rows(bare)
    square += 2 * ridge * float((problem.mask * bare.diagonal.view(D, K)).sum())
    return math.sqrt(square + ridge**2 * K * float(problem.mask.square().sum()))


def _square_by_classes(bare: Curvature) -> float:
    pairs = [(k, l) for k in range(bare.theta.shape[1]) for l in range(k + 1)]
    return sum((1 if k == l else 2) * float(block(bare, k, l).square().sum()) for k, l in pairs)


def _square_by_rows(bare: Curvature) -> float:
    bare.needs_product("the norm")
    total, problem = 0.0, bare.problem
    h = torch.cat([problem.loss.hessian(z, y).flatten(1) for _, y, z in bare.rows])
    X, step = problem.X, max(1, (16 << 20) // (8 * problem.N))
    for start in range(0, problem.N, step):
        part = slice(start, start + step)
        total += float(((X[part] @ X.T).square_() * (h[part] @ h.T)).sum())
    return total / problem.divisor**2

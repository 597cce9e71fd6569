"""What a Hessian's structure says of its eigenvalues without a search: at the floor, of the dual, and at θ = 0.

Where all rows have one logit Hessian h, as softmax has at θ = 0: H = h ⊗ G + ρ diag m, G = XᵀX/M. With h = W diag(η) Wᵀ
it falls apart into K problems of order D: η_k G + ρ diag m, an eigenvector u of which is u w_kᵀ in θ's shape. Equal η,
of which softmax has K − 1, give equal eigenvalues: no search is needed to see their multiplicity.

Where a loss says that h_n(z) ⪯ c_n I at every z, H ⪯ I ⊗ Xᵀ diag(c) X/M + ρ I at every θ: with μ the eigenvalues of
that matrix of order D, λ_j ≤ μ_⌈j/m⌉ + ρ, m = K, or K − 1 where a shift of all outputs moves nothing.

Source  Böhning, Ann. Inst. Statist. Math. 44 (1992), §3, for the Kronecker form, and Theorem 3.1 for c.
"""

import math

import torch
from torch import Tensor

from lab.curvature import certificate, krylov
from lab.curvature.bounds import Ceiling, times
from lab.curvature.operator import Curvature
from lab.problem import Problem
from lab.rounding import gamma
from lab.spectrum import Spectrum, dense, eigh

LARGEST = 2048  # features: of more the data's eigenvalues, a problem of order D, are not worked out


def uniform_ridge(curvature: Curvature) -> float:
    """ρ where the ridge is ρI, which moves no eigenvector; 0 where it is not, for which less is known."""
    problem = curvature.problem
    return problem.ridge if problem.ridge and bool((problem.mask == 1).all()) else 0.0


def of_data(problem: Problem) -> Spectrum | None:
    """Xᵀ diag(c) X/M's eigenvalues μ; None where the loss knows no c, the model is not Xθ, or D is large.

    In double precision: squares of single precision soon underflow.
    """
    (D, K), problem = problem.shape, problem.in_double
    peak = problem.loss.peak(K)
    if peak is None or D > LARGEST or not problem.model.is_product:
        return None
    G = problem.X.new_zeros(D, D)
    for X, y in problem.blocks():
        c = problem.loss.diagonal(X.new_zeros(len(X), K), y).amax(dim=1)
        G += X.T @ (c[:, None] * X)
    G *= peak / problem.divisor
    if not bool(torch.isfinite(G).all()):
        return None
    # |δG| ≤ γ_N |X|ᵀ diag(c) |X| entrywise, whose 2-norm is at most its trace; c and the scale round too.
    return dense(G, error=gamma(problem.N + K + 12, G.dtype) * float(G.trace()))


def ceilings(problem: Problem, k: int) -> list[float]:
    """Upper bounds on λ_1 … λ_k at every θ, from the data alone; ∞ where there are none."""
    found, m = of_data(problem), problem.shape[1] - problem.loss.ignores_shift
    if found is None or not m:
        return [math.inf] * k
    upper = (found.upper.double() + problem.ridge) * (1 + 4 * torch.finfo(found.upper.dtype).eps)
    return [float(upper[min(j // m, len(upper) - 1)]) for j in range(k)]


def from_dual(curvature: Curvature, dual: Spectrum) -> Spectrum:
    """H's whole spectrum from that of its dual: zeros beyond the dual's order, and the ridge (uniform) on top."""
    values, P = dual.values.clamp(min=0), curvature.P  # AAᵀ has no negative eigenvalue
    padded = torch.cat([values, values.new_zeros(max(P - len(values), 0))])[:P]
    ridge = uniform_ridge(curvature)
    slack = 4 * torch.finfo(torch.float64).eps * ridge
    return Spectrum(padded + ridge, dual.radius + slack, f"{dual.how}, of the dual")


def definiteness(curvature: Curvature) -> str:
    """What is known without the smallest eigenvalue: H = AᵀA + ρ diag m, as every loss here is convex."""
    if not curvature.problem.model.is_product:
        return "unknown: the smallest eigenvalue was not looked for"
    if curvature.floor > 0:
        return f"positive definite: no eigenvalue is below the ridge, {curvature.floor:.3g}"
    blind, why = curvature.problem.loss.flat(curvature.theta.shape[1])
    return f"positive semi-definite: the loss is convex, and {why}" if blind else "positive semi-definite or definite"


def least(curvature: Curvature, k: int, seed: int) -> dict[str, float]:
    """Readings of the smallest eigenvalues, as far as they are known: each in an interval from the floor up.

    A loss that is blind to some direction leaves eigenvalues at the floor, the ridge's ρ or 0, exactly: as many as the
    rows of θ that the ridge holds least. The search from below is short, and its intervals say what it found.
    """
    if not curvature.problem.model.is_product:
        return {}
    mask, floor = curvature.problem.mask, curvature.floor
    k = min(k, curvature.P)
    held_least = int((mask == mask.min()).sum()) if curvature.problem.ridge else len(mask)
    exact = curvature.problem.loss.flat(curvature.theta.shape[1])[0] * held_least
    readings = {"curvature/lambda_min": floor} if exact else {}
    readings |= {f"curvature/bottom_{i}": floor for i in range(1, min(k, exact) + 1)}
    if k <= exact:
        return readings
    start = krylov.random_block(curvature.P, k + 3, seed, curvature.theta)
    norm = curvature.trace * (1 + 1e-12)
    product, unit = krylov.in_units(curvature, norm)
    ritz = krylov.search(
        lambda V: -product(V),
        start,
        lambda _: False,
        6 * start.shape[1],
        60 * start.shape[1],
        curvature.rounding / unit,
        norm / unit,
    )
    found = certificate.enclose(ritz, Ceiling(torch.tensor([-floor / unit], dtype=torch.float64)), k)
    upper = times(-found.lower, unit, up=True).tolist()
    for i in range(exact + 1, k + 1):
        readings[f"curvature/bottom_{i}/lower"] = floor
        readings[f"curvature/bottom_{i}/upper"] = upper[i - 1]
    return readings


def shared(curvature: Curvature, vectors: int) -> Spectrum | None:
    """The whole spectrum where all rows share one logit Hessian, with the first `vectors` eigenvectors; else None.

    The radius has the rounding of h, of G and of both eigenproblems; η that differ by rounding alone count as equal.
    """
    h = _one_hessian(curvature)
    if h is None:
        return None
    problem, (D, K), u = curvature.problem, curvature.theta.shape, torch.finfo(h.dtype).eps
    G = sum((X.T @ X for X, _ in problem.blocks()), torch.zeros(D, D, dtype=h.dtype, device=h.device))
    whole = float(h.trace() * G.trace())
    G *= curvature.bare_trace / whole if whole else 0.0  # the mean's divisor is in the trace
    ridge = torch.diag(problem.ridge * problem.mask[:, 0])
    eta, W = eigh(h)
    alike = 4 * K * u * float(eta.abs().max())
    solved: list[tuple[float, Spectrum]] = []
    for level in eta.tolist():
        near = [found for at, found in solved[-1:] if level - at <= alike]
        solved.append((level, near[0] if near else dense(level * G + ridge, vectors=True)))
    values, order = torch.cat([found.values for _, found in solved]).sort(descending=True)
    columns = [_unravelled(solved[at // D][1], W[:, at // D], at % D) for at in order[:vectors].tolist()]
    radius = max(found.radius for _, found in solved) + K * alike * float(G.trace()) + 2 * curvature.dense_rounding
    return Spectrum(values, radius, f"exact to rounding in {str(h.dtype)[6:]}, by structure", torch.stack(columns, 1))


def _unravelled(found: Spectrum, w: Tensor, i: int) -> Tensor:
    """The eigenvector u wᵀ, (P,)."""
    assert found.vectors is not None
    return torch.outer(found.vectors[:, i], w).reshape(-1)


def _one_hessian(curvature: Curvature) -> Tensor | None:
    """h (K, K), if θ = 0 and every row has it."""
    if bool(curvature.theta.any()) or not curvature.problem.model.is_product:
        return None
    first: Tensor | None = None
    for z, y in curvature.logits():
        h = curvature.problem.loss.hessian(z, y)
        first = h[0] if first is None else first
        if not bool((h == first).all()):
            return None
    return first

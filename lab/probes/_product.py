"""What eigenvalues are found and proved of, against the product that `probes.hvp` holds against autograd.

That product is derived apart: a mistake in what only eigenvalues are made of (`Loss.hessian`, `off_diagonal`,
`hessian_map`, `local`, `diagonal`, `factor`) would otherwise be proved about to ten digits.

Direction  the matrix, or the product for many, with a random v. Both round: H by `Curvature.dense_rounding`, or its
           product, and the other, by `Curvature.rounding`; a unit vector's product with a matrix by γ_P ‖H‖_F more.
Rows       at some steps, of some rows' h_n, by products with the unit vectors e_k: the diagonal, the trace that
           ceilings are made of, the size that bounds on rounding are, made of μ, and so μ − r against ∇ℓ; F_n F_nᵀ,
           of which the dual is made, in norm; h_n 1, where a shift is left out as being ignored, and the smallest
           eigenvalues of Σ h_n, of which as many are 0 as `Loss.flat` says. A product's entry is off by c u r_k r_l,
           r² = h_kk + |μ_k| (`lab.rounding`), and the other by no more, and so h_n by c u Σ_k r_k² in norm; what is
           made of μ is off by c u (|μ| + |r|) too, where it is ∇ℓ + r.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from lab.curvature.operator import Curvature, size_of
from lab.curvature.plan import Method
from lab.referee import Verdict, Who
from lab.rounding import evaluating, gamma
from lab.seeds import stream

ROWS, NUMBERS = 32, 1 << 16  # of so many rows h is looked at, and of fewer where they have more numbers than that
CONCAVE = (
    "the loss is not convex here, on which every proof of eigenvalues rests, and which its self_concordance implies; a "
    "function that is not convex is a lab.Derivation, for lab check"
)
SHIFT = "the loss says that it ignores_shift, and its product sees one: eigenvalues are found without that direction"
FLAT = "the loss's flat says that no row sees so many directions, and its product does: not all that is said to be 0 is"
NOTE = "it is not that of the loss's product: no eigenvalue of this step is to be believed"


def judge(curvature: Curvature, method: Method, seed: int, t: int) -> Verdict | None:
    """Hold what the method finds eigenvalues of against the problem's product; None where that is not finite."""
    parts = [by_direction(curvature, method, seed, t)]
    if curvature.problem.model.is_product and curvature.rows:
        parts += _by_rows(curvature, method == "dual", seed, t)
    known = [part for part in parts if part is not None]
    return max(known, key=lambda part: part.ratio) if known else None


def concave(curvature: Curvature) -> Verdict | None:
    """The verdict on a loss some row's h_kk of which is below 0 by more than rounding; None where none is."""
    worst: Verdict | None = None
    for (_, y, z), h in zip(curvature.rows, curvature.diagonals, strict=True):
        if not bool((h < 0).any()):
            continue
        unit = 2 * evaluating(z)
        bound = unit * (h.abs() + curvature.problem.loss.predicted(z, y).abs()) + torch.finfo(z.dtype).tiny
        found = _worst("h_kk", h.clamp(max=0.0), torch.zeros_like(h), bound)
        if found is not None and not found.passed and (worst is None or found.ratio > worst.ratio):
            worst = _noted(CONCAVE, found)
    return worst


def by_direction(curvature: Curvature, method: Method, seed: int, t: int) -> Verdict | None:
    """The same in one direction alone, at half the price; None for the dual, which has a matrix of another order."""
    if method == "dual":
        return None
    dense = method == "dense"
    theta, problem = curvature.theta, curvature.problem
    v = torch.tensor(stream(seed, "product", t).standard_normal(theta.numel())).to(theta)
    v /= size_of(v)
    ours = curvature.dense @ v if dense else curvature(v[:, None])[:, 0]
    apart = size_of(ours - problem.hvp(theta, v.view(theta.shape)).reshape(-1))
    bound = 2 * curvature.rounding
    if dense:
        bound += curvature.dense_rounding + gamma(len(v), theta.dtype) * size_of(curvature.dense)
    if not math.isfinite(apart) or not math.isfinite(bound):
        return None
    size = size_of(ours)
    return _verdict("H v", size, size - apart, apart, bound, str(theta.dtype)[6:])


def _by_rows(curvature: Curvature, dual: bool, seed: int, t: int) -> Iterator[Verdict | None]:
    loss, draw = curvature.problem.loss, stream(seed, "rows", t)
    _, y, z = curvature.rows[int(draw.integers(len(curvature.rows)))]
    K = z.shape[1]
    some = torch.tensor(draw.integers(len(z), size=max(1, min(ROWS, NUMBERS // K**2))), device=z.device)
    z, y = z[some], y[some]
    mu, r, g, local = loss.predicted(z, y), loss.subtracted(z, y), loss.gradient(z, y), loss.local(z, y)
    diagonal = _diagonal(curvature, z, y)
    unit = 2 * evaluating(z)
    lost = 4 * K * torch.finfo(z.dtype).tiny
    square, parts = diagonal.abs() + mu.abs(), unit * (mu.abs() + r.abs()) + lost
    entry = unit * square + lost
    yield _worst("μ − r", mu - r, g, parts)
    yield _worst("diag h", loss.diagonal(z, y), diagonal, entry)
    yield _worst("tr h", local.trace, diagonal.sum(dim=1), entry.sum(dim=1))
    yield _worst("Σ h_kk + |μ_k|", local.size, square.sum(dim=1), 2 * entry.sum(dim=1) + parts.sum(dim=1))
    if loss.ignores_shift:
        seen = loss.hvp(z, y, torch.ones_like(z))
        yield _noted(SHIFT, _worst("h 1", torch.zeros_like(z), seen, _spread(unit, square) + lost))
    if (blind := loss.flat(K)[0]) and K**2 <= NUMBERS:
        units = torch.eye(K, dtype=z.dtype, device=z.device)
        h = torch.stack([loss.hvp(z, y, unit.expand_as(z)).sum(dim=0) for unit in units])
        if bool(torch.isfinite(h).all()):
            least = torch.linalg.eigvalsh((h + h.T).double() / 2)[:blind].to(z)
            bound = entry.sum() + gamma(len(z), z.dtype) * square.sum()
            yield _noted(FLAT, _worst("eigenvalues of Σh", torch.zeros_like(least), least, bound))
    if dual:
        F, u = loss.factor(z, y), torch.tensor(draw.standard_normal(tuple(z.shape))).to(z)
        ours, norm = (F @ (F.mT @ u[:, :, None]))[:, :, 0], torch.linalg.vector_norm(u, dim=1, keepdim=True)
        yield _worst("F Fᵀu", ours, loss.hvp(z, y, u), 2 * norm * entry.sum(dim=1, keepdim=True))


def _spread(unit: Tensor, square: Tensor) -> Tensor:
    """c u r_k Σ_l r_l, (n, K): how far h_n may be off when it is multiplied by numbers of size 1."""
    root = square.sqrt()
    return unit * root * root.sum(dim=1, keepdim=True)


def _diagonal(curvature: Curvature, z: Tensor, y: Tensor) -> Tensor:
    """h_kk (n, K), by products with the unit vectors, some at a time."""
    n, K = z.shape
    found = []
    for part in torch.split(torch.arange(n * K, device=z.device), max(1, NUMBERS // K)):
        row, k = part // K, (part % K)[:, None]
        units = torch.zeros(len(part), K, dtype=z.dtype, device=z.device).scatter_(1, k, 1.0)
        found.append(curvature.problem.loss.hvp(z[row], y[row], units).gather(1, k)[:, 0])
    return torch.cat(found).view(n, K)


def _noted(why: str, verdict: Verdict | None) -> Verdict | None:
    """The same with that for what it says where it fails."""
    return verdict if verdict is None or verdict.passed else replace(verdict, note=why)


def _worst(tensor: str, ours: Tensor, truth: Tensor, bound: Tensor) -> Verdict | None:
    """The verdict at the entry that is farthest off."""
    apart, bound = (ours - truth).abs(), bound.expand_as(ours)
    if not bool((torch.isfinite(apart) & torch.isfinite(bound)).all()):
        return None
    at = int((apart / bound).argmax())
    mine, true, off, allowed = (float(each.reshape(-1)[at]) for each in (ours, truth, apart, bound))
    return _verdict(tensor, mine, true, off, allowed, str(ours.dtype)[6:])


def _verdict(tensor: str, ours: float, truth: float, apart: float, bound: float, dtype: str) -> Verdict:
    ratio, what = apart / bound if bound else (math.inf if apart else 0.0), "the Hessian of the eigenvalues"
    if ratio <= 1:
        return Verdict(what, tensor, ratio, (), ours, truth, bound, dtype=dtype)
    return Verdict(what, tensor, ratio, (), ours, truth, bound, Who.OURS, dtype, NOTE)

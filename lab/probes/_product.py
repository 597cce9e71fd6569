"""What eigenvalues are found and proved of, against the product that `probes.hvp` holds against autograd.

That product is derived apart: a mistake in what only eigenvalues are made of (`Loss.hessian`, `off_diagonal`,
`hessian_map`, `local`, `diagonal`, `factor`) would otherwise be proved about to ten digits.

Direction  the matrix, or the product for many, with a random v. Both round: H by `Curvature.dense_rounding`, or its
           product, and the other, by `Curvature.rounding`; a unit vector's product with a matrix by γ_P ‖H‖_F more.
Rows       of some rows' h_n, by products with the unit vectors e_k: the diagonal, the trace that ceilings are made of,
           the size that bounds on rounding are, and F_n F_nᵀ, of which the dual is made. A product's entry is off by
           c u r_k r_l, r² = h_kk + |μ_k| (`lab.rounding`), and the other by no more.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from lab.curvature.operator import Curvature, size_of
from lab.curvature.plan import Method
from lab.referee import Verdict, Who
from lab.rounding import gamma
from lab.seeds import stream

ROWS, NUMBERS = 32, 1 << 16  # of so many rows h is looked at, or of fewer, for no more numbers in them all than that
NOTE = "it is not that of the loss's product: no eigenvalue of this step is to be believed"


def judge(curvature: Curvature, method: Method, seed: int, t: int) -> Verdict | None:
    """Hold what the method finds eigenvalues of against the problem's product; None where that is not finite."""
    parts = [] if method == "dual" else [_by_direction(curvature, method == "dense", seed, t)]
    if curvature.problem.model.is_product and curvature.rows:
        parts += _by_rows(curvature, method == "dual", seed, t)
    known = [part for part in parts if part is not None]
    return max(known, key=lambda part: part.ratio) if known else None


def _by_direction(curvature: Curvature, dense: bool, seed: int, t: int) -> Verdict | None:
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
    problem, K = curvature.problem, curvature.theta.shape[1]
    draw = stream(seed, "rows", t)
    _, y, z = curvature.rows[int(draw.integers(len(curvature.rows)))]
    some = torch.tensor(draw.integers(len(z), size=max(1, min(ROWS, NUMBERS // K**2))), device=z.device)
    z, y = z[some], y[some]
    n, loss = len(z), problem.loss
    units = torch.eye(K, dtype=z.dtype, device=z.device).repeat(n, 1)
    h = loss.hvp(z.repeat_interleave(K, 0), y.repeat_interleave(K, 0), units).view(n, K, K)
    diagonal, local = h.diagonal(dim1=1, dim2=2), loss.local(z, y)
    root = (diagonal.abs() + loss.predicted(z, y).abs()).sqrt()
    unit = (8 + K + 2 * z.abs().amax(dim=1, keepdim=True)) * torch.finfo(z.dtype).eps  # 2 c u
    lost = 4 * K * torch.finfo(z.dtype).tiny
    entry, square = unit * root.square() + lost, root.square().sum(dim=1)
    yield _worst("diag h", loss.diagonal(z, y), diagonal, entry)
    yield _worst("tr h", local.trace, diagonal.sum(dim=1), entry.sum(dim=1))
    yield _worst("Σ h_kk + |μ_k|", local.size, square, 2 * entry.sum(dim=1))
    if dual:
        F = loss.factor(z, y)
        yield _worst("F Fᵀ", F @ F.mT, h, 2 * unit[:, :, None] * root[:, :, None] * root[:, None, :] + lost)


def _worst(tensor: str, ours: Tensor, truth: Tensor, bound: Tensor) -> Verdict | None:
    """The verdict at the entry that is farthest off."""
    apart = (ours - truth).abs()
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

"""The Hessian as a matrix in single precision, at a fraction of the price of the exact one.

It is good enough to search in, and to count eigenvalues on either side of a gap: how far off it is, is known.

Order        That of the coordinates that the Hessian sees (`coordinates`): the rest of it is the ridge alone.
Kept         With the products X_nd X_ne, d ≤ e, kept from θ to θ (`Problem.products`), all blocks are one product of
             matrices, (r(r + 1)/2, N) by (N, Q) for the Q pairs of classes with any h_kl.
Units        The matrix is H/scale, a power of two near tr H: its squares are far from where single precision ends.
Pairs        Where h1 = 0, h is known by its Q entries off the diagonal, which are there in the run's precision
             (`Curvature.pairwise`; what that costs is in `Curvature.dense_rounding`):
             h = −Σ_kl h_kl (e_k − e_l)(e_k − e_l)ᵀ. One more product of matrices makes the blocks of the sums over
             rows, in whatever coordinates (`Coordinates.spread`).
Error        Division by M·scale, X's two factors and their product round 4 times, beside a sum over N rows. By pairs an
             entry is rounded once more, and −Σ_q h_q w_q w_qᵀ has Q terms, with w_q rounded: as ‖w_q‖² = 2, the norm of
             Σ_q |h_q| |w_q||w_q|ᵀ is at most 2 Σ_q |h_q| = tr h, and so |δH| ≤ γ_{N + Q + 8} tr H in norm.
             Otherwise logits are rounded to u = 2⁻²⁴, and h is made of them: e = M u max|z| + c u as in `lab.rounding`,
             relative to h, whose |h| ≤ tr h, and twice that where an h whose rows sum to 0 up to rounding alone is
             reflected (QhQ = ChCᵀ with C = (−a1, I), ‖C‖² < 2). The reflection has each entry from h_kl, a h_1k,
             a h_1l, a² h_11, which are rounded 2, 5, 5 and 7 times on the way, and are at most tr h each in norm, as
             matrices: |δH| ≤ (γ_N + 2e + 24u) tr H.
             Single precision underflows at 1e-38, in h and h/(M·scale), which costs what `Curvature.underflow` says.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab import pairs
from lab.curvature.coordinates import Coordinates
from lab.curvature.operator import Curvature
from lab.pairs import Pairs
from lab.rounding import gamma, terms

SINGLE = torch.float32


@dataclass(frozen=True)
class Coarse:
    """H ≈ scale · matrix, (n, n) in single precision and its own coordinates, off by at most `error` in norm.

    `error` is ∞ where the matrix overflows; `outside` bounds H on what the coordinates leave out.
    """

    matrix: Tensor
    scale: float
    error: float
    outside: float
    coordinates: Coordinates


def coarse(curvature: Curvature, kept: bool = True) -> Coarse:
    """The Hessian in single precision; out of the products of X that are `kept`, or make them, or out of X itself."""
    problem, there = curvature.problem, Coordinates.of(curvature)
    size = curvature.trace
    scale = 2.0 ** round(math.log2(size)) if 0 < size < math.inf else 1.0
    made = _by_products if kept and problem.products is not None else _by_rows
    H = made(curvature, there, problem.divisor * scale)
    if problem.ridge:
        ridge = (problem.ridge / scale * problem.mask[there.columns, 0]).repeat_interleave(there.classes)
        H.diagonal().add_(ridge.to(SINGLE))
    # Where x_d x_e overflows one of their squares does, in the same row.
    fits = 1e-30 < problem.divisor * scale < 1e30 and bool(torch.isfinite(H.diagonal().sum()))
    outside = problem.ridge * float(problem.mask.max())
    return Coarse(H, scale, _error(curvature, scale) if fits else math.inf, outside, there)


def _error(curvature: Curvature, scale: float) -> float:
    problem, unit = curvature.problem, torch.finfo(SINGLE).eps / 2
    if curvature.pairwise is not None:
        share = gamma(terms(problem) + curvature.pairwise[0].shape[1] + 8, SINGLE)
    else:
        reach = max((max(map(abs, map(float, z.aminmax()))) for z, _ in curvature.logits()), default=0.0)
        logits = problem.loss.self_concordance * reach + 8 + curvature.theta.shape[1] + 2 * reach
        if logits * unit > 0.1:
            return math.inf
        share = gamma(terms(problem), SINGLE) + (2.2 * logits + 24) * unit
    lost = 4 * curvature.dense_rounding + (1 + problem.divisor * scale) * curvature.underflow(SINGLE)
    return share * (curvature.bare_trace + problem.ridge * float(problem.mask.max())) + lost


def _logit_hessians(curvature: Curvature, there: Coordinates, z: Tensor, y: Tensor) -> Tensor:
    """The entries k ≤ l of h in single precision, (Q, n)."""
    y = y.to(SINGLE) if y.is_floating_point() else y
    return there.upper(curvature.problem.loss.hessian(z.to(SINGLE), y).permute(1, 2, 0))


def _by_rows(curvature: Curvature, there: Coordinates, divisor: float) -> Tensor:
    """H₀/scale out of X, a block of rows at a time."""
    problem, theta, (k, l) = curvature.problem, curvature.theta, pairs.upper(there.classes, curvature.theta.device)

    def entries() -> Iterator[tuple[Tensor, Tensor]]:
        if curvature.pairwise is None:
            for X, y in problem.blocks(width=theta.shape[1] ** 2, least=1024):
                yield X, _logit_hessians(curvature, there, problem.model.forward(X, theta), y)
        else:
            spread = there.spread[:, k * there.classes + l].to(SINGLE)
            for (X, _, _), known in zip(curvature.rows, curvature.pairwise, strict=True):
                yield X, (known.to(SINGLE) @ spread).T

    def rows() -> Iterator[tuple[Tensor, Pairs, Tensor]]:
        for X, seen in entries():
            yield X.T.index_select(0, there.columns).to(SINGLE).T, *Pairs.seen(k, l, seen.div_(divisor))

    H = problem.model.gauss_newton_by_pairs(rows(), theta.new_empty(len(there.columns), there.classes, dtype=SINGLE))
    return H.view(there.order, there.order)


def _by_products(curvature: Curvature, there: Coordinates, divisor: float) -> Tensor:
    """H₀/scale out of what is kept of X."""
    products, known = curvature.problem.products, curvature.pairwise
    assert products is not None
    if known is not None:
        entries = (known[0] if len(known) == 1 else torch.cat(known)).to(SINGLE) / divisor
        blocks = (products @ entries) @ there.spread.to(SINGLE)
        return blocks.view(-1, there.classes).index_select(0, there.place).view(there.order, there.order)
    k, l = pairs.upper(there.classes, curvature.theta.device)
    h = [_logit_hessians(curvature, there, z, y) for z, y in curvature.logits()]
    these, entries = Pairs.seen(k, l, (h[0] if len(h) == 1 else torch.cat(h, dim=1)).div_(divisor))
    place = pairs.places(len(there.columns), k.device)
    return these.blocks(products @ entries.T.contiguous(), place, there.classes).view(there.order, there.order)

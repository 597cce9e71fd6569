"""The largest eigenvalues of a symmetric operator known by its products: a thick-restart block Krylov method.

A block of m vectors, whatever its start, is improved as follows. Q (P, s) holds an orthonormal basis, W = HQ.
    Rayleigh–Ritz   QᵀW = S Θ Sᵀ;  V = QS, HV = WS, R = HV − VΘ for the m largest
    Expansion       R, made orthonormal to Q, joins the basis: from a start with R ⟂ V this is block Lanczos
    Restart         a basis that has grown to its limit is cut down to its best Ritz vectors, and goes on from them
A block finds an eigenvalue as often as it occurs, up to m times; a single vector finds each once, whatever its
multiplicity. Working with residuals in place of Lanczos' recurrence costs Q's orthogonality to every new block, and
allows any start: that of the step before, above all.

Where a matrix is at hand (`filtered`), products are cheap, and keeping a basis orthonormal would be most of the work.
There the block is multiplied by a polynomial in H instead, small on [a, b], where the unwanted eigenvalues lie, and
growing fastest beyond b: with c, e the middle and half-width, T_d((H − c)/e), T_{j+1}(x) = 2x T_j(x) − T_{j−1}(x). It
gains e^{dρ} on λ over all in [a, b], ρ = arccosh((λ − c)/e); b is the block's own smallest Ritz value.

Each stored image carries its product's rounding, and each recombination a little more; `Ritz.error` has the sum:
|fl(WS) − WS| ≤ γ_s |W||S|, and V = fl(QS) moves HV by ‖H‖ γ_s ‖|Q||S|‖.

Source  Stathopoulos & Saad, Restarting techniques for the (Jacobi–)Davidson symmetric eigenvalue methods, ETNA 7
        (1998); Wu & Simon, Thick-restart Lanczos, SIAM J. Matrix Anal. Appl. 22 (2000); Zhou & Saad, A
        Chebyshev–Davidson algorithm, SIAM J. Matrix Anal. Appl. 29 (2007); Parlett, The Symmetric Eigenvalue Problem
        (1998), §11 and §13.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.curvature.ritz import Ritz
from lab.spectrum import eigh

Product = Callable[[Tensor], Tensor]  # (P, m) to (P, m)


@dataclass(frozen=True)
class _Basis:
    Q: Tensor
    W: Tensor
    error: float  # bound on ‖W − HQ‖_F

    def combined(self, S: Tensor, norm: float) -> "_Basis":
        s, m = S.shape
        gamma = 2 * s * torch.finfo(S.dtype).eps
        moved = gamma * m**0.5 * (float(torch.linalg.vector_norm(self.W)) + norm * s**0.5)
        stretch = 1 + 10 * s * torch.finfo(S.dtype).eps  # S is orthonormal to rounding
        return _Basis(self.Q @ S, self.W @ S, self.error * stretch + moved)

    def with_block(self, Q: Tensor, W: Tensor, rounding: float) -> "_Basis":
        error = (self.error**2 + Q.shape[1] * rounding**2) ** 0.5
        return _Basis(torch.cat([self.Q, Q], dim=1), torch.cat([self.W, W], dim=1), error)


def search(
    product: Product,
    start: Tensor,
    enough: Callable[[Ritz], bool],
    limit: int,
    budget: int,
    rounding: float = 0.0,
    norm: float = 0.0,
) -> Ritz:
    """Improve the block `start` (P, m) until `enough(ritz)`, or until H has been applied to `budget` vectors.

    Args: limit on the basis (at least 2 m is used); rounding a bound on the error of a product with a unit vector; norm
    a bound on ‖H‖₂. The caller asks the answer again whether it is enough: nothing is promised.
    """
    m, P = start.shape[1], start.shape[0]
    limit = min(max(limit, 2 * m), P)
    Q = _orthonormal(start, None)
    used = Q.shape[1]
    basis = _Basis(Q, product(Q), used**0.5 * rounding)
    while True:
        T = basis.Q.T @ basis.W
        values, S = eigh((T + T.T) / 2)
        values, S = values.flip(0), S.flip(1)
        best = basis.combined(S[:, :m], norm)
        ritz = Ritz(values[:m], best.Q, best.W, best.error, used)
        if enough(ritz) or used >= budget:
            return ritz
        R = best.W - best.Q * values[:m]
        if basis.Q.shape[1] + m > limit < P:
            basis = basis.combined(S[:, : max(m, limit - 2 * m)], norm)
        sizes = torch.linalg.vector_norm(R, dim=0)
        new = _orthonormal(R[:, sizes > 4 * torch.finfo(R.dtype).eps * values.abs().max()], basis.Q)
        if not new.shape[1]:  # the block spans an invariant subspace, to rounding: there is nowhere to go from it
            return ritz
        basis = basis.with_block(new, product(new), rounding)
        used += new.shape[1]


def filtered(
    H: Tensor, start: Tensor, k: int, floor: float, tolerance: float, rounds: int = 12
) -> tuple[Tensor, Tensor, Tensor]:
    """Ritz values (m,), largest first, vectors (P, m) and residuals (m,) of the matrix H's m largest, in its precision.

    The first k are improved until their squared residuals, over the gap to the m-th, are a small part of `tolerance`
    times the largest, or no smaller than rounding, and the m-th until the gap is there. Nothing is promised: the answer
    is to be examined.

    Args: H symmetric, its entries far from overflow and underflow; floor a lower bound on its spectrum; rounds of
    filtering at most.
    """
    # Vectors are rows here, which is how a symmetric matrix is multiplied fastest.
    U, last_worst, eps = torch.linalg.qr(start).Q.T, math.inf, torch.finfo(H.dtype).eps
    while True:
        W = U @ H
        values, S = eigh(W @ U.T)
        values, S = values.flip(0), S.flip(1).T
        U, W = S @ U, S @ W
        residuals: Tensor = torch.linalg.vector_norm(W - values[:, None] * U, dim=1)
        theta, worst = values.tolist(), float(residuals[:k].max())
        size, edge = max(abs(theta[0]), abs(theta[-1])), theta[min(k, len(theta)) - 1]
        b = max(theta[-1], floor + 8 * eps * size)
        c, e = (b + floor) / 2, (b - floor) / 2
        target = max((tolerance * size * max(edge - theta[-1], 0.0) / 32) ** 0.5, 4 * eps * size)
        rounds -= 1
        stuck = 0.9 * last_worst < worst < 1e-4 * size  # in rounding
        if stuck or rounds < 0 or (worst <= target and float(residuals[-1]) <= max((edge - theta[-1]) / 4, target)):
            return values, U.T, residuals
        last_worst = worst
        steepest = math.acosh(max((theta[0] - c) / e, 1 + 1e-3))
        wanted = math.ceil(math.log(max(4 * worst / target, 2.0)) / math.acosh(max((edge - c) / e, 1 + 1e-3)))
        degree = max(min(wanted, 12, int(30 / steepest)), 1)  # squares of e³⁰ are there in single precision too
        filtered = _chebyshev(H, U, W, c, e, degree)
        sizes = torch.linalg.vector_norm(filtered, dim=1, keepdim=True)
        if not math.isfinite(float(sizes.sum())):  # one that the block has hardly seen is far above its largest
            filtered = _chebyshev(H, U, W, c, e, 1)
            sizes = torch.linalg.vector_norm(filtered, dim=1, keepdim=True)
        U = torch.linalg.qr((filtered / sizes).T).Q.T


def _chebyshev(H: Tensor, U: Tensor, W: Tensor, c: float, e: float, degree: int) -> Tensor:
    """Rows T_d((H − c)/e) u, (m, P), of U's rows u (m, P), whose images are W."""
    last, U = U, (W - c * U) / e
    for _ in range(degree - 1):
        last, U = U, torch.addmm(last, U, H, beta=-1, alpha=2 / e).sub_(U, alpha=2 * c / e)
    return U


def in_units(product: Product, size: float) -> tuple[Product, float]:
    """The product of H/unit, and the unit: a power of 2 near `size`, an upper bound on ‖H‖₂.

    Norms are of squares, which would underflow where H is tiny, or overflow; a power of 2 rounds nothing.
    """
    a = max(-1000, min(1000, math.frexp(size)[1])) if 0 < size < math.inf else 0
    half = a // 2  # both are there in single precision too, where H is
    return (lambda V: product(V) * 2.0**-half * 2.0 ** (half - a)), 2.0**a


def largest_within(product: Product, start: Tensor, depth: int) -> float:
    """Return H's largest Rayleigh quotient on the block Krylov space start, H·start, …, H^{depth−1}·start.

    Nothing is left out that may be more than rounding: what is, makes the space larger, which does no harm.
    """
    all_of_it = 4 * torch.finfo(start.dtype).eps
    last = Q = _orthonormal(start, None, all_of_it)
    T = start.new_zeros(0, 0)
    for _ in range(depth):
        if not last.shape[1]:
            break
        new = product(last)
        s, m = T.shape[0], last.shape[1]
        grown = start.new_zeros(s + m, s + m)
        grown[:s, :s], grown[:, s:] = T, Q.T @ new
        grown[s:, :s] = grown[:s, s:].T
        T = grown
        last = _orthonormal(_orthonormal(new, Q, all_of_it), Q, all_of_it)  # again, for what was hardly more than that
        Q = torch.cat([Q, last], dim=1)
    return float(torch.linalg.eigvalsh((T + T.T).double() / 2)[-1]) if len(T) else 0.0


def random_block(P: int, m: int, seed: int, like: Tensor) -> Tensor:
    """A Gaussian start (P, m) of `like`'s dtype and device, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(P, min(m, P), generator=generator, dtype=torch.float64).to(like)


def _orthonormal(block: Tensor, Q: Tensor | None, least: float | None = None) -> Tensor:
    """An orthonormal basis of what `block` (P, m) adds to `Q`, but for columns of which less than `least` is new.

    Unless told otherwise that is what rounding may leave, and more.
    """
    least = 100 * block.shape[0] ** 0.5 * torch.finfo(block.dtype).eps if least is None else least
    sizes = torch.linalg.vector_norm(block, dim=0, keepdim=True)
    block = _only(block / sizes, sizes[0] > 0)
    if Q is None:
        block, triangle = torch.linalg.qr(block)
        return _only(block, triangle.diagonal().abs() > least)
    for _ in range(2):  # twice is enough (Parlett, §6.9)
        block, triangle = torch.linalg.qr(block - Q @ (Q.T @ block))
        block = _only(block, triangle.diagonal().abs() > least)
    return block[:, : block.shape[0] - Q.shape[1]]


def _only(block: Tensor, which: Tensor) -> Tensor:
    """The columns that are marked."""
    return block if bool(which.all()) else block[:, which]

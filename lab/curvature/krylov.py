"""The largest eigenvalues of a symmetric operator known by its products: a thick-restart block Krylov method.

A block of m vectors, whatever its start, is improved as follows. Q (P, s) holds an orthonormal basis, W = HQ.
    Rayleigh–Ritz   QᵀW = S Θ Sᵀ;  V = QS, HV = WS, R = HV − VΘ for the m largest
    Expansion       R, made orthonormal to Q, joins the basis: from a start with R ⟂ V this is block Lanczos
    Restart         a basis that has grown to its limit is cut down to its best Ritz vectors, and goes on from them
A block finds an eigenvalue as often as it occurs, up to m times; a single vector finds each once, whatever its
multiplicity. Working with residuals in place of Lanczos' recurrence costs Q's orthogonality to every new block, and
allows any start: that of the step before, above all.

Where a matrix at hand makes products cheap (`filtered`), keeping a basis orthonormal would be most of the work. There
the block is multiplied by a polynomial in H instead, small on [a, b], where the unwanted eigenvalues lie, and growing
fastest beyond b: with c, e the middle and half-width, T_d((H − c)/e), T_{j+1}(x) = 2x T_j(x) − T_{j−1}(x). It gains
e^{dρ} on λ over all in [a, b], ρ = arccosh((λ − c)/e); b is the block's own smallest Ritz value.

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

Product = Callable[[Tensor], Tensor]  # (P, m) to (P, m)


@dataclass(frozen=True)
class _Basis:
    Q: Tensor
    W: Tensor
    error: float  # bound on ‖W − HQ‖_F

    def combined(self, S: Tensor, norm: float) -> "_Basis":
        s, m = S.shape
        gamma = 2 * s * torch.finfo(S.dtype).eps
        moved = gamma * m**0.5 * (float(self.W.norm()) + norm * s**0.5)
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
        values, S = torch.linalg.eigh((T + T.T) / 2)
        values, S = values.flip(0), S.flip(1)
        best = basis.combined(S[:, :m], norm)
        ritz = Ritz(values[:m], best.Q, best.W, best.error, used)
        if enough(ritz) or used >= budget:
            return ritz
        R = best.W - best.Q * values[:m]
        if basis.Q.shape[1] + m > limit < P:
            basis = basis.combined(S[:, : max(m, limit - 2 * m)], norm)
        new = _orthonormal(R[:, R.norm(dim=0) > 4 * torch.finfo(R.dtype).eps * values.abs().max()], basis.Q)
        if not new.shape[1]:  # the block spans an invariant subspace, to rounding: there is nowhere to go from it
            return ritz
        basis = basis.with_block(new, product(new), rounding)
        used += new.shape[1]


def filtered(product: Product, start: Tensor, k: int, floor: float, target: float, rounds: int = 12) -> Tensor:
    """Orthonormal (P, m), Ritz vectors for H's m largest nearly: the first k until their residuals are below `target`.

    Args: floor a lower bound on H's spectrum; target relative to the largest; rounds of filtering at most. Nothing is
    promised, and the answer is to be examined with products that are exact enough.
    """
    V: Tensor = _orthonormal(start, None)
    for _ in range(rounds):
        W = product(V)
        T = V.T @ W
        values, S = torch.linalg.eigh((T + T.T) / 2)
        values, S = values.flip(0), S.flip(1)
        V, W = V @ S, W @ S
        theta, size = values.tolist(), float(values.abs().max())
        worst = float((W - V * values)[:, :k].norm(dim=0).max())
        c, e = (theta[-1] + floor) / 2, (theta[-1] - floor) / 2
        if worst <= target * size or e <= 1e-12 * size:
            return V
        beyond = max((theta[min(k, len(theta)) - 1] - c) / e, 1 + 1e-3)
        degree = min(max(math.ceil(math.log(4 * worst / (target * size)) / math.acosh(beyond)), 3), 12)
        last, V = V, (W - c * V) / e
        for _ in range(degree - 1):
            last, V = V, (product(V) - c * V) * (2 / e) - last
        V = torch.linalg.qr(V / V.norm(dim=0)).Q
    return V


def largest_within(product: Product, start: Tensor, depth: int) -> float:
    """Return H's largest Rayleigh quotient on the block Krylov space start, H·start, …, H^{depth−1}·start."""
    last = Q = _orthonormal(start, None)
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
        last = _orthonormal(new, Q)
        Q = torch.cat([Q, last], dim=1)
    return float(torch.linalg.eigvalsh((T + T.T) / 2)[-1]) if len(T) else 0.0


def random_block(P: int, m: int, seed: int, like: Tensor) -> Tensor:
    """A Gaussian start (P, m) of `like`'s dtype and device, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(P, min(m, P), generator=generator, dtype=torch.float64).to(like)


def _orthonormal(block: Tensor, Q: Tensor | None) -> Tensor:
    """An orthonormal basis of what `block` (P, m) adds to `Q`; columns that add nothing but rounding are left out."""
    block = block[:, block.norm(dim=0) > 0]
    block = block / block.norm(dim=0)
    for _ in range(2):  # twice is enough (Parlett, §6.9)
        if Q is not None:
            block = block - Q @ (Q.T @ block)
        block, triangle = torch.linalg.qr(block)
        kept = triangle.diagonal().abs() > 100 * block.shape[0] ** 0.5 * torch.finfo(block.dtype).eps
        block = block[:, kept]
    room = block.shape[0] - (0 if Q is None else Q.shape[1])
    return block[:, :room]

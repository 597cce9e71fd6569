"""How far rounding alone can move a gradient, a Hessian or a product: the bounds behind every verdict.

Notation: u the unit roundoff, γ_n = n u/(1 − n u). A sum of n products computed in any order has
|ŝ − s| ≤ γ_n Σ|x||y| (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., §3.1); a matrix product has it
entrywise. Each bound below is for one computation; a difference of two is held against twice the bound.

Logits      |δz| ≤ d = γ_D |X||θ|                                                          (N, K)
Logit gradient g(z), and how it moves when z does. With h the row's Hessian, which is positive semi-definite,
            |h_kl| ≤ √h_kk √h_ll, so |δg_k| ≤ f √h_kk Σ_l √h_ll d_l, f = e^{M max d}, as h is at most f h on the way
            (a loss that is M-self-concordant, below). Evaluating g at given logits costs another
            c u (|g| + 2|r|): its parts are exponentials, whose condition is the size of their argument,
            c = 8 + K + 2 max|z|, and for a canonical loss they are μ = g + r and r, r being the targets, each by its
            weight (`Loss.subtracted`); without options μ = p and r = y.
Logit Hessian  A loss that is M-self-concordant has e^{−Md} h ⪯ h(z + δz) ⪯ e^{Md} h, so |δh_kl| ≤ (f − 1) √h_kk √h_ll.
            Evaluating costs c u: relative to h by hand, but relative to μ for who computes p(1 − p) by a difference.
            With s_k = √(h_kk + |μ_k|), both have |δh_kl| ≤ e s_k s_l, e = f − 1 + c u.
Product     h u for u = JV: |δ(hu)_k| ≤ s_k Σ_l s_l (e + γ_D)|X||V|_l.
Value       ℓ moves by Σ|g|d + f (Σ √h_kk d)²/2 with the logits (Taylor); its parts are max z, rᵀz and a logarithm, so
            evaluating it costs c u (|ℓ| + Σ|r|(|z| + max|z|)).
In θ        ∇: |X|ᵀ|δg|/N + γ_N |X|ᵀ|g|/N, and 4u for scaling and adding the ridge's ρ|θ|. Likewise for the others. N
            stands for the loss's divisor; where that is itself a sum of N weights, it has another γ_N.
Closed rows Where each row of h sums to 0 but for 2(K + 8) u h_kk, a diagonal block may be made of the K − 1 others, in
            K more steps: in H that adds (3K + 16) u to e.
Underflow   Below the smallest normal number ν, steps are uν, and no more is exact: an entry of |X|ᵀ h |X|/N may lose a
            few uν (4 tr h + 1)(1 + ‖x‖)²/N, summed over the rows (`Problem.heaviest`); a product with V that for V. An
            h below ν may come out as 0, as 1/ν overflows on the way to it (torch's derivative of σ in float32 is 0 from
            |z| = 89 on): that is a few ν of the largest trace that there is (`Problem.largest_trace`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.problem import Problem


def gamma(n: float, dtype: torch.dtype) -> float:
    """γ_n = n u/(1 − n u), the relative rounding of a sum of n products; 1 (everything) once n u reaches a half."""
    nu = n * torch.finfo(dtype).eps / 2
    return nu / (1 - nu) if nu < 0.5 else 1.0


@dataclass(frozen=True)
class Block:
    """A block of n rows and what the bounds need, as named above: r, z, d, g, h_kk, s (n, K); f, e, c u (n, 1)."""

    X: Tensor
    X_abs: Tensor
    y: Tensor
    r: Tensor
    z: Tensor
    d: Tensor
    g: Tensor
    h: Tensor
    s: Tensor
    f: Tensor
    e: Tensor
    cu: Tensor


def evaluating(z: Tensor) -> Tensor:
    """c u of each row of logits z (N, K), (N, 1): the rounding of what is made of exponentials of them."""
    return torch.finfo(z.dtype).eps / 2 * (8 + z.shape[1] + 2 * z.abs().amax(dim=1, keepdim=True))


def closing(K: int, dtype: torch.dtype) -> float:
    """What a diagonal block of H that is made of the others is off by, relative to itself: (3K + 16) u."""
    return (3 * K + 16) * torch.finfo(dtype).eps / 2


def value_bound(problem: Problem, theta: Tensor) -> float:
    """Bound the rounding of L(θ)."""
    n, total = gamma(terms(problem), theta.dtype), theta.new_zeros(())
    for block in _blocks(problem, theta):
        size, r, z = problem.loss.value(block.z, block.y).abs(), block.r.abs(), block.z.abs()
        own = block.cu[:, 0] * (size + (r * (z + z.amax(dim=1, keepdim=True))).sum(dim=1))
        curved = block.f[:, 0] / 2 * (block.h.sqrt() * block.d).sum(dim=1).square()
        total += ((block.g.abs() * block.d).sum(dim=1) + curved + own + n * size).sum()
    penalty = problem.ridge / 2 * (problem.mask * theta.square()).sum()
    return float(total / problem.divisor + gamma(theta.numel() + 4, theta.dtype) * penalty)


def gradient_bound(problem: Problem, theta: Tensor) -> Tensor:
    """Bound the rounding of ∇L(θ), entrywise, (D, K)."""
    n, total = gamma(terms(problem), theta.dtype), torch.zeros_like(theta)
    for block in _blocks(problem, theta):
        root, size = block.h.sqrt(), block.g.abs()
        moved = root * (block.f * (root * block.d).sum(dim=1, keepdim=True))
        error = moved + block.cu * (size + 2 * block.r.abs()) + n * size
        total += problem.model.pullback(block.X_abs, theta.abs(), error)
    return total / problem.divisor + _ridge_rounding(problem, theta)


def hvp_bound(problem: Problem, theta: Tensor, V: Tensor) -> Tensor:
    """Bound the rounding of ∇²L(θ) V, entrywise, (D, K)."""
    D, model = problem.shape[0], problem.model
    n, total = gamma(terms(problem), theta.dtype), torch.zeros_like(theta)
    for block in _blocks(problem, theta):
        U = problem.loss.hvp(block.z, block.y, model.pushforward(block.X, theta, V))
        moved = (block.e + gamma(D, theta.dtype)) * model.pushforward(block.X_abs, theta.abs(), V.abs())
        error = block.s * (block.s * moved).sum(dim=1, keepdim=True) + n * U.abs()
        total += model.pullback(block.X_abs, theta.abs(), error)
    lost = _underflow(problem, theta.dtype) * float(1 + V.abs().sum())
    return total / problem.divisor + _ridge_rounding(problem, V) + lost


def hessian_bound(problem: Problem, theta: Tensor) -> Tensor:
    """Bound the rounding of ∇²L(θ), entrywise, (D·K, D·K): |X|ᵀ ((e + γ_N) s_k s_l) |X|/N, block by block."""
    D, K = problem.shape
    n = gamma(terms(problem), theta.dtype) + closing(K, theta.dtype)
    rows = (
        (block.X_abs, (block.e + n)[:, :, None] * block.s[:, :, None] * block.s[:, None, :])
        for block in _blocks(problem, theta, width=K * K, least=1024)
    )
    bound = problem.model.gauss_newton(rows, theta).reshape(D * K, D * K) / problem.divisor
    bound += _underflow(problem, theta.dtype)
    bound.diagonal().add_(_ridge_rounding(problem, torch.ones_like(theta)).reshape(-1))
    return bound


def terms(problem: Problem) -> int:
    """How many roundings a sum over rows and its division take: N + 2, and N for a divisor that is a sum itself."""
    return (2 if problem.loss.weighs else 1) * problem.N + 2


def _blocks(problem: Problem, theta: Tensor, width: int = 0, least: int = 64) -> Iterator[Block]:
    D, loss, model = problem.shape[0], problem.loss, problem.model
    for X, y in problem.blocks(width, least):
        X_abs, z = X.abs(), model.forward(X, theta)
        d = gamma(D, theta.dtype) * model.forward(X_abs, theta.abs())
        g, h, r = loss.gradient(z, y), loss.diagonal(z, y).abs(), loss.subtracted(z, y)
        cu = evaluating(z)
        # Beyond the limit nothing is left of the logits, and of no use what is infinite: it may meet an h of 0.
        rise = (loss.self_concordance * d.amax(dim=1, keepdim=True)).expm1().clamp(max=torch.finfo(d.dtype).max ** 0.5)
        yield Block(X, X_abs, y, r, z, d, g, h, (h + (g + r).abs()).sqrt(), rise + 1, rise + cu, cu)


def _underflow(problem: Problem, dtype: torch.dtype) -> float:
    """What an entry of ∇²L in `dtype` loses to numbers below the smallest normal one; 0 where X is."""
    numbers = torch.finfo(dtype)
    return 4 * numbers.tiny * (problem.shape[1] + 1) * (numbers.eps * problem.heaviest + problem.largest_trace)


def _ridge_rounding(problem: Problem, V: Tensor) -> Tensor:
    return 4 * torch.finfo(V.dtype).eps * problem.ridge * problem.mask * V.abs()

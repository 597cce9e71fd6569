"""Softmax cross-entropy, for classes that exclude each other.

One row: logits z, direction u in R^K; target y one-hot, Σy = 1; p = softmax(z), p_k = exp z_k / Σ_c exp z_c.

Value      ℓ = −Σ_k y_k log p_k = log Σ_c exp z_c − yᵀz
Gradient   ∂/∂z_k log Σ_c exp z_c = exp z_k / Σ_c exp z_c = p_k,   so ∇ℓ = p − y
Hessian    ∂p_k/∂z_l = p_k (δ_kl − p_l),                           so H = diag p − ppᵀ; y is gone from it
Product    Hu = p∘u − p (pᵀu) = p∘(u − pᵀu)                        no K×K matrix

Factor     Cholesky's, in closed form. With the tail s_k = Σ_{l≥k} p_l:  H = FFᵀ,  F lower triangular (K, K−1),
           F_kk = √(p_k s_{k+1}/s_k),   F_lk = −p_l √(p_k/(s_k s_{k+1})) for l > k.
           Eliminating class k from diag p − ppᵀ/s with Σp = s leaves the same form in the classes after it, with
           s_{k+1} for s_k: p_l − p_l²/s_k − F_lk² = p_l − p_l²/s_{k+1}, as 1/s_k + p_k/(s_k s_{k+1}) = 1/s_{k+1}.
           (diag √p − p√pᵀ is a factor too, with K columns, and with a diagonal √p(1 − p) in which p cancels.)

True of it
    uᵀHu = Σ p u² − (Σ p u)² = Var_p(u) ≥ 0: the loss is convex.
    Var_p(u) = 0 for u = 1, and for no other direction while all p > 0: H sees everything but a common shift.
    diag H = p∘(1 − p), and 1 − p_k = Σ_{c≠k} p_c.
    K = 2 is the sigmoid loss of z₂ − z₁.
    |∇³ℓ[u, u, v]| = |Cov_p((u − pᵀu)², v)| ≤ (max v − min v) Var_p(u) ≤ 2 max|v| Var_p(u)  (Bach 2010, §2), so that
    log uᵀH(z + v)u moves by at most max v − min v.

Numerics
    At a target's own logit p − 1 cancels: in float32 nothing is left of it above z = 17. But 1 − p_y is the mass of
    the other classes, r = Σ_{c≠y} p_c, a sum of positive numbers. So with p̃ = p∘(1 − y):  r = Σ p̃ and
    ∇ℓ = p̃ − y r. By the same token ℓ = −log p_y = −log1p(−r) where r is small, and diag H pairs the largest p with
    the sum of the others. F is made of products and quotients of sums of positive numbers: nothing cancels in it.

Source     Bishop, Pattern Recognition and Machine Learning (2006), §4.3.4; Böhning, Ann. Inst. Statist. Math. 44
           (1992); Bach, Self-concordant analysis for logistic regression, Electron. J. Statist. 4 (2010); Tanabe &
           Sagae, An exact Cholesky decomposition … of the multinomial distribution, J. R. Statist. Soc. B 54 (1992).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from lab.loss import Loss


@dataclass(frozen=True)
class Softmax(Loss):
    """Multiclass cross-entropy: K logits for K classes, of which one is right."""

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        """ℓ = −log p_y, (N,); as −log1p(−r) where the others' mass r is below a half, which keeps tiny losses exact.

        Args: z logits (N, K); y one-hot targets (N, K).
        """
        return self.value_and_gradient(z, y)[0]

    def gradient(self, z: Tensor, y: Tensor) -> Tensor:
        """∇ℓ = p − y, (N, K), as p̃ − y r so that the target's entry does not cancel.

        Args: z logits (N, K); y one-hot targets (N, K).
        """
        others = _others(_log_softmax(z).exp(), y)
        return torch.addcmul(others, y, others.sum(dim=1, keepdim=True), value=-1)

    def value_and_gradient(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        log_p = _log_softmax(z)
        others = _others(log_p.exp(), y)
        r = others.sum(dim=1, keepdim=True)
        value = torch.where(r[:, 0] < 0.5, -torch.log1p(-r[:, 0]), -(y * log_p).sum(dim=1))
        return value, torch.addcmul(others, y, r, value=-1)

    def hvp(self, z: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Hu = p∘(u − pᵀu), (N, K). Zero where u is constant along K: softmax ignores a common shift.

        Args: z logits (N, K); y targets (N, K), unused, H does not depend on them; u directions (N, K).
        """
        p = _softmax(z)
        return p * (u - (p * u).sum(dim=1, keepdim=True))

    def hessian(self, z: Tensor, y: Tensor) -> Tensor:
        """H = diag p − ppᵀ, (N, K, K)."""
        p = _softmax(z)
        H = -p[:, :, None] * p[:, None, :]
        H.diagonal(dim1=1, dim2=2).copy_(p * _complement(p))
        return H

    def diagonal(self, z: Tensor, y: Tensor) -> Tensor:
        """diag H = p∘(1 − p), (N, K)."""
        p = _softmax(z)
        return p * _complement(p)

    def hessian_map(self, z: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """U ↦ p∘(U − pᵀU), (N, K, m)."""
        p = _softmax(z)[:, :, None]

        def product(U: Tensor) -> Tensor:
            W = p * U
            return W.addcmul_(p, W.sum(dim=1, keepdim=True), value=-1)

        return product

    def factor(self, z: Tensor, y: Tensor) -> Tensor:
        """F (N, K, K−1), the exact Cholesky factor of H; 0 in the columns of classes after which nothing is left."""
        p = _softmax(z)
        s = p.flip(1).cumsum(dim=1).flip(1)
        head, tail = (p / s)[:, :-1].sqrt().nan_to_num(nan=0.0), s[:, 1:]
        below = -p[:, :, None] * (head / tail.sqrt()).nan_to_num(nan=0.0, posinf=0.0)[:, None, :]
        F = below.tril(-1)
        F.diagonal(dim1=1, dim2=2).copy_(head * tail.sqrt())
        return F

    def drift(self, v: Tensor) -> Tensor:
        """max v − min v, (N,): a shift common to all classes moves nothing."""
        return v.amax(dim=1) - v.amin(dim=1)

    def reference(self, z: Tensor, y: Tensor) -> Tensor:
        """torch's own cross-entropy with probability targets, (N,)."""
        return functional.cross_entropy(z, y, reduction="none")

    def encode(self, labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
        """One-hot targets (N, K) of class indices (N,)."""
        if labels.ndim != 1:
            raise ValueError("softmax wants one class a row, and there are several target columns; use sigmoid")
        return functional.one_hot(labels, classes).to(dtype)

    def correct(self, z: Tensor, y: Tensor) -> Tensor:
        """1 where the largest logit is the target's (the first of equals), else 0, (N,)."""
        return (z.argmax(dim=1) == y.argmax(dim=1)).to(z.dtype)

    def flat(self, K: int) -> tuple[int, str]:
        return 1, "softmax ignores a common shift"

    def _examples(self, rng: Generator, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
        for N, K in ((13, 4), (5, 2), (7, 1)):
            labels = torch.randperm(N, generator=rng) % K
            z = scale * torch.randn(N, K, generator=rng, dtype=torch.float64)
            yield z, self.encode(labels, K, z.dtype)


def _softmax(z: Tensor) -> Tensor:
    """p, (N, K), by way of zᵀ: torch's kernel runs along rows of the other axis several times as fast for small K."""
    return torch.softmax(z.T, dim=0).T


def _log_softmax(z: Tensor) -> Tensor:
    """log p, (N, K), by way of zᵀ."""
    return torch.log_softmax(z.T, dim=0).T


def _others(p: Tensor, y: Tensor) -> Tensor:
    """p̃ = p∘(1 − y): the probabilities with the target's own struck out."""
    return torch.addcmul(p, p, y, value=-1)


def _complement(p: Tensor) -> Tensor:
    """1 − p, (N, K), where the largest entry of a row gets the sum of the others instead of a cancelling difference."""
    top = p.argmax(dim=1, keepdim=True)
    return (1 - p).scatter(1, top, p.scatter(1, top, 0.0).sum(dim=1, keepdim=True))

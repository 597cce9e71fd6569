"""How the eigenvalues of a large H are spread: shares above given levels, by stochastic Lanczos quadrature.

For a unit v, Ψ_v(x) = Σ_{λ_i ≤ x} (vᵀu_i)² is a distribution function whose moments are vᵀH^k v. m steps of Lanczos
from v give nodes θ_j and weights w_j, the squares of the first entries of T's eigenvectors, and (Chebyshev, Markov,
Stieltjes; Golub & Meurant, Matrices, Moments and Quadrature (2010), §2)
    Σ_{j<i} w_j ≤ Ψ_v(θ_i − 0) ≤ Ψ_v(θ_i) ≤ Σ_{j≤i} w_j,   so   Σ_{θ_j<x} w_j − w_last ≤ Ψ_v(x) ≤ Σ_{θ_j≤x} w_j + w_next
with w_last the weight of the last node below x, and w_next that of the first beyond it. For v uniform on the sphere,
E Ψ_v(x) = Ψ(x), the share of eigenvalues up to x, and Ψ_v(x) has a Beta(r/2, (P − r)/2) law, r = PΨ(x), which is
sub-Gaussian with the variance proxy 1/(2(P + 2)) (Marchal & Arbel, Electron. Commun. Probab. 22 (2017), thm. 1). So an
average over n vectors is off by t or more, at one of the P values that Ψ takes, with a probability of at most
2P e^{−n(P+2)t²} (as Chen, Trogdon & Ubaru, ICML 2021, thm. 1).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.curvature.krylov import Product


@dataclass(frozen=True)
class Density:
    """Averages of quadratures: nodes and weights (n, m) of n vectors; `spread` is the t that sampling may add."""

    nodes: Tensor
    weights: Tensor
    spread: float

    @property
    def largest(self) -> float:
        """The largest node: a lower bound on λ₁."""
        return float(self.nodes.max())

    def above(self, x: float) -> tuple[float, float]:
        """Bounds on the share of eigenvalues above x."""
        n, m = self.nodes.shape
        below = (self.nodes <= x).sum(dim=1, keepdim=True)
        padded = torch.cat([torch.zeros(n, 1, dtype=self.weights.dtype), self.weights.cumsum(dim=1)], dim=1)
        least = padded.gather(1, (below - 1).clamp(min=0)).mean()
        most = torch.where(below[:, 0] == m, 1.0, padded.gather(1, (below + 1).clamp(max=m))[:, 0]).mean()
        lower, upper = 1 - float(most) - self.spread, 1 - float(least) + self.spread
        return max(lower, 0.0), min(upper, 1.0)


def sample(product: Product, P: int, like: Tensor, vectors: int, depth: int, seed: int, chance: float) -> Density:
    """Quadratures of `vectors` random directions, `depth` steps each, every basis kept orthonormal.

    The products of all directions are taken together. Args: like a tensor of H's dtype and device; chance the
    probability with which `above` may fail at any level.
    """
    # More directions than dimensions are drawn too where they are asked for: each is for itself.
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(P, vectors, generator=generator, dtype=torch.float64).to(like)
    v = v / v.norm(dim=0)
    m, bases = min(depth, P), [v]
    alpha, beta = like.new_zeros(vectors, m), like.new_zeros(vectors, m)
    for j in range(m):
        w = product(bases[j])
        alpha[:, j] = (bases[j] * w).sum(dim=0)
        for _ in range(2):  # twice is enough
            for q in bases:
                w = w - q * (q * w).sum(dim=0)
        beta[:, j] = w.norm(dim=0)
        if j + 1 < m:
            # A space that is exhausted goes on in a direction of no weight, which the weights then leave out.
            scale = alpha.abs().amax(dim=1).clamp(min=torch.finfo(like.dtype).tiny)
            done = beta[:, j] <= 100 * P**0.5 * torch.finfo(like.dtype).eps * scale
            beta[done, j] = 0.0
            bases.append(torch.where(done, 0.0, w / w.norm(dim=0).clamp(min=torch.finfo(like.dtype).tiny)))
    T = torch.diag_embed(alpha) + torch.diag_embed(beta[:, :-1], 1) + torch.diag_embed(beta[:, :-1], -1)
    nodes, S = torch.linalg.eigh(T.double().cpu())
    spread = math.sqrt(math.log(2 * P / chance) / (vectors * (P + 2)))
    return Density(nodes, S[:, 0, :].square(), spread)

"""The expectation of a quadratic form.   x in Rⁿ random with mean μ and covariance Σ, A (n, n) constant.

xᵀAx = (x − μ)ᵀA(x − μ) + terms linear in x − μ, of mean 0, + μᵀAμ, and E (x − μ)ᵀA(x − μ) = Tr(A E(x − μ)(x − μ)ᵀ),
so E xᵀAx = Tr(AΣ) + μᵀAμ.

Judged of a distribution on finitely many points, where every expectation is a finite sum and nothing is sampled; its
weights are sixteenths, so that they sum to 1 exactly.
True of it  A need not be symmetric, and x need not be normal. Second moments must be finite.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, equality, gamma
from lab.identity import RULES, Identity, normal


class ExpectationQuadratic(Identity):
    """E[xᵀAx] = Tr(AΣ) + μᵀAμ."""

    statement = "E[xᵀAx] = Tr(AΣ) + μᵀAμ"
    source, heading = RULES, "Probability and Expectation Rules 1"
    remark = "Neither a symmetric A nor a normal x is needed, and neither is assumed here."

    def claim(self, A: Tensor, mu: Tensor, Sigma: Tensor) -> Tensor:
        """Tr(AΣ) + μᵀAμ, a number."""
        return torch.trace(A @ Sigma) + mu @ A @ mu

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        w = torch.tensor([1.0, 2.0, 3.0, 4.0, 6.0], dtype=torch.float64) / 16
        x, A = normal(rng, 5, 3) + 1, normal(rng, 3, 3)
        mu = w @ x
        Sigma = (x - mu).T @ (w[:, None] * (x - mu))
        far = x.abs() + w @ x.abs()  # ≥ |x − μ|, and ≥ |x|
        bound = 3 * gamma(5 + 5 + 3 + 3 + 6) * (w[:, None] * far * (far @ A.abs().T)).sum()
        truth = w @ ((x @ A) * x).sum(dim=1)
        yield equality("five points in R³, A not symmetric", self.claim(A, mu, Sigma), truth, bound)

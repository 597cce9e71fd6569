"""The trace of a product, factors exchanged.   A (m, n), B (n, m).

Tr(AB) = Σ_i Σ_k A_ik B_ki = Σ_k Σ_i B_ki A_ik = Tr(BA): the same mn products, summed in another order.

True of it  AB is (m, m) and BA is (n, n); only their traces agree. With A (m, n) and B (n, q), q ≠ m, AB is defined
            and has no trace, and BA is not defined.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role, equality, gamma
from lab.identity import RULES, Identity, Judgement, normal


class TraceCyclic(Identity):
    """Tr(AB) = Tr(BA)."""

    statement = "Tr(AB) = Tr(BA)"
    source, heading = RULES, "Useful Identities 1"
    expected = Judgement.CONDITION
    remark = "That AB is defined is not enough: AB must be square, so B is n×m where A is m×n."

    def claim(self, A: Tensor, B: Tensor) -> Tensor:
        """Tr(BA), a number."""
        return torch.trace(B @ A)

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        for m, n in ((3, 5), (7, 2), (4, 4)):
            A, B = normal(rng, m, n), normal(rng, n, m)
            bound = 2 * gamma(m * n) * (A.abs() * B.abs().T).sum()
            yield equality(f"Tr(AB) against Tr(BA), A {m}×{n}", self.claim(A, B), torch.trace(A @ B), bound)
        A, B = normal(rng, 3, 5), normal(rng, 5, 4)
        product = torch.tensor((A @ B).shape)
        yield equality("rows and columns of AB, A 3×5, B 5×4", product[0], product[1], 0, Role.OUTSIDE)

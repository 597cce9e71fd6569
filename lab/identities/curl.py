"""The curl as the antisymmetric part of the Jacobian.   F: R³ → R³.

(J − Jᵀ)h = c × h for c = (J₃₂ − J₂₃, J₁₃ − J₃₁, J₂₁ − J₁₂). The circulation of F about a small square normal to e_k is
ε² c_k + O(ε⁴): per area, in the limit, c = curl F.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, jacobian, remainder
from lab.identities._field import circulation, field, noise
from lab.identity import CROSS_ENTROPY, Identity, normal


class Curl(Identity):
    """curl F is the vector of J − Jᵀ."""

    statement = "curl F = (J₃₂ − J₂₃, J₁₃ − J₃₁, J₂₁ − J₁₂), n = m = 3"
    source, heading = CROSS_ENTROPY, "Jacobian"
    remark = "The construction is not spelled out there: it is J's antisymmetric part, a vector in R³ alone."

    def claim(self, J: Tensor) -> Tensor:
        """The curl, (3,)."""
        return torch.stack([J[2, 1] - J[1, 2], J[0, 2] - J[2, 0], J[1, 0] - J[0, 1]])

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        p = normal(rng, 3) / 2
        curl, eta = self.claim(jacobian(field, p)), noise(p, 1.0)
        what = "circulation about squares of side h per area, less the curl"
        yield remainder(what, lambda eps: float((circulation(p, eps) - curl).norm()), 2, lambda eps: eta / eps)

"""The factors of cylindrical and spherical coordinates.

Cylindrical (r, φ, h) ↦ (r cos φ, r sin φ, h)                              det = r
Spherical   (r, θ, φ) ↦ (r sin θ cos φ, r sin θ sin φ, r cos θ)            det = r² sin θ, θ from the pole

True of it  In the order (r, φ, θ), or with a latitude for θ, sign and sine change: it is the absolute value that the
            integral wants. θ in [0, π] and one turn of φ cover the space once.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, equality, gamma, jacobian
from lab.identities._determinant import determinant
from lab.identity import CROSS_ENTROPY, Identity


def cylindrical(q: Tensor) -> Tensor:
    """(r, φ, h) to Cartesian coordinates."""
    return torch.stack([q[0] * q[1].cos(), q[0] * q[1].sin(), q[2]])


def spherical(q: Tensor) -> Tensor:
    """(r, θ, φ) to Cartesian coordinates."""
    return q[0] * torch.stack([q[1].sin() * q[2].cos(), q[1].sin() * q[2].sin(), q[1].cos()])


class CurvedCoordinates(Identity):
    """det of the Jacobian is r for cylindrical and r² sin θ for spherical coordinates."""

    statement = "dx dy dz = r dr dφ dh = r² sin θ dr dθ dφ"
    source, heading = CROSS_ENTROPY, "Jacobian"
    remark = "The factors are not spelled out there; these are what its determinant makes of the two."

    def claim(self, r: Tensor, theta: Tensor) -> Tensor:
        """The two factors r and r² sin θ, (2,)."""
        return torch.stack([r, r**2 * theta.sin()])

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        for _ in range(3):
            r, theta, phi = torch.rand(3, generator=rng, dtype=torch.float64) * torch.tensor([4, 3.1, 6.2])
            maps = (cylindrical, torch.stack([r, phi, theta])), (spherical, torch.stack([r, theta, phi]))
            found = [jacobian(f, q) for f, q in maps]
            truth = torch.stack([determinant(J) for J in found])
            bound = gamma(6 + 3 + 12) * torch.stack([determinant(J.abs(), signed=False) for J in found])
            where = f"r = {float(r):.3g}, θ = {float(theta):.3g}"
            yield equality(f"determinants at {where}", self.claim(r, theta), truth, bound)

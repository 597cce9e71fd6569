"""The change of variables in an integral.   φ: U → V = φ(U) one-to-one, Dφ its Jacobian.

∫_V f(x) dx = ∫_U f(φ(u)) |det Dφ(u)| du: each cell of U is dilated by |det Dφ|.

Example     φ(u, v) = (u(1 − v), uv) takes the unit square to the triangle x, y ≥ 0, x + y ≤ 1, with det Dφ = u, and
            ∫ xy over the triangle is 1/24. Pulled back it is a polynomial of degree 3 in u and in v, on which Gauss's
            rule with two points is exact. Exchanging the coordinates gives det = −u; |2v − 1| for v covers
            the triangle twice, once with each orientation.
Numerics    Twelve factors a point, nodes good to a few units: γ_64 of the sum of absolute values, which is the sum.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Function, Role, equality, gamma, jacobian
from lab.identity import CROSS_ENTROPY, Identity, Judgement

NODES = (0.5 - 12**-0.5, 0.5 + 12**-0.5)
HALVES = tuple(node / 2 + shift for shift in (0, 0.5) for node in NODES)  # v over two halves: exact to degree 3 on each


def duffy(u: Tensor) -> Tensor:
    """The unit square onto the triangle, orientation kept."""
    return torch.stack([u[0] * (1 - u[1]), u[0] * u[1]])


def folded(u: Tensor) -> Tensor:
    """The unit square onto the triangle, twice: v runs through |2v − 1|."""
    return duffy(torch.stack([u[0], (2 * u[1] - 1).abs()]))


class ChangeOfVariables(Identity):
    """∫_V f = ∫_U f∘φ · det Dφ."""

    statement = "∫ f over φ(U) = ∫ f∘φ · det Dφ over U"
    source, heading = CROSS_ENTROPY, "Jacobian"
    expected = Judgement.CONDITION
    remark = "The factor is |det Dφ|, and φ must be one-to-one (up to null sets): a part covered twice counts twice."

    def claim(self, D: Tensor) -> Tensor:
        """det Dφ, a number."""
        return D[0, 0] * D[1, 1] - D[0, 1] * D[1, 0]

    def mend(self, D: Tensor) -> Tensor:
        """|det Dφ|, a number."""
        return (D[0, 0] * D[1, 1] - D[0, 1] * D[1, 0]).abs()

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        def against(what: str, phi: Function, factor: Function, role: Role) -> Evidence:
            total = torch.zeros((), dtype=torch.float64)
            for u in NODES:
                for v in HALVES:
                    point = torch.tensor([u, v], dtype=torch.float64)
                    total += phi(point).prod() * factor(jacobian(phi, point)) / 8
            truth = torch.tensor(1 / 24, dtype=torch.float64)
            return equality(f"∫ xy over a triangle, {what}", total, truth, gamma(64) / 24, role)

        yield against("orientation kept", duffy, self.claim, Role.CLAIM)
        yield against("orientation reversed", lambda u: duffy(u).flip(0), self.claim, Role.OUTSIDE)
        yield against("|det Dφ|, reversed", lambda u: duffy(u).flip(0), self.mend, Role.MEND)
        yield against("|det Dφ|, covered twice", folded, self.mend, Role.OUTSIDE)

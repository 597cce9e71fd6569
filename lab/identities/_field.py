"""A vector field in R³, and integrals over small squares about a point: shared by divergence and curl."""

import torch
from torch import Tensor

from lab.evidence import gamma, jacobian

NODES = (-(12**-0.5), 12**-0.5)  # Gauss's two points of an interval of length 1 about 0
E = torch.eye(3, dtype=torch.float64)


def field(x: Tensor) -> Tensor:
    """A field with divergence and curl, none of whose derivatives are constant."""
    return torch.stack([x[0] ** 2 * x[1] + x[2].sin(), x[1].exp() * x[2], (x[0] * x[2]).cos() + x[1] ** 3])


def flux(p: Tensor, eps: float) -> Tensor:
    """The flux out of a cube of side ε about p, divided by its volume."""
    total = torch.zeros((), dtype=p.dtype)
    for k in range(3):
        a, b = E[(k + 1) % 3], E[(k + 2) % 3]
        for s in NODES:
            for t in NODES:
                q = p + eps * (s * a + t * b)
                total += (field(q + eps / 2 * E[k])[k] - field(q - eps / 2 * E[k])[k]) / 4
    return total / eps


def circulation(p: Tensor, eps: float) -> Tensor:
    """The circulation about squares of side ε at p, normal to each axis, divided by their area: (3,)."""
    parts = []
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        total = torch.zeros((), dtype=p.dtype)
        for t in NODES:
            across, up = eps / 2 * E[i], eps / 2 * E[j]
            total += field(p + across + eps * t * E[j])[j] - field(p - across + eps * t * E[j])[j]
            total += field(p - up + eps * t * E[i])[i] - field(p + up + eps * t * E[i])[i]
        parts.append(total / (2 * eps))
    return torch.stack(parts)


def noise(p: Tensor, eps: float) -> float:
    """A bound on the rounding of either: a dozen differences of the field, whose arguments are rounded too, over ε."""
    reach = p.abs() + 1
    size = float(field(p).abs().max() + (jacobian(field, p).abs() @ reach).max())
    return gamma(64) * size / eps

"""A scalar function of three variables with all its derivatives by hand: shared by the statements about Hessians.

f(x) = x₁²x₂ + x₂ sin x₃ + x₁ e^{x₃}
"""

import torch
from torch import Tensor


def scalar(x: Tensor) -> Tensor:
    """f(x), a number."""
    return x[0] ** 2 * x[1] + x[1] * x[2].sin() + x[0] * x[2].exp()


def gradient(x: Tensor) -> Tensor:
    """∇f(x), (3,)."""
    a, b, c = x
    return torch.stack([2 * a * b + c.exp(), a * a + c.sin(), b * c.cos() + a * c.exp()])


def gradient_size(x: Tensor) -> Tensor:
    """The sum of the absolute values of ∇f's terms at x, (3,), sin and cos taken as 1."""
    a, b = x[:2].abs()
    e = x[2].exp()
    return torch.stack([2 * a * b + e, a * a + 1, b + a * e])


def size(x: Tensor) -> float:
    """A bound on every part of every derivative up to the second at x, for the rounding."""
    a, b, c = x.abs()
    return float((2 + 2 * a + a * a) * (1 + b) * (1 + c.exp()))

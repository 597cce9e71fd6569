"""A loss at an example, and what is seen there of what it says: two numbers, and what rounding may do to them."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from lab.loss import Loss
from lab.rounding import evaluating


@dataclass(frozen=True)
class Here:
    """A loss at an example's logits z (N, K) and targets y."""

    loss: Loss
    z: Tensor
    y: Tensor
    rng: Generator

    @cached_property
    def h(self) -> Tensor:
        """(N, K, K)."""
        return self.loss.hessian(self.z, self.y)

    @cached_property
    def units(self) -> Tensor:
        """2 c u of each row, (N, 1)."""
        return 2 * evaluating(self.z)

    @cached_property
    def apart(self) -> Tensor:
        """e, (N, K, K); what is below the smallest normal number may be lost, as often as |μ| + |r| is more than 1."""
        root = self.h.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
        lost = self._tiny * (1 + self.parts.nan_to_num(posinf=0.0))
        return self.units[:, :, None] * root[:, :, None] * root[:, None, :] + lost[:, :, None]

    @cached_property
    def in_double(self) -> "Here":
        """The same in double precision."""
        y = self.y.double() if self.y.is_floating_point() else self.y
        return Here(self.loss, self.z.double(), y, self.rng)

    @cached_property
    def norm(self) -> Tensor:
        """‖e‖ at most, (N,)."""
        norms: Tensor = torch.linalg.matrix_norm(self.apart.double()).to(self.z)  # squares soon underflow
        return norms

    @cached_property
    def parts(self) -> Tensor:
        """The largest |μ| + |r| of each row, (N, 1): an entry's own μ may be a difference of what others have."""
        apart = self.loss.predicted(self.z, self.y).abs() + self.loss.subtracted(self.z, self.y).abs()
        return apart.amax(dim=1, keepdim=True)

    @cached_property
    def largest(self) -> Tensor:
        """λ₁(h), (N,)."""
        found: Tensor = torch.linalg.eigvalsh(self.h.double())[:, -1].to(self.z)
        return found

    def product_apart(self, U: Tensor) -> Tensor:
        """How far two products h U (N, K, m) may be apart."""
        root = (self.h.diagonal(dim1=1, dim2=2).abs() + self.loss.predicted(self.z, self.y).abs()).sqrt()[:, :, None]
        return 2 * self.units[:, :, None] * root * (root * U.abs()).sum(dim=1, keepdim=True) + self._tiny

    @property
    def _tiny(self) -> float:
        return 4 * self.z.shape[1] * torch.finfo(self.z.dtype).tiny

    def random(self, *shape: int) -> Tensor:
        """Normal numbers."""
        return torch.randn(*shape, generator=self.rng, dtype=torch.float64).to(self.z)


@dataclass(frozen=True)
class Seen:
    """What is said and what is so, in tensors of one shape; by how much that is too far apart, and what rounding is.

    Of what is said to be the most, `share` says how much is there; 0 where nothing is said to be that.
    """

    tensor: str
    said: Tensor
    found: Tensor
    excess: Tensor
    rounding: Tensor
    share: float = 0.0

    @property
    def ratios(self) -> Tensor:
        """The excess in units of rounding, flat; ∞ where it is no number, or there is none to be."""
        ratios = torch.where(self.excess == 0, 0.0, self.excess / self.rounding)
        return ratios.nan_to_num(nan=math.inf, posinf=math.inf).reshape(-1)


def equal(tensor: str, said: Tensor, found: Tensor, rounding: Tensor) -> Seen:
    return Seen(tensor, said, found, (said - found).abs(), rounding.expand_as(found))


def finite(tensor: str, said: Tensor, found: Tensor, rounding: Tensor) -> Seen:
    """The same where both are finite, and rounding is: what overflows is nobody's fault."""
    told = torch.isfinite(said) & torch.isfinite(found) & torch.isfinite(rounding)
    return equal(tensor, said.where(told, 0.0), found.where(told, 0.0), rounding.where(told, 1.0))


def at_most(tensor: str, said: Tensor, found: Tensor, rounding: Tensor, share: float | None = None) -> Seen:
    said, above = said.expand_as(found), torch.where(said > 0, found / said, 0.0)
    nearest = float(above.max()) if share is None and above.numel() else share or 0.0
    return Seen(tensor, said, found, (found - said).clamp(min=0), rounding.expand_as(found), nearest)

"""A sum or a mean over an axis that should be there still: d×1 where b×d is due, or a sum over the wrong axis."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Summed(Mistake):
    """The truth with one axis summed away."""

    def made(self, case: Case) -> Iterator[Made]:
        truth = case.truth
        if truth.ndim < 2 or truth.numel() < 3:
            return
        due, symmetric = tuple(truth.shape), case.what == "hessian" and truth.shape[-1] == truth.shape[-2]
        for axis in range(truth.ndim - symmetric):
            if truth.shape[axis] < 2:
                continue
            for how, flat in (("sum", truth.sum(dim=axis)), ("mean", truth.mean(dim=axis))):
                if _vanishes(flat, truth):
                    continue
                name = f"a {how} over axis {axis}"
                mend = f"the shape {due} is due: keep the axis (the derivative of a sum of outputs is not a Jacobian)"
                evidence = f"ours is the truth's {how} over axis {axis}"
                shapes = {flat.shape, flat.unsqueeze(axis).shape, flat.unsqueeze(-1).shape, flat.unsqueeze(0).shape}
                for shape in shapes:
                    yield Made(name, mend, flat.reshape(shape), evidence, moved=True)
                yield Made(name, mend, flat.unsqueeze(axis).expand_as(truth).clone(), evidence, moved=True)


def _vanishes(flat: Tensor, truth: Tensor) -> bool:
    """Whether a sum is zero by an identity, as softmax's rows are: nobody's mistake, and every sum's likeness."""
    negligible: float = torch.finfo(truth.dtype).eps ** 0.5
    return float(flat.abs().max()) <= negligible * float(truth.abs().max())

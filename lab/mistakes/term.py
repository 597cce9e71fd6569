"""A term too much, or one that is missing: a multiple of an input, of ones, of the unit matrix."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Term(Mistake):
    """ours − truth is proportional to something at hand."""

    def made(self, case: Case) -> Iterator[Made]:
        truth = case.truth
        for unit, basis in bases(case):
            if basis.dtype == truth.dtype and bool(basis.any()):
                mend = f"see whether a term in {unit} was lost, kept by mistake, or has another factor"
                yield Made(f"a term proportional to {unit}", mend, truth, "", basis, unit)


def bases(case: Case) -> Iterator[tuple[str, Tensor]]:
    """What a term may be a multiple of, in the truth's shape, by name."""
    truth = case.truth
    yield "1", torch.ones_like(truth)
    if truth.ndim == 2 and truth.shape[0] == truth.shape[1]:
        yield "the unit matrix", torch.eye(len(truth), dtype=truth.dtype, device=truth.device)
    for name, x in case.inputs.items():
        if x.shape == truth.shape:
            yield name, x
        elif x.ndim and x.ndim < truth.ndim and x.shape == truth.shape[: x.ndim]:
            yield name, x.reshape(*x.shape, *[1] * (truth.ndim - x.ndim)).expand_as(truth)
        if x.ndim == 2 and x.T.shape == truth.shape:
            yield f"{name}ᵀ", x.T

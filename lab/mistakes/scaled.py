"""A product with an input, entry by entry, that is missing or one too many."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Scaled(Mistake):
    """ours / truth is an input, or one over it, in every entry."""

    def made(self, case: Case) -> Iterator[Made]:
        truth = case.truth
        for name, x in case.inputs.items():
            for factor in _spread(x, truth):
                yield Made(f"multiplied by {name} once too often", f"take one {name} out", truth * factor)
                if bool((factor != 0).all()):
                    yield Made(f"a product with {name} is missing", f"multiply by {name}", truth / factor)


def _spread(x: Tensor, truth: Tensor) -> Iterator[Tensor]:
    """x along the truth's entries, its rows or its columns, where shapes allow; zeros and ones are no factor."""
    if x.dtype != truth.dtype or not x.ndim or x.numel() < 2 or bool(((x == 0) | (x == 1)).all()):
        return
    if x.shape == truth.shape[: x.ndim]:
        yield x.reshape(*x.shape, *[1] * (truth.ndim - x.ndim))
    elif x.numel() == max(x.shape):
        for axis, size in enumerate(truth.shape):
            if size == x.numel():
                yield x.reshape(*[size if i == axis else 1 for i in range(truth.ndim)])

"""Ignored rows: they leave the sum and what the mean divides by, both.

Where a row is left in the sum, its target is one-hot of what its index is taken for (class 0 where it was clamped, the
last where −1 counts from the end, its own class where it names one), or all zeros, which leaves p.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab import anatomy
from lab.anatomy import Rows, Targets
from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Ignored(Mistake):
    """A row that should be ignored counts."""

    def made(self, case: Case) -> Iterator[Made]:
        targets, z = case.targets, case.z
        if targets is None or z is None or targets.kept.shape[1] > 1 or bool(targets.kept.all()):
            return
        names = "ignored rows in the denominator", f"ignored rows in the {case.what}", "ignored rows are not left out"
        mend = "a row to ignore leaves the sum, and what the mean divides by"
        masses = _masses(targets) if case.divisor != 1 else []
        for mass in masses:
            evidence = f"the mean divides by {mass:g} where {case.divisor:g} is due"
            yield Made(names[0], mend, case.divisor / mass * case.data + case.ridge, evidence)
        for rows in _left_in(targets, z):
            tensor = case.derived(rows)
            if tensor is not None:
                yield Made(names[1], mend, tensor)
                for mass in masses:
                    yield Made(names[2], mend, case.divisor / mass * (tensor - case.ridge) + case.ridge)


def _masses(targets: Targets) -> list[float]:
    """What the mean divides by if ignored rows count: each for 1, for class 0's weight, or for its own class's."""
    w, gone = targets.w, targets.kept == 0
    counted, number = float(targets.mass.sum()), float(gone.sum())
    own = float(((w * targets.e).sum(dim=1, keepdim=True) * gone).sum())
    return sorted({counted + extra for extra in (number, number * float(w[0]), own) if extra})


def _left_in(targets: Targets, z: Tensor) -> Iterator[Rows]:
    """The rows with the ignored ones in them."""
    gone, K = targets.kept[:, 0] == 0, z.shape[1]
    everyone = torch.ones_like(targets.kept)
    for taken_for in (0, K - 1, None):
        e = targets.e.clone()
        unnamed = gone & (e.sum(dim=1) == 0)
        if taken_for is None:
            if not bool((gone & ~unnamed).any()):
                continue
        else:
            e[gone] = torch.eye(K, dtype=z.dtype, device=z.device)[taken_for]
        yield anatomy.rows(z, replace(targets, e=e, kept=everyone))
    bare = anatomy.rows(z, targets)
    yield replace(bare, a=torch.where(gone[:, None], 1.0, bare.a))

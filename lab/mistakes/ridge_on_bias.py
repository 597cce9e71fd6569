"""The ridge on rows of θ that it leaves alone: the intercept's, as a rule."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class RidgeOnBias(Mistake):
    """The ridge holds every row of θ, the intercept's too."""

    def made(self, case: Case) -> Iterator[Made]:
        if case.problem is None or not case.problem.ridge or bool(case.problem.mask.all()):
            return
        mask = case.problem.mask
        everywhere = case.ridge_on(torch.ones_like(mask))
        free = [d for d in range(len(mask)) if not mask[d, 0]]
        rows = f"row {free[0]} of θ" if len(free) == 1 else f"rows {', '.join(map(str, free))} of θ"
        mend = f"leave {rows} out of the ridge"
        yield Made("the bias is regularised", mend, case.data + everywhere, f"all is right but the ridge in {rows}")

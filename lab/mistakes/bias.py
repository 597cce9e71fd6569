"""The intercept's gradient: Σ_n g_n/N, one number an output. It is the row of Xᵀg/N whose column of X is ones."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Bias(Mistake):
    """The intercept's row of the gradient by another sum."""

    def made(self, case: Case) -> Iterator[Made]:
        if case.what != "gradient" or case.problem is None or not case.bias:
            return
        d, data, mend = case.bias[-1], case.data, "the bias's gradient is Σ_n g_n/N, one number for each output"
        if case.truth.shape[1] > 1:
            total = data[d].sum().expand_as(data[d])
            yield Made("the bias's gradient summed to a scalar", mend, _with(case, d, total), _evidence(d))
        if case.problem.N > 1:
            mean = data[d] / case.problem.N
            yield Made("the bias's gradient is a mean, for a sum", mend, _with(case, d, mean), _evidence(d))
        others = [e for e in range(len(data)) if e != d]
        for columns in (others, [*others, d]):
            if others:
                mixed = data[columns].sum(dim=0)
                yield Made("the bias's sum includes the inputs", mend, _with(case, d, mixed), _evidence(d))


def _with(case: Case, d: int, row: Tensor) -> Tensor:
    wrong = case.data.clone()
    wrong[d] = row
    return wrong + case.ridge


def _evidence(d: int) -> str:
    return f"all is right but row {d} of θ, the intercept's"

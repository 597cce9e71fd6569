"""(N, 1) against (N): p of shape (N, 1) minus y of shape (N) is every p minus every y, (N, N).

Row by row that gives p_i − y_j; pulled back, Xᵀ(p_i − y_j)/N of shape (D, N); averaged over the pairs, p_i − ȳ.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lab.mistake import Case, Made, Mistake

MEND = "give both the shape (N, 1), or both (N): their difference is (N, N) now"


@dataclass(frozen=True)
class Broadcast(Mistake):
    """Every row's prediction against every row's target."""

    def made(self, case: Case) -> Iterator[Made]:
        rows = case.rows
        if rows is None or rows.joint or rows.z.shape[1] != 1 or len(rows.z) < 2:
            return
        ap, r, N = rows.a * rows.p, rows.r, len(rows.z)
        name, mean = "(N, 1) against (N)", case.divisor
        if case.what == "value":
            pairs = rows.a.T * rows.A - rows.r.T * rows.z
            for tensor in (pairs, pairs.T) if case.problem is None else (pairs.mean() * N / mean + case.ridge,):
                yield Made(name, MEND, tensor, moved=True)
        elif case.what == "gradient":
            for wrong in (ap - r.T, ap.T - r):
                yield from (Made(name, MEND, tensor, moved=True) for tensor in _gathered(case, wrong / mean))


def _gathered(case: Case, wrong: Tensor) -> Iterator[Tensor]:
    """What becomes of p_i − y_j (N, N): as it is, pulled back, or averaged over the pairs and pulled back."""
    if case.problem is None:
        yield wrong
        return
    X, N = case.problem.X, len(wrong)
    if not bool(case.ridge.any()):
        yield X.T @ wrong
    yield X.T @ wrong + case.ridge
    yield (X.T @ wrong).sum(dim=1, keepdim=True) / N + case.ridge

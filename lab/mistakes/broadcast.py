"""(N, 1) against (N): p of shape (N, 1) minus y of shape (N) is every p minus every y, (N, N).

Row by row that gives p_i − y_j; pulled back, Xᵀ(p_i − y_j)/N of shape (D, N); averaged over the pairs, p_i − ȳ.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.anatomy import Rows
from lab.mistake import Case, Made, Mistake

MEND = "give both the shape (N, 1), or both (N): their difference is (N, N) now"


@dataclass(frozen=True)
class Broadcast(Mistake):
    """Every row's prediction against every row's target."""

    def made(self, case: Case) -> Iterator[Made]:
        rows = case.rows
        if rows is None or rows.joint or rows.z.shape[1] != 1 or len(rows.z) < 2:
            return
        given = _values(case, rows) if case.what == "value" else _gradients(case, rows)
        yield from (Made("(N, 1) against (N)", MEND, tensor, moved=True) for tensor in given)


def _values(case: Case, rows: Rows) -> Iterator[Tensor]:
    """Every logit's loss against every target, or its mean."""
    if case.problem is None:
        pairs = rows.a.T * rows.A - rows.r.T * rows.z
        yield from (pairs, pairs.T)
    else:
        mean = rows.a.mean() * rows.A.mean() - rows.r.mean() * rows.z.mean()
        yield mean * len(rows.z) / case.divisor + case.ridge


def _gradients(case: Case, rows: Rows) -> Iterator[Tensor]:
    """p_i − y_j, or p_j − y_i, as it is; pulled back; or averaged over the pairs. Pulled back without an N×N matrix."""
    if case.what != "gradient":
        return
    p, y = rows.a * rows.p / case.divisor, rows.r / case.divisor
    if case.problem is None:
        yield from (p - y.T, p.T - y)
        return
    X, ones = case.problem.X, torch.ones_like(p)
    all_ = X.T @ ones
    for left, right, mean in (
        (X.T @ p @ ones.T, all_ @ y.T, X.T @ p - all_ * y.mean()),
        (all_ @ p.T, X.T @ y @ ones.T, all_ * p.mean() - X.T @ y),
    ):
        if bool(case.ridge.any()):
            yield left - right
        yield left - right + case.ridge
        yield mean + case.ridge

"""The order in which a matrix is unrolled: row by row (d·K + k) is due, column by column (k·D + d) is given.

For a gradient of shape (D, K): its numbers column by column, put into (D, K) row by row. For a matrix over θ unrolled,
or a Jacobian of a matrix: the same for its rows, its columns or both.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Ravel(Mistake):
    """The right numbers, in the order of the other axis."""

    def made(self, case: Case) -> Iterator[Made]:
        truth = case.truth
        name, evidence = "wrong ravel order", "ours has the truth's numbers in column-by-column order"
        if truth.ndim == 2 and min(truth.shape) > 1 and truth.shape[0] != truth.shape[1]:
            D, K = truth.shape
            mend = f"unroll ({D}, {K}) row by row: entry (d, k) is number d·{K} + k"
            yield Made(name, mend, truth.T.reshape(D, K), evidence, moved=True)
            yield Made(name, mend, truth.reshape(K, D).T, evidence, moved=True)
        for D, K in _shapes(case):
            mend = f"unroll ({D}, {K}) row by row: entry (d, k) is number d·{K} + k"
            for tensor in _reordered(truth, D, K):
                yield Made(name, mend, tensor, evidence, moved=True)


def _shapes(case: Case) -> set[tuple[int, int]]:
    """Shapes of matrices, among the inputs, that an axis of the truth may unroll."""
    shapes = {(x.shape[0], x.shape[1]) for x in case.inputs.values() if x.ndim == 2 and min(x.shape) > 1}
    return {shape for shape in shapes if case.truth.ndim == 2 and shape[0] * shape[1] in case.truth.shape}


def _reordered(M: Tensor, D: int, K: int) -> Iterator[Tensor]:
    """M with its rows, its columns or both from order d·K + k to k·D + d, or the other way."""
    rows, columns = (size == D * K for size in M.shape)
    there = [d * K + k for k in range(K) for d in range(D)]
    back = [k * D + d for d in range(D) for k in range(K)]
    for order in (there,) if there == back else (there, back):
        if rows:
            yield M[order]
        if columns:
            yield M[:, order]
        if rows and columns:
            yield M[order][:, order]

"""The right numbers in another shape: (n, 1) or (1, n) where (n) is due, a matrix unrolled, an axis lost."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Shape(Mistake):
    """An axis of length 1 too many or too few, or all axes in one."""

    def made(self, case: Case) -> Iterator[Made]:
        truth, due = case.truth, tuple(case.truth.shape)
        flat = truth.reshape(-1)
        others = [truth.unsqueeze(-1), truth.unsqueeze(0), truth.squeeze(), flat, flat[:, None], flat[None]]
        for shape in {tuple(other.shape) for other in others} - {due, due[::-1]}:
            tensor = truth.reshape(shape)
            mend = f"give it the shape {due}"
            yield Made("the right numbers in another shape", mend, tensor, f"ours has the shape {shape}", moved=True)

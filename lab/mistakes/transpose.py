"""A transpose that is missing, or one too many; a Hessian is its own transpose."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Transpose(Mistake):
    """The right numbers, mirrored at the diagonal."""

    def made(self, case: Case) -> Iterator[Made]:
        if case.truth.ndim == 2 and case.what != "hessian":
            wide, long = case.truth.shape
            mend = f"transpose the result: ({wide}, {long}) is due"
            yield Made("a transpose missing or extra", mend, case.truth.T, "ours = truthᵀ", moved=True)

"""The sign: y − p for p − y, a descent direction for a gradient, a Hessian of the wrong sign."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Sign(Mistake):
    """The right size, and the wrong sign."""

    def made(self, case: Case) -> Iterator[Made]:
        of_errors = case.what == "gradient" and case.rows is not None
        name = "y − p in place of p − y" if of_errors else f"the {case.what}'s sign"
        for tensor, of in case.scaled(-1.0):
            yield Made(name, "change the sign", tensor, f"{of} = −1 everywhere")

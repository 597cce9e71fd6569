"""The logarithm's base: log₂ or log₁₀ where ln is due, or the other way; each is ln over ln of its base."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class LogBase(Mistake):
    """A factor of ln 2 or ln 10."""

    def made(self, case: Case) -> Iterator[Made]:
        for base in (2, 10):
            for c, sign in ((math.log(base), f"ln {base}"), (1 / math.log(base), f"1/ln {base}")):
                for tensor, of in case.scaled(c):
                    yield Made(
                        "wrong base of the logarithm",
                        f"d ln x = dx/x, and d log{base} x = dx/(x ln {base}): take one base throughout",
                        tensor,
                        f"{of} = {c:.6g} = {sign} everywhere",
                    )

"""A constant factor that no size explains: a square's 2, a half, or a number that only the derivation knows."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.mistake import Case, Made, Mistake

KNOWN = ((2.0, "2"), (0.5, "1/2"), (-2.0, "−2"), (-0.5, "−1/2"))


@dataclass(frozen=True)
class Factor(Mistake):
    """A factor: one that is often lost or kept by mistake, or any."""

    def made(self, case: Case) -> Iterator[Made]:
        for c, sign in KNOWN:
            mend = "look for a square's 2 or a half that was lost or kept"
            for tensor, of in case.scaled(c):
                yield Made(f"a factor of {sign}", mend, tensor, f"{of} = {sign} everywhere")
        name, mend = "a constant factor", "look for a constant that was lost or kept"
        yield Made(name, mend, 0 * case.truth, "", case.truth, "truth")
        if bool(case.ridge.any()):
            yield Made(name, mend, case.ridge, "ours less the ridge", case.data, "the data's part")

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
            evidence = f"ours / truth = {sign} everywhere"
            mend = "look for a square's 2 or a half that was lost or kept"
            yield Made(f"a factor of {sign}", mend, c * case.truth, evidence)
        mend = "look for a constant that was lost or kept"
        yield Made("a constant factor", mend, 0 * case.truth, "", case.truth, "truth")

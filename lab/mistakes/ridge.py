"""The ridge: (ρ/2)‖θ‖² gives ρθ and ρI, once, whole, positive, and outside the mean."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Ridge(Mistake):
    """The ridge's term in another size."""

    def made(self, case: Case) -> Iterator[Made]:
        if not bool(case.ridge.any()):
            return
        due = {"value": "(ρ/2)‖θ‖²", "hvp": "ρV", "hessian": "ρI"}.get(case.what, "ρθ")
        kinds = [
            (2.0, "the ridge with a factor 2", f"the derivative of (ρ/2)‖θ‖² has none: it is {due}"),
            (0.5, "the ridge without its 1, halved", f"the half goes with the square: it is {due}"),
            (0.0, "the ridge is missing", f"add {due}"),
            (-1.0, "the ridge's sign", f"add {due}, do not subtract it"),
        ]
        if case.divisor != 1:
            kinds.append((1 / case.divisor, "the ridge also divided by N", f"add {due} after the mean, not before"))
        for c, name, mend in kinds:
            yield Made(name, mend, case.data + c * case.ridge, f"the ridge's part is {c:.6g} times what is due")

"""Right for a symmetric matrix alone: 2Ax, or 2Aᵀx, where (A + Aᵀ)x is due, and 2A where A + Aᵀ is.

They differ by ±(A − Aᵀ)x and ±(A − Aᵀ), which vanish for a symmetric A.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Asymmetry(Mistake):
    """A matrix taken for its transpose."""

    def made(self, case: Case) -> Iterator[Made]:
        for name, A in case.inputs.items():
            if A.ndim == 2 and A.shape[0] == A.shape[1] and A.dtype == case.truth.dtype and not bool((A == A.T).all()):
                mend = f"take both parts: d(xᵀ{name}x) is ({name} + {name}ᵀ)x"
                for of, term in _terms(A - A.T, case):
                    for c, sign in ((1.0, "+"), (-1.0, "−")):
                        evidence = f"ours = truth {sign} ({name} − {name}ᵀ){of}"
                        yield Made(f"right for symmetric {name} alone", mend, case.truth + c * term, evidence)


def _terms(B: Tensor, case: Case) -> Iterator[tuple[str, Tensor]]:
    if B.shape == case.truth.shape:
        yield "", B
    for name, x in case.inputs.items():
        if x.dtype == B.dtype and x.ndim in (1, 2) and x.shape == case.truth.shape and x.shape[0] == len(B):
            yield f" {name}", B @ x

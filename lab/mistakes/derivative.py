"""The activation's derivative: multiplied in again, or taken at the activation.

The chain rule has ∂ℓ/∂z = (∂ℓ/∂p)(∂p/∂z), in which σ′ cancels: (p − y)/(p(1 − p)) · p(1 − p) = p − y. Who multiplies
p − y by σ′(z) has it once too often; who writes σ′(p), for σ′(z) = p(1 − p), takes σ(p)(1 − σ(p)).
For softmax ∂p/∂z = diag p − ppᵀ takes the place of σ′.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from lab import anatomy
from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Derivative(Mistake):
    """σ′ where it has no place, or in the wrong place."""

    def made(self, case: Case) -> Iterator[Made]:
        rows = case.rows
        if rows is None or case.what != "gradient":
            return
        p, g, called = rows.p, rows.gradient(), "softmax′" if rows.joint else "σ′"
        slope = p * (1 - p)
        again = torch.einsum("nkl,nl->nk", anatomy.second(p, True), g) if rows.joint else slope * g
        name, mend = f"{called} multiplied in again", f"it cancels: the derivative in z is p − y, without {called}"
        for wrong in (again, slope * g) if rows.joint else (again,):
            tensor = case.gathered(wrong)
            if tensor is not None:
                yield Made(name, mend, tensor)
        if not rows.joint:
            s = torch.sigmoid(p)
            tensor = case.gathered(torch.where(slope > 0, g / slope, 0) * s * (1 - s))
            if tensor is not None:
                yield Made("σ′ taken of the activation", "σ′(z) = p(1 − p); σ′(p) is another number", tensor)

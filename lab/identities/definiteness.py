"""The five classes of definiteness, by eigenvalues.   M (n, n), symmetric.

M = QΛQᵀ gives xᵀMx = Σ λ_i (Qᵀx)_i²: positive for every x ≠ 0 if and only if every λ_i > 0, and so on:

    positive definite λ > 0 · positive semi-definite λ ≥ 0 · negative definite λ < 0 · negative semi-definite λ ≤ 0 ·
    indefinite: some λ > 0 and some λ < 0.

Judged of M = C diag(d) Cᵀ, integers, C unit triangular: xᵀMx = Σ d_i (Cᵀx)_i² shows the class from the signs of d by
definition, and x = C⁻ᵀe_i is a witness of each: its form is d_i, exactly.
True of it  The classes are nested: a definite matrix is semi-definite too, and 0 is both semi-definite ones.
            Without symmetry the form sees (M + Mᵀ)/2 alone, whose eigenvalues are others.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from lab import spectrum
from lab.evidence import Evidence, Role, equality
from lab.identity import CROSS_ENTROPY, Identity, Judgement

# d, and which of the five classes xᵀMx = Σ d_i (Cᵀx)_i² is in by definition, in the order of spectrum.DEFINITENESS.
CASES = (
    ((1, 2, 3), (1, 1, 0, 0, 0)),
    ((1, 2, 0), (0, 1, 0, 0, 0)),
    ((-1, -2, -3), (0, 0, 1, 1, 0)),
    ((-1, -2, 0), (0, 0, 0, 1, 0)),
    ((1, -2, 3), (0, 0, 0, 0, 1)),
)


class Definiteness(Identity):
    """The class of M is read off the signs of its eigenvalues."""

    statement = "xᵀMx > 0, ≥ 0, < 0, ≤ 0 for all x ≠ 0, or of both signs ⇔ all λ > 0, ≥ 0, < 0, ≤ 0, or of both signs"
    source, heading = CROSS_ENTROPY, "(five quotations before the first heading)"
    expected = Judgement.CONDITION
    remark = "M must be symmetric: [[1, 4], [0, 1]] has the eigenvalues 1, 1, and its form is −2 at x = (1, −1)."

    def claim(self, values: Tensor, radius: float) -> Tensor:
        """Membership of the five classes, (5,) of 0 and 1; eigenvalues within the radius of 0 count as 0."""
        v = torch.where(values.abs() <= radius, 0.0, values)
        both = (v > 0).any() & (v < 0).any()
        return torch.stack([(v > 0).all(), (v >= 0).all(), (v < 0).all(), (v <= 0).all(), both]).to(values.dtype)

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        C = torch.tensor([[1, 0, 0], [2, 1, 0], [-1, 3, 1]], dtype=torch.float64)
        witnesses = torch.linalg.solve_triangular(C.T, torch.eye(3, dtype=C.dtype), upper=True)
        for name, (d, classes) in zip(spectrum.DEFINITENESS, CASES, strict=True):
            diagonal = torch.tensor(d, dtype=C.dtype)
            M = C @ torch.diag(diagonal) @ C.T
            yield equality(f"{name}, forms at three witnesses", (witnesses.T @ M @ witnesses).diagonal(), diagonal, 0)
            found = spectrum.dense(M)
            yield equality(f"{name}, by λ", self.claim(found.values, found.radius), torch.tensor(classes).to(C), 0)
        M = torch.tensor([[1, 4], [0, 1]], dtype=C.dtype)
        forms = [float(x @ M @ x) for x in torch.tensor([[1, -1], [1, 1]], dtype=C.dtype)]
        ours, truth = self.claim(torch.linalg.eigvals(M).real, 1e-8), torch.tensor([0, 0, 0, 0, 1]).to(C)
        what = f"positive definite by λ = 1, 1, not symmetric, forms {forms[0]:g} and {forms[1]:g}"
        yield equality(what, ours, truth, 0, Role.OUTSIDE)

"""Weights: of classes or labels (w), and of positive labels (ρ), left out or put in the wrong place.

Softmax's targets are r = w∘((1 − α) e + α/K): the smooth part is weighted class by class, not by the target's weight
w_y, nor by 1. The mean then divides by Σ w_y over the rows if targets are class indices, by N if they are
probabilities; sigmoid's divides by N.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab import anatomy
from lab.anatomy import Targets
from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Weights(Mistake):
    """Weights that are missing or misplaced."""

    def made(self, case: Case) -> Iterator[Made]:
        targets, rows, z = case.targets, case.rows, case.z
        if targets is None or rows is None or z is None:
            return
        for name, mend, mass in _masses(targets) if case.divisor != 1 else ():
            if mass and mass != case.divisor:
                evidence = f"the mean divides by {mass:g} where {case.divisor:g} is due"
                yield Made(name, mend, case.divisor / mass * case.data + case.ridge, evidence)
        ones = torch.ones_like(targets.w)
        changed: list[tuple[str, str, anatomy.Rows]] = []
        if bool((targets.w != 1).any()):
            bare = anatomy.rows(z, replace(targets, w=ones))
            changed.append(("the weights are left out", "multiply each class's part by its weight", bare))
            if targets.joint and targets.alpha:
                mend = "the smooth part is weighted class by class: α/K Σ_c w_c"
                for name, r in _misplaced(targets, case.curves):
                    changed.append((name, mend, replace(rows, r=r, a=r.sum(dim=1, keepdim=True))))
        # In a Hessian p stands without its weights where they are left out, and a sum of 1 is nobody's mistake.
        summed = not (case.curves and bool((targets.w != 1).any()))
        if targets.joint and summed and not torch.allclose(rows.a, targets.kept, rtol=1e-6):
            mend = "the derivative of log Σ exp z is taken as often as the targets sum to, Σr; so p stands with Σr"
            changed.append(("p stands without the targets' sum", mend, replace(rows, a=targets.kept)))
        if _has_own_weights(targets):
            bare = anatomy.rows(z, replace(targets, kept=torch.ones_like(targets.kept)))
            changed.append(
                ("the elements' own weights are left out", "multiply each element's part by its weight", bare)
            )
        if bool((targets.rho != 1).any()):
            bare = anatomy.rows(z, replace(targets, rho=ones))
            changed.append(("pos_weight is left out", "multiply the positive labels' part by it", bare))
            both = anatomy.rows(z, replace(targets, w=targets.w * targets.rho, rho=ones))
            changed.append(("pos_weight on the negative labels too", "it multiplies the positive part alone", both))
        for name, mend, mistaken in changed:
            tensor = case.derived(mistaken)
            if tensor is not None:
                yield Made(name, mend, tensor)


def _masses(targets: Targets) -> Iterator[tuple[str, str, float]]:
    """What else a mean may divide by: the number of rows, or the sum of weights that no mean divides by."""
    if bool((targets.w != 1).any()) and targets.by_weight:
        mend = "over class indices a weighted mean divides by the weight of the rows that count"
        yield "divides by N in place of Σw", mend, float(len(targets.e))
        yield "divides by N in place of Σw", mend, float(targets.kept.sum())
    elif _has_own_weights(targets) or bool((targets.w != 1).any()) or bool((targets.rho != 1).any()):
        mend = "this mean divides by the number of rows, whatever their weights"
        yield "divides by Σw in place of N", mend, float((targets.w * targets.e).sum())
        yield "divides by Σw in place of N", mend, float(targets.weighted()[1].sum())


def _has_own_weights(targets: Targets) -> bool:
    return bool(((targets.kept != 0) & (targets.kept != 1)).any())


def _misplaced(targets: Targets, curves: bool) -> Iterator[tuple[str, Tensor]]:
    e, w, alpha, K = targets.e, targets.w, targets.alpha, targets.e.shape[1]
    own = (w * e).sum(dim=1, keepdim=True)
    yield "the smooth part ignores the weights", targets.kept * ((1 - alpha) * w * e + alpha / K)
    if not curves:  # in a Hessian this leaves w_y alone, as no smoothing does (lab/mistakes/smoothing.py)
        yield "the smooth part has the target's weight", targets.kept * own * targets.smooth

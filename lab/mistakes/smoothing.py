"""Label smoothing: (1 − α) e + α/K, in the loss and all its derivatives.

(1 − α/K) e + α/K takes too little from the target, α/(K − 1) gives too much to the others, and their rows need not sum
to 1, which the weight a = Σr of p may follow or not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from lab import anatomy
from lab.anatomy import Targets
from lab.mistake import Case, Made, Mistake

MEND = "the smoothed target is (1 − α) e + α/K, in value, gradient and Hessian alike"


@dataclass(frozen=True)
class Smoothing(Mistake):
    """Targets smoothed by another formula, or not at all."""

    def made(self, case: Case) -> Iterator[Made]:
        targets, z, what = case.targets, case.z, case.what
        if targets is None or z is None or not targets.joint:
            return
        if targets.alpha:
            for name, smooth in _formulas(targets):
                for tensor in _derived(case, targets, smooth):
                    yield Made(name, MEND, tensor)
            bare = case.derived(anatomy.rows(z, replace(targets, alpha=0.0)))
            if bare is not None and not case.blind_to(anatomy.rows(z, replace(targets, alpha=0.0))):
                also = ", or the smooth part has the target's weight" if case.curves else ""
                yield Made(f"no smoothing in the {what}{also}", MEND, bare, f"ours is the {what} with α = 0")
        if case.blind_to(anatomy.rows(z, replace(targets, alpha=1.0))):
            return
        none, all_ = (case.derived(anatomy.rows(z, replace(targets, alpha=alpha))) for alpha in (0.0, 1.0))
        if none is not None and all_ is not None:
            name = f"another smoothing in the {what}" if targets.alpha else f"smoothing in the {what} alone"
            yield Made(name, MEND, case.truth, "", all_ - none, "∂/∂α")


def _formulas(targets: Targets) -> Iterator[tuple[str, Tensor]]:
    e, alpha, K = targets.e, targets.alpha, targets.e.shape[1]
    yield "smoothing by y(1 − α/K) + α/K", (1 - alpha / K) * e + alpha / K
    if K > 1:
        yield "smoothing by α/(K − 1)", (1 - alpha) * e + alpha / (K - 1) * (1 - e)
        yield "smoothing by α/(K − 1)", (1 - alpha) * e + alpha / (K - 1)


def _derived(case: Case, targets: Targets, smooth: Tensor) -> Iterator[Tensor]:
    """With p's weight following the smoothed targets, and with the right one."""
    rows = case.rows
    assert rows is not None
    r = targets.kept * targets.w * smooth
    for a in (r.sum(dim=1, keepdim=True), rows.a):
        tensor = case.derived(replace(rows, r=r, a=a))
        if tensor is not None and not case.blind_to(replace(rows, a=a)):
            yield tensor

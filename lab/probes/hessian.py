"""The hand-derived dense Hessian against `torch.func.hessian`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from lab.probe import Probe, Reading, Step
from lab.referee import judge_hessian


@dataclass(frozen=True)
class Hessian(Probe):
    """Judge the whole Hessian against torch.func.hessian, on the step's own batch; it is dear, so not every step."""

    every: Annotated[int, Ge(1)] = 10

    def measure(self, step: Step) -> Mapping[str, Reading]:
        # At full batch it is the very matrix whose eigenvalues are shown.
        H = step.curvature.dense if step.problem is step.full else step.problem.hessian(step.theta)
        return {"check/hessian": judge_hessian(step.problem, step.theta, H)}

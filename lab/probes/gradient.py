"""The step's hand-derived gradient, the one that training uses, against `torch.autograd`."""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.probe import Probe, Reading, Step
from lab.referee import judge_gradient


@dataclass(frozen=True)
class Gradient(Probe):
    """Judge the step's gradient against autograd, on the step's own batch."""

    def measure(self, step: Step) -> Mapping[str, Reading]:
        return {"check/gradient": judge_gradient(step.problem, step.theta, step.gradient)}

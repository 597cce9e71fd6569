"""The hand-derived Hessian-vector product, in a random direction, against reverse-over-reverse differentiation.

A direction drawn afresh at every step sees a wrong Hessian almost surely, at the price of two gradients.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lab.probe import Probe, Reading, Step
from lab.referee import judge_hvp
from lab.seeds import stream


@dataclass(frozen=True)
class HessianVectorProduct(Probe):
    """Judge the Hessian-vector product in a random direction, on the step's own batch."""

    def measure(self, step: Step) -> Mapping[str, Reading]:
        direction = stream(step.seed, "hvp", step.t).standard_normal(step.theta.shape)
        V = torch.tensor(direction).to(step.theta)
        ours = step.problem.hvp(step.theta, V)
        return {"check/hvp": judge_hvp(step.problem, step.theta, V, ours)}

"""What the second-order model foretold of a step, and what the step did.

For the move Δ = θ₊ − θ:  L(θ) − L(θ₊) = −∇LᵀΔ − ½ ΔᵀHΔ + O(‖Δ‖³); the first two terms are the predicted decrease.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.probe import Probe, Reading, Step


@dataclass(frozen=True)
class Descent(Probe):
    """Log the predicted and the actual decrease of the loss over each step, on the step's own batch."""

    def measure(self, step: Step) -> Mapping[str, Reading]:
        if step.after is None:
            return {}
        move = step.after - step.theta
        slope = (step.gradient * move).sum()
        bend = (move * step.problem.hvp(step.theta, move)).sum()
        return {
            "step/predicted_decrease": float(-slope - bend / 2),
            "step/actual_decrease": float(step.value - step.problem.value(step.after)),
        }

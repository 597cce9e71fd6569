"""How well the model fits: loss and accuracy on the training and the validation rows."""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.probe import Probe, Reading, Step


@dataclass(frozen=True)
class Fit(Probe):
    """Log the training loss (with the ridge, as it is minimised) and accuracy, and the validation rows' (without)."""

    def measure(self, step: Step) -> Mapping[str, Reading]:
        value = step.value if step.full is step.problem else step.full.value(step.theta)
        readings: dict[str, Reading] = {
            "loss/train": float(value),
            "accuracy/train": float(step.full.correct(step.theta)),
        }
        if step.validation is not None:
            readings["loss/validation"] = float(step.validation.value(step.theta))
            readings["accuracy/validation"] = float(step.validation.correct(step.theta))
        return readings

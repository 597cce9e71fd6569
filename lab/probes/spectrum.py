"""Eigenvalues of the hand-derived Hessian, and what they say: definiteness, rank, condition, stability.

Gradient descent with step length lr on a quadratic shrinks its error along an eigenvector of eigenvalue λ by
|1 − lr·λ| a step, so it is stable while lr·λ₁ < 2; `stability/lr_lambda_max` is to be read against 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge

from lab import spectrum
from lab.probe import Probe, Reading, Step
from lab.rounding import hessian_norm_bound


@dataclass(frozen=True)
class SpectrumProbe(Probe):
    """Log the `top` largest eigenvalues, the smallest, trace, rank, condition and definiteness of the Hessian.

    `on` says of which loss: the whole training set's, or the step's own batch's.
    """

    top: Annotated[int, Ge(1)] = 5
    on: Literal["train", "batch"] = "train"

    def measure(self, step: Step) -> Mapping[str, Reading]:
        problem = step.full if self.on == "train" else step.problem
        H = problem.hessian(step.theta)
        if not torch.isfinite(H).all():
            return {"curvature/definiteness": "unknown: the Hessian is not finite"}
        found = spectrum.dense(H, error=hessian_norm_bound(problem, step.theta, float(H.trace())))
        readings: dict[str, Reading] = {
            f"curvature/lambda_{i}": value for i, value in enumerate(found.values[: self.top].tolist(), start=1)
        }
        readings |= {
            "curvature/lambda_min": float(found.values[-1]),
            "curvature/trace": found.trace,
            "curvature/rank": found.rank,
            "curvature/condition": found.condition,
            "curvature/definiteness": spectrum.explain_definiteness(found, problem.flat_directions),
        }
        if step.lr is not None:
            readings["stability/lr_lambda_max"] = step.lr * float(found.values[0])
        return readings

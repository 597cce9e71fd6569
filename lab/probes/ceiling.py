"""λ₁ against what bounds it without a look at H: the data alone, and the loss itself.

Data       h_n(z) ⪯ c_n I at every z gives λ₁(∇²L) ≤ λ₁(Xᵀ diag(c) X)/M + ρ, once for the whole run. c_n is what the
           loss says of its Hessian's peak: max diag h_n(0) for σ, K²/2(K − 1) times that for softmax.
Loss       λ₁(h_n) ≤ a ℓ_n gives λ₁(∇²L) ≤ (1/M) Σ ‖x_n‖² λ₁(h_n) + ρ ≤ a R² L₀ + ρ, R = max ‖x_n‖, L₀ the loss without
           its ridge; a = 1 for σ and 2 for softmax. As the loss vanishes so does its curvature.

A λ₁ whose proved lower end is above a ceiling convicts the Hessian or the loss, with no automatic differentiation.

Source     Böhning, Ann. Inst. Statist. Math. 44 (1992), Theorem 3.1; Wu, Bartlett, Telgarsky & Yu, COLT (2024), for the
           second, whose constants the losses prove.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from lab import rounding
from lab.curvature import structure
from lab.probe import Probe, Reading, Step
from lab.problem import Problem
from lab.referee import Verdict, Who

Bound = tuple[float, float]  # a ceiling, and what rounding can do to it


@dataclass(frozen=True)
class CeilingProbe(Probe):
    """Log the lower of λ₁'s ceilings, and hold the lower end of its interval, as the spectrum probe has it, against it.

    The data's ceiling is there at every step, the loss's where a step descends on all rows, whose loss is then known.
    """

    last: ClassVar[bool] = True

    def measure(self, step: Step) -> Mapping[str, Reading]:
        lower = step.seen.get("lambda_1_lower")
        if lower is None or not step.full.model.is_product:
            return {}
        if "data" not in step.memory:
            step.memory["data"] = of_data(step.full)
        found = [bound for bound in (step.memory["data"], of_loss(step)) if bound is not None]
        if not found:
            return {}
        ceiling, error = min(found)
        return {"curvature/ceiling": ceiling, "check/ceiling": _judge(lower, ceiling, error, str(step.theta.dtype)[6:])}


def of_data(problem: Problem) -> Bound | None:
    """λ₁(Xᵀ diag(c) X)/M + ρ; None where the loss knows no c, or D is large."""
    found = structure.of_data(problem)
    if found is None:
        return None
    ceiling = float(found.values[0]) + problem.ridge
    return ceiling, found.radius + 2 * torch.finfo(problem.X.dtype).eps * ceiling


def of_loss(step: Step) -> Bound | None:
    """a R² L₀ + ρ; None where the loss knows no a, or the step does not know the loss of all rows."""
    problem, theta, a = step.full, step.theta, step.full.loss.self_bound
    if a is None or step.problem is not problem or not math.isfinite(float(step.value)):
        return None
    penalty = problem.ridge / 2 * float((problem.mask * theta.square()).sum())
    R2 = problem.longest_row**2
    ceiling = a * R2 * (float(step.value) - penalty) + problem.ridge
    units = rounding.gamma(sum(theta.shape) + 8, theta.dtype)
    error = rounding.value_bound(problem, theta) + units * (abs(float(step.value)) + penalty)
    error += 4 * torch.finfo(theta.dtype).tiny  # a loss that small may come out as 0
    return ceiling, a * R2 * error + units * problem.ridge


def _judge(lower: float, ceiling: float, error: float, dtype: str) -> Verdict:
    """How far λ₁'s lower end is above the ceiling, in units of the ceiling's rounding; 0 below."""
    ratio = max(lower - ceiling, 0.0) / error if error else (math.inf if lower > ceiling else 0.0)
    seen = (lower, ceiling, error)
    if ratio <= 1:
        return Verdict("λ₁ below its ceiling", "H", ratio, (), *seen, dtype=dtype)
    note = (
        "no Hessian of this loss on these data has such an eigenvalue: Hessian, value or the loss's own bound is wrong"
    )
    return Verdict("λ₁ below its ceiling", "H", ratio, (), *seen, Who.OURS, dtype, note)

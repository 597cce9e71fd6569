"""What the second-order model foretold of a step, what is proved of it, and what the step did.

For the move Δ = θ₊ − θ:  L(θ) − L(θ₊) = −∇LᵀΔ − ½ ΔᵀHΔ + O(‖Δ‖³); the first two terms are the predicted decrease.

Envelope  φ(t) = L₀(θ + tΔ), L₀ without the ridge, has e^{−δt} φ″(0) ≤ φ″(t) ≤ e^{δt} φ″(0), δ the largest drift of a
          row's logits over the whole step (`lab.curvature.operator`, Change). Integrated twice from 0 to 1, with
          c(δ) = (e^δ − δ − 1)/δ² = Σ_k δ^k/(k + 2)!,
              c(−δ) ΔᵀH₀Δ ≤ L₀(θ₊) − L₀(θ) − ∇L₀ᵀΔ ≤ c(δ) ΔᵀH₀Δ,
          and the ridge adds its ½ρ‖m∘Δ‖² exactly. A decrease outside by more than rounding convicts one of value,
          gradient and Hessian product: no automatic differentiation has a part in it. What of H₀ is below the smallest
          number is a part of the upper bound: e^δ may make much of it, as where a row saturated and comes back.

Source    Bach, Self-concordant analysis for logistic regression, Electron. J. Statist. 4 (2010), prop. 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lab import rounding
from lab.curvature.operator import Curvature
from lab.probe import Probe, Reading, Step
from lab.referee import Verdict, Who


@dataclass(frozen=True)
class Descent(Probe):
    """Log the decrease of the loss over each step, predicted, proved within bounds, and actual, on the step's batch."""

    def measure(self, step: Step) -> Mapping[str, Reading]:
        if step.after is None:
            return {}
        move = step.after - step.theta
        slope = float((step.gradient * move).sum())
        bend = float((move * step.problem.hvp(step.theta, move)).sum())
        actual = float(step.value - step.problem.value(step.after))
        decreases = {"step/predicted_decrease": -slope - bend / 2, "step/actual_decrease": actual}
        readings: dict[str, Reading] = {name: value for name, value in decreases.items() if not math.isnan(value)}
        curvature = Curvature(step.problem, step.theta)
        delta = curvature.log_change(step.after)
        if not all(map(math.isfinite, (delta, actual, slope, bend))):
            return readings
        ridge = step.problem.ridge
        held = ridge and ridge * float((step.problem.mask * move.square()).sum())  # 0 whatever overflows
        bare = max(bend - held, 0.0)
        most = bare + curvature.underflow(move.dtype) * float(move.double().square().sum())
        least = -slope - held / 2
        lower, upper = (least - (h and remainder(d) * h) for h, d in ((most, delta), (bare, -delta)))
        return {
            **readings,
            "step/predicted_decrease/lower": lower,
            "step/predicted_decrease/upper": upper,
            "check/decrease": _judge(step, move, actual, lower, upper, delta),
        }


def remainder(delta: float) -> float:
    """c(δ) = (e^δ − δ − 1)/δ², for δ of either sign, to full accuracy near 0; ∞ beyond what a float holds."""
    if abs(delta) < 1:
        return math.fsum(delta**k / math.factorial(k + 2) for k in range(20))
    return (math.exp(delta) - delta - 1) / delta / delta if delta < 700 else math.inf


def _judge(step: Step, move: Tensor, actual: float, lower: float, upper: float, delta: float) -> Verdict:
    """How far the decrease is outside of its envelope, in units of what rounding can do to both; 0 inside."""
    outside, nearest = max(lower - actual, actual - upper), min(max(actual, lower), upper)
    dtype = str(step.theta.dtype)[6:]
    if outside <= 0:
        return Verdict("decrease", "L", 0.0, (), actual, nearest, 0.0, dtype=dtype)
    allowed = _rounding(step, move, delta if actual < lower else -delta)
    ratio = outside / allowed if allowed else math.inf
    if ratio <= 1:
        return Verdict("decrease", "L", ratio, (), actual, nearest, allowed, dtype=dtype)
    note = (
        f"gradient and Hessian prove it to lie in [{lower:.6g}, {upper:.6g}]: value, gradient or Hessian is wrong, or "
        "the loss's self_concordance"
    )
    return Verdict("decrease", "L", ratio, (), actual, nearest, allowed, Who.OURS, dtype, note)


def _rounding(step: Step, move: Tensor, delta: float) -> float:
    """What rounding can do to the decrease and to the end of its envelope that c(δ) makes."""
    assert step.after is not None
    problem, theta, size = step.problem, step.theta, move.abs()
    values = rounding.value_bound(problem, theta) + rounding.value_bound(problem, step.after)
    # θ₊ − θ rounds too: by u|θ₊|, on which the slope acts.
    unit = rounding.gamma(theta.numel() + 4, theta.dtype)
    slope = float((rounding.gradient_bound(problem, theta) * size).sum() + unit * (step.gradient.abs() * size).sum())
    slope += float((step.gradient.abs() * step.after.abs()).sum()) * rounding.gamma(2, theta.dtype)
    bend = rounding.hvp_bound(problem, theta, move) + unit * problem.hvp(theta, move).abs()
    bent = float((bend * size).sum())
    allowed = values + slope + (bent and max(remainder(delta), 0.5) * bent)
    return math.inf if math.isnan(allowed) else allowed  # ∞·0: a bound that overflows allows everything

"""The second-order model of the loss along −∇L.   L convex and analytic, g = ∇L(θ), H = ∇²L(θ), Δ = −g/s.

Statement   L(θ + hΔ) ≥ L(θ) + h gᵀΔ: the fall is never more than the first-order prediction.
            L(θ + hΔ) = L(θ) + h gᵀΔ + (h²/2) ΔᵀHΔ + O(h³): what H predicts is right to third order.
Source      Taylor's theorem; Boyd & Vandenberghe, Convex Optimization (2004), §3.1.3; Nocedal & Wright, Numerical
            Optimization (2006), §2.1.
Conditions  A plain σ or softmax of a linear model, full batch.
Quantity    At steps 1, 2, 4, 8, … and the last: L at h = 2⁻², …, 2⁻⁴⁰, s being such that the row whose logits move the
            most moves by 1 at h = 1; the order at which the remainder vanishes, fitted above the noise
            (`lab.evidence`).
Prediction  No fall above the first-order one, to rounding. An order of 3, or 4 where the third derivative along Δ is 0.
            A wrong gradient leaves an order of 1, a wrong Hessian one of 2.
Proof idea  A convex function lies above its tangent. The remainder is (h³/6) ∇³L[Δ, Δ, Δ] + O(h⁴), and by
            self-concordance no more than (h²ΔᵀHΔ)(e^h − h − 1 − h²/2)/h².
"""

import math
from collections.abc import Iterator, Mapping

from lab.evidence import STEPS, Evidence, remainder, untold
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.rounding import gamma, value_bound
from lab.theorem import Condition, Setting, Theorem, Trail, at_most
from lab.theorems._conditions import full_batch, plain_loss


class SecondOrderModel(Theorem):
    """The loss falls by less than the slope promises, and as the Hessian says to third order."""

    statement = "along −∇L the fall is at most the first-order prediction, and the second-order one is right to h³"
    source = "Taylor; Boyd & Vandenberghe, Convex Optimization (2004), §3.1.3"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)
        yield full_batch(setting)

    def measure(self, step: Step) -> Mapping[str, float]:
        t, problem, theta, g = step.t, step.full, step.theta, step.gradient
        if t == 0 or (t & (t - 1) and step.after is not None) or not float(g.norm()):
            return {}
        drift = float(problem.loss.drift(problem.model.forward(problem.X, g)).max())
        move = -g / drift
        slope, bend = float((g * move).sum()), float((move * problem.hvp(theta, move)).sum())
        value = float(problem.value(theta))
        there = {h: theta + h * move for h in STEPS}
        left = {h: float(problem.value(at)) - value - h * slope for h, at in there.items()}
        own, few = value_bound(problem, theta), gamma(8, theta.dtype)
        noise = {h: own + value_bound(problem, at) + few * (h * abs(slope) + h * h * bend) for h, at in there.items()}
        fitted = remainder("order", lambda h: abs(left[h] - h * h / 2 * bend), 3, lambda h: noise[h])
        excess = {"excess": max(-left[h] / noise[h] for h in STEPS)}
        if math.isnan(fitted.figure):  # nothing is above the noise
            return excess
        return excess | {"order": fitted.figure, "half": fitted.high - 3}

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        t, excess = trail.column("excess")
        yield at_most("fall beyond the first-order prediction", excess, 1.0, t, "of what rounding allows")
        (told, order), (_, half) = trail.column("order"), trail.column("half")
        if not len(told):
            yield untold("order of the second-order model", f"it is above the noise at none of {len(t)} steps")
            return
        worst = int((order + half).argmin())
        figure, width, at = (float(each[worst]) for each in (order, half, told))
        detail = f"{figure:.4g} ± {width:.1g} or more where 3 is due, at {len(told)} of {len(t)} steps ({at:.0f})"
        yield Evidence("order of the second-order model", figure, 3 - width, 4 + width, detail)

    def picture(self, trail: Trail) -> str:
        problem, theta = trail.setting.problem, trail.theta
        g = problem.gradient(theta)
        drift = float(problem.loss.drift(problem.model.forward(problem.X, g)).max())
        if not drift:
            return ""
        move, value = -g / drift, float(problem.value(theta))
        slope, bend = float((g * move).sum()), float((move * problem.hvp(theta, move)).sum())
        first = [abs(float(problem.value(theta + h * move)) - value - h * slope) for h in STEPS]
        second = [abs(float(problem.value(theta + h * move)) - value - h * slope - h * h / 2 * bend) for h in STEPS]
        noise = [value_bound(problem, theta + h * move) for h in STEPS]
        curves = (
            Curve("left by the first-order model", STEPS, first),
            Curve("left by the second-order model", STEPS, second),
            Curve("rounding at most", STEPS, noise, "dashed"),
        )
        return chart("What a model of the loss leaves", Axis("h", log=True), Axis("remainder", log=True), curves)

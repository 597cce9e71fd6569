"""Gradient descent finds the widest margin.   Separable rows, no ridge; û the unit separator of the widest margin γ.

Statement   θ_t = (û/γ) log t + ρ_t with ρ_t bounded, for all rows but a set of measure zero (where it may grow as log
            log t): ‖θ_t‖ grows as (1/γ) log t, and θ_t/‖θ_t‖ tends to û as 1/log t.
Source      Soudry, Hoffer, Nacson, Gunasekar & Srebro, JMLR 19 (2018), Theorems 3 (binary) and 7 (softmax); Wu,
            Braverman & Lee, NeurIPS (2023), for any lr of σ.
Conditions  A plain σ or softmax of a linear model, no ridge, full batch, plain gradient descent, separable rows; for
            softmax lr < 2/B (see monotone_descent).
Quantity    ‖θ_t‖, the part of θ_t that is perpendicular to û, and ‖θ_t/‖θ_t‖ − û‖; û and γ by scikit-learn's
            support-vector machine, in an interval that its dual proves.
Prediction  d‖θ‖/d log t tends to 1/γ, and the slopes of the perpendicular part and of the distance of the directions
            times log t to 0: all in units of 1/γ and fitted from step √T on. While ρ_t is larger than log t, or a slope
            is on its way (see lab.rate), nothing can be told.
Proof idea  In the limit −∇L is a combination of support vectors weighted by e^{−z}. A direction in which θ/‖θ‖ is
            stationary is one of its own gradients': a combination of support vectors with weights ≥ 0, which are the
            optimality conditions of the support-vector machine. With e^{−z} ∼ 1/t each step adds O(1/t): log t in all.
"""

import math
from collections.abc import Iterator, Mapping

from lab import rate
from lab.evidence import Evidence, untold
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.theorem import Condition, Setting, Theorem, Trail
from lab.theorems import _sparse
from lab.theorems._conditions import gradient_descent, no_ridge, plain_loss
from lab.theorems._separable import Margin, max_margin, separable
from lab.theorems.monotone_descent import short_for_softmax

WIDEST = 0.15  # of 1/γ
LINGERS = 0.3  # of 1/γ: a row a little outside the margin can hold the slope of what is bounded at 0.2 for 1,000 steps
FAR = 2.0  # γ‖θ‖/log t, or its inverse, at the end: beyond it ρ_t is larger than log t, whose slope it hides
WIDE = 0.5  # ‖θ/‖θ‖ − û‖ where the window begins: beyond it ‖θ‖ is as much θ's perpendicular part as log t
SURE = 1e-3  # how well the margin must be known: far better than the slopes


class MaxMargin(Theorem):
    """Nobody asked for a margin; gradient descent finds the widest."""

    statement = "on separable rows θ/‖θ‖ tends to the maximum-margin separator as 1/log t, ‖θ‖ growing as (1/γ) log t"
    source = "Soudry et al., JMLR 19 (2018), Theorem 3"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)
        yield no_ridge(setting)
        yield from gradient_descent(setting)
        yield from short_for_softmax(setting)
        yield separable(setting)

    def measure(self, step: Step) -> Mapping[str, float]:
        if not _sparse.due(step):
            return {}
        memory, theta = step.memory, step.theta
        if "direction" not in memory:
            kind = "softmax" if step.full.loss.ignores_shift else "sigmoid"
            found = max_margin(step.full, kind)
            memory.update(direction=found.direction, lower=found.lower, upper=found.upper)
        u = memory["direction"].to(theta)
        return {
            "loss": float(step.value),
            "norm": float(theta.norm()),
            "across": float((theta - (theta * u).sum() * u).norm()),
            "apart": float((theta / theta.norm() - u).norm()),
            "margin": memory["lower"],
            "margin_upper": memory["upper"],
        }

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        (t, norm), (_, across), (_, apart) = (trail.column(quantity) for quantity in ("norm", "across", "apart"))
        (_, low), (_, high) = trail.column("margin"), trail.column("margin_upper")
        waits = _sparse.not_begun(*trail.column("loss"))
        if waits is not None:
            yield waits
            return
        gamma = float(low[0])
        margin = Margin(trail.theta, gamma, float(high[0]))
        if not math.isfinite(margin.error) or float(high[0] / low[0]) - 1 > SURE:
            yield untold("the widest margin", f"it is known between {gamma:.4g} and {float(high[0]):.4g} only")
            return
        start = float(t[-1]) ** 0.5
        first = int((t >= start).nonzero()[0])
        come, angle = gamma * float(norm[-1]) / math.log(float(t[-1])), float(apart[first])
        if not 1 / FAR <= come <= FAR or angle > WIDE:
            far = f"γ‖θ‖ is {come:.3g} log t, and θ was {angle:.3g} from its direction at step {int(t[first])}"
            yield untold("the growth as log t", f"{far}: the first steps' doing still")
            return
        for what, quantity, due, slack in (
            ("γ‖θ‖", gamma * norm, 1.0, float(high[0] / low[0]) - 1),
            ("γ‖θ⊥‖", gamma * across, 0.0, margin.error),
            ("‖θ/‖θ‖ − û‖ log t", apart * t.log(), 0.0, margin.error),
        ):
            slope = rate.limit(t, quantity, start)
            falls = slope is not None and slope.value < due == 0.0  # what is bounded may fall for as long as it likes
            doubt = math.inf if falls else WIDEST if due else LINGERS
            yield rate.judged(f"{what} against log t", slope, due, WIDEST, slack=slack, doubt=doubt)

    def picture(self, trail: Trail) -> str:
        (t, apart), (_, norm) = trail.column("apart"), trail.column("norm")
        later = t > 2
        x = t[later]
        due = apart[-1] * t[-1].log() / x.log() if len(t) else x
        curves = (
            Curve("distance from the maximum-margin direction", x, apart[later]),
            Curve("1/log t", x, due, "dashed"),
            Curve("‖θ‖", x, norm[later]),
        )
        return chart("Towards the widest margin", Axis("step", log=True), Axis("value", log=True), curves)

"""Gradient descent finds the widest margin.   Separable rows, no ridge; û the unit separator of the widest margin γ.

Statement   θ_t = (û/γ) log t + ρ_t with ρ_t bounded: ‖θ_t‖ grows as (1/γ) log t, and θ_t/‖θ_t‖ tends to û as 1/log t.
Source      Soudry, Hoffer, Nacson, Gunasekar & Srebro, JMLR 19 (2018), Theorems 3 (binary) and 7 (softmax); Wu,
            Braverman & Lee, NeurIPS (2023), for any lr of σ.
Conditions  A plain σ or softmax of a linear model, no ridge, full batch, plain gradient descent, separable rows; for
            softmax lr < 2/B (see monotone_descent).
Quantity    ‖θ_t‖, the part of θ_t that is perpendicular to û, and ‖θ_t/‖θ_t‖ − û‖; û and γ by scikit-learn's
            support-vector machine, in an interval that its dual proves.
Prediction  d‖θ‖/d log t tends to 1/γ, and the slope of the perpendicular part to 0, both in units of 1/γ and fitted
            from step √T on. The distance of the directions is then perpendicular part over norm: as 1/log t.
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
from lab.theorems.monotone_descent import ceiling

WIDEST = 0.15  # of 1/γ
SURE = 1e-3  # how well the margin must be known: far better than the slopes


class MaxMargin(Theorem):
    """Nobody asked for a margin; gradient descent finds the widest."""

    statement = "on separable rows θ/‖θ‖ tends to the maximum-margin separator as 1/log t, ‖θ‖ growing as (1/γ) log t"
    source = "Soudry et al., JMLR 19 (2018), Theorem 3"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)
        yield no_ridge(setting)
        yield from gradient_descent(setting)
        if setting.loss == "softmax":
            product = setting.lr * ceiling(setting)
            yield Condition("lr below 2/B", product < 2, f"lr·B = {product:.4g}")
        yield separable(setting)

    def measure(self, step: Step) -> Mapping[str, float]:
        if not _sparse.due(step):
            return {}
        memory, theta = step.memory, step.theta
        if "direction" not in memory:
            kind = "softmax" if step.full.loss.flat(theta.shape[1])[0] else "sigmoid"
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
        slack = float(high[0] / low[0]) - 1
        yield rate.judged("γ‖θ‖ against log t", rate.limit(t, gamma * norm, start), 1.0, WIDEST, slack=slack)
        yield rate.judged("γ‖θ⊥‖ against log t", rate.limit(t, gamma * across, start), 0.0, WIDEST, slack=margin.error)
        early, late = (float(apart[i] * t[i].log()) for i in (int((t >= start).nonzero()[0]), len(t) - 1))
        detail = f"{float(apart[-1]):.3g} from the support-vector machine's; times log t {early:.3g}, then {late:.3g}"
        # Where ‖θ⊥‖ is bounded and γ‖θ‖ ~ log t, distance × log t is bounded: within a factor of 2 over the window.
        yield Evidence("the direction", late / early, 0.0, 2.0, detail)

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

"""Gradient descent with short steps descends.   L convex with ∇²L ⪯ B everywhere, θ₊ = θ − lr ∇L(θ).

Statement   With lr < 2/B every step takes the loss down, by at least lr (1 − lr B/2) ‖∇L‖².
Source      Nesterov, Lectures on Convex Optimization, 2nd ed. (2018), Lemma 1.2.3 and §1.2.3; B after Böhning (1992).
Conditions  A plain σ or softmax of a linear model, full batch, plain gradient descent, lr < 2/B with
            B = c λ₁(XᵀX)/N + ρ, c = 1/4 or 1/2.
Quantity    L and ‖∇L‖² at every step, and what rounding can do to both.
Prediction  L(θ₊) ≤ L(θ) − lr (1 − lr B/2) ‖∇L‖², to rounding, at every step.
Proof idea  Taylor's theorem with ∇²L ⪯ B: L(θ − lr g) ≤ L(θ) − lr‖g‖² + (B/2) lr²‖g‖².
            Rounding: both values are known to `lab.rounding.value_bound`. The gradient that moved θ is off by δg and θ₊
            by u‖θ₊‖, which moves L(θ₊) by at most ‖g‖(lr‖δg‖ + u(‖θ‖ + lr‖g‖)), and the promise by 2 lr‖g‖‖δg‖.
"""

from collections.abc import Iterator, Mapping

import torch

from lab.evidence import Evidence
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.rounding import gradient_bound, value_bound
from lab.theorem import Condition, Setting, Theorem, Trail, at_most
from lab.theorems._conditions import CEILING, gradient_descent, plain_loss
from lab.theorems._spectra import gram


def ceiling(setting: Setting) -> float:
    """B, the largest curvature that any θ can have, its rounding included."""
    found = gram(setting.problem)
    return CEILING[setting.loss] * (float(found.values[0]) + found.radius) + setting.problem.ridge


def short(setting: Setting) -> Condition:
    """lr < 2/B."""
    product = setting.lr * ceiling(setting)
    return Condition("lr below 2/B", product < 2, f"lr·B = {product:.4g}")


def short_for_softmax(setting: Setting) -> Iterator[Condition]:
    """lr < 2/B for softmax; for σ separable rows are led to the same limit by any lr (Wu, Braverman & Lee 2023)."""
    if setting.loss == "softmax":
        yield short(setting)


class MonotoneDescent(Theorem):
    """Below 2 over the largest curvature that there can be, the loss falls at every step."""

    statement = "with lr < 2/B, B = λ₁(XᵀX)/4N + ρ (softmax /2N), gradient descent decreases the loss at every step"
    source = "Nesterov, Lectures on Convex Optimization (2018), §1.2.3; Böhning (1992)"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)
        yield from gradient_descent(setting)
        yield short(setting)

    def measure(self, step: Step) -> Mapping[str, float]:
        g, lr, u = float(step.gradient.norm()), step.lr or 0.0, torch.finfo(step.theta.dtype).eps / 2
        moved = 3 * lr * float(gradient_bound(step.full, step.theta).norm()) + u * (float(step.theta.norm()) + lr * g)
        own = value_bound(step.full, step.theta)
        return {"loss": float(step.value), "square": g * g, "rounding": own + g * moved}

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        (t, loss), (_, square), (_, rounding) = (trail.column(q) for q in ("loss", "square", "rounding"))
        lr = trail.setting.lr
        promised = lr * (1 - lr * ceiling(trail.setting) / 2) * square[:-1]
        excess = (loss.diff() + promised) / (rounding[1:] + rounding[:-1])
        yield at_most("less of a fall than promised", excess, 1.0, t[:-1], "of what rounding allows")

    def picture(self, trail: Trail) -> str:
        (t, loss), (_, square) = trail.column("loss"), trail.column("square")
        lr = trail.setting.lr
        promised = lr * (1 - lr * ceiling(trail.setting) / 2) * square[:-1]
        curves = (Curve("fall of the loss", t[1:], -loss.diff()), Curve("promised", t[1:], promised, "dashed"))
        title = f"Every step falls by more than is promised (lr·B = {lr * ceiling(trail.setting):.3g})"
        return chart(title, Axis("step", log=True), Axis("L(θ) − L(θ₊)", log=True), curves)

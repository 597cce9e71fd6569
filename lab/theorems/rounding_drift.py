"""Two trajectories, by hand and by autograd, stay within accumulated rounding.   θ₊ = θ − lr ∇L(θ).

Statement   With lr ≤ 2/B, ∇²L ⪯ B everywhere, the trajectories of two implementations of one gradient are never further
            apart than the sum of what rounding does at each step: the bound grows no faster than linearly in t.
Source      Rockafellar (1976) and Bauschke & Combettes, Convex Analysis and Monotone Operator Theory (2011), cor.
            18.16, for I − lr∇L being non-expansive; the rounding is that of `lab.rounding`.
Conditions  A plain σ or softmax of a linear model, full batch, plain gradient descent, lr ≤ 2/B with
            B = c λ₁(XᵀX)/N + ρ, and `twin: autograd`.
Quantity    The twin's distance at every step (twin/drift, the largest entry), and the accumulated bound b_t.
Prediction  drift_t ≤ b_t at every step.
Proof idea  L convex with ∇²L ⪯ B makes ∇L 1/B-cocoercive, so T = I − lr∇L has ‖Tθ − Tφ‖ ≤ ‖θ − φ‖ for lr ≤ 2/B. Each
            implementation computes T to lr‖δg‖ + u(‖θ₊‖ + lr‖g‖), where δg ≤ `gradient_bound` entrywise; two of them
            add twice that. So b_{t+1} = b_t + 2(lr‖δg_t‖ + u(‖θ_t‖ + 2 lr‖g_t‖)), b₀ = 0. The bound is of the norm, and
            an entry is no larger. (δg is computed at the run's θ; at the twin's it differs by terms of order u².)
"""

from collections.abc import Iterator, Mapping

import torch

from lab.evidence import Evidence
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.rounding import gradient_bound
from lab.theorem import Condition, Setting, Theorem, Trail, at_most
from lab.theorems._conditions import gradient_descent, plain_loss
from lab.theorems.monotone_descent import ceiling


class RoundingDrift(Theorem):
    """By hand and by autograd training goes the same way, for as long as it goes."""

    statement = "the trajectories by hand and by autograd part by no more than the sum of their steps' rounding"
    source = "Bauschke & Combettes, Convex Analysis (2011), cor. 18.16"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)
        yield from gradient_descent(setting)
        product = setting.lr * ceiling(setting)
        yield Condition("lr at most 2/B", product <= 2, f"lr·B = {product:.4g}")
        yield Condition("a twin by autograd", setting.twin)

    def measure(self, step: Step) -> Mapping[str, float]:
        theta, g, memory, lr = step.theta, step.gradient, step.memory, step.lr or 0.0
        allowed = float(memory.get("allowed", 0.0))
        u = torch.finfo(theta.dtype).eps / 2
        own = lr * float(gradient_bound(step.full, theta).norm()) + u * float(theta.norm() + 2 * lr * g.norm())
        memory["allowed"] = allowed + 2 * own
        return {"allowed": allowed}

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        (t, allowed), (_, drift) = trail.column("allowed"), trail.logged("twin/drift")
        ratio = torch.where(drift == 0, 0.0, drift / allowed)
        yield at_most("drift over its bound", ratio, 1.0, t, "of it")

    def picture(self, trail: Trail) -> str:
        (t, allowed), (_, drift) = trail.column("allowed"), trail.logged("twin/drift")
        curves = (Curve("bound", t, allowed, "dashed"), Curve("drift", t, drift))
        title = "Apart from autograd by less than rounding allows"
        return chart(title, Axis("step", log=True), Axis("max |θ − θ by autograd|", log=True), curves)

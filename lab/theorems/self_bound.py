"""Curvature is bounded by the loss itself.   z = Xθ, R = max ‖x_n‖, mean loss L, no ridge.

Statement   λ₁(∇²L(θ)) ≤ a R² L(θ) at every θ, a = 1 for σ and 2 for softmax.
Source      The self-boundedness that large steps are analysed with: Wu, Bartlett, Telgarsky & Yu, COLT (2024), PMLR
            247:5019–5073. The constants are proved here.
Conditions  A plain σ or softmax of a linear model, no ridge, each row labelled with a class.
Quantity    λ₁, L and R²L at every step.
Prediction  λ₁ ≤ aR²L, to the rounding of both. So where the loss vanishes the curvature does, no slower.
Proof idea  λ₁(∇²L) ≤ (1/N) Σ ‖x_n‖² λ₁(h_n), and λ₁(h) ≤ tr h. With p the probability of the label that is right,
            ℓ = −log p ≥ 1 − p; for σ tr h = p(1 − p) ≤ 1 − p for each label, for softmax tr h = 1 − ‖p‖² ≤ 1 − p² =
            (1 − p)(1 + p) ≤ 2(1 − p).
"""

from collections.abc import Iterator, Mapping

from lab.evidence import Evidence
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.rounding import gamma, value_bound
from lab.theorem import Condition, Setting, Theorem, Trail, at_most, over
from lab.theorems._conditions import no_ridge, plain_loss
from lab.theorems._spectra import hessian

FACTOR = {"sigmoid": 1.0, "softmax": 2.0}  # a


class SelfBound(Theorem):
    """A small loss is a flat loss."""

    statement = "λ₁(∇²L) ≤ R²L for σ, ≤ 2R²L for softmax, R = max ‖x_n‖"
    source = "Wu, Bartlett, Telgarsky & Yu, COLT 2024"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)
        yield no_ridge(setting)

    def measure(self, step: Step) -> Mapping[str, float]:
        found, R2 = hessian(step.full, step.theta), step.full.longest_row**2
        value = step.value if step.problem is step.full else step.full.value(step.theta)
        own = value_bound(step.full, step.theta) + gamma(step.full.shape[0] + 4, value.dtype) * float(value)
        return {
            "lambda_1": float(found.values[0]),
            "bound": R2 * float(value),
            "lambda_rounding": found.radius,
            "bound_rounding": R2 * own,
        }

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        (t, lambda_1), (_, bound), (_, radius), (_, own) = (
            trail.column(quantity) for quantity in ("lambda_1", "bound", "lambda_rounding", "bound_rounding")
        )
        a = FACTOR[trail.setting.loss]
        yield at_most("λ₁ over aR²L", over(lambda_1 - radius, a * (bound + own)), 1.0, t, "of it")

    def picture(self, trail: Trail) -> str:
        (t, lambda_1), (_, bound) = trail.column("lambda_1"), trail.column("bound")
        a = FACTOR[trail.setting.loss]
        curves = (Curve(f"{a:g}·R²L", t + 1, a * bound, "dashed"), Curve("λ₁", t + 1, lambda_1))
        return chart("Curvature below the loss", Axis("step + 1", log=True), Axis("λ₁", log=True), curves)

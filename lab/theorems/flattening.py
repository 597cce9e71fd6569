"""Separable rows flatten the loss.   L(θ_t) along gradient descent on separable rows, no ridge.

Statement   L(θ_t) falls as 1/t, and λ₁(∇²L(θ_t)) with it: on logarithmic axes both have the slope −1 in the limit.
Source      Soudry, Hoffer, Nacson, Gunasekar & Srebro, JMLR 19 (2018), Theorem 5 (the loss); Wu, Braverman & Lee,
            NeurIPS (2023), for any lr of σ. λ₁ between two multiples of L: self_bound, and below.
Conditions  A plain σ or softmax of a linear model, no ridge, full batch, plain gradient descent, separable rows; for
            softmax lr < 2/B (see monotone_descent).
Quantity    L and λ₁ at steps that are equally far apart in log t.
Prediction  The limit of d log L/d log t is −1, and that of d log λ₁/d log t too, fitted from step √T on (T the last).
Proof idea  θ_t = ŵ log t + O(1), ŵ the maximum-margin vector: support vectors have logits log t + O(1), so ℓ ≈ e^{−z} =
            Θ(1/t), and the others vanish faster. h ≈ ℓ for a row that is nearly certain, so ∇²L ≈ (1/N) Σ ℓ_n x_n x_nᵀ
            over support vectors, which is Θ(1/t) too.
"""

from collections.abc import Iterator, Mapping

from lab import rate
from lab.evidence import Evidence
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.theorem import Condition, Setting, Theorem, Trail
from lab.theorems import _sparse
from lab.theorems._conditions import gradient_descent, no_ridge, plain_loss
from lab.theorems._separable import separable
from lab.theorems._spectra import hessian
from lab.theorems.monotone_descent import short_for_softmax

WIDEST = 0.15  # the half-width of an interval that still tells a slope of −1 from one of −0.85


class Flattening(Theorem):
    """On separable rows loss and curvature go to 0 together, as 1/t."""

    statement = "on separable rows the loss falls as 1/t, and log λ₁ against log t has the slope −1 in the limit"
    source = "Soudry et al., JMLR 19 (2018), Theorem 5"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)
        yield no_ridge(setting)
        yield from gradient_descent(setting)
        yield from short_for_softmax(setting)
        yield separable(setting)

    def measure(self, step: Step) -> Mapping[str, float]:
        if not _sparse.due(step):
            return {}
        return {"loss": float(step.value), "lambda_1": float(hessian(step.full, step.theta).values[0])}

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        waits = _sparse.not_begun(*trail.column("loss"))
        if waits is not None:
            yield waits
            return
        for what, quantity in (("log L", "loss"), ("log λ₁", "lambda_1")):
            t, values = trail.column(quantity)
            slope = rate.limit(t, values.log(), float(t[-1]) ** 0.5)
            yield rate.judged(f"{what} against log t", slope, -1.0, WIDEST, doubt=WIDEST)

    def picture(self, trail: Trail) -> str:
        (t, loss), (_, lambda_1) = trail.column("loss"), trail.column("lambda_1")
        due = loss[-1] * t[-1] / t if len(t) else loss
        curves = (Curve("loss", t, loss), Curve("λ₁", t, lambda_1), Curve("1/t", t, due, "dashed"))
        return chart("Loss and curvature of separable rows", Axis("step", log=True), Axis("value", log=True), curves)

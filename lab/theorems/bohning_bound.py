"""Böhning's bound on curvature.   z = Xθ, K outputs, mean loss L over N rows, ridge ρ ≥ 0.

Statement   λ₁(∇²L(θ)) ≤ c λ₁(XᵀX)/N + ρ at every θ, c = 1/4 for σ and 1/2 for softmax; for σ without ridge the two are
            equal at θ = 0.
Source      Böhning, Ann. Inst. Statist. Math. 44 (1992) 197–200, Theorem 3.1; Böhning & Lindsay, 40 (1988) 641–663.
Conditions  A plain σ or softmax of a linear model.
Quantity    λ₁ at every step, and its ceiling.
Prediction  λ₁ ≤ ceiling at every step, to the rounding of both; at a start from 0 with σ they are one number.
Proof idea  h ⪯ c I for every row: σ(z)σ(−z) ≤ 1/4, with equality at z = 0; and diag p − ppᵀ ⪯ ½(I − 11ᵀ/K), as the
            variance of a number in [a, b] is at most (b − a)²/4, and (b − a)² ≤ 2 Σ(u_k − ū)². So
            ∇²L = (1/N) Σ (x xᵀ) ⊗ h ⪯ c XᵀX/N ⊗ I + ρ diag m.
"""

from collections.abc import Iterator, Mapping

import torch

from lab.evidence import Evidence
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.theorem import Condition, Setting, Theorem, Trail, at_most, over
from lab.theorems._conditions import CEILING, plain_loss
from lab.theorems._spectra import hessian, steepest


class BohningBound(Theorem):
    """λ₁ never exceeds what the data alone allow."""

    statement = "λ₁(∇²L) ≤ λ₁(XᵀX)/4N for σ, with equality at θ = 0; ≤ λ₁(XᵀX)/2N for softmax"
    source = "Böhning, Ann. Inst. Statist. Math. 44 (1992)"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)

    def measure(self, step: Step) -> Mapping[str, float]:
        found, (size, radius) = hessian(step.full, step.theta), steepest(step.full, step.memory)
        return {"lambda_1": float(found.values[0]), "gram": size, "rounding": found.radius + radius}

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        t, lambda_1, ceiling, rounding = self._series(trail)
        yield at_most("λ₁ over its ceiling", over(lambda_1 - rounding, ceiling), 1.0, t, "of it")
        setting = trail.setting
        if setting.loss == "sigmoid" and not setting.start.any() and not setting.problem.ridge and len(t) and t[0] == 0:
            gap = over((lambda_1 - ceiling).abs(), rounding)
            yield at_most("equality at θ = 0", gap[:1], 1.0, t[:1], "of what rounding allows apart")

    def picture(self, trail: Trail) -> str:
        t, lambda_1, ceiling, _ = self._series(trail)
        curves = (Curve("ceiling", t, ceiling, "dashed"), Curve("λ₁", t, lambda_1))
        return chart("Curvature below its ceiling (Böhning 1992)", Axis("step"), Axis("λ₁", log=True), curves)

    def _series(self, trail: Trail) -> tuple[torch.Tensor, ...]:
        (t, lambda_1), (_, size), (_, rounding) = (trail.column(q) for q in ("lambda_1", "gram", "rounding"))
        return t, lambda_1, CEILING[trail.setting.loss] * size + trail.setting.problem.ridge, rounding

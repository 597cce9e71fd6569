"""Softmax's spectrum at θ = 0.   z = Xθ, K classes, N rows, no ridge.

Statement   At θ = 0 the eigenvalues of ∇²L are those of XᵀX/(NK), each K − 1 times, and 0 another D times.
Source      Böhning, Ann. Inst. Statist. Math. 44 (1992), §3, for the Kronecker form.
Conditions  A plain softmax of a linear model, no ridge, training that starts at θ = 0.
Quantity    All D·K eigenvalues at step 0, against the D of XᵀX/(NK).
Prediction  The two lists agree to rounding.
Proof idea  All p are 1/K, so every row has the one logit Hessian (1/K)(I − 11ᵀ/K), a projector over K of rank K − 1,
            and ∇²L = XᵀX/N ⊗ (1/K)(I − 11ᵀ/K). The eigenvalues of a Kronecker product are the products.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lab.evidence import Evidence
from lab.probe import Step
from lab.problem import Problem
from lab.report.chart import Axis, Curve, chart
from lab.theorem import Condition, Setting, Theorem, Trail, at_most, over
from lab.theorems._conditions import no_ridge, plain_loss, zero_start
from lab.theorems._spectra import gram, hessian


class ZeroStart(Theorem):
    """At a zero start softmax's eigenvalues come in groups of K − 1."""

    statement = "at θ = 0 softmax's eigenvalues are those of XᵀX/(NK), each K − 1 times"
    source = "Böhning, Ann. Inst. Statist. Math. 44 (1992), §3"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting, "softmax")
        yield no_ridge(setting)
        yield zero_start(setting)

    def measure(self, step: Step) -> Mapping[str, float]:
        if step.t:
            return {}
        found, (due, radius) = hessian(step.full, step.theta), _due(step.full)
        return {"apart": float((found.values - due).abs().max()), "rounding": found.radius + radius}

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        (t, apart), (_, rounding) = trail.column("apart"), trail.column("rounding")
        yield at_most("eigenvalues apart from XᵀX/(NK)'s", over(apart, rounding), 1.0, t, "of what rounding allows")

    def picture(self, trail: Trail) -> str:
        problem, setting = trail.setting.problem, trail.setting
        due = _due(problem)[0]
        first, last = hessian(problem, setting.start).values, hessian(problem, trail.theta).values
        i = torch.arange(1, len(due) + 1)
        top = due > due[0] * 1e-6
        curves = (
            Curve("of XᵀX/(NK), K − 1 times", i[top], due[top], "dashed"),
            Curve("at the start", i[top], first[top], "dots"),
            Curve("at the end", i[top], last[top], "dots"),
        )
        title = f"Eigenvalues in groups of K − 1 = {problem.shape[1] - 1}, and what training makes of them"
        return chart(title, Axis("number, largest first"), Axis("eigenvalue", log=True), curves)


def _due(problem: Problem) -> tuple[Tensor, float]:
    """The eigenvalues that are due, (D·K,), largest first, and their radius."""
    D, K = problem.shape
    found = gram(problem)
    repeated = (found.values / K).repeat_interleave(K - 1)
    return torch.cat([repeated, repeated.new_zeros(D)]).sort(descending=True)[0], found.radius / K

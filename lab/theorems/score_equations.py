"""At a maximum of the likelihood.   ℓ = −log p(y | x; θ), z = Xθ with an intercept, N rows, no ridge.

Statement   At the maximum Σ_n p_nk = Σ_n y_nk for every class k: the model's mean is the data's (the score equations of
            the intercept). The observed information, N∇²L, is the expected one, the Fisher information
            Σ_n E_{y ~ p_n}[∇ℓ ∇ℓᵀ], at every θ, the maximum among them.
Source      McCullagh & Nelder, Generalized Linear Models, 2nd ed. (1989), §2.5 and §4.4; Efron & Hinkley, Biometrika 65
            (1978).
Conditions  A plain softmax, or a plain σ with one logit, of a linear model; an intercept; no ridge; rows that overlap,
            so that a maximum exists.
Quantity    Where training ended: ∇L in units of its rounding, Σp − Σy, and F − ∇²L, F summed over the labels that each
            row could have had.
Prediction  Where ∇L vanishes to rounding, so does Σp − Σy. F = ∇²L, to the rounding of both.
Proof idea  ∂L/∂(intercept of k) = (1/N) Σ (p_nk − y_nk), which is 0 at the maximum. With canonical links ∇ℓ = (p − e_y)
            ⊗ x, and E(p − e_y)(p − e_y)ᵀ = diag p − ppᵀ is the logit Hessian, in which y does not occur.
            p is had here as e^{−ℓ}, from the values of the loss alone, and F from its gradients: neither uses the
            Hessian.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.evidence import Evidence, untold
from lab.problem import Problem
from lab.report.chart import Axis, Curve, chart
from lab.rounding import gamma, gradient_bound, hessian_bound
from lab.theorem import Condition, Setting, Theorem, Trail, at_most
from lab.theorems._conditions import no_ridge, plain_loss
from lab.theorems._separable import has_minimum


class ScoreEquations(Theorem):
    """A maximum of the likelihood gets every class's total right, and its curvature is Fisher's information."""

    statement = "at the maximum of the likelihood Σp = Σy, and ∇²L is the Fisher information"
    source = "McCullagh & Nelder, Generalized Linear Models (1989), §2.5; Efron & Hinkley (1978)"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)
        yield one_label(setting)
        yield no_ridge(setting)
        yield Condition("an intercept", bool(setting.data.get("intercept")))
        yield has_minimum(setting)

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        problem, theta = trail.setting.problem, trail.theta
        own = gradient_bound(problem, theta)
        g = problem.gradient(theta)
        steps = torch.tensor([trail.rows[-1]["step"]], dtype=torch.float64)
        p, F = likelihood(problem, theta)
        u, H = torch.finfo(theta.dtype).eps, problem.hessian(theta)
        size = 3 * hessian_bound(problem, theta) + gamma(problem.N + 8, theta.dtype) * F.abs()
        apart = ((F - H).abs() / size).max()
        yield at_most("Fisher information from ∇²L", apart[None], 1.0, steps, "of what rounding allows")
        excess = float((g.abs() / (2 * own)).max())
        if not excess <= 1:
            yield untold("Σp − Σy", f"training ended off the maximum, ∇L is {excess:.2g} times its rounding")
            return
        y = torch.stack(
            [(_labels(problem, c) == problem.y).reshape(problem.N, -1).all(dim=1) for c in range(len(p.T))], 1
        )
        left = (p.sum(dim=0) - y.to(p).sum(dim=0)).abs()
        # One softmax logit each, or σ's one: both classes' sums then are off by the same.
        own_sum = problem.N * 4 * own[-1] + (gamma(problem.N, theta.dtype) + 64 * u) * p.sum(dim=0)
        ratio = (left / own_sum).max()
        yield at_most("Σp − Σy", ratio[None], 1.0, steps, f"of what rounding allows ({float(left.max()):.2g})")

    def picture(self, trail: Trail) -> str:
        problem = trail.setting.problem
        _, F = likelihood(problem, trail.theta)
        H = problem.hessian(trail.theta)
        curves = (
            Curve(
                "Fisher information",
                range(1, len(F) + 1),
                torch.linalg.eigvalsh(F.double()).flip(0).clamp(min=0),
                "dots",
            ),
            Curve("Hessian", range(1, len(H) + 1), torch.linalg.eigvalsh(H.double()).flip(0).clamp(min=0), "dashed"),
        )
        return chart("Fisher's information is the Hessian", Axis("number"), Axis("eigenvalue", log=True), curves)


def one_label(setting: Setting) -> Condition:
    """Each row has one label out of a few: softmax, or σ with one logit."""
    K = setting.problem.shape[1]
    return Condition("one label a row", setting.loss == "softmax" or K == 1, f"{setting.loss}, K = {K}")


def likelihood(problem: Problem, theta: Tensor) -> tuple[Tensor, Tensor]:
    """p (N, C), the probability of each label as e^{−ℓ}, and F (D·K, D·K), the mean of E[∇ℓ∇ℓᵀ] over rows."""
    (D, K), C = problem.shape, max(problem.shape[1], 2)
    z, X = problem.model.forward(problem.X, theta), problem.X
    p = torch.stack([(-problem.loss.value(z, _labels(problem, c))).exp() for c in range(C)], dim=1)
    F = theta.new_zeros(D * K, D * K)
    for c in range(C):
        g = problem.loss.gradient(z, _labels(problem, c))
        rows = (X[:, :, None] * g[:, None, :]).reshape(len(X), D * K)
        F += rows.T @ (p[:, c, None] * rows)
    return p, F / problem.divisor


def _labels(problem: Problem, c: int) -> Tensor:
    """Targets that give every row the label c."""
    labels = torch.full((problem.N,), c, dtype=torch.int64, device=problem.X.device)
    return problem.loss.encode(labels, max(problem.shape[1], 2), problem.X.dtype)

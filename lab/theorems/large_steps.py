"""Steps too long for the curvature, on separable rows.   σ, K = 1, R = max ‖x_n‖, margin γ > 0, N rows, θ₀ = 0, η = lr.

Statement   With η > 2/λ₁(∇²L(θ₀)) gradient descent on the second-order model of L at θ₀ diverges. On L itself it does
            not: the loss may rise and fall, but by a step τ = O(η) it has come below min(1/(ηR²), log 2/N), from where
            on it falls at every step, and L_{s+k} ≤ 8/(γ²ηk).
Source      Wu, Braverman & Lee, NeurIPS (2023); Wu, Bartlett, Telgarsky & Yu, COLT (2024), PMLR 247:5019–5073: the
            non-monotone phase ends within O(η) steps, then Õ(1/(ηt)). The constants here are those of the proof below.
Conditions  A plain σ of a linear model, one logit, no ridge, full batch, plain gradient descent from θ = 0, separable
            rows, η λ₁(θ₀) > 2.
Quantity    L at every step; the value of the second-order model at the iterates of gradient descent on it; γ from
            scikit-learn's support-vector machine.
Prediction  The first s with L_s ≤ min(1/(ηR²), log 2/N) is at most τ, the least t with
            (R²/γ² + √(0.557 t/η)/γ)/t ≤ ½ min(1/(ηR²), log 2/N). No rise after s, to rounding, and L_{s+k} γ²ηk/8 ≤ 1.
            The model's value, L₀ + Σ a_i ((1 − ηλ_i)^2t − 1) with a_i = (u_iᵀ∇L)²/2λ_i, comes to be above L₀ and
            grows from there on; where ∇L has no part in the bent directions with ηλ > 2, it never does.
Proof idea  With G = (1/N) Σ σ(−z_n), z_n = ±x_nᵀθ: ûᵀθ_t ≥ ηγ Σ_{s<t} G_s, and ‖θ_t‖² ≤ 2·0.2785 ηt + η²R² Σ_{s<t} G_s,
            as z/(1 + e^z) ≤ 0.2785 and ‖∇L‖ ≤ RG, G ≤ 1. By Cauchy–Schwarz Σ G ≤ R²/γ² + √(0.557 t/η)/γ, so some G_s is
            below the t-th part. G < 1/(2N) puts every row on its right side, where ℓ ≤ 2σ(−z): L ≤ 2G.
            From there on λ₁ ≤ R²L ≤ 1/η along the step (see self_bound), so L falls by η‖∇L‖²/2 at least, and
            ‖∇L‖ ≥ γG ≥ γL/2 gives 1/L_{t+1} ≥ 1/L_t + ηγ²/8.
"""

import math
from collections.abc import Iterator, Mapping

import torch

from lab.evidence import Evidence, untold
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.rounding import value_bound
from lab.theorem import Condition, Setting, Theorem, Trail, at_most
from lab.theorems._conditions import binary, gradient_descent, no_ridge, plain_loss, zero_start
from lab.theorems._separable import max_margin, separable
from lab.theorems._spectra import hessian

TOO_FAR = 1e12  # where the second-order model's value is no longer followed


class LargeSteps(Theorem):
    """Where a quadratic would diverge, the loss of separable rows oscillates, and then falls for good."""

    statement = "for lr > 2/λ₁ on separable rows the loss oscillates for O(lr) steps at most, then falls as 1/(lr·t)"
    source = "Wu, Bartlett, Telgarsky & Yu, COLT 2024"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting, "sigmoid")
        yield binary(setting)
        yield no_ridge(setting)
        yield from gradient_descent(setting)
        yield zero_start(setting)
        yield separable(setting)
        product = setting.lr * float(hessian(setting.problem, setting.start).values[0])
        yield Condition("lr above 2/λ₁ at the start", product > 2, f"lr·λ₁ = {product:.4g}")

    def measure(self, step: Step) -> Mapping[str, float]:
        memory, lr = step.memory, step.lr or 0.0
        if "move" not in memory:
            H = step.full.hessian(step.theta)
            memory.update(
                H=H, g=step.gradient.reshape(-1), move=torch.zeros(len(H), dtype=H.dtype), L=float(step.value)
            )
        H, g, move = (memory[key].to(step.theta) for key in ("H", "g", "move"))
        model = float(memory["L"] + g @ move + move @ H @ move / 2)
        found = {"loss": float(step.value), "rounding": value_bound(step.full, step.theta)}
        if model < TOO_FAR:
            memory["move"] = move - lr * (g + H @ move)
            found["model"] = model
        return found

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        (t, loss), (_, own), (told, model) = (trail.column(q) for q in ("loss", "rounding", "model"))
        setting = trail.setting
        grown, what = float(model[-1] / model[0]), "the second-order model at the start"
        detail = f"{grown:.2g} times the start's loss after {int(told[-1])} steps"
        if model_above(setting, float(told[-1])):
            yield Evidence(what, grown, 1.0, math.inf, detail)
        else:
            yield untold(what, f"{detail}, which are too few for it to grow")
        margin, R2 = max_margin(setting.problem, setting.loss).lower, setting.problem.longest_row**2
        lr, low = setting.lr, threshold(setting, R2)
        tau = last_rise(R2, margin, lr, low)
        settled = torch.nonzero(loss <= low)
        rises = t[1:][loss.diff() > own[1:] + own[:-1]]
        if not len(settled):
            if float(t[-1]) < tau:
                yield untold("the loss settles", f"it has not, in {int(t[-1])} steps; it must within {tau}")
            else:
                yield Evidence("the loss settles", float(t[-1]), 0.0, tau, f"not in {int(t[-1])} steps, due by {tau}")
            return
        s = int(settled[0])
        what = f"{len(rises)} rises, the last at step {int(rises[-1]) if len(rises) else 0}"
        yield Evidence("the loss settles", float(t[s]), 0.0, tau, f"at step {int(t[s])}, due by {tau} ({what})")
        yield at_most(
            "rises from there on", loss[s:].diff() / (own[s + 1 :] + own[s:-1]), 1.0, t[s + 1 :], "of rounding"
        )
        rate = loss[s + 1 :] * margin**2 * lr * (t[s + 1 :] - t[s]) / 8
        yield at_most("L over 8/(γ²·lr·k)", rate, 1.0, t[s + 1 :], "of it")

    def picture(self, trail: Trail) -> str:
        (t, loss), (told, model) = trail.column("loss"), trail.column("model")
        curves = [
            Curve("loss", t + 1, loss),
            Curve("gradient descent on its quadratic model", told + 1, model, "dashed"),
        ]
        margin, R2 = max_margin(trail.setting.problem, trail.setting.loss).lower, trail.setting.problem.longest_row**2
        settled = torch.nonzero(loss <= threshold(trail.setting, R2))
        if len(settled):
            s = int(settled[0])
            bound = 8 / (margin**2 * trail.setting.lr * (t[s + 1 :] - t[s]))
            curves.append(Curve("8/(γ²·lr·k), k steps after it settled", t[s + 1 :] + 1, bound, "dashed"))
        title = f"Too long for the curvature, and all is well (lr = {trail.setting.lr:g})"
        return chart(title, Axis("step + 1", log=True), Axis("loss", log=True), curves)


def threshold(setting: Setting, R2: float) -> float:
    """min(1/(ηR²), log 2/N), below which the loss falls for good."""
    return min(1 / (setting.lr * R2), math.log(2) / setting.problem.N)


def model_above(setting: Setting, t: float) -> bool:
    """Whether Σ a_i ((1 − ηλ_i)^2t − 1) > 0: convex in t and 0 at 0, it stays above once it is."""
    problem, theta = setting.problem, setting.start
    found = hessian(problem, theta, vectors=True)
    assert found.vectors is not None
    along = found.vectors.T @ problem.gradient(theta).reshape(-1)
    bent = found.values > found.radius  # elsewhere the gradient is 0 too: it lies in the Hessian's range
    shares = along[bent].square() / (2 * found.values[bent])
    growth = (1 - setting.lr * found.values[bent]).abs().pow(2 * t) - 1
    return bool((shares * growth).sum() > 0)


def last_rise(R2: float, margin: float, lr: float, low: float) -> int:
    """τ, by doubling and bisection: its left side falls with t."""

    def met(t: int) -> bool:
        return (R2 / margin**2 + math.sqrt(0.557 * t / lr) / margin) / t <= low / 2

    high = 1
    while not met(high):
        high *= 2
    bottom = high // 2
    while high - bottom > 1:
        middle = (high + bottom) // 2
        bottom, high = (bottom, middle) if met(middle) else (middle, high)
    return high

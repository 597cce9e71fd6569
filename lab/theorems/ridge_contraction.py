"""What a ridge buys.   L + (ρ/2)‖θ‖² with every entry of θ held, λ₁ … the eigenvalues of its Hessian, κ = λ₁/ρ.

Statement   All eigenvalues are at least ρ, everywhere. Gradient descent with lr = 2/(λ₁ + ρ), λ₁ at the optimum θ*,
            contracts there: ‖θ_{t+1} − θ*‖ ≈ (κ − 1)/(κ + 1) ‖θ_t − θ*‖, the least factor that any constant lr can
            promise of eigenvalues in [ρ, λ₁].
Source      Polyak, Introduction to Optimization (1987), §1.4; Nesterov, Lectures on Convex Optimization (2018), §2.1.5.
Conditions  A plain σ or softmax of a linear model, full batch, plain gradient descent, a ridge on every row of θ
            (ridge_intercept), and an lr that is 2/(λ₁ + ρ) to four digits.
Quantity    λ_min at every step; e_t = ‖θ_t − θ*‖, θ* found by Newton's method; δ_t, the largest drift of a row's logits
            between θ_t and θ*.
Prediction  λ_min ≥ ρ, to rounding. e_{t+1} ≤ q(δ_t) e_t at every step, to rounding, where q(δ) = max |1 − lr λ| over λ
            in [e^{−δ}λ_min*, e^δ λ₁*]. The slope of log e_t against t is log((κ − 1)/(κ + 1)) over the window where δ ≤
            1/100.
Proof idea  ∇²(L + ρ/2‖θ‖²) = ∇²L + ρI, and ∇²L ⪰ 0. θ_{t+1} − θ* = (I − lr H̄)(θ_t − θ*), H̄ the mean Hessian between
            the two, which self-concordance holds within e^{±δ} of that at θ*. At lr = 2/(λ₁ + ρ) the ends of [ρ, λ₁]
            both have |1 − lr λ| = (κ − 1)/(κ + 1). In the window the slope may be off by log(q(1/100)/q(0)).
"""

import math
from collections.abc import Iterator, Mapping

import torch

from lab import rate
from lab.evidence import Evidence, untold
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.rounding import gradient_bound
from lab.theorem import Condition, Setting, Theorem, Trail, at_most
from lab.theorems._conditions import gradient_descent, plain_loss
from lab.theorems._optimum import optimum
from lab.theorems._spectra import hessian

NEAR = 0.01  # δ: what is near the optimum, where the Hessian is that of θ* to one part in a hundred
CLEAR = 1e3  # how far above rounding a distance is, whose logarithm is fitted


class RidgeContraction(Theorem):
    """A ridge lifts every eigenvalue, and with the best step the slowest two directions contract alike."""

    statement = "all eigenvalues ≥ ρ; gradient descent at lr = 2/(λ₁ + ρ) contracts at (κ − 1)/(κ + 1) near the optimum"
    source = "Polyak, Introduction to Optimization (1987), §1.4"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        problem = setting.problem
        yield plain_loss(setting)
        yield from gradient_descent(setting)
        held = bool((problem.mask == 1).all())
        yield Condition("a ridge on every entry of θ", problem.ridge > 0 and held, f"ρ = {problem.ridge:g}")
        best = 2 / (_largest(setting) + problem.ridge)
        yield Condition("lr = 2/(λ₁ + ρ)", abs(setting.lr / best - 1) < 5e-5, f"{best:.6g} would be")

    def measure(self, step: Step) -> Mapping[str, float]:
        memory, problem, theta = step.memory, step.full, step.theta
        if "optimum" not in memory:
            found = optimum(problem, theta)
            memory.update(optimum=theta if found is None else found.theta, error=math.inf if not found else found.error)
        e, here = theta - memory["optimum"].to(theta), hessian(problem, theta)
        u, lr = torch.finfo(theta.dtype).eps / 2, step.lr or 0.0
        own = lr * float(gradient_bound(problem, theta).norm()) + 2 * u * float(
            theta.norm() + lr * step.gradient.norm()
        )
        return {
            "smallest": float(here.values[-1]),
            "radius": here.radius,
            "distance": float(e.norm()),
            "drift": float(problem.loss.drift(problem.model.forward(problem.X, e)).max()),
            "rounding": own + 2 * float(memory["error"]),
        }

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        names = ("smallest", "radius", "distance", "drift", "rounding")
        columns = [trail.column(name) for name in names]
        t, (smallest, radius, e, drift, own) = columns[0][0], (values for _, values in columns)
        lr, ridge = trail.setting.lr, trail.setting.problem.ridge
        yield at_most("ρ − λ_min", (ridge - smallest) / radius, 1.0, t, "of what rounding allows")
        found = optimum(trail.setting.problem, trail.setting.start)
        if found is None:
            yield untold("the optimum", "Newton's method did not reach it")
            return
        low, high = float(found.spectrum.values[-1]), float(found.spectrum.values[0])
        q = torch.maximum(1 - lr * low * torch.exp(-drift), lr * high * torch.exp(drift) - 1)
        yield at_most("e over its bound", e[1:] / (q * e + own)[:-1], 1.0, t[1:], "of it")
        kappa = high / ridge
        due = math.log((kappa - 1) / (kappa + 1))
        near = (drift <= NEAR) & (e > CLEAR * own)
        slack = max(math.log(float(q[near].max())) - due, 0.0) if bool(near.any()) else 0.0
        slope = rate.line(t[near], e[near].log())
        yield rate.contraction("log ‖θ − θ*‖ against t", slope, due, abs(due) / 4, slack)

    def picture(self, trail: Trail) -> str:
        (t, e), (_, own) = trail.column("distance"), trail.column("rounding")
        kappa = _largest(trail.setting) / trail.setting.problem.ridge
        middle = len(t) // 2
        line = e[middle] * ((kappa - 1) / (kappa + 1)) ** (t - t[middle]) if len(t) else e
        line = torch.where(line > own / 1e4, line, math.nan)  # below rounding it has nothing to be held against
        curves = (
            Curve("‖θ − θ*‖", t, e),
            Curve(f"((κ − 1)/(κ + 1))ᵗ, κ = {kappa:.3g}", t, line, "dashed"),
            Curve("rounding", t, own),
        )
        return chart("Contraction at the best constant step", Axis("step"), Axis("distance", log=True), curves)


def _largest(setting: Setting) -> float:
    """λ₁ at the optimum; nan where it was not found."""
    found = optimum(setting.problem, setting.start)
    return math.nan if found is None else float(found.spectrum.values[0])

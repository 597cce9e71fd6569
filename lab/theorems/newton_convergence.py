"""Newton's method near the optimum.   Δ = −H⁻¹g, λ = √(gᵀH⁻¹g), δ the largest drift of a row's logits along Δ.

Statement   Near the optimum λ₊ ≤ C λ²: convergence is quadratic. At every step, near or not,
            e^{−δ}H(θ) ⪯ H(θ + Δ) ⪯ e^δ H(θ), and L(θ + Δ) − L(θ) − gᵀΔ lies between q(e^{−δ} + δ − 1)/δ² and
            q(e^δ − δ − 1)/δ², q = ΔᵀHΔ: the self-concordant envelope.
Source      Bach, Electron. J. Statist. 4 (2010), prop. 1; Boyd & Vandenberghe, Convex Optimization (2004), §9.5–9.6.
Conditions  A plain σ or softmax of a linear model, full batch, the optimizer newton without damping.
Quantity    λ, δ, and at each step the generalised eigenvalues μ of (H(θ₊), H(θ)) on H's range; the fall of L.
Prediction  |log μ| ≤ δ, and the fall within its two bounds, to rounding. log λ₊ against log λ has slope 2 over the
            whole steps with δ ≤ 1 whose λ₊ stands clear above rounding; as C is that of each step's direction, which
            turns, log λ₊ may be off by TURN, and the slope by that over the range of log λ.
Proof idea  f(t) = uᵀH(θ + tΔ)u has |f′| ≤ δf by self-concordance, so log f moves by at most δ; integrated twice it
            bounds the fall. g₊ = ∫(H(θ + sΔ) − H(θ))Δ ds gives ‖g₊‖_{H⁻¹} ≤ λ(e^δ − 1 − δ)/δ = λδ/2 + …, and δ = O(λ).
            Rounding: the eigenvalues of H₊ and of H in H's own norm are each off by at most their radius over λ_min.
"""

import math
from collections.abc import Iterator, Mapping

import torch

from lab import rate
from lab.evidence import Evidence
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.rounding import gradient_bound, value_bound
from lab.theorem import Condition, Setting, Theorem, Trail, at_most
from lab.theorems._conditions import full_batch, plain_loss
from lab.theorems._spectra import hessian

TURN = 1.0  # of log C from step to step: C = λ₊/λ² is another for each direction, within a factor of e as a rule
CLEAR = 10.0  # how far above its rounding a decrement is, whose logarithm is fitted: that then moves by a tenth


class NewtonConvergence(Theorem):
    """Near the optimum Newton's method doubles the digits at every step."""

    statement = "Newton's method converges with exponent 2 near the optimum, inside the self-concordant envelope"
    source = "Bach, Electron. J. Statist. 4 (2010), prop. 1; Boyd & Vandenberghe (2004), §9.5"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)
        yield full_batch(setting)
        options = setting.optimizer
        met = options["kind"] == "newton" and not options.get("damping") and options.get("lr") == 1
        yield Condition("the optimizer is newton, undamped", met, str(options["kind"]))

    def measure(self, step: Step) -> Mapping[str, float]:
        problem, theta = step.full, step.theta
        here = hessian(problem, theta, vectors=True)
        assert here.vectors is not None
        kept = here.values > here.radius
        A = (here.vectors[:, kept] / here.values[kept].sqrt()).to(theta)  # AᵀHA = I on H's range
        own = A.T.abs() @ gradient_bound(problem, theta).reshape(-1)
        found = {"decrement": float((A.T @ step.gradient.reshape(-1)).norm()), "floor": float(own.norm())}
        if step.after is None or torch.equal(step.after, theta):
            return found
        move = step.after - theta
        delta = float(problem.loss.drift(problem.model.forward(problem.X, move)).max())
        H = problem.hessian(step.after)
        mu = torch.linalg.eigvalsh((A.T @ H @ A).double())
        spread = math.log1p((2 * here.radius + hessian(problem, step.after).radius) / float(here.values[kept][-1]))
        q = float((move * problem.hvp(theta, move)).sum())
        fall = float(problem.value(step.after) - step.value - (step.gradient * move).sum())
        noise = value_bound(problem, theta) + value_bound(problem, step.after)
        noise += float((gradient_bound(problem, theta) * move.abs()).sum())
        return found | {
            "drift": delta,
            "whole": float(abs(math.sqrt(q) / found["decrement"] - 1) < 0.01) if found["decrement"] else 0.0,
            "envelope": float(mu.clamp(min=0).log().abs().max()) / (delta + spread),
            "bend": max(q * _low(delta) - fall, fall - q * _high(delta)) / noise,
        }

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        t, envelope = trail.column("envelope")
        yield at_most("|log μ| over δ", envelope, 1.0, t, "of it")
        t, bend = trail.column("bend")
        yield at_most("the fall outside its bounds", bend, 1.0, t, "of what rounding allows")
        before, after, _ = self._pairs(trail)
        slope = rate.line(before.log(), after.log())
        slack = TURN / (slope.high - slope.low) if slope is not None and slope.high > slope.low else math.inf
        yield rate.judged("log λ₊ against log λ", slope, 2.0, 0.5, "log λ", slack)

    def picture(self, trail: Trail) -> str:
        (t, decrement), (_, floor) = trail.column("decrement"), trail.column("floor")
        curves = (Curve("decrement λ", t, decrement), Curve("rounding", t, floor, "dashed"))
        return chart("Newton's decrement: the digits double", Axis("step"), Axis("λ", log=True), curves)

    def _pairs(self, trail: Trail) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """λ and λ₊ of the whole steps near the optimum, and at which steps."""
        (t, decrement), (_, floor) = trail.column("decrement"), trail.column("floor")
        (moved, drift), (_, whole) = trail.column("drift"), trail.column("whole")
        near = dict(zip(moved.tolist(), ((drift <= 1) & (whole == 1)).tolist(), strict=True))
        fit = [i for i in range(len(t) - 1) if near.get(float(t[i])) and decrement[i + 1] > CLEAR * floor[i + 1]]
        at = torch.tensor(fit, dtype=torch.long)
        return decrement[at], decrement[at + 1], t[at]


def _low(delta: float) -> float:
    """(e^{−δ} + δ − 1)/δ², ½ at 0."""
    return (math.expm1(-delta) + delta) / delta**2 if delta > 1e-4 else 0.5 - delta / 6


def _high(delta: float) -> float:
    """(e^δ − δ − 1)/δ², ½ at 0; the remainders left out of both are on the safe side."""
    return (math.expm1(delta) - delta) / delta**2 if delta > 1e-4 else 0.5 + delta / 6 + delta**2 / 20

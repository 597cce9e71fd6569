"""Gradient descent around the edge of stability.   σ, one logit, rows that overlap; θ* minimises L, λᵢ are the
eigenvalues of ∇²L(θ*), η = lr.

Statement   η < 2/λ₁: θ* attracts what starts near it, at max |1 − ηλᵢ|. η > 2/λ₁: θ* repels, and a cascade of period
            doublings begins: gradient descent ends on a cycle, or on nothing that repeats. In one dimension η ≤ 1/λ₁
            leads to θ* from everywhere; for every η between 1/λ₁ and 2/λ₁ there are rows for which it may end on a
            stable cycle.
Source      Meng, Orvieto, Cao & De Sa, Gradient descent on logistic regression with non-separable data and large step
            sizes (2024), arXiv:2406.05033; for the bifurcation Strogatz, Nonlinear Dynamics and Chaos, §10.4.
Conditions  A plain σ of a linear model, one logit, full batch, plain gradient descent, rows that overlap.
Quantity    ‖θ_t − θ*‖, ‖θ_t − θ_{t−1}‖ and ‖θ_t − θ_{t−2}‖, θ* by Newton's method; the period of the orbit, had by
            going on from where training ended, and the multiplier of the cycle, the largest |eigenvalue| of the product
            of I − η∇²L along it.
Prediction  Over the last half of the run the step over its rounding tells whether it moves. ηλ₁ > 2: it moves, and the
            period is above 1. ηλ₁ < 2: it goes to θ* at the rate given, or, with ηλ₁ > 1 in one dimension, it is on a
            cycle whose multiplier is below 1. ηλ₁ ≤ 1 in one dimension: it goes to θ*.
Proof idea  The map T(θ) = θ − η∇L(θ) has the derivative I − η∇²L, and at ηλ₁ = 2 its eigenvalue passes −1: a flip. A
            cycle attracts what is near where the derivative of T applied around it has all |eigenvalues| below 1.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lab import rate
from lab.evidence import Evidence, untold
from lab.probe import Step
from lab.problem import Problem
from lab.report.chart import Axis, Curve, chart
from lab.rounding import gradient_bound
from lab.theorem import Condition, Setting, Theorem, Trail
from lab.theorems._conditions import binary, gradient_descent, plain_loss
from lab.theorems._optimum import optimum
from lab.theorems._separable import has_minimum

NEAR, CLEAR = 0.01, 1e3  # as in ridge_contraction
LONGEST = 64  # the longest period that is looked for
SETTLE = 2000  # steps to go on by, so that transients are gone
COMES = 0.9  # nearer to the minimum than this share of the least distance before is on the way to it, and no cycle


class PeriodDoubling(Theorem):
    """Past 2/λ₁ the minimum repels, and gradient descent goes round it."""

    statement = "on overlapping rows period doubling starts at lr = 2/λ₁; in one dimension cycles exist from 1/λ₁ on"
    source = "Meng, Orvieto, Cao & De Sa, arXiv:2406.05033 (2024)"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting, "sigmoid")
        yield binary(setting)
        yield from gradient_descent(setting)
        yield has_minimum(setting)

    def measure(self, step: Step) -> Mapping[str, float]:
        memory, problem, theta = step.memory, step.full, step.theta
        if "optimum" not in memory:
            found = optimum(problem, torch.zeros_like(theta))
            memory["optimum"] = torch.full_like(theta, math.nan) if found is None else found.theta
        e, u = theta - memory["optimum"].to(theta), torch.finfo(theta.dtype).eps
        lr = step.lr or 0.0
        found_here = {
            "distance": float(e.norm()),
            "drift": float(problem.loss.drift(problem.model.forward(problem.X, e)).max()),
            "rounding": 2 * lr * float(gradient_bound(problem, theta).norm()) + u * float(theta.norm()),
        }
        for name, key in (("one_step", "before"), ("two_steps", "before_that")):
            if key in memory:
                found_here[name] = float((theta - memory[key].to(theta)).norm())
        memory["before_that"] = memory.get("before", theta).clone()
        memory["before"] = theta.clone()
        return found_here

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        setting, problem = trail.setting, trail.setting.problem
        found = optimum(problem, torch.zeros_like(trail.theta))
        if found is None:
            yield untold("the minimum", "Newton's method did not reach it")
            return
        lr, product = setting.lr, setting.lr * float(found.spectrum.values[0])
        (t, e), (_, drift), (_, own), (moved, one) = (
            trail.column(q) for q in ("distance", "drift", "rounding", "one_step")
        )
        if len(moved) < 8:
            yield untold("the orbit", "the run is too short")
            return
        half = len(moved) // 2
        least = float((one / own[-len(one) :])[half:].min())
        where = f"lr·λ₁ = {product:.4g}"
        moving = f"its steps are at least {least:.2g} times rounding over the last half, {where}"
        if product > 2 and not float(e[0]) > CLEAR * float(own[0]):
            yield untold("the minimum repels", f"training began at it, {where}")
        elif product > 2:
            yield Evidence("the minimum repels", least, CLEAR, math.inf, moving)
            yield _cycle(problem, _orbit(problem, trail.theta, lr), lr)
        elif least > CLEAR and not bool(((drift <= NEAR) & (e > CLEAR * own)).any()):
            orbit = _orbit(problem, trail.theta, lr)
            if min(float((at - found.theta).norm()) for at in orbit) < COMES * float(e[-half:].min()):
                yield untold("the minimum attracts", f"training ended on its way to it, {where}")
                return
            if product <= 1 and trail.theta.numel() == 1:
                yield Evidence("the minimum attracts", least, 0.0, CLEAR, moving)
            yield _cycle(problem, orbit, lr)
        else:
            q = torch.maximum(lr * found.spectrum.values[0] - 1, 1 - lr * found.spectrum.values[-1])
            near = (drift <= NEAR) & (e > CLEAR * own)
            slope = rate.line(t[near], e[near].log())
            due = math.log(float(q))
            slack = lr * float(found.spectrum.values[0]) * math.expm1(NEAR) / float(q)
            yield rate.contraction(f"log ‖θ − θ*‖ against t, {where}", slope, due, abs(due) / 2 + slack, slack)

    def picture(self, trail: Trail) -> str:
        """The bifurcation diagram: where gradient descent from θ₀ ends up, for lr·λ₁ from 1 on.

        Where this run is below 2 it ends there, and shows where a start near θ* leads as well.
        """
        problem, start = trail.setting.problem, trail.setting.start
        found = optimum(problem, torch.zeros_like(start))
        if found is None:
            return ""
        here = trail.setting.lr * float(found.spectrum.values[0])
        products = torch.linspace(1.0, 4.0 if here > 2 else 2.2, 241, dtype=start.dtype)
        lr = products / found.spectrum.values[0].to(start)
        x, y = _ends(problem, start, lr, found.theta)
        curves = [
            Curve("where gradient descent ends, in θ₁ − θ₁*", lr.new_tensor(x) * found.spectrum.values[0], y, "dots")
        ]
        title = "Period doubling starts at lr·λ₁ = 2"
        if here <= 2:
            title = "Where gradient descent ends, before and after lr·λ₁ = 2"
            x, near = _ends(problem, found.theta + 0.01, lr, found.theta)
            curves.append(Curve("from a start near θ*", lr.new_tensor(x) * found.spectrum.values[0], near, "dots"))
        rail = torch.linspace(min(y), max(y) or 1.0, 40)
        curves.append(Curve(f"this run, lr·λ₁ = {here:.3g}", [here] * len(rail), rail, "dashed"))
        return chart(title, Axis("lr·λ₁"), Axis("θ₁ − θ₁*"), curves)


def _orbit(problem: Problem, theta: Tensor, lr: float) -> list[Tensor]:
    """Where gradient descent from θ on is after SETTLE steps, and at LONGEST more."""
    for _ in range(SETTLE):
        theta = theta - lr * problem.gradient(theta)
    orbit = [theta]
    for _ in range(LONGEST):
        orbit.append(orbit[-1] - lr * problem.gradient(orbit[-1]))
    return orbit


def _cycle(problem: Problem, orbit: list[Tensor], lr: float) -> Evidence:
    """Evidence that an orbit is a cycle of a period above 1 that attracts, or no cycle."""
    theta = orbit[0]
    away = torch.stack([(at - theta).norm() for at in orbit[1:]])
    back = torch.nonzero(away <= torch.finfo(theta.dtype).eps ** 0.5 * float(away.max()))
    if not len(back):
        detail = f"none of a period up to {LONGEST}: nothing repeats"
        return Evidence("the orbit's period", math.inf, 2, math.inf, detail)
    period = int(back[0]) + 1
    product = torch.eye(theta.numel(), dtype=theta.dtype)
    for at in orbit[:period]:
        product = (torch.eye(theta.numel(), dtype=theta.dtype) - lr * problem.hessian(at)) @ product
    multiplier = float(torch.linalg.eigvals(product).abs().max())
    detail = f"{period}, with a multiplier of {multiplier:.3g}: {'it attracts' if multiplier < 1 else 'it repels'}"
    return Evidence("the orbit's period", float(period) if multiplier < 1 else 0.0, 2, math.inf, detail)


def _ends(problem: Problem, start: Tensor, lr: Tensor, optimum: Tensor) -> tuple[list[float], list[float]]:
    """Step lengths, and θ₁ − θ₁* at the last 48 of 600 steps from `start` with each."""
    # K = 1, so that every step length can be a column of its own: labels of one problem, each for itself.
    wide = replace(problem, y=problem.y.expand(-1, len(lr)), outputs=len(lr))
    theta = start.expand(-1, len(lr)).clone()
    ends = []
    for t in range(600):
        theta = theta - lr * wide.gradient(theta)
        if t >= 552:
            ends.append((theta - optimum)[0])
    return lr.repeat(len(ends)).tolist(), torch.cat(ends).tolist()

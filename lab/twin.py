"""Lockstep: a second copy of a training run, moved by autograd's gradients alone, and how far the two drift apart.

Two right implementations drift too, by rounding, which training may damp or amplify, and by how much depends on the
optimizer as much as on the loss. So the allowance is measured: a third copy, the shadow, is trained by the hand-derived
gradient with every entry displaced, in a random direction, by all that rounding can do to it (both bounds of
`lab.rounding`: ours and autograd's). So is the Hessian where an optimizer asks for it, on its own range: what rounding
makes of a zero eigenvalue no optimizer uses. And each step rounds: a θ₊ = θ + Δ comes to γ₂|θ₊|, and Δ, of which most
optimizers make no more than sixteen operations, to γ₁₆|Δ|. What the shadow drifts is what rounding can do to this run;
the twin, whose own rounding is mostly far smaller, has parted for another reason when it drifts further.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lab import oracle, spectrum
from lab.loop import Visit, walk
from lab.optimizer import Objective, Stepper
from lab.problem import Problem
from lab.referee import Verdict, compare
from lab.rounding import gamma, gradient_bound, hessian_bound
from lab.seeds import stream
from lab.stability import Stability


@dataclass(frozen=True)
class Jittered:
    """A problem whose derivatives are displaced by their own rounding bounds, with signs drawn for each step."""

    problem: Problem
    seed: int
    t: int

    def value(self, theta: Tensor) -> Tensor:
        """L(θ), as it is."""
        return self.problem.value(theta)

    def value_and_gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """L(θ), and ∇L(θ) with each entry moved up or down by its bound."""
        value, gradient = self.problem.value_and_gradient(theta)
        return value, gradient + _signs(self.seed, "jitter", self.t, theta) * 2 * gradient_bound(self.problem, theta)

    def hessian(self, theta: Tensor) -> Tensor:
        """∇²L(θ), symmetrically moved on its range by twice its bounds."""
        H, bound = self.problem.hessian(theta), hessian_bound(self.problem, theta)
        lower = torch.tril(_signs(self.seed, "jitter of H", self.t, H) * 2 * bound)
        found = spectrum.dense(H, vectors=True)
        assert found.vectors is not None
        V = found.vectors[:, found.values.abs() > found.radius]
        return H + V @ (V.T @ (lower + torch.tril(lower, -1).T) @ V) @ V.T


class Rounding:
    """A stepper whose every step is displaced by what rounding in an optimizer's own operations can come to."""

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper

    @property
    def lr(self) -> float | None:
        return self._stepper.lr

    @property
    def stability(self) -> Stability | None:
        return self._stepper.stability

    def step(self, objective: Objective, theta: Tensor, gradient: Tensor) -> Tensor:
        assert isinstance(objective, Jittered)
        after = self._stepper.step(objective, theta, gradient)
        size = gamma(2, theta.dtype) * after.abs() + gamma(16, theta.dtype) * (after - theta).abs()
        return after + _signs(objective.seed, "jitter of a step", objective.t, theta) * size

    def state_dict(self) -> dict[str, Any]:
        return self._stepper.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._stepper.load_state_dict(state)


def _signs(seed: int, purpose: str, t: int, like: Tensor) -> Tensor:
    """±1, drawn for this purpose and step, in the shape of `like`."""
    return torch.tensor(stream(seed, purpose, t).choice([-1.0, 1.0], like.shape)).to(like)


class Lockstep:
    """The twin and the shadow of a run, to be advanced a step whenever the run is."""

    def __init__(
        self,
        batches: Callable[[int], Problem],
        new_stepper: Callable[[Tensor], Stepper],
        theta: Tensor,
        steps: int,
        seed: int,
        state: Mapping[str, Any] | None = None,
        start: int = 0,
    ) -> None:
        """Begin at θ at step `start`, or where `state`, from a checkpoint, left off."""
        saved = state or {"twin": {"theta": theta}, "shadow": {"theta": theta}, "parted": None}
        self.parted: int | None = saved["parted"]
        self._steppers: dict[str, Stepper] = {"twin": new_stepper(theta), "shadow": Rounding(new_stepper(theta))}
        for name, stepper in self._steppers.items():
            if "optimizer" in saved[name]:
                stepper.load_state_dict(saved[name]["optimizer"])
        thetas = {name: saved[name]["theta"].to(theta).clone() for name in self._steppers}
        self._visits: dict[str, Iterator[Visit]] = {
            "twin": walk(
                lambda t: oracle.Objective(batches(t).reference), self._steppers["twin"], thetas["twin"], start, steps
            ),
            "shadow": walk(
                lambda t: Jittered(batches(t), seed, t),
                self._steppers["shadow"],
                thetas["shadow"],
                start,
                steps,
            ),
        }
        self._ends: dict[str, Visit] = {}

    def advance(self, visit: Visit) -> Mapping[str, float | str | Verdict]:
        """Take the step that the run took and return the drift, the allowance and the verdict on it."""
        # A walk that has ended early, for want of finite numbers, stays where it ended.
        self._ends |= {name: next(walker, self._ends.get(name, visit)) for name, walker in self._visits.items()}
        twin, shadow = self._ends["twin"].theta, self._ends["shadow"].theta
        drift, allowed = (visit.theta - twin).abs().max(), (visit.theta - shadow).abs().max()
        verdict = compare("twin", "theta", visit.theta, twin, allowed.expand_as(twin))
        if not verdict.passed and self.parted is None:
            self.parted = visit.t
        return {"twin/drift": float(drift), "twin/allowed": float(allowed), "check/twin": verdict}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on after the step last advanced."""
        copies = {
            name: {"theta": _goes_on_from(self._ends[name]), "optimizer": stepper.state_dict()}
            for name, stepper in self._steppers.items()
        }
        return {**copies, "parted": self.parted}


def _goes_on_from(visit: Visit) -> Tensor:
    return visit.theta if visit.after is None else visit.after

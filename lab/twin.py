"""Lockstep: a second copy of a training run, moved by autograd's gradients alone, and how far the two drift apart.

Two right implementations drift too, by rounding, which training may damp or amplify, and by how much depends on the
optimizer as much as on the loss. So the allowance is measured: a third copy, the shadow, is trained by the hand-derived
gradient with every entry displaced, in a random direction, by all that rounding can do to it (both bounds of
`lab.rounding`: ours and autograd's). So is the value, and the Hessian, where an optimizer asks for them. And each step
rounds: a θ₊ = θ + Δ comes to u|θ₊|, and Δ, in the few operations that most optimizers make of it
(`optimizer.OPERATIONS`), to γ|Δ|: twice that, as there are two of them. What the shadow drifts is what rounding can do
to this run. It is one draw of many, and of two draws of one size, normal say, one is more than DRAWS times the other in
one case of twelve; the twin's own rounding is mostly far smaller than that size: where it drifts further, it has parted
for another reason.

A solve with the Hessian divides by its eigenvalues, so that those that are zero must be known for it. By hand they come
out zero to the rounding of ‖H‖₂; autograd has p(1 − p) as a difference, whose rounding is u p even where p(1 − p), and
with it ‖H‖₂, is next to nothing: what is left of a zero can then be any number, and a step along it any length. So in
the directions in which L is flat at every θ (`Problem.without_flat`) autograd's Hessian is what it has to be, zero, and
the shadow's is displaced in the others alone, by the bounds and by ε‖H‖, a decomposition's own backward error. Ours is
used as it is: one that is not flat where L is parts. Where an eigenvalue in the others is within the displacement E of
zero, (H + E)⁻¹ is not bounded by any multiple of ‖E‖ (Golub & Van Loan, Matrix Computations, 4th ed., §2.6): how far
that step goes is up to rounding, and of what comes after it nothing can be told.

Some optimizers go by a gradient's sign, or nearly so where it is small (Rprop; Adagrad at first): an entry that is
rounding alone then decides on a whole step. The shadow is displaced past zero wherever rounding reaches that far, so
that it takes the other one. Others decide by comparing (L-BFGS's line search), or are beyond where they are stable, and
what rounding has begun grows to what training itself does. Once what would be allowed is half of the longest step, it
says nothing of who is wrong, and nothing can be told of what comes after.

A shadow that came close at one step may have been far before, and what it left by, say along a flat direction, need not
bring the twin back: so what is allowed is the largest drift of the shadow until then.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lab import oracle
from lab.loop import Visit, walk
from lab.optimizer import OPERATIONS, Objective, Stepper
from lab.problem import Problem
from lab.referee import Verdict, compare
from lab.rounding import gamma, gradient_bound, hessian_bound, value_bound
from lab.seeds import stream
from lab.stability import Stability

DRAWS = 8.0  # how many times further than a draw of what rounding does another one may go


@dataclass(frozen=True)
class Jittered:
    """A problem whose derivatives are displaced by their own rounding bounds, with signs drawn for each step."""

    problem: Problem
    seed: int
    t: int
    on_singular: Callable[[int], None]  # told of t where rounding may make H singular

    def value(self, theta: Tensor) -> Tensor:
        """L(θ), moved up or down by its bound as its last digit says: at two θ of one line search, each for itself."""
        return self._moved(self.problem.value(theta), theta)

    def value_and_gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """L(θ), and ∇L(θ) with each entry moved up or down by its bound, and past zero where that is within it."""
        value, gradient = self.problem.value_and_gradient(theta)
        size = 2 * gradient_bound(self.problem, theta)
        passes = (gradient != 0) & (gradient.abs() <= size)
        signs = torch.where(passes, -gradient.sign(), _signs(self.seed, "jitter", self.t, theta))
        return self._moved(value, theta), gradient.addcmul_(signs, size)  # laid out as it was, on which L-BFGS insists

    def hessian(self, theta: Tensor) -> Tensor:
        """∇²L(θ), symmetrically moved by twice its bounds and a decomposition's error, but not where L is flat."""
        H, bound = self.problem.hessian(theta), hessian_bound(self.problem, theta)
        size = 2 * bound + torch.finfo(H.dtype).eps * H.norm()
        lower = torch.tril(_signs(self.seed, "jitter of H", self.t, H) * size)
        if torch.isfinite(size).all():
            sizes = torch.linalg.eigvalsh(H.double()).abs().sort(descending=True).values[: self.problem.sloped]
            if len(sizes) and sizes[-1] <= torch.linalg.eigvalsh(size.double())[-1]:  # ‖E‖₂ ≤ ‖|E|‖₂
                self.on_singular(self.t)
        return H + self.problem.without_flat(lower + torch.tril(lower, -1).T)

    def _moved(self, value: Tensor, theta: Tensor) -> Tensor:
        size = 2 * value_bound(self.problem, theta)
        return value - size if _last_digit(value) else value + size


@dataclass(frozen=True)
class Truth(oracle.Objective):
    """A problem's reference by autograd, whose Hessian is zero where the problem is flat."""

    problem: Problem

    def hessian(self, theta: Tensor) -> Tensor:
        """∇²L(θ) by autograd, off the directions in which L is flat."""
        return self.problem.without_flat(super().hessian(theta))


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

    @property
    def plain(self) -> float | None:
        return None

    def step(self, objective: Objective, theta: Tensor, gradient: Tensor) -> Tensor:
        assert isinstance(objective, Jittered)
        after = self._stepper.step(objective, theta, gradient)
        unit, own = torch.finfo(theta.dtype).eps / 2, gamma(OPERATIONS, theta.dtype)
        size = unit * after.abs() + own * (after - theta).abs()
        return after + _signs(objective.seed, "jitter of a step", objective.t, theta) * 2 * size

    def state_dict(self) -> dict[str, Any]:
        return self._stepper.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._stepper.load_state_dict(state)


def _last_digit(x: Tensor) -> int:
    """The last binary digit of a number's mantissa; 0 where it is none."""
    digits = 2**53 if x.dtype == torch.float64 else 2**24
    return int(math.frexp(float(x))[0] * digits) % 2 if math.isfinite(x) else 0


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
        self._allowed: float = saved.get("allowed", 0.0)
        self._longest: float = saved.get("longest", 0.0)  # step, in any one entry
        self._singular: int | None = saved.get("singular")
        self._steppers: dict[str, Stepper] = {"twin": new_stepper(theta), "shadow": Rounding(new_stepper(theta))}
        for name, stepper in self._steppers.items():
            if "optimizer" in saved[name]:
                stepper.load_state_dict(saved[name]["optimizer"])
        thetas = {name: saved[name]["theta"].to(theta).clone() for name in self._steppers}
        self._visits: dict[str, Iterator[Visit]] = {
            "twin": walk(
                lambda t: Truth(batches(t).reference, batches(t)), self._steppers["twin"], thetas["twin"], start, steps
            ),
            "shadow": walk(
                lambda t: Jittered(batches(t), seed, t, self._found_singular),
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
        drift, away = float((visit.theta - twin).abs().max()), DRAWS * float((visit.theta - shadow).abs().max())
        readings: dict[str, float | str | Verdict] = {} if math.isnan(drift) else {"twin/drift": drift}
        if math.isinf(self._allowed):
            return readings
        if self._singular is not None and visit.t > self._singular:
            self._allowed = math.inf
            return readings | {"twin/untold": f"at step {self._singular} H is singular but for rounding"}
        if visit.finite and not self._ends["twin"].finite:
            self._allowed = math.inf
            return readings | {"twin/untold": f"autograd's loss is not finite at step {self._ends['twin'].t}"}
        if not math.isfinite(away):
            self._allowed = math.inf
            return readings | {"twin/untold": "what rounding can do to this step is not finite"}
        if away > self._longest / 2 > 0:
            self._allowed = math.inf
            return readings | {"twin/untold": f"rounding alone may move θ by {away:.1g}, which is as much as a step"}
        if visit.after is not None:
            self._longest = max(self._longest, float((visit.after - visit.theta).abs().max()))
        self._allowed = max(self._allowed, away)
        verdict = compare("twin", "theta", visit.theta, twin, torch.full_like(twin, self._allowed))
        if not verdict.passed and self.parted is None:
            self.parted = visit.t
        return readings | {"twin/allowed": self._allowed, "check/twin": verdict}

    def _found_singular(self, t: int) -> None:
        self._singular = t if self._singular is None else self._singular

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on after the step last advanced."""
        copies = {
            name: {"theta": _goes_on_from(self._ends[name]), "optimizer": stepper.state_dict()}
            for name, stepper in self._steppers.items()
        }
        return {
            **copies,
            "parted": self.parted,
            "allowed": self._allowed,
            "longest": self._longest,
            "singular": self._singular,
        }


def _goes_on_from(visit: Visit) -> Tensor:
    return visit.theta if visit.after is None else visit.after

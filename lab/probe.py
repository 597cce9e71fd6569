"""Probe: what is measured of a training step.

A probe reads a step and returns readings; it never moves θ. Its fields are its config keys.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor

from lab.curvature.operator import Curvature
from lab.problem import Problem
from lab.record import Shown
from lab.referee import Verdict
from lab.stability import Stability

Reading = float | int | str | Verdict | Shown


@dataclass(frozen=True)
class Step:
    """One step of training, as probes see it.

    t counts from 0; `problem` is the batch that this step descends on and `full` the whole training set (the same
    object at full batch); θ, value and gradient are where the step starts, and `after` is where it ends: None at the
    end of training, from where no step is taken. `lr` is the optimizer's step length, None where it has none, and
    `stability` the curvature that its steps bear, as far as that is known; `plain` is η where the step from here is
    sure to be θ − η∇L(θ). `memory` is what the probe that looks keeps from step to step, tensors and plain values by
    name: a checkpoint holds it too. `seen` is what the probes of one step found and share; `features` and `classes`
    name θ's rows and columns.
    """

    t: int
    problem: Problem
    full: Problem
    validation: Problem | None
    theta: Tensor
    value: Tensor
    gradient: Tensor
    after: Tensor | None
    lr: float | None
    stability: Stability | None = None
    plain: float | None = None
    seed: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def gradient_norm(self) -> float:
        """‖∇L(θ)‖."""
        if "gradient_norm" not in self.seen:
            self.seen["gradient_norm"] = float(self.gradient.norm())
        found: float = self.seen["gradient_norm"]
        return found

    @property
    def shown(self) -> dict[str, Tensor]:
        """The tensors that training goes on with, by name: a probe reads them."""
        tensors = {"theta": self.theta, "gradient": self.gradient, "problem.X": self.problem.X, "full.X": self.full.X}
        tensors |= {"problem.y": self.problem.y, "full.y": self.full.y}
        return tensors if self.after is None else {**tensors, "after": self.after}

    @property
    def curvature(self) -> Curvature:
        """The Hessian of the whole training set at θ: one object for all probes, so that what is dear is made once."""
        found: Curvature = self.seen.setdefault("curvature", Curvature(self.full, self.theta))
        return found


@dataclass(frozen=True)
class Probe(ABC):
    """Something measured at every `every`-th step, and at the last.

    `stop` ends the run at the first failed verdict among the readings; otherwise the run goes on and is marked.
    """

    every: Annotated[int, Ge(1)] = 1
    """Steps from one measurement to the next; the last step is always one."""
    stop: bool = False
    """End the run at the first check of this probe that fails; without it the run goes on, and is marked."""
    last: ClassVar[bool] = False  # whether it looks at what the others found, in `Step.seen`

    @abstractmethod
    def measure(self, step: Step) -> Mapping[str, Reading]:
        """Return readings by tag; a tag is `group/name`, and a `Verdict` is logged by its ratio."""

    def due(self, step: Step) -> bool:
        """Say whether this step is measured."""
        return step.t % self.every == 0 or step.after is None

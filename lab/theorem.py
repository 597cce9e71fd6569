"""Theorem: a result about these models, held against a run.

How a theorem gets its figures
    A trajectory goes by once, and may be stopped and resumed anywhere. So a theorem does what a probe does: at each
    step `measure` reads the step and returns numbers, which go into metrics.jsonl as theorem/NAME/quantity, exact to
    the bit. What it keeps from step to step lies in the step's `memory`, which checkpoints hold. When the run has
    ended, `evidence` is drawn from the recorded rows, from θ where it ended and from what the run was set up with, and
    from nothing else: what was recorded can be judged again, a resumed run gets the verdict of the whole one, and rows
    that were tampered with are found out. Like a probe a theorem never moves θ, and the training loop does not know
    that there are any.

Conditions or evidence
    A condition is of the setting (data, loss, optimizer, start) and known before the first step. Where one is not met
    the theorem does not apply here, and nothing is measured. What a run did not come to, an optimum or enough decades
    of steps, is no condition: evidence that would need it says that nothing can be told.

Verdict     a condition is not met                              does not apply here
            a piece of evidence lies outside its band           failed
            no evidence, or some from which nothing can be told nothing can be told
            all evidence lies in its band                       held

A band is computed: from the rounding of what is compared where the theorem is exact, from a fit's confidence interval
(`lab.rate`) where it is about a rate.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import torch
from torch import Tensor

from lab.evidence import Evidence, untold
from lab.probe import Step
from lab.problem import Problem


class Outcome(StrEnum):
    """What a run says of a theorem."""

    HELD = "held"
    FAILED = "failed"
    INAPPLICABLE = "does not apply here"
    UNTOLD = "nothing can be told"


@dataclass(frozen=True)
class Setting:
    """What a run is set up with, as far as theorems ask.

    `problem` is the loss on the whole training set, `loss` its kind and `data` the data's block of the config;
    `optimizer` is the config's block with its defaults; `batch_size` None is full batch; `start` is θ₀ (D, K).
    """

    problem: Problem
    start: Tensor
    loss: str
    data: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    batch_size: int | None
    twin: bool

    @property
    def lr(self) -> float:
        """The step length, nan where the optimizer has none."""
        return float(self.optimizer.get("lr", float("nan")))


@dataclass(frozen=True)
class Condition:
    """Something that a theorem supposes of the setting, whether it is so, and the figure that says it."""

    what: str
    met: bool
    figure: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {'yes' if self.met else 'no'}" + (f", {self.figure}" if self.figure else "")


@dataclass(frozen=True)
class Trail:
    """What a run left behind: its setting, the rows of metrics.jsonl, θ where it ended, and whether it diverged."""

    setting: Setting
    name: str
    rows: Sequence[Mapping[str, Any]]
    theta: Tensor
    diverged: bool = False

    def column(self, quantity: str) -> tuple[Tensor, Tensor]:
        """The steps at which the theorem measured a quantity, and its values, (n,) each, in float64."""
        return self.logged(tag(self.name, quantity))

    def logged(self, name: str) -> tuple[Tensor, Tensor]:
        """The steps at which a tag of any probe was logged, and its values."""
        found = [(row["step"], row[name]) for row in self.rows if isinstance(row.get(name), float | int)]
        t, values = zip(*found, strict=True) if found else ((), ())
        return torch.tensor(t, dtype=torch.float64), torch.tensor(values, dtype=torch.float64)


@dataclass(frozen=True)
class Ruling:
    """The verdict on a theorem, and the figures that it rests on."""

    name: str
    outcome: Outcome
    conditions: tuple[Condition, ...]
    evidence: tuple[Evidence, ...]

    @property
    def figures(self) -> str:
        """The figures in words: of what is amiss if something is, else of everything."""
        amiss: list[Condition] | list[Evidence] = [each for each in self.conditions if not each.met]
        if self.outcome in (Outcome.FAILED, Outcome.UNTOLD):
            wanted = False if self.outcome is Outcome.FAILED else None
            amiss = [each for each in self.evidence if each.holds is wanted]
        return "; ".join(str(each) for each in amiss or self.evidence) or "nothing was measured"

    def __str__(self) -> str:
        return f"{self.outcome}: {self.figures}"


class Theorem(ABC):
    """A result with its conditions, named as its file, whose docstring states, cites and proves it."""

    statement: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def conditions(self, setting: Setting) -> Iterator[Condition]:
        """Yield what the theorem supposes; the first that is not met ends it, so what rests on others comes later."""

    def measure(self, step: Step) -> Mapping[str, float]:
        """Return what is to be recorded of a step: numbers by quantity, a word of letters, digits and _."""
        return {}

    @abstractmethod
    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        """Yield what the run says, once it has ended."""

    @abstractmethod
    def picture(self, trail: Trail) -> str:
        """Draw the run as the theorem sees it, a whole SVG; "" where there is nothing to draw."""


def tag(name: str, quantity: str) -> str:
    """Return the tag that a theorem's quantity is recorded under."""
    return f"theorem/{name}/{quantity}"


def supposed(theorem: Theorem, setting: Setting) -> tuple[Condition, ...]:
    """Return the conditions as far as the first that is not met, which later ones may rest on."""
    found: list[Condition] = []
    for condition in theorem.conditions(setting):
        found.append(condition)
        if not condition.met:
            break
    return tuple(found)


def rule(name: str, theorem: Theorem, trail: Trail, conditions: tuple[Condition, ...] | None = None) -> Ruling:
    """Return the verdict on a theorem of this name; `conditions` where they were asked for already."""
    conditions = supposed(theorem, trail.setting) if conditions is None else conditions
    if not all(condition.met for condition in conditions):
        return Ruling(name, Outcome.INAPPLICABLE, conditions, ())
    evidence = tuple(theorem.evidence(trail))
    if trail.diverged:
        evidence = (*evidence, untold("the run", "it ended where the loss is not finite"))
    said = [each.holds for each in evidence]
    outcome = Outcome.FAILED if False in said else Outcome.UNTOLD if None in said or not said else Outcome.HELD
    return Ruling(name, outcome, conditions, evidence)


def over(figures: Tensor, bounds: Tensor) -> Tensor:
    """figures/bounds, each (n,); nothing over a bound of nothing, as on data that are all 0, is 0."""
    return torch.where((figures <= 0) & (bounds == 0), 0.0, figures / bounds)


def at_most(what: str, figures: Tensor, bound: float, t: Tensor, of: str) -> Evidence:
    """Evidence that no figure (n,), measured at steps t, is above the bound; a figure that is nan counts as above.

    `of` completes "at most 0.998 …": what the figure is a multiple of.
    """
    if not len(figures):
        return untold(what, "it was never measured")
    worst = int(figures.nan_to_num(nan=torch.inf).argmax())
    figure = float(figures[worst].nan_to_num(nan=torch.inf))
    steps = f"{len(t)} step{'s' * (len(t) != 1)}"
    detail = f"at most {figure:.6g} {of}, at {steps} (step {int(t[worst])})"
    if figure <= 0:  # a size below 0 would tell nothing, nor where it is
        detail = f"none above 0, at {steps}"
    return Evidence(what, figure, -torch.inf, bound, detail)

"""The training loop. It knows neither who watches it nor where its gradients come from."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from lab.optimizer import Objective, Stepper
from lab.problem import Problem
from lab.seeds import stream


@dataclass(frozen=True)
class Visit:
    """One point of a trajectory: θ_t with value and gradient there, and θ_{t+1} (`after`), None where the walk ends."""

    t: int
    theta: Tensor
    value: Tensor
    gradient: Tensor
    after: Tensor | None

    @property
    def finite(self) -> bool:
        """Whether value and gradient are numbers one can go on from."""
        return math.isfinite(self.value) and bool(torch.isfinite(self.gradient).all())


def walk(
    objective_at: Callable[[int], Objective], stepper: Stepper, theta: Tensor, start: int, steps: int
) -> Iterator[Visit]:
    """Yield the visit of each step t = start, …, steps; the last one takes no step, nor does one that is not finite."""
    for t in range(start, steps + 1):
        objective = objective_at(t)
        value, gradient = objective.value_and_gradient(theta)
        visit = Visit(t, theta, value, gradient, after=None)
        if t == steps or not visit.finite:
            yield visit
            return
        after = stepper.step(objective, theta, gradient)
        yield Visit(t, theta, value, gradient, after)
        theta = after


@dataclass
class Batches:
    """The batch of each step: all rows, or mini-batches in an order drawn afresh for each epoch.

    The order depends on (seed, epoch) alone, so that any step's batch can be had again without the steps before it.
    The last batch of an epoch has what rows remain; a batch's mean is over its own rows, and by their own weights. The
    epoch's order and the last batch are kept: a step's batch is asked for by all who look at that step.
    """

    full: Problem
    batch_size: int | None
    seed: int
    _order: tuple[int, Any] = field(default=(-1, None), init=False, repr=False)
    _last: tuple[int, Problem | None] = field(default=(-1, None), init=False, repr=False)

    def __call__(self, t: int) -> Problem:
        """Return the problem of step t's batch."""
        full, size = self.full, self.batch_size
        if size is None or size >= full.N:
            return full
        known, last = self._last
        if last is not None and known == t:
            return last
        rows = torch.tensor(self._rows(t, size), device=full.X.device)
        batch = replace(full, X=full.X[rows], y=full.y[rows])
        self._last = t, batch
        return batch

    def _rows(self, t: int, size: int) -> Any:
        """The indices of step t's rows."""
        epoch, index = divmod(t, math.ceil(self.full.N / size))
        if self._order[0] != epoch:
            self._order = epoch, stream(self.seed, "batches", epoch).permutation(self.full.N)
        return self._order[1][index * size : (index + 1) * size]

"""The training loop. It knows neither who watches it nor where its gradients come from."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class Batches:
    """The batch of each step: all rows, or mini-batches in an order drawn afresh for each epoch.

    The order depends on (seed, epoch) alone, so that any step's batch can be had again without the steps before it.
    The last batch of an epoch has what rows remain; a batch's mean is over its own rows, and by their own weights.
    """

    full: Problem
    batch_size: int | None
    seed: int

    def __call__(self, t: int) -> Problem:
        """Return the problem of step t's batch."""
        N, size = self.full.N, self.batch_size
        if size is None or size >= N:
            return self.full
        epoch, index = divmod(t, math.ceil(N / size))
        order = stream(self.seed, "batches", epoch).permutation(N)
        rows = torch.tensor(order[index * size : (index + 1) * size], device=self.full.X.device)
        full = self.full
        return replace(full, X=full.X[rows], y=full.y[rows])

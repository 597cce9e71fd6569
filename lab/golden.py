"""Golden traces: what a run's values were at each step, kept in a text file, and replayed within rounding.

Two right computations of one run differ in their last digits (another BLAS, another number of threads), and the run
carries the difference on: a contracting one forgets it, an expanding one multiplies it at every step. So a chosen
tolerance is either too wide at step 1 or too narrow at step 100, and the bound is measured at every step instead.

Shadows     A shadow is the run with its gradient displaced at every step by all that rounding can do to it, signs
            drawn at random (`lab.twin.Jittered`: the bounds of two computations), and each entry of θ moved by the
            optimizer's own rounding: u|θ| of the sum θ + Δ, γ_16 |Δ| of the dozen operations behind Δ, again of two
            computations. e = θ_shadow − θ is how far rounding can have led by step t.
Bounds      Whole differences are measured, as one entry's can vanish by chance. With g, H the gradient and Hessian:
              value          ‖e‖ (‖g‖ + ‖g_shadow − g‖), by the mean value theorem
              gradient norm  ‖g_shadow − g‖ ≥ |‖g_shadow‖ − ‖g‖|
              eigenvalue     ‖H_shadow − H‖₂ ≥ |λ_shadow − λ| for each, by Weyl
            and to each comes twice the rounding of evaluating it at θ (`lab.rounding`). The largest of the shadows' is
            taken. It is a measurement, no proof: signs drawn at random may miss the worst there are, but each entry
            is given its whole bound at every step, of which real rounding uses a hundredth.
Nothing told  Where the shadows lead the value astray by more than itself, the run multiplies rounding too fast to be
            replayed, and is not recorded.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lab import rounding, spectrum
from lab.curvature.operator import Curvature
from lab.errors import InputError
from lab.experiment import Experiment
from lab.loop import Visit, walk
from lab.problem import Problem
from lab.seeds import stream
from lab.twin import Jittered, Rounding

SHADOWS = 2


@dataclass(frozen=True)
class Quantity:
    """A value at a step, and the bound on how far rounding can move it from one computation to another."""

    value: float
    bound: float


Row = dict[str, Quantity]  # by tag, as in metrics.jsonl


def trace(experiment: Experiment, top: int = 2) -> Iterator[Row]:
    """Train what an experiment stands for, and yield each step's loss, gradient norm and `top` largest eigenvalues.

    The tags are those of metrics.jsonl. Eigenvalues are of the whole training set's Hessian, as the spectrum probe has
    them; `top` 0 leaves them out, and with them a dense Hessian for each shadow and step.
    Raises: InputError where a step is not finite, or rounding moves the value by more than itself.
    """
    steps = experiment.config.steps
    run = walk(experiment.batches, experiment.stepper(experiment.theta), experiment.theta, 0, steps)
    shadows = [_shadow(experiment, number) for number in range(SHADOWS)]
    for visit, *others in zip(run, *shadows, strict=True):
        if not visit.finite:
            raise InputError(
                f"step {visit.t}: the loss is {float(visit.value):.3g}; a trace needs a run that converges"
            )
        yield _row(experiment, visit, [other.theta for other in others], top)


def _shadow(experiment: Experiment, number: int) -> Iterator[Visit]:
    config, theta = experiment.config, experiment.theta
    seed = int(stream(config.seed, "shadow", number).integers(2**32))
    stepper = Rounding(experiment.stepper(theta))
    # Where H is singular but for rounding the shadows go far, and the trace is refused for that.
    return walk(
        lambda t: Jittered(experiment.batches(t), seed, t, lambda t: None), stepper, theta.clone(), 0, config.steps
    )


def _row(experiment: Experiment, visit: Visit, shadows: Sequence[Tensor], top: int) -> Row:
    problem, theta, g = experiment.batches(visit.t), visit.theta, visit.gradient
    norm, value = float(g.norm()), float(visit.value)
    turned = [float((problem.value_and_gradient(shadow)[1] - g).norm()) for shadow in shadows]
    led = [float((shadow - theta).norm()) * (norm + turn) for shadow, turn in zip(shadows, turned, strict=True)]
    if not all(distance <= abs(value) for distance in led):  # nan too
        raise InputError(
            f"step {visit.t}: nothing can be told: rounding alone, multiplied over {visit.t} steps, can move the loss "
            f"of {value:.3g} by {max(led):.2g}; record fewer steps, or take a smaller optimizer.lr"
        )
    size = rounding.gamma(g.numel() + 2, g.dtype) * norm
    of_gradient = float(rounding.gradient_bound(problem, theta).norm()) + size
    row = {
        "loss/train" if problem is experiment.full else "loss/batch": Quantity(
            value, max(led) + 2 * rounding.value_bound(problem, theta)
        ),
        "step/gradient_norm": Quantity(norm, max(turned) + 2 * of_gradient),
    }
    return row | (_eigenvalues(experiment.full, theta, shadows, top) if top else {})


def _eigenvalues(problem: Problem, theta: Tensor, shadows: Sequence[Tensor], top: int) -> Row:
    curvature = Curvature(problem, theta)
    H = curvature.dense
    found = spectrum.dense(H, error=curvature.dense_rounding)
    turned = max(float(torch.linalg.matrix_norm(problem.hessian(shadow) - H, ord=2)) for shadow in shadows)
    bound = turned + 2 * found.radius
    values = found.values[:top].tolist()
    return {f"curvature/lambda_{i}": Quantity(value, bound) for i, value in enumerate(values, start=1)}


def mismatch(recorded: Sequence[dict[str, float]], now: Sequence[Row]) -> str:
    """Say at which step the two part, and where most, in units of the bound; nothing where they agree."""
    if len(recorded) != len(now):
        return f"{len(recorded)} steps are recorded, and there are {len(now)} now"
    for t, (then, row) in enumerate(zip(recorded, now, strict=True)):
        if then.keys() != row.keys():
            return f"step {t}: {', '.join(then)} are recorded, and there are {', '.join(row)} now"
        worst = max(row, key=lambda tag: _ratio(then[tag], row[tag]))
        ratio = _ratio(then[worst], row[worst])
        if ratio > 1:
            return (
                f"step {t}, {worst}: recorded {then[worst]!r}, now {row[worst].value!r}, "
                f"{ratio:.1e} times what rounding allows ({row[worst].bound:.1e})"
            )
    return ""


def _ratio(then: float, now: Quantity) -> float:
    difference = abs(then - now.value)
    if math.isnan(difference):
        return math.inf
    return difference / now.bound if now.bound else math.inf * difference if difference else 0.0

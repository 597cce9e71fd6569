"""Eigenvalues of the hand-derived Hessian, each in an interval that holds, and what they say of it.

Gradient descent with step length lr on a quadratic shrinks its error along an eigenvector of eigenvalue λ by
|1 − lr·λ| a step, so it is stable while lr·λ₁ < 2; `stability/lr_lambda_max` is to be read against 2.

At a step that measures, all eigenvalues are found or the largest ones, by what is cheaper (`lab.curvature.plan`);
`curvature/method` says which, and `curvature/certainty` how the intervals are known, or that they are wider than
`tolerance`: an eigenvalue that is not known so well has no number, only its interval. At a step that does not, the last
intervals are moved by the exponential bound, for next to nothing. `every: auto` measures when they have grown wider
than `tolerance`, relative to the largest eigenvalue.

What rounding hides has no number: where an eigenvalue is within rounding of zero that no flat direction accounts for,
the smallest ones, the condition and the determinant are not known, and the rank is at least what is said. What a flat
direction accounts for is 0.

`curvature/effective_rank` is tr H/λ₁, how many directions as curved as the first would make up the trace (Koltchinskii
& Lounici, Bernoulli 23, 2017); `curvature/log_determinant` is that of H on its range, and known with all eigenvalues.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from lab import spectrum
from lab.curvature import between, bounds, forms, plan, structure, tracking
from lab.curvature.bounds import Band, Enclosure
from lab.curvature.operator import Curvature
from lab.curvature.search import most
from lab.curvature.tracking import Tracked
from lab.probe import Probe, Reading, Step
from lab.probes import _change
from lab.probes._product import by_direction, concave, judge
from lab.problem import Problem

ROWS_EVERY = 8  # steps: how often what eigenvalues are made of is looked at row by row, beside the first and last time


@dataclass(frozen=True)
class SpectrumProbe(Probe):
    """Log the `top` largest eigenvalues with intervals, and trace and definiteness; of all, rank and condition too.

    `bottom` asks for that many of the smallest. `every: auto` measures when the intervals have grown wider than
    `tolerance`. `on` says of which loss: the whole training set's, or the step's own batch's. `method` is dense (all
    eigenvalues), krylov (the top ones), or auto, the cheaper.
    """

    every: Annotated[int, Ge(1)] | Literal["auto"] = 1  # type: ignore[assignment]
    """Steps from one measurement to the next; auto measures when the intervals have grown wider than `tolerance`."""
    top: Annotated[int, Ge(1)] = 5
    """How many of the largest eigenvalues."""
    bottom: Annotated[int, Ge(0)] = 0
    """How many of the smallest eigenvalues."""
    tolerance: Annotated[float, Gt(0), Lt(1)] = 0.05
    """How wide an interval may be, relative to the largest eigenvalue."""
    on: Literal["train", "batch"] = "train"
    """Of which loss: the whole training set's, or the step's own batch's."""
    method: Literal["auto", "dense", "krylov"] = "auto"
    """dense finds all eigenvalues, krylov the top ones, auto takes what is cheaper."""

    def due(self, step: Step) -> bool:
        """Every step is: what is not measured is carried over from the last step that was."""
        return True

    def measure(self, step: Step) -> Mapping[str, Reading]:
        problem = step.full if self.on == "train" else step.problem
        known = "values" in step.memory and problem is step.full and problem.model.is_product
        if known and not self._asks(step):
            found = self._carried(problem, step)
            step.seen["lambda_1_lower"] = found["curvature/lambda_1/lower"]
            if self.every != "auto" or _band(found).width <= self.tolerance:
                return found
        if not self._asks(step) and self.every != "auto":
            return {}
        return self._measured(problem, step, Tracked.of(step.memory, step.theta) if known else None)

    def _asks(self, step: Step) -> bool:
        """Whether this step is to be measured whatever is known."""
        return step.after is None or (isinstance(self.every, int) and step.t % self.every == 0)

    def _carried(self, problem: Problem, step: Step) -> Mapping[str, float]:
        """The last intervals, moved: by a bound from θ alone and, where that is too much and can be paid, from rows.

        A pass over the rows is less than the step itself takes at full batch, and far less than measuring does; it is
        remembered, so that the next steps are bounded from there.
        """
        memory, theta = step.memory, step.theta
        if self.every != "auto" and step.problem is not problem:
            return self._held(problem, step)
        there = Curvature(problem, memory["theta"].to(theta))
        delta = between.change(there, theta, memory)
        moved = self._moved(there, memory, delta)
        if moved.width > self.tolerance:
            delta = min(delta, there.log_change(theta))
            between.anchor_at(theta, delta, memory)
            moved = self._moved(there, memory, delta)
        if step.problem is problem and moved.width > self.tolerance and math.isfinite(trace := most(step.curvature)):
            moved = moved.below([trace / j for j in range(1, len(moved.upper) + 1)])
        return _bands(moved, delta)

    def _held(self, problem: Problem, step: Step) -> Mapping[str, float]:
        """The same by mini-batches, whose steps are short: one bound serves as long as θ stays nearby."""
        memory = step.memory
        if not between.stays(step.t, step.theta, memory):
            there = Curvature(problem, memory["theta"].to(step.theta))
            delta = between.change_around(there, step.theta, memory)
            memory["held"] = _bands(self._moved(there, memory, delta), delta)
        if step.plain is not None:
            between.note(step.t, step.plain, step.gradient_norm, memory)
        held: Mapping[str, float] = memory["held"]
        return held

    def _moved(self, there: Curvature, memory: Mapping[str, Any], delta: float) -> Band:
        """The intervals of `there` after a change of δ, no wider than what the data allow.

        The exponential of a long way is beyond that by decades.
        """
        moved = tracking.band_of(memory).moved(delta, structure.uniform_ridge(there))
        moved = moved.above(there.floors(len(moved.lower)))
        return moved.below(memory["ceilings"]) if moved.width > self.tolerance and "ceilings" in memory else moved

    def _foreseen(self, problem: Problem, step: Step) -> Band:
        """What would be said of this step if it were not measured, at the least price."""
        there = Curvature(problem, step.memory["theta"].to(step.theta))
        return self._moved(there, step.memory, between.change(there, step.theta, step.memory))

    def _measured(self, problem: Problem, step: Step, before: Tracked | None) -> Mapping[str, Reading]:
        curvature = step.curvature if problem is step.full else Curvature(problem, step.theta)
        if problem.model.is_product and (refuted := concave(curvature)) is not None:
            step.memory.clear()
            step.seen.pop("lambda_1_lower", None)
            return {"curvature/definiteness": "unknown: the loss is not convex here", "check/product": refuted}
        carried = None if before is None else self._foreseen(problem, step)
        way = plan.choose(curvature, self.top)
        if self.method != "auto" and problem.model.is_product:
            way = plan.Plan(self.method, f"{self.method}, as asked for")
        if way.method == "krylov":
            found, readings = self._searched(curvature, step, before)
        else:
            found, readings = self._whole(curvature, way.method, step.seen)
        if found is None:
            return readings
        ceilings = step.memory.get("ceilings")
        step.memory.clear()
        step.seen.pop("lambda_1_lower", None)
        if problem is step.full:
            step.memory.update(found.state())
            if self.every != 1:  # for the steps in between, once for the whole run
                step.memory["ceilings"] = ceilings or structure.ceilings(problem, len(found.values))
            step.seen["lambda_1_lower"] = float(found.enclosure.lower[0])
        readings |= {**_ends(found.enclosure.band), "curvature/method": way.why}
        trace = (curvature if way.method == "krylov" else curvature.in_double).trace
        if math.isfinite(trace):
            readings["curvature/trace"] = trace
        if carried is not None:
            agrees = _change.judge(carried, found.enclosure.band, str(step.theta.dtype)[6:])
            readings |= {"check/change": agrees} if agrees else {}
        if problem.model.is_product:
            made = curvature if way.method == "krylov" else curvature.in_double
            rows = before is None or step.after is None or step.t % ROWS_EVERY == 0 or way.method == "dual"
            verdict = (judge if rows else by_direction)(made, way.method, step.seed, step.t)
            if verdict is not None:
                readings["check/product"] = verdict
                if not verdict.passed:
                    readings["curvature/certainty"] = (
                        f"of a Hessian that failed check/product, {readings['curvature/certainty']}"
                    )
        known = "curvature/lambda_1" in readings
        if known and float(found.values[0]) > 0 and math.isfinite(trace):
            readings["curvature/effective_rank"] = trace / float(found.values[0])
        if known and step.lr is not None:
            readings["stability/lr_lambda_max"] = step.lr * float(found.values[0])
        return readings

    def _whole(
        self, curvature: Curvature, method: plan.Method, seen: dict[str, Any]
    ) -> tuple[Tracked | None, dict[str, Reading]]:
        """All eigenvalues, by LAPACK, in double precision whatever the run's; other probes find them in `seen`."""
        problem, theta, curvature = curvature.problem, curvature.theta, curvature.in_double
        H = forms.dual(curvature) if method == "dual" else curvature.dense
        if not torch.isfinite(H).all():
            return None, {"curvature/definiteness": "unknown: the Hessian is not finite"}
        if method == "dual":
            found = structure.from_dual(curvature, spectrum.dense(H, error=curvature.dense_rounding))
        else:
            found = spectrum.dense(H, error=curvature.dense_rounding)
        seen["spectrum"] = found
        k, known = self.top, "proved" if problem.model.is_product else "by an estimate of rounding"
        enclosure = Enclosure(found.lower[:k].cpu(), found.upper[:k].cpu())
        ceiling = bounds.exact(found.values, found.radius)
        flat = curvature.problem.flat_directions  # of X in double, as H is: in single more columns seem to depend
        told = found.zeros <= sum(count for count, _ in flat)  # no eigenvalue is lost in rounding
        readings: dict[str, Reading] = {
            "curvature/rank": found.rank,
            "curvature/definiteness": spectrum.explain_definiteness(found, flat),
            "curvature/certainty": f"{known}: {found.how}",
        }
        if found.rank and told:  # of nothing there is neither
            readings |= {"curvature/condition": found.condition, "curvature/log_determinant": found.log_determinant}
        if enclosure.width <= self.tolerance:
            readings |= _numbered("lambda", found.values[:k])
            if told:  # what is not told from zero is zero, as flat directions are
                smallest = torch.where(found.values.abs() > found.radius, found.values, 0.0).flip(0)
                readings |= {"curvature/lambda_min": float(smallest[0])} | _numbered("bottom", smallest[: self.bottom])
        else:
            largest = float(found.values.abs().max())
            readings["curvature/certainty"] = (
                f"not told from zero: each is at most {largest + found.radius:.1e} ({known})"
                if largest <= found.radius
                else f"not known to {self.tolerance:g} of the largest eigenvalue: rounding may move each by "
                f"{found.radius:.1e} ({known})"
            )
        return Tracked(theta.clone(), found.values[:k].cpu(), enclosure, ceiling, None, True, 0), readings

    def _searched(
        self, curvature: Curvature, step: Step, before: Tracked | None
    ) -> tuple[Tracked | None, dict[str, Reading]]:
        """The largest eigenvalues, and the smallest if asked for, by products."""
        if not torch.isfinite(curvature.diagonal).all():
            return None, {"curvature/definiteness": "unknown: the Hessian is not finite"}
        found = tracking.track(curvature, self.top, self.tolerance / 10, before, step.seed)
        step.seen["spectrum"] = spectrum.Spectrum(found.values, 0.0, f"the {self.top} largest alone")
        size = float(found.enclosure.upper.abs().max())
        narrow = found.enclosure.upper - found.enclosure.lower <= self.tolerance * size
        wide = ~(narrow & torch.isfinite(found.values) & math.isfinite(size))
        readings: dict[str, Reading] = {
            tag: value
            for (tag, value), unknown in zip(_numbered("lambda", found.values).items(), wide, strict=True)
            if not unknown
        }
        readings |= structure.least(curvature, self.bottom, step.seed)
        readings["curvature/definiteness"] = structure.definiteness(curvature)
        readings["curvature/certainty"] = found.enclosure.how
        if bool(wide.any()):
            readings["curvature/certainty"] = (
                f"not converged: {int(wide.sum())} of {self.top} intervals are wider than {self.tolerance:g} of the "
                f"largest eigenvalue after {found.products} products ({found.enclosure.how})"
            )
        return found, readings


def _numbered(name: str, values: Tensor) -> dict[str, Any]:
    return {f"curvature/{name}_{i}": value for i, value in enumerate(values.tolist(), start=1)}


def _bands(band: Band, delta: float) -> dict[str, float]:
    return {**_ends(band), "curvature/change": delta}


def _ends(band: Band) -> dict[str, float]:
    found = {}
    for i, (lower, upper) in enumerate(zip(band.lower, band.upper, strict=True), start=1):
        found[f"curvature/lambda_{i}/lower"], found[f"curvature/lambda_{i}/upper"] = lower, upper
    return found


def _band(ends: Mapping[str, float]) -> Band:
    """The band that `_ends` took apart."""
    lower, upper = ([end for tag, end in ends.items() if tag.endswith(side)] for side in ("/lower", "/upper"))
    return Band(lower, upper)

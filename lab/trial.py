"""One trial: a hand derivation, torch, and a reference of 400 bits, held against each other at one set of inputs.

Ours is recorded and replayed on exact numbers, with a running bound e on the rounding of every operation (`lab.number`).
So two questions are asked apart, and neither has a tolerance that anybody chose:

    Formula   |ours replayed − truth| ≤ c + 1e-25|truth| + 1e-50 (1 + |f|): what constants written in few digits may
              contribute (c, a running bound too, of constants' errors alone), and what the reference's difference
              quotients leave (`lab.differences`). A mistake stays however many digits are carried, and is seen though
              rounding hide it.
    Rounding  |ours − ours replayed| ≤ e, which is a theorem. Where it fails, something overflowed, or an operation
              rounds worse than its library promises.

The figure is |ours − truth| / e. torch is the less exact one where it is further from the truth than ours is, and than
rounding allows ours, each eightfold.

Where an operation cannot be replayed the estimate of `lab.perturbed` stands in, and the verdict says so.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab import differences, exact, number
from lab.aten import numbers
from lab.loss import Loss
from lab.referee import Dispute, Verdict, Who

Array = Any
EXACT = number.Exact()
CONSTANTS = number.Running(0.0, 0.0)
ORDERS = {"value": 0, "gradient": 1, "jacobian": 1, "jvp": 1, "vjp": 1, "hessian": 2, "hvp": 2, "diagonal": 2}
DIRECTED = ("jvp", "vjp", "hvp")
FAR = 8.0  # how much further from the truth than ours torch must be to be called the less exact one


@dataclass(frozen=True)
class Point:
    """Arguments at which a function is judged: all of them, their names, and which is differentiated by."""

    args: tuple[Any, ...]
    names: tuple[str, ...]
    wrt: int = 0
    rowwise: bool = False  # every row of x is a function's argument of its own

    @property
    def x(self) -> Tensor:
        """The argument that is differentiated by."""
        x: Tensor = self.args[self.wrt]
        return x

    @cached_property
    def floating(self) -> list[int]:
        """Which arguments are floating tensors: those that are followed exactly."""
        return [i for i, a in enumerate(self.args) if isinstance(a, Tensor) and a.is_floating_point()]

    def of_floating(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """f as a function of the floating arguments alone, and of what follows them."""

        def bare(*tensors: Tensor) -> Any:
            args = list(self.args)
            for i, tensor in zip(self.floating, tensors, strict=False):
                args[i] = tensor
            return f(*args, *tensors[len(self.floating) :])

        return bare

    def tensors(self) -> list[Tensor]:
        """The floating arguments."""
        return [self.args[i] for i in self.floating]


class Truth:
    """The derivatives of a bare function at a point, by difference quotients of exact numbers."""

    def __init__(self, f: Callable[..., Tensor], point: Point) -> None:
        tensors = point.tensors()
        tape, (out,) = exact.record(point.of_floating(f), tensors)
        arrays = [_exactly(t) for t in tensors]
        which = point.floating.index(point.wrt)
        replayed = tape.varying(EXACT, which, arrays)
        self.point, self.x, self.shape = point, arrays[which], tuple(out.shape)
        self.f: differences.Function = lambda x: replayed(x)[0]

    @cached_property
    def value(self) -> Array:
        """f, T."""
        return self.f(self.x)

    @cached_property
    def units(self) -> list[Array]:
        """The directions that make up a gradient: every entry's, or, row by row, every column's."""
        if self.point.rowwise:
            return [np.broadcast_to(row, self.x.shape) for row in np.eye(self.x.shape[1], dtype=np.int64)]
        return differences.units(self.x.shape)

    @cached_property
    def slopes(self) -> tuple[Array, Array]:
        """Derivatives in every unit direction, T + (units,), and where f has a kink."""
        slopes, kinks = differences.first(self.f, self.x, self.units)
        return np.stack(slopes, axis=-1), np.stack(kinks, axis=-1)

    def of(self, what: str, direction: Array | None) -> tuple[Array, Array]:
        """Return the derivative of this name, and which of its entries do not exist."""
        if what == "value":
            return self.value, np.zeros(self.shape, dtype=bool)
        slopes, kinks = self.slopes
        S, T = self.x.shape, self.shape
        if what == "jacobian":
            return slopes.reshape(T + S), kinks.reshape(T + S)
        if what == "gradient":
            return (slopes, kinks) if self.point.rowwise else (_summed(slopes).reshape(S), _either(kinks).reshape(S))
        if what == "vjp":
            weighted = np.asarray(direction, dtype=object)[..., None] * slopes
            return _summed(weighted).reshape(S), _either(kinks).reshape(S)
        if what == "jvp":
            (slope,), (kink,) = differences.first(self.f, self.x, [direction])
            return slope, np.asarray(kink)
        second = self._second(what, direction)
        return second, np.full(second.shape, bool(kinks.any()))

    def _second(self, what: str, direction: Array | None) -> Array:
        S = self.x.shape
        others = [direction] if what == "hvp" else self.units
        rows = differences.second(self.f, self.x, self.units, self.units if what != "hvp" else others)
        if self.point.rowwise:
            H = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
            return H[..., 0] if what == "hvp" else np.diagonal(H, axis1=-2, axis2=-1) if what == "diagonal" else H
        H = np.array([[_all(entry) for entry in row] for row in rows], dtype=object)
        return H[:, 0].reshape(S) if what == "hvp" else np.diagonal(H) if what == "diagonal" else H.reshape(S + S)


@dataclass(frozen=True)
class Trial:
    """A verdict at one point, and the whole of the comparison for a doctor where it failed."""

    verdict: Verdict
    dispute: Dispute | None = None


@dataclass(frozen=True)
class Sides:
    """A comparison's parties, one shape: ours as computed, replayed, its bounds; the truth, and where there is none."""

    ours: Array
    replayed: Array
    rounding: Array
    constants: Array
    truth: Array
    missing: Array
    limit: float  # the largest number of ours' type
    f: float  # the size of the function's value


def compare(
    what: str, f: Callable[..., Any], point: Point, truth: Truth, direction: Tensor | None
) -> tuple[Sides, tuple[int, ...]] | str:
    """Replay ours and line it up with the truth; return why not where the shapes disagree.

    Raises: exact.Unknown where ours cannot be replayed; whatever f raises.
    """
    tensors = [*point.tensors(), *([direction] if direction is not None else [])]
    tape, (ours,) = exact.record(point.of_floating(f), tensors)
    arrays = [_exactly(t) for t in tensors]
    true, missing = truth.of(what, arrays[-1] if direction is not None else None)
    shape = tuple(ours.shape)
    if shape != true.shape and not fits(shape, true.shape, what, truth):
        return f"has shape {shape} where {true.shape} is due"
    info = torch.finfo(point.x.dtype)
    full = tape.replay(number.Running(info.eps / 2, info.tiny), *arrays)[0].reshape(true.shape)
    replayed, rounding = _parts(full)
    constants = np.zeros(true.shape)
    if any(abs(a - b) > _left(b, truth) for a, b in zip(replayed.flat, true.flat, strict=True)):
        constants = _parts(tape.replay(CONSTANTS, *arrays)[0].reshape(true.shape))[1]
    size = max((number.size(v) for v in truth.value.flat), default=0.0)
    return Sides(
        _exactly(ours).reshape(true.shape), replayed, rounding, constants, true, missing, float(info.max), size
    ), shape


def fits(shape: Sequence[int], true: Sequence[int], what: str, truth: Truth) -> bool:
    """Whether a matrix over flattened arguments stands for the full array: (M, P) for T + S, (P, P) for S + S."""
    P, M = math.prod(truth.x.shape), math.prod(truth.shape)
    flat = {"jacobian": (M, P), "hessian": (P, P)}.get(what)
    return not truth.point.rowwise and tuple(shape) == flat


def weigh(what: str, tensor: str, sides: Sides, dtype: str) -> Verdict:
    """Weigh the formula, then its rounding; the module's page has the rule."""
    entries = [index for index in np.ndindex(sides.truth.shape) if not _skip(sides, index)]
    if not entries:
        nan = math.nan
        why = "no derivative here: the function has a kink" if sides.missing.any() else "beyond what its type can hold"
        return Verdict(what, tensor, nan, (), nan, nan, 0.0, Who.UNTOLD, dtype, why)
    formula = {i: _over(abs(sides.replayed[i] - sides.truth[i]), _allowed(sides, i)) for i in entries}
    figure = {i: _over(abs(sides.ours[i] - sides.truth[i]), sides.rounding[i] + _allowed(sides, i)) for i in entries}
    wrong = [i for i in entries if formula[i] > 1]
    worst = max(wrong or entries, key=lambda i: (figure[i], formula[i]))
    who, note, ratio, bound = Who.NOBODY, "", figure[worst], float(sides.rounding[worst])
    if wrong:
        who = Who.OURS
        if ratio <= 1:
            note = f"less than rounding here ({ratio:.1g} of it), but in 120 digits it does not go away"
            ratio, bound = formula[worst], float(_allowed(sides, worst))
    elif ratio > 1:
        who = Who.OURS
        note = "the formula is right; in this type its evaluation overflows or loses what the bound cannot follow"
    elif math.isinf(bound):
        who, note = Who.UNTOLD, "ill-conditioned: the formula is right, and its rounding is unbounded here"
    ours, true = float(sides.ours[worst]), float(sides.truth[worst])
    return Verdict(what, tensor, ratio, tuple(worst), ours, true, bound, who, dtype, note)


def against_torch(verdict: Verdict, sides: Sides, parties: Mapping[str, Tensor]) -> Verdict:
    """Add torch's own errors to a verdict; where ours is right and torch is far off, that is the verdict."""
    from dataclasses import replace

    entries = [index for index in np.ndindex(sides.truth.shape) if not _skip(sides, index)]
    gaps = {name: _gaps(sides, tensor, entries) for name, tensor in parties.items()}
    ours = {i: float(abs(sides.ours[i] - sides.truth[i])) for i in entries}
    where = verdict.where
    off = {}
    for i in entries:
        allowed = float(sides.rounding[i]) + number.size(sides.truth[i]) * float(torch.finfo(_dtype(verdict)).eps)
        worst = max((gap[i] for gap in gaps.values()), default=0.0)
        if worst > FAR * max(ours[i], allowed):
            off[i] = worst / (number.size(sides.truth[i]) or 1e-300)
    if off and verdict.who is Who.NOBODY:
        where = max(off, key=lambda i: min(off[i], 1.0) + 1e-9 * number.size(sides.truth[i]))
    if where not in ours:
        return verdict
    true = number.size(sides.truth[where])
    relative = {name: gap[where] / true if true else gap[where] for name, gap in gaps.items()}
    errors = {"ours": ours[where] / true if true else ours[where], **relative}
    if not off or verdict.who is not Who.NOBODY:
        return replace(verdict, errors=errors)
    return replace(verdict, who=Who.TORCH, errors=errors, where=where, ours=float(sides.ours[where]),
                   truth=float(sides.truth[where]), bound=float(sides.rounding[where]))  # fmt: skip


def dispute(what: str, sides: Sides, point: Point, direction: Tensor | None, letters: Mapping[str, int], loss: Loss | None) -> Dispute:
    """Hand the comparison over whole, as float64 tensors."""
    given = {name: a for name, a in zip(point.names, point.args, strict=True) if isinstance(a, Tensor)}
    first = point.names[point.wrt]
    inputs = {first: given[first], **given, **({"direction": direction} if direction is not None else {})}
    allowed = np.array([float(sides.rounding[i] + _allowed(sides, i)) for i in np.ndindex(sides.truth.shape)])
    return Dispute(
        what, _tensor(sides.ours), _tensor(sides.truth), torch.tensor(allowed).reshape(sides.truth.shape), inputs, letters, loss
    )


def _exactly(t: Tensor) -> Array:
    return numbers(EXACT, t.detach().double().numpy())


def _parts(full: Array) -> tuple[Array, Array]:
    values, errors = np.empty(full.shape, dtype=object), np.zeros(full.shape)
    for index in np.ndindex(full.shape):
        values[index], errors[index] = full[index].v, full[index].e
    return values, errors


def _summed(x: Array) -> Array:
    """Σ over all axes but the last."""
    return x.reshape(-1, x.shape[-1]).sum(axis=0)


def _either(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1]).any(axis=0)


def _all(x: Array) -> Any:
    return np.asarray(x, dtype=object).sum()


def _left(true: Any, truth: Truth) -> Any:
    return differences.TOLERANCE * abs(true)


def _allowed(sides: Sides, index: tuple[int, ...]) -> Any:
    quotients = differences.TOLERANCE * abs(sides.truth[index]) + differences.FLOOR * (1 + sides.f)
    return sides.constants[index] + quotients


def _over(gap: Any, allowed: Any) -> float:
    if number.CONTEXT.isnan(gap):
        return math.inf
    if not gap:
        return 0.0
    return float(gap / allowed) if allowed else math.inf


def _skip(sides: Sides, index: tuple[int, ...]) -> bool:
    """Where the function has a kink, or the truth is no number of this type, nothing can be told."""
    true = sides.truth[index]
    return bool(sides.missing[index]) or number.CONTEXT.isnan(true) or abs(true) > sides.limit


def _gaps(sides: Sides, theirs: Tensor, entries: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
    array = _exactly(theirs).reshape(sides.truth.shape)
    gaps = {i: abs(array[i] - sides.truth[i]) for i in entries}
    return {i: math.inf if number.CONTEXT.isnan(gap) else float(gap) for i, gap in gaps.items()}


def _dtype(verdict: Verdict) -> torch.dtype:
    return torch.float32 if verdict.dtype == "float32" else torch.float64


def _tensor(x: Array) -> Tensor:
    return torch.tensor([float(v) for v in x.flat], dtype=torch.float64).reshape(x.shape)

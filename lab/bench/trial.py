"""One trial: a hand derivation, torch, and a reference of 400 bits, held against each other at one set of inputs.

Ours is recorded and replayed on exact numbers, with a running bound e on the rounding of every operation
(`lab.arithmetic.number`). So two questions are asked apart, and neither has a tolerance that anybody chose:

    Formula   |ours replayed − truth| ≤ c + 1e-25|truth| + 1e-50 (1 + |f|): what constants written in few digits may
              contribute (c: to ours a running bound too, of constants' errors alone; to the truth how far it moves
              with them), and what the reference's difference
              quotients leave (`differences`). A mistake stays however many digits are carried, and is seen though
              rounding hide it.
    Rounding  |ours − ours replayed| ≤ e, which is a theorem. Where it fails, something overflowed, or an operation
              rounds worse than its library promises.

The figure is |ours − truth| / e. A party has lost its digits where its relative error is above √ε, half of the type's
digits, and another's is 64 times smaller: that one is possible in this type, so it is no condition of the problem.

Where an operation cannot be replayed the estimate of `lab.bench.perturbed` stands in, and the verdict says so.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab.arithmetic import differences, exact, number
from lab.arithmetic.formula import numbers
from lab.arithmetic.tape import Tape
from lab.arithmetic.truth import Point, Truth, exactly
from lab.bench import conduct
from lab.loss import Loss
from lab.referee import Dispute, Verdict, Who

Array = Any
CONSTANTS = number.Running(0.0, 0.0)
RIGHT = "the formula is right"
HIDDEN = "less than rounding"
FAR = 64.0  # how much closer to the truth another must be for a party to be called the less exact one


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
    note: str


def compare(
    what: str,
    f: Callable[..., Any],
    point: Point,
    truth: Truth,
    direction: Tensor | None,
    parties: Mapping[str, Tensor],
) -> Sides | str:
    """Replay ours and line it up with the truth; return why not where the shapes disagree.

    Raises: exact.FormulaError where ours cannot be replayed; MisconductError where it is random; whatever f raises.
    """
    tensors = [*point.tensors(), *([direction] if direction is not None else [])]
    tape, outs = exact.record(point.of_floating(f), tensors)
    ours = exact.alone(outs)
    arrays = [exactly(t) for t in tensors]
    doubt = _doubt(ours, parties, truth)
    true, missing = truth.of(what, arrays[-1] if direction is not None else None, doubt)
    shape = tuple(ours.shape)
    if shape != true.shape and not fits(shape, true.shape, what, truth):
        return f"has shape {shape} where {true.shape} is due"
    info = torch.finfo(point.x.dtype)
    running = number.Running(info.eps / 2, info.tiny)
    replayed, rounding = _replayed(tape, running, arrays, true.shape)
    constants = np.zeros(true.shape)
    if _unexplained(replayed, true, constants, missing):
        _once_more(point.of_floating(f), tensors, ours, rounding)
        constants = _replayed(tape, CONSTANTS, arrays, true.shape)[1]
        left = _unexplained(replayed, true, constants, missing)
        # A constant is a few units of rounding off: what has lost half of its digits is not its doing.
        if 0 < left <= torch.finfo(truth.coarse or point.x.dtype).eps ** 0.5 * max(map(number.size, true.flat)):
            constants = constants + truth.constants(what, arrays[-1] if direction is not None else None, doubt)
    size = max((number.size(v) for v in truth.value.flat), default=0.0)
    note = "" if ours.dtype == point.x.dtype else f"ours is {_name(ours.dtype)} where x is {_name(point.x.dtype)}"
    if coarse := tape.coarse(point.x.dtype) or truth.coarse:
        due = _name(point.x.dtype)
        note = note or f"a constant came in {_name(coarse)}, without the rest of {due}'s digits: make it in x's type"
    if len(truth.units) > truth.budget:
        note = note or f"of {truth.x.size} entries of x, those most in doubt were looked at"
    limit = float(info.max)
    return Sides(exactly(ours).reshape(true.shape), replayed, rounding, constants, true, missing, limit, size, note)


def _once_more(f: Callable[..., Any], tensors: Sequence[Tensor], ours: Tensor, rounding: Array) -> None:
    """Call what differs from the truth again: where it then differs from itself, that is what is to be told."""
    again = f(*(t.clone() for t in tensors))
    if isinstance(again, Tensor) and again.shape == ours.shape:
        conduct.steady(ours, again.detach(), torch.as_tensor(rounding).reshape(ours.shape))


def _replayed(tape: Tape, N: number.Running, arrays: Sequence[Array], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """What the tape's one result is in exact arithmetic, be it of whole numbers or of yes and no, and its bounds."""
    return _parts(numbers(N, tape.replay(N, *arrays)[0]).reshape(shape))


def _unexplained(replayed: Array, true: Array, constants: Array, missing: Array) -> float:
    """The largest difference of the formula's that neither constants nor the truth's own quotients account for.

    Where there is no truth, or it was not looked for, there is no difference.
    """
    seen = ~np.asarray(missing, dtype=bool)
    gaps = [(number.size(a - b), number.size(b)) for a, b in zip(replayed[seen], true[seen], strict=True)]
    allowed = [c + differences.TOLERANCE * size for c, (_, size) in zip(constants[seen], gaps, strict=True)]
    return max((gap for (gap, _), most in zip(gaps, allowed, strict=True) if not gap <= most), default=0.0)


def _doubt(ours: Tensor, parties: Mapping[str, Tensor], truth: Truth) -> Array | None:
    """How far ours and torch's differ, relative to their size, for each entry of x; None where that says nothing."""
    P = truth.x.size
    for theirs in parties.values():
        if ours.numel() == theirs.numel() and ours.numel() % P == 0:
            gap = (ours.reshape(-1, P).double() - theirs.reshape(-1, P).double()).abs()
            size = theirs.reshape(-1, P).double().abs()
            share = gap / (size + 1e-3 * size.max() + 1e-300)
            return np.asarray(share.nan_to_num(nan=1e9).amax(dim=0).tolist())
    return None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


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
    allowed = {i: _allowed(sides, i) for i in entries}
    formula = {i: _over(sides.replayed[i] - sides.truth[i], allowed[i]) for i in entries}
    figure = {i: _over(sides.ours[i] - sides.truth[i], sides.rounding[i] + allowed[i]) for i in entries}
    wrong = [i for i in entries if formula[i] > 1]
    worst = max(wrong or entries, key=lambda i: (figure[i], formula[i]))
    who, note, ratio, bound = Who.NOBODY, sides.note, figure[worst], float(sides.rounding[worst])
    shown = sides.ours
    if wrong:
        who = Who.OURS
        if ratio <= 1:
            worst, shown = max(wrong, key=lambda i: formula[i]), sides.replayed
            ratio, bound = figure[worst], float(sides.rounding[worst])
            note = f"{HIDDEN}: {dtype} cannot show it, the formula in 120 digits does"
    elif ratio > 1:
        who = Who.OURS
        overflow = "in this type its evaluation overflows, or loses what the bound cannot follow"
        note = f"{RIGHT}; {sides.note or overflow}"
    elif math.isinf(bound):
        who, note = Who.UNTOLD, "ill-conditioned: the formula is right, and its rounding is unbounded here"
    ours, true = float(shown[worst]), float(sides.truth[worst])
    seen = torch.full(sides.truth.shape, math.nan, dtype=torch.float64)
    for index, each in figure.items():
        seen[index] = each
    return Verdict(what, tensor, ratio, tuple(worst), ours, true, bound, who, dtype, note, ratios=seen)


def right_on_paper(verdict: Verdict) -> bool:
    """Whether it is no mistake of the formula that a verdict is about, so that there is none to look for."""
    return verdict.note.startswith(RIGHT)


def hidden(verdict: Verdict) -> bool:
    """Whether a formula is wrong by less than rounding shows, so that it is the replay that convicts it."""
    return verdict.note.startswith(HIDDEN)


def against_torch(verdict: Verdict, sides: Sides, parties: Mapping[str, Tensor]) -> Verdict:
    """Add torch's own errors to a verdict of right, and say who has lost half of the digits where another has not."""
    entries = [index for index in np.ndindex(sides.truth.shape) if not _skip(sides, index)]
    errors = {
        name: _relative(sides, exactly(tensor).reshape(sides.truth.shape), entries) for name, tensor in parties.items()
    }
    mine = sides.replayed if hidden(verdict) else sides.ours
    errors = {"ours": _relative(sides, mine, entries), **errors}
    if verdict.who is not Who.NOBODY or not parties:
        return replace(verdict, errors={n: e[verdict.where] for n, e in errors.items() if verdict.where in e})
    info = torch.finfo(torch.float32 if verdict.dtype == "float32" else torch.float64)
    normal = [i for i in entries if number.size(sides.truth[i]) > info.tiny]
    for name in (*parties, "ours"):
        rivals = [e for other, e in errors.items() if (other == "ours") != (name == "ours")]
        lost = [i for i in normal if errors[name][i] > max(info.eps**0.5, FAR * min(e[i] for e in rivals))]
        if lost:
            where = max(lost, key=lambda i: errors[name][i])
            place = f"{verdict.tensor}[{', '.join(map(str, where))}]" if where else verdict.tensor
            seen = {n: e[where] for n, e in errors.items()}
            return replace(verdict, who=Who.TORCH if name != "ours" else Who.NOBODY, errors=seen, lost_at=place)
    return replace(verdict, errors={n: e[verdict.where] for n, e in errors.items()})


def _relative(sides: Sides, theirs: Array, entries: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
    """The relative error of a party at each entry; the error itself where the truth is 0.

    Below what the truth's own quotients leave it is 0.
    """
    gaps = {i: number.size(theirs[i] - sides.truth[i]) / (number.size(sides.truth[i]) or 1.0) for i in entries}
    return {i: math.inf if math.isnan(gap) else gap * (gap > differences.TOLERANCE) for i, gap in gaps.items()}


def dispute(
    verdict: Verdict,
    sides: Sides,
    point: Point,
    direction: Tensor | None,
    letters: Mapping[str, int],
    loss: Loss | None,
) -> Dispute | None:
    """Hand the comparison over whole, as float64 tensors; None where float64 has not the digits to show what is wrong.

    What rounding hides is shown as the replay has it, to float64's rounding.
    """
    given = {name: a for name, a in zip(point.names, point.args, strict=True) if isinstance(a, Tensor)}
    first = point.names[point.wrt]
    inputs = {first: given[first], **given, **({"direction": direction} if direction is not None else {})}
    unseen = hidden(verdict)
    rounding = sides.rounding
    if unseen:
        inputs = {name: a.double() if a.is_floating_point() else a for name, a in inputs.items()}
        rounding = torch.finfo(torch.float64).eps * np.vectorize(number.size, otypes=[float])(sides.truth)
    ours, truth = tensor(sides.replayed if unseen else sides.ours), tensor(sides.truth)
    allowed = torch.tensor(np.array([rounding[i] + _allowed(sides, i) for i in np.ndindex(sides.truth.shape)]))
    allowed = allowed.reshape(sides.truth.shape)
    if unseen and not bool(((ours - truth).abs() > allowed).any()):
        return None
    return Dispute(verdict.what, ours, truth, allowed, inputs, letters, loss)


def _parts(full: Array) -> tuple[Array, Array]:
    values, errors = np.empty(full.shape, dtype=object), np.zeros(full.shape)
    for index in np.ndindex(full.shape):
        values[index], errors[index] = full[index].v, full[index].e
    return values, errors


def _allowed(sides: Sides, index: tuple[int, ...]) -> float:
    true = number.size(sides.truth[index])
    return float(sides.constants[index]) + differences.TOLERANCE * true + differences.FLOOR * (1 + sides.f)


def _over(gap: Any, allowed: float) -> float:
    distance = number.size(gap)
    return math.inf if math.isnan(distance) else distance / float(allowed) if distance else 0.0


def _skip(sides: Sides, index: tuple[int, ...]) -> bool:
    """Where the function has a kink, or the truth is no number of this type, nothing can be told."""
    true = sides.truth[index]
    return bool(sides.missing[index]) or number.CONTEXT.isnan(true) or abs(true) > sides.limit


def tensor(x: Array) -> Tensor:
    return torch.tensor([float(v) for v in x.flat], dtype=torch.float64).reshape(x.shape)

"""A verdict without a reference in higher precision: torch is the truth, and what rounding may do is estimated.

Where an operation has no exact formula (`FormulaError`), the reference is differentiated by torch alone.
What rounding may do is measured: every entry of every argument is moved by a random relative error of one unit of
rounding, both computations are run again, and the largest of `SAMPLES` moves is kept, for each entry. A backward
stable computation of depth n moves by no more than n such errors (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed., §1.5); n is taken as the number of entries of all arguments, which no sum of products is longer
than. It is an estimate and no bound, and the verdict says so.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lab.arithmetic.truth import ORDER_2, Point
from lab.bench.routes import Routes
from lab.bench.trial import Trial
from lab.errors import RAISED
from lab.raised import place
from lab.referee import Dispute, Verdict, Who, compare

SAMPLES = 8


def estimated(
    what: str,
    ours: Callable[..., Tensor],
    routes: Callable[[Point], Routes],
    point: Point,
    direction: Tensor | None,
    why: str,
) -> Trial:
    """Judge a claim against the first of torch's `routes`, by an estimated allowance; `why` there is no replay."""

    def truth(*args: Any) -> Tensor:
        return next(iter(routes(replace(point, args=args[: len(point.args)])).of(what, direction).values()))

    why = f"no reference in higher precision: {why}"
    if lacks := _lacks(what, routes(point), direction):
        nan, dtype = math.nan, str(point.x.dtype).removeprefix("torch.")
        return Trial(Verdict(what, what, nan, (), nan, nan, 0.0, Who.UNTOLD, dtype, f"{why}; and {lacks}"))
    return _held(what, ours, truth, point, direction, why)


def _lacks(what: str, routes: Routes, direction: Tensor | None) -> str:
    """Why torch's own derivative is not to be had, or not to be trusted; "" where it is."""
    try:
        routes.of(what, direction)
        if what in ORDER_2 and not routes.follow(second=True):
            return (
                "torch's second derivative is not the slope of its first: some of that leaves torch, or is taken once"
            )
    except RAISED as error:
        return f"torch cannot differentiate it: {place(error)}"
    return ""


def _held(
    what: str,
    ours: Callable[..., Tensor],
    truth: Callable[..., Tensor],
    point: Point,
    direction: Tensor | None,
    why: str,
) -> Trial:
    """Hold a claim against `truth` of the same arguments, in float64."""
    given = () if direction is None else (direction,)
    dtype = str(point.x.dtype).removeprefix("torch.")
    exact = tuple(a.double() if isinstance(a, Tensor) and a.is_floating_point() else a for a in (*point.args, *given))
    mine, theirs = ours(*point.args, *given).detach(), truth(*exact).detach()  # float64 is the truth for float32
    note = f"{why}; what rounding allows is estimated"
    if mine.shape != theirs.shape and mine.numel() == theirs.numel() and what in ("jacobian", "hessian"):
        mine = mine.reshape(theirs.shape)
    if mine.shape != theirs.shape:
        nan, due = math.nan, f"has shape {tuple(mine.shape)} where {tuple(theirs.shape)} is due"
        return Trial(Verdict(what, what, math.inf, (), nan, nan, 0.0, Who.OURS, dtype, due))
    unit = torch.finfo(point.x.dtype).eps / 2
    n = sum(point.args[i].numel() for i in point.floating) + 4
    moves = torch.zeros_like(theirs, dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    for _ in range(SAMPLES):
        args = _moved(point, unit, rng)
        for f, here in ((ours, mine), (truth, theirs)):
            moved = f(*args, *given).detach().reshape(here.shape).double()
            moves = torch.maximum(moves, (moved - here).abs())
    bound = n * (moves + unit * theirs.abs()) + n * unit * unit * theirs.abs().max()
    found = compare(what, what, mine.double(), theirs.double(), bound.double())
    found = replace(found, who=Who.NOBODY if found.ratio <= 1 else Who.OURS, dtype=dtype, note=note)
    if found.passed:
        return Trial(found)
    named = {name: a for name, a in zip(point.names, point.args, strict=True) if isinstance(a, Tensor)}
    return Trial(found, Dispute(what, mine.double(), theirs.double(), bound.double(), named, {}, None))


def _moved(point: Point, unit: float, rng: torch.Generator) -> tuple[Any, ...]:
    args = list(point.args)
    for i in point.floating:
        a = args[i]
        sign = torch.randint(2, a.shape, generator=rng).to(a.dtype) * 2 - 1
        args[i] = a + 2 * unit * sign * torch.where(a == 0, 1, a.abs())
    return tuple(args)

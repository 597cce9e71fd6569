"""The truth about a bare function at a point: its derivatives by difference quotients of exact numbers."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab.arithmetic import differences, exact, number
from lab.arithmetic.formula import numbers

Array = Any
EXACT = number.Exact()
DIRECTED = ("jvp", "vjp", "hvp")
ORDER_2 = ("hessian", "diagonal", "hvp")
QUOTIENTS = 300  # difference quotients for one derivative at one point,
NUMBERS = 3_000_000  # or fewer, so that no more numbers than this are made
CONSTANTS = 12  # groups of constants that are displaced apart: a function has seldom more of different values


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
        tape, outs = exact.record(point.of_floating(f), tensors)
        out = exact.alone(outs)
        arrays = [exactly(t) for t in tensors]
        which = point.floating.index(point.wrt)
        self._tape, self._arrays, self._which = tape, arrays, which
        self.budget = max(8, min(QUOTIENTS, NUMBERS // tape.numbers))
        self._slopes: dict[int, tuple[Array, Array]] = {}
        self.point, self.x, self.shape = point, arrays[which], tuple(out.shape)
        self.f: differences.Function = self._replayed(EXACT)

    def _replayed(self, N: number.Exact) -> differences.Function:
        replayed = self._tape.varying(N, self._which, self._arrays)
        return lambda x: replayed(x)[0]

    @cached_property
    def coarse(self) -> torch.dtype | None:
        """The type that constants of f came in, where it has fewer digits than x's."""
        return self._tape.coarse(self.point.x.dtype)

    @cached_property
    def value(self) -> Array:
        """f, T."""
        return self.f(self.x)

    @cached_property
    def units(self) -> Sequence[differences.Direction]:
        """The directions that make up a gradient: every entry's, or, row by row, every column's."""
        if self.point.rowwise:
            return [np.broadcast_to(row, self.x.shape) for row in np.eye(self.x.shape[1], dtype=np.int64)]
        return differences.units(self.x.shape)

    def of(self, what: str, direction: Array | None, doubt: Array | None = None) -> tuple[Array, Array]:
        """Return the derivative of this name, and which of its entries do not exist, or were not looked at.

        There is a budget of difference quotients. Where a gradient has more entries, or a Hessian more columns, those
        with the largest `doubt` are looked at, a number for each entry of x.
        """
        S, T = self.x.shape, self.shape
        if what == "value":
            return self.value, np.zeros(T, dtype=bool)
        if what == "jvp":
            (slope,), (kink,) = differences.first(self.f, self.x, [direction])
            return np.asarray(slope, dtype=object), np.asarray(kink)  # a number comes bare
        # A Hessian's columns are chosen, each with all its rows.
        chosen = self._looked(doubt, self.budget if what != "hessian" else len(self.units))
        slopes, kinks = self._along(chosen)
        if what in ORDER_2:
            second, missing = self._second(what, direction, chosen, doubt)
            return second, missing | bool(kinks.any())
        if what == "vjp":
            slopes = np.asarray(direction, dtype=object)[..., None] * slopes
        if what == "jacobian" or self.point.rowwise:
            found, missing = self._spread(slopes, kinks, chosen)
            return (found, missing) if self.point.rowwise else (found.reshape(T + S), missing.reshape(T + S))
        found, missing = self._spread(_summed(slopes), _either(kinks), chosen)
        return found.reshape(S), missing.reshape(S)

    def constants(self, what: str, direction: Array | None, doubt: Array | None = None) -> Array:
        """How far the derivative's entries may move with the errors that constants of f came with, to first order.

        Constants of one value are one number on paper, and move together; those of different values do not.
        """
        noting = number.Noting()
        self._replayed(noting)(self.x)
        values = sorted(noting.seen)
        base, _ = self.of(what, direction, doubt)
        moved = np.zeros(base.shape)
        for group in filter(None, (frozenset(values[i::CONSTANTS]) for i in range(CONSTANTS))):
            other = copy(self)
            other.f, other._slopes = self._replayed(number.Displaced(of=group)), {}
            for kept in ("value", "_rows"):
                other.__dict__.pop(kept, None)
            found, _ = other.of(what, direction, doubt)
            shifts = [number.size(a - b) for a, b in zip(found.flat, base.flat, strict=True)]
            moved += np.nan_to_num(np.array(shifts)).reshape(base.shape)
        return moved

    def _looked(self, doubt: Array | None, most: int) -> list[int]:
        """Which unit directions to look along: all, or those most in doubt."""
        P = len(self.units)
        if self.point.rowwise or most >= P:
            return list(range(P))
        order = np.argsort(-doubt, kind="stable") if doubt is not None else np.linspace(0, P - 1, most).astype(int)
        return sorted(order[:most].tolist())

    def _along(self, chosen: list[int]) -> tuple[Array, Array]:
        """Derivatives in these unit directions, T + (directions,), and where f has a kink."""
        new = [i for i in chosen if i not in self._slopes]
        slopes, kinks = differences.first(self.f, self.x, [self.units[i] for i in new])
        self._slopes |= {i: (slope, kink) for i, slope, kink in zip(new, slopes, kinks, strict=True)}
        pairs = [self._slopes[i] for i in chosen]
        return np.stack([slope for slope, _ in pairs], axis=-1), np.stack([kink for _, kink in pairs], axis=-1)

    def _spread(self, part: Array, missing: Array, chosen: list[int]) -> tuple[Array, Array]:
        """Put what was found along the chosen directions among all of them: 0, and missing, elsewhere."""
        shape = (*part.shape[:-1], len(self.units))
        full, absent = np.full(shape, number.CONTEXT.zero, dtype=object), np.ones(shape, dtype=bool)
        full[..., chosen], absent[..., chosen] = part, missing
        return full, absent

    @cached_property
    def _rows(self) -> Array:
        """Each row's Hessian, (N, K, K), of a function that takes rows apart."""
        rows = differences.second(self.f, self.x, self.units, self.units)
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    def _second(
        self, what: str, direction: Array | None, chosen: list[int], doubt: Array | None
    ) -> tuple[Array, Array]:
        S, P, units = self.x.shape, len(self.units), [self.units[i] for i in chosen]
        if self.point.rowwise and what != "hvp":
            H = np.diagonal(self._rows, axis1=-2, axis2=-1) if what == "diagonal" else self._rows
            return H, np.zeros(H.shape, dtype=bool)
        if what == "hvp":
            found = [row[0] for row in differences.second(self.f, self.x, units, [direction])]
            if self.point.rowwise:
                return np.stack(found, axis=-1), np.zeros(S, dtype=bool)
            full, missing = self._spread(_sums(found), np.zeros(len(units), dtype=bool), chosen)
            return full.reshape(S), missing.reshape(S)
        columns = self._looked(doubt, P if 2 * self.budget >= P * P else max(1, self.budget // len(units)))
        others = units if columns == chosen else [self.units[j] for j in columns]
        rows = differences.second(self.f, self.x, units, others)
        part = np.stack([_sums(row) for row in rows], axis=-1)  # a column of the Hessian, and along it the chosen rows
        tall, absent = self._spread(part, np.zeros(part.shape, dtype=bool), chosen)
        full, missing = self._spread(tall.T, absent.T, columns)
        return full.reshape(S + S), missing.reshape(S + S)


def exactly(t: Tensor) -> Array:
    return numbers(EXACT, t.detach().double().numpy())


def _summed(x: Array) -> Array:
    """Σ over all axes but the last."""
    return x.reshape(-1, x.shape[-1]).sum(axis=0)


def _either(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1]).any(axis=0)


def _sums(arrays: list[Array]) -> Array:
    """Σ of each array's entries."""
    found = np.empty(len(arrays), dtype=object)
    for i, array in enumerate(arrays):
        found[i] = np.asarray(array, dtype=object).sum()
    return found

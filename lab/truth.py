"""The truth about a bare function at a point: its derivatives by difference quotients of exact numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from lab import differences, exact, number
from lab.formula import numbers

Array = Any
EXACT = number.Exact()
DIRECTED = ("jvp", "vjp", "hvp")
QUOTIENTS = 300  # of second order, for one Hessian at one point


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
        arrays = [exactly(t) for t in tensors]
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

    def of(self, what: str, direction: Array | None, doubt: Array | None = None) -> tuple[Array, Array]:
        """Return the derivative of this name, and which of its entries do not exist, or were not looked at.

        A Hessian of more than `QUOTIENTS` entries is differenced in some of its columns only, those with the largest
        `doubt`, a number for each.
        """
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
        second, seen = self._second(what, direction, doubt)
        return second, ~seen | bool(kinks.any())

    @cached_property
    def _rows(self) -> Array:
        """Each row's Hessian, (N, K, K), of a function that takes rows apart."""
        rows = differences.second(self.f, self.x, self.units, self.units)
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    def _second(self, what: str, direction: Array | None, doubt: Array | None) -> tuple[Array, Array]:
        S, units = self.x.shape, self.units
        if what == "hvp":
            others = [direction]
        elif self.point.rowwise or len(units) ** 2 <= 2 * QUOTIENTS:
            others = units
        else:
            order = np.argsort(-doubt, kind="stable") if doubt is not None else np.arange(len(units))
            looked = sorted(order[: max(1, QUOTIENTS // len(units))].tolist())
            others = [units[j] for j in looked]
        if self.point.rowwise and what != "hvp":
            H = np.diagonal(self._rows, axis1=-2, axis2=-1) if what == "diagonal" else self._rows
            return H, np.ones(H.shape, dtype=bool)
        rows = differences.second(self.f, self.x, units, others)
        if self.point.rowwise:
            H = np.stack([row[0] for row in rows], axis=-1)
            return H, np.ones(H.shape, dtype=bool)
        H = np.array([[_all(entry) for entry in row] for row in rows], dtype=object)
        if what == "hvp":
            return H[:, 0].reshape(S), np.ones(S, dtype=bool)
        P = len(units)
        full, seen = np.full((P, P), number.CONTEXT.zero, dtype=object), np.zeros((P, P), dtype=bool)
        columns = slice(None) if others is units else looked
        full[:, columns], seen[:, columns] = H, True
        return full.reshape(S + S), seen.reshape(S + S)


def exactly(t: Tensor) -> Array:
    return numbers(EXACT, t.detach().double().numpy())


def _summed(x: Array) -> Array:
    """Σ over all axes but the last."""
    return x.reshape(-1, x.shape[-1]).sum(axis=0)


def _either(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1]).any(axis=0)


def _all(x: Array) -> Any:
    return np.asarray(x, dtype=object).sum()

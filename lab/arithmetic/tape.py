"""The tape of a computation: its operations in order, and their replay on numbers of any kind.

Every storage has a shadow, an array of numbers that its tensors see through their strides, so that views need no
formula and what is written in place is seen by all who look at that memory. `exact` records, `number` has the numbers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab.arithmetic import number
from lab.arithmetic.formula import OPERATIONS, Array, mapped


class FormulaError(Exception):
    """No exact replay is to be had; the message completes "no reference in higher precision: …"."""


class LeavingError(FormulaError):
    """No exact replay, as numbers of it leave torch; `place` is the line where the first do."""

    def __init__(self, why: str, place: str) -> None:
        super().__init__(why)
        self.place = place


@dataclass(frozen=True)
class Ref:
    """A tensor's place in the shadow memory."""

    storage: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def read(self, memory: Mapping[int, Array]) -> Array:
        """The array that it sees, as a view."""
        flat = memory[self.storage][self.offset :]
        strides = tuple(s * flat.itemsize for s in self.strides)
        return np.lib.stride_tricks.as_strided(flat, self.shape, strides)


@dataclass(frozen=True)
class Node:
    """One operation: reads its arguments, writes `outputs` (None for a result that is not kept)."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Ref | None, ...]
    reads: frozenset[int]


@dataclass
class Tape:
    """A recorded function: its operations, the constants it met, where its inputs and its result lie."""

    inputs: list[Ref] = field(default_factory=list)
    outputs: list[Ref] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    sizes: dict[int, tuple[int, torch.dtype]] = field(default_factory=dict)
    constants: dict[int, Tensor] = field(default_factory=dict)
    kept: list[Tensor] = field(default_factory=list)

    @property
    def numbers(self) -> int:
        """How many numbers one replay makes, products in a matrix product not counted."""
        return 1 + sum(math.prod(ref.shape) for node in self.nodes for ref in node.outputs if ref)

    def replay(self, N: number.Exact, *arrays: Array) -> list[Array]:
        """Run the operations on arrays of numbers; return the outputs, arrays of N's numbers.

        A constant may have come with a few units of rounding (a third, written as a machine number, has one), which a
        running error counts; one of at most half the digits of its type is taken at its word. What is made of constants
        alone rounds as the type does that it is made in.
        """
        memory = self._start(N)
        self._load(memory, [mapped(N.number, array) for array in arrays])
        moved = {ref.storage for ref in self.inputs}
        for node in self.nodes:
            written = {ref.storage for ref in node.outputs if ref}
            depends = bool((node.reads | written) & moved)
            moved |= written if depends else set()
            there = N if depends else _coarser(N, node)
            if there is N:
                self._run(N, memory, [node])
                continue
            read = {key: memory[key] for key in node.reads - written}
            memory |= {key: _handed_over(memory[key], there, self.sizes[key][1]) for key in node.reads | written}
            self._run(there, memory, [node])
            memory |= {key: _handed_over(memory[key], N, self.sizes[key][1]) for key in written} | read
        return [ref.read(memory).copy() for ref in self.outputs]

    def coarse(self, dtype: torch.dtype) -> torch.dtype | None:
        """The type of fewest digits, fewer than this one's, that constants came in which need more; None if none."""
        eps = torch.finfo(dtype).eps
        found = [
            flat.dtype
            for flat in self.constants.values()
            if flat.dtype.is_floating_point and torch.finfo(flat.dtype).eps > eps
            if any(_unit(number.Exact(), v, flat.dtype) for v in flat.double().tolist())
        ]
        return max(found, key=lambda kind: torch.finfo(kind).eps, default=None)

    def varying(self, N: number.Exact, which: int, arrays: Sequence[Array]) -> Callable[[Array], list[Array]]:
        """Return the function of input number `which` alone: what does not depend on it runs once, here."""
        moved = {self.inputs[which].storage} | {
            ref.storage for n in self.nodes if n.name.endswith("!") for ref in n.outputs if ref
        }
        late: list[Node] = []
        for node in self.nodes:
            written = {ref.storage for ref in node.outputs if ref}
            if node.reads & moved or written & moved:
                moved |= written
                late.append(node)
        base = self._start(N)
        self._load(base, arrays)
        self._run(N, base, [n for n in self.nodes if n not in late])

        def at(x: Array) -> list[Array]:
            memory = {key: flat.copy() if key in moved else flat for key, flat in base.items()}
            memory[self.inputs[which].storage] = np.asarray(x, dtype=object).reshape(-1).copy()
            self._run(N, memory, late)
            return [ref.read(memory).copy() for ref in self.outputs]

        return at

    def _start(self, N: number.Exact) -> dict[int, Array]:
        memory = {}
        for key, (size, dtype) in self.sizes.items():
            if dtype.is_floating_point:
                memory[key] = np.full(size, N.number(0.0), dtype=object)
            else:
                memory[key] = np.zeros(size, dtype=bool if dtype == torch.bool else np.int64)
        for key, flat in self.constants.items():
            if flat.dtype.is_floating_point:
                made = [N.number(v, _unit(N, v, flat.dtype)) for v in flat.double().tolist()]
                memory[key] = np.array([*made, None], dtype=object)[:-1]
            else:
                memory[key] = flat.numpy().astype(bool if flat.dtype == torch.bool else np.int64)
        return memory

    def _load(self, memory: dict[int, Array], arrays: Sequence[Array]) -> None:
        for ref, array in zip(self.inputs, arrays, strict=True):
            memory[ref.storage] = array.reshape(-1).copy()

    def _run(self, N: number.Exact, memory: dict[int, Array], nodes: Sequence[Node]) -> None:
        def fill(x: Any) -> Any:
            if isinstance(x, Ref):
                return x.read(memory)
            if isinstance(x, list | tuple):
                return [fill(v) for v in x]
            if isinstance(x, float):
                return N.number(x, _unit(N, x, torch.float64))
            return x

        with np.errstate(all="ignore"):  # inf − inf is nan here as it is in torch
            self._each(N, memory, nodes, fill)

    def _each(
        self, N: number.Exact, memory: dict[int, Array], nodes: Sequence[Node], fill: Callable[[Any], Any]
    ) -> None:
        for node in nodes:
            args = [fill(a) for a in node.args]
            kwargs = {k: fill(v) for k, v in node.kwargs.items()}
            try:
                result = OPERATIONS[node.name.rstrip("!")](N, *args, **kwargs)
            except (TypeError, ValueError, IndexError, ArithmeticError, NotImplementedError) as error:
                raise FormulaError(f"aten::{node.name} with these arguments has no exact formula here") from error
            for ref, value in zip(node.outputs, result if isinstance(result, tuple) else (result,), strict=False):
                if ref is not None and value is not None:
                    _write(N, memory, ref, value)


def _coarser(N: number.Exact, node: Node) -> number.Exact:
    """The arithmetic of the type that a node's results have, where its unit of rounding is larger than N's."""
    kinds = [torch.finfo(ref.dtype) for ref in node.outputs if ref and ref.dtype.is_floating_point]
    largest = max(kinds, key=lambda kind: kind.eps, default=None)
    if not isinstance(N, number.Running) or not N.u or largest is None or largest.eps / 2 <= N.u:
        return N
    return number.Running(largest.eps / 2, largest.tiny)


def _handed_over(flat: Array, N: number.Exact, dtype: torch.dtype) -> Array:
    """Numbers that carry an error, to round from here on as N does, to whose digits they are cut."""
    if not isinstance(N, number.Running) or flat.dtype != object or all(v.a is N for v in flat):
        return flat
    unit = N.u if torch.finfo(dtype).eps / 2 < N.u else 0.0
    return mapped(lambda v: number.Rounded(v.v, v.e + unit * number.size(v.v), N), flat)


def _write(N: number.Exact, memory: dict[int, Array], ref: Ref, value: Any) -> None:
    value = np.asarray(value)
    if ref.dtype.is_floating_point:
        if value.dtype != object:
            value = np.array([*(N.number(float(v)) for v in value.reshape(-1).tolist()), None], dtype=object)[
                :-1
            ].reshape(value.shape)
    elif value.dtype == object:
        whole = np.vectorize(lambda v: int(v if isinstance(v, int | np.integer) else N.value(v)), otypes=[np.int64])
        value = whole(value)
    ref.read(memory)[...] = value


def _unit(N: number.Exact, v: float, dtype: torch.dtype) -> float:
    """The relative error that a constant may have come with: none where half of its type's digits are enough for it."""
    digits = 22 if dtype == torch.float64 else 12
    if v == 0 or not np.isfinite(v) or float(np.ldexp(np.frexp(v)[0], digits)).is_integer():
        return 0.0
    return 4 * max(float(torch.finfo(dtype).eps) / 2, N.u)

"""What a piece of torch code says, free of rounding: its operations recorded once, and replayed on exact numbers.

What a function returns on exact numbers is what its formula says; the difference to what it returns on tensors is its
rounding, for which a replay on running errors (`number`) has a bound. `differences` differentiates it.

Recording works on memory, not on tensors: every storage has a shadow, an array of numbers that its tensors see through
their strides. So views need no formula, and what is written in place is seen by all who look at that memory. An
operation that `formulas` has no formula for is broken into others as torch itself decomposes it; where that is not to
be had, `FormulaError` says which.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lab.arithmetic import formulas as formulas
from lab.arithmetic import number
from lab.arithmetic.formula import OPERATIONS, Array, mapped

Function = Callable[..., Tensor]

# Their values do not depend on their tensor argument's.
FACTORIES = {
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_zeros", "new_ones",
    "new_full", "new_empty", "new_empty_strided", "scalar_tensor", "empty_strided",
}  # fmt: skip
METADATA = {"squeeze_", "unsqueeze_", "t_", "transpose_", "detach_", "as_strided_", "swapaxes_"}  # no number changes
NOTHING = METADATA | {"_linalg_check_errors", "_assert_async", "_assert_scalar"}


class FormulaError(Exception):
    """No exact replay is to be had; the message completes "no reference in higher precision: …"."""


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
        running error counts; one of at most half the digits of its type is taken at its word.
        """
        memory = self._start(N)
        self._load(memory, [mapped(N.number, array) for array in arrays])
        self._run(N, memory, self.nodes)
        return [ref.read(memory).copy() for ref in self.outputs]

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


def _write(N: number.Exact, memory: dict[int, Array], ref: Ref, value: Any) -> None:
    value = np.asarray(value)
    if ref.dtype.is_floating_point:
        if value.dtype != object:
            value = np.array([*(N.number(float(v)) for v in value.reshape(-1).tolist()), None], dtype=object)[
                :-1
            ].reshape(value.shape)
    elif value.dtype == object:
        value = np.vectorize(lambda v: int(N.value(v)), otypes=[np.int64])(value)
    ref.read(memory)[...] = value


def _unit(N: number.Exact, v: float, dtype: torch.dtype) -> float:
    """The relative error that a constant may have come with: none where half of its type's digits are enough for it."""
    digits = 22 if dtype == torch.float64 else 12
    if v == 0 or not np.isfinite(v) or float(np.ldexp(np.frexp(v)[0], digits)).is_integer():
        return 0.0
    return 4 * max(float(torch.finfo(dtype).eps) / 2, N.u)


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every operation that runs while it is on, and lets it run."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tape = Tape()
        self.unknown = ""
        self._known: set[int] = set()
        self._computed: set[int] = set()
        for x in inputs:
            self.tape.inputs.append(self._ref(x))
        self._computed = {ref.storage for ref in self.tape.inputs}
        for key in self._computed:  # inputs are no constants
            self.tape.constants.pop(key, None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.split("::")[1]
        given = [x for x in _leaves((args, kwargs)) if isinstance(x, Tensor)]
        if name not in OPERATIONS and name.rstrip("_") not in OPERATIONS and not self._needless(name, given):
            whole = _decomposition(func)
            if whole is not None:
                with self:
                    return whole(*args, **kwargs)
        follows = name not in FACTORIES and any(x.is_floating_point() or self._seen(x) for x in given)
        refs = {id(x): self._ref(x) for x in given} if follows else {}
        result = func(*args, **kwargs)
        if follows:
            self._note(func, name, args, kwargs, refs, result)
        return result

    def _needless(self, name: str, given: Sequence[Tensor]) -> bool:
        return (
            name in FACTORIES | NOTHING
            or name == "_local_scalar_dense"
            or not any(x.is_floating_point() for x in given)
        )

    def _note(self, func: Any, name: str, args: Any, kwargs: Any, refs: Mapping[int, Ref], result: Any) -> None:
        if name in NOTHING:
            return
        if name == "_local_scalar_dense":
            (ref,) = refs.values()
            if ref.dtype.is_floating_point and ref.storage in self._computed:
                self.unknown = self.unknown or "a number leaves torch by .item() or float()"
            return
        given = {ref.storage for ref in refs.values()}
        mutable = func._schema.is_mutable
        outs = list(result) if isinstance(result, list | tuple) else [result]
        outs = [x if isinstance(x, Tensor) else None for x in outs]
        if not mutable and all(x is None or x.untyped_storage()._cdata in given for x in outs):
            if any(x is not None and x.dtype not in {r.dtype for r in refs.values()} for x in outs):
                self.unknown = self.unknown or f"aten::{name} looks at numbers as bits"
            return  # views of memory that is followed already
        plain = name.rstrip("_") if mutable and name not in OPERATIONS else name
        plain = plain if plain in OPERATIONS else name
        if plain not in OPERATIONS:
            self.unknown = self.unknown or f"aten::{name} has no exact formula here"
            return

        def place(x: Any) -> Any:
            if isinstance(x, Tensor):
                return refs[id(x)]
            return type(x)(place(v) for v in x) if isinstance(x, list | tuple) else x

        rest = {k: place(v) for k, v in kwargs.items() if k not in IGNORED}
        reads = frozenset(given)
        written = tuple(None if x is None else self._ref(x, fresh=True) for x in outs)
        self._computed |= {ref.storage for ref in written if ref}
        self.tape.nodes.append(Node(plain + "!" * mutable, place(args), rest, written, reads))

    def _seen(self, x: Tensor) -> bool:
        return x.untyped_storage()._cdata in self._known

    def _ref(self, x: Tensor, fresh: bool = False) -> Ref:
        if x.is_complex() or x.is_sparse or x.is_quantized:
            self.unknown = self.unknown or f"{x.dtype} tensors are not followed"
        storage = x.untyped_storage()
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            self.tape.kept.append(x)  # so that its memory is nobody else's while the tape lives
            size = storage.nbytes() // x.element_size()
            self.tape.sizes[key] = (size, x.dtype)
            if not fresh:
                with torch._C._DisableTorchDispatch():
                    flat = x.detach().as_strided((size,), (1,), 0)
                    self.tape.constants[key] = flat.clone()
        return Ref(key, int(x.storage_offset()), tuple(x.shape), x.stride(), x.dtype)

    def results(self, outputs: Sequence[Tensor]) -> None:
        """Note what the function returned."""
        self.tape.outputs = [self._ref(x) for x in outputs]


IGNORED = {"dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "generator"}


def _leaves(x: Any) -> Any:
    if isinstance(x, list | tuple):
        for v in x:
            yield from _leaves(v)
    elif isinstance(x, dict):
        yield from _leaves(tuple(x.values()))
    else:
        yield x


def _decomposition(func: Any) -> Callable[..., Any] | None:
    from torch._decomp import decomposition_table

    return decomposition_table.get(func)


def record(f: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[Tape, list[Tensor]]:
    """Run f once and record it; return the tape and what f returned (a tensor, or several).

    Raises: FormulaError where it cannot be replayed; whatever f raises.
    """
    leaves = [x.detach().clone(memory_format=torch.contiguous_format) for x in inputs]
    with Recorder(leaves) as recorder:
        out = f(*leaves)
    results = list(out) if isinstance(out, list | tuple) else [out]
    if not results or not all(isinstance(x, Tensor) for x in results):
        raise TypeError(f"must return a tensor, and returned {type(out).__name__}")
    recorder.results(results)
    if recorder.unknown:
        raise FormulaError(recorder.unknown)
    return recorder.tape, [x.detach() for x in results]

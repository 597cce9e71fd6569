"""What a piece of torch code says, free of rounding: its operations recorded once, and replayed on exact numbers.

What a function returns on exact numbers is what its formula says; the difference to what it returns on tensors is its
rounding, for which a replay on running errors (`number`) has a bound. `differences` differentiates it.

Recording works on memory, not on tensors: every storage has a shadow, an array of numbers that its tensors see through
their strides. So views need no formula, and what is written in place is seen by all who look at that memory. An
operation that `formulas` has no formula for is broken into others as torch itself decomposes it; where that is not to
be had, `FormulaError` says which.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from lab.arithmetic import formulas as formulas
from lab.arithmetic.formula import OPERATIONS
from lab.arithmetic.tape import FormulaError as FormulaError
from lab.arithmetic.tape import LeavingError as LeavingError
from lab.arithmetic.tape import Node, Ref, Tape
from lab.raised import caller

# Their values do not depend on their tensor argument's.
FACTORIES = {
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_zeros", "new_ones",
    "new_full", "new_empty", "new_empty_strided", "scalar_tensor", "empty_strided",
}  # fmt: skip
METADATA = {"squeeze_", "unsqueeze_", "t_", "transpose_", "detach_", "as_strided_", "swapaxes_"}  # no number changes
NOTHING = METADATA | {"_linalg_check_errors", "_assert_async", "_assert_scalar"}


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every operation that runs while it is on, and lets it run."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tape = Tape()
        self.unknown = self.left = ""
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
                self._leave("a number leaves torch by .item() or float()")
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

    def leaves(self, x: Tensor) -> None:
        """Note that numbers of x go where they cannot be followed."""
        if x.is_floating_point() and x.untyped_storage()._cdata in self._computed:
            self._leave("numbers leave torch, as for NumPy")

    def _leave(self, why: str) -> None:
        self.unknown, self.left = self.unknown or why, self.left or caller()

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


class Leaving(TorchFunctionMode):
    """Tells a recorder of tensors whose numbers leave torch, as NumPy's functions take them."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("numpy", "__array__", "tolist", "__dlpack__"):
            self._recorder.leaves(args[0])
        return func(*args, **(kwargs or {}))


def record(f: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[Tape, list[Tensor]]:
    """Run f once and record it; return the tape and what f returned (a tensor, or several).

    Raises: FormulaError where it cannot be replayed; whatever f raises.
    """
    leaves = [x.detach().clone(memory_format=torch.contiguous_format) for x in inputs]
    with Recorder(leaves) as recorder, Leaving(recorder):
        out = f(*leaves)
    results = list(out) if isinstance(out, list | tuple) else [out]
    if not results or not all(isinstance(x, Tensor) for x in results):
        raise TypeError(f"must return a tensor, and returned {type(out).__name__}")
    recorder.results(results)
    if recorder.left:
        raise LeavingError(recorder.unknown, recorder.left)
    if recorder.unknown:
        raise FormulaError(recorder.unknown)
    return recorder.tape, [x.detach() for x in results]


def alone(outs: Sequence[Tensor]) -> Tensor:
    """Return what a function that owes one tensor returned; raises TypeError where it returned several."""
    if len(outs) != 1:
        raise TypeError(f"must return one tensor, and returned {len(outs)}")
    return outs[0]

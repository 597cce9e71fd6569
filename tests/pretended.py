"""A device that is not there: tensors that say they are on it, compute on the CPU, and refuse to be mixed with others.

What a real accelerator would refuse, this refuses too: an operation whose tensors are on two devices (a number of no
dimensions may be on the CPU), and an array of numpy's made of them without a copy.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

from lab.experiment import Experiment

DEVICE = torch.device("meta")
MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class There(Tensor):
    """A tensor on the device: `here` is where its numbers are."""

    here: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here: Tensor) -> "There":
        made: There = torch.Tensor._make_wrapper_subclass(
            cls, here.size(), here.stride(), here.storage_offset(), dtype=here.dtype, device=DEVICE
        )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(f, args, kwargs or {})

    def __repr__(self) -> str:  # type: ignore[override]
        return f"There({self.here!r})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.here.__reduce_ex__(protocol)  # a checkpoint is read onto the CPU

    def new_tensor(self, data: Any, **kwargs: Any) -> "There":  # type: ignore[override]
        return There(self.here.new_tensor(back(data), **kwargs))

    def tolist(self) -> Any:
        return self.here.tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"no array of a tensor on {DEVICE}: copy it to the CPU first")

    __array__ = numpy


class Made(TorchFunctionMode):
    """Makes tensors of numbers there, of which torch makes empty ones on its own device of this name."""

    def __torch_function__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if f in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu") == DEVICE:
            return There(f(*back(args), **{**kwargs, "device": "cpu"}))
        return f(*args, **kwargs)


class Mode(TorchDispatchMode):
    """Makes what is asked for on the device there."""

    def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(f, args, kwargs or {})


def run(f: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the CPU, whose result is on the device where its tensors are, or where it is asked to be."""
    tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
    on = [isinstance(each, There) for each in tensors]
    if f not in MOVES and any(on) and any(not there and each.ndim for there, each in zip(on, tensors, strict=True)):
        raise RuntimeError(f"{f}: tensors on two devices, {DEVICE} and cpu")
    asked = kwargs.get("device")
    result_there = any(on) if asked is None else torch.device(asked).type == DEVICE.type
    if f is torch.ops.aten.copy_.default:
        result_there = on[0]
    inner = {**kwargs, **({"device": torch.device("cpu")} if asked is not None else {})}
    given, named = tree_map_only(There, lambda each: each.here, (args, inner))
    found = f(*given, **named)
    if not result_there:
        return found
    wrapped = tree_map_only(Tensor, There, found)
    return return_and_correct_aliasing(f, args, kwargs, wrapped) if any(on) else wrapped


def there(x: Tensor) -> Tensor:
    """A copy of x on the device."""
    return There(x.detach().clone())


def back(x: Any) -> Any:
    """The same numbers on the CPU."""
    return tree_map_only(There, lambda each: each.here, x)


def moved(x: Any, to: Callable[[Tensor], Tensor]) -> Any:
    """A tensor, a problem or an experiment, its tensors moved."""
    if isinstance(x, Tensor):
        return to(x)
    if isinstance(x, Experiment):
        validation = None if x.validation is None else moved(x.validation, to)
        return replace(x, full=moved(x.full, to), validation=validation, theta=to(x.theta))
    tensors = {f.name: getattr(x, f.name) for f in fields(x) if f.init}
    return replace(x, **{name: to(each) for name, each in tensors.items() if isinstance(each, Tensor)})


@contextmanager
def pretending() -> Iterator[None]:
    """While this lasts there is such a device."""
    with Made(), Mode():
        yield

"""Hand-written backward passes on the bench: a `torch.autograd.Function`, and a module that uses one.

Such a class says what its inputs are as a derivation does, by `shapes` or `examples`. Its backward pass is judged as a
product gᵀJ with a random g, once for each floating input, and for each parameter of a module. The truth is the
derivative of its forward pass, replayed in 400 bits and differenced, or that of `reference`, a function of the same
inputs, where the class has one. torch's own route is the forward pass differentiated by torch's rules.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from lab import inputs, oracle
from lab.bench.judge import Subject
from lab.errors import RAISED, InputError
from lab.raised import place

Examples = Callable[[Generator], Iterator[Any]]


def of_function(kind: Any, examples: Examples | None = None) -> Iterator[Subject]:
    """Yield what there is to judge of a `torch.autograd.Function`: its backward pass, one input after another.

    It is judged at its own inputs, or at `examples`.
    """
    apply = _joined(kind.apply)
    names = tuple(inspect.signature(kind.forward).parameters)
    if _own_forward_context(kind):
        names = names[1:]
    truth = _joined(getattr(kind, "reference", kind.apply))
    torchs = _joined(getattr(kind, "reference", None) or oracle.forward_alone(kind))
    yield from _subjects(kind, truth, torchs, apply, examples or _examples(kind, kind.forward), names, ())


def of_module(module: torch.nn.Module) -> Iterator[Subject]:
    """Yield what there is to judge of a module: its backward pass to each input, and to each parameter."""
    kind = type(module)
    given = dict(module.named_parameters()) | dict(module.named_buffers())
    call = _joined(partial(oracle.called_with, module, tuple(given)))
    names = (*tuple(inspect.signature(module.forward).parameters), *given)
    own = _examples(module, module.forward)

    def examples(rng: Generator) -> Iterator[Any]:
        for example in own(rng):
            args = example if isinstance(example, tuple) else (example,)
            yield (*args, *(t.detach().double() if t.is_floating_point() else t for t in given.values()))

    truth = call if not hasattr(kind, "reference") else _joined(module.reference)  # type: ignore[arg-type]
    yield from _subjects(kind, truth, truth, call, examples, names, tuple(module._buffers))


def _subjects(
    kind: type[Any],
    truth: Any,
    torchs: Any,
    ours: Any,
    examples: Examples,
    names: tuple[str, ...],
    fixed: tuple[str, ...],
) -> Iterator[Subject]:
    try:
        first = next(iter(examples(torch.Generator().manual_seed(0))), None)
    except InputError:
        raise
    except RAISED as error:
        raise InputError(f"examples {place(error)}") from error
    if first is None:
        raise InputError(f"{kind.__name__}: examples yields nothing to judge it at; yield tuples of arguments")
    args = first if isinstance(first, tuple) else (first,)
    for i, a in enumerate(args):
        if isinstance(a, Tensor) and a.is_floating_point() and names[i : i + 1] and names[i] not in fixed:
            pulled, tensor = {"vjp": partial(_pulled, ours, i)}, f"∂/∂{names[i]}"
            shapes = getattr(kind, "shapes", None) or {}
            yield Subject(truth, pulled, examples, names, i, shapes=shapes, torchs=torchs, tensor=tensor, owner=kind)


def _pulled(f: Callable[..., Tensor], which: int, *args: Any) -> Tensor:
    """gᵀ ∂f/∂args[which], g being the last argument, by the backward pass that f has."""
    *given, g = args
    leaves = [i for i, a in enumerate(given) if isinstance(a, Tensor) and a.is_floating_point()]

    def bare(*tensors: Tensor) -> Tensor:
        full = list(given)
        for i, tensor in zip(leaves, tensors, strict=True):
            full[i] = tensor
        return f(*full)

    return oracle.pulled_back(bare, [given[i] for i in leaves], leaves.index(which), g)


def _joined(f: Callable[..., Any]) -> Callable[..., Tensor]:
    """f with several outputs laid end to end, as one."""

    def one(*args: Any) -> Tensor:
        out = f(*args)
        if isinstance(out, Tensor):
            return out
        return torch.cat([x.reshape(-1) for x in out if isinstance(x, Tensor) and x.is_floating_point()])

    return one


def _examples(owner: Any, forward: Callable[..., Any]) -> Examples:
    own = getattr(owner, "examples", None)
    if callable(own):
        return own  # type: ignore[no-any-return]
    shapes = inputs.ordered(getattr(owner, "shapes", None), forward)
    return lambda rng: inputs.draw(shapes, rng)


def _own_forward_context(kind: Any) -> bool:
    """Whether forward takes the context first: it does where setup_context is not written apart."""
    return not any(
        "setup_context" in vars(base) for base in kind.__mro__[:-1] if base.__module__ != "torch.autograd.function"
    )

"""torch's tensor operations as formulas on arrays of numbers: what each means, free of torch's own arithmetic.

An operation is known by its aten name; `OPERATIONS[name](N, *arguments)` takes numpy arrays (of numbers of the
arithmetic N for floating tensors, of integers or booleans for others) and Python scalars as torch has them, and returns
an array or a tuple of arrays. Where torch composes one of others (softmax is exp(z − max z)/Σ), so does the formula,
so that a running error bounds torch's own way. An operation that changes its first argument in place has its plain
name; views need no formula (`lab.arithmetic.exact`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lab.arithmetic import number

Array = Any
Operation = Callable[..., Any]
OPERATIONS: dict[str, Operation] = {}


def known(*names: str) -> Callable[[Operation], Operation]:
    """Enter a formula under these names."""

    def enter(operation: Operation) -> Operation:
        OPERATIONS.update(dict.fromkeys(names, operation))
        return operation

    return enter


def numbers(N: number.Exact, x: Any) -> Array:
    """An array of N's numbers, from one or from integers, booleans or a scalar."""
    x = np.asarray(x)
    if x.dtype != object:
        return mapped(lambda v: N.number(v), np.asarray(x.tolist(), dtype=object))
    return x


def mapped(f: Callable[..., Any], *arrays: Array) -> Array:
    """f of each element, broadcasting; always an array of objects."""
    with np.errstate(all="ignore"):
        return np.asarray(np.frompyfunc(f, len(arrays), 1)(*arrays), dtype=object)


def along(f: Callable[[Array], Any], x: Array, dim: Any, keepdim: bool = False) -> Array:
    """Reduce by f, which takes a vector, along one axis, several, or all of them."""
    axes = tuple(range(x.ndim)) if dim is None or dim == [] else (dim,) if isinstance(dim, int) else tuple(dim)
    axes = tuple(axis % max(x.ndim, 1) for axis in axes) if x.ndim else ()
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    flat = x.transpose(*kept, *axes).reshape(*(x.shape[axis] for axis in kept), count(x, axes))
    out = np.empty(flat.shape[:-1], dtype=object)
    for index in np.ndindex(out.shape):
        out[index] = f(flat[index])
    return out.reshape([1 if axis in axes else x.shape[axis] for axis in range(x.ndim)]) if keepdim else out


def total(N: number.Exact, x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    """Σ along axes."""
    x = numbers(N, x)
    if isinstance(N, number.Running) or not x.size:
        return along(N.total, x, dim, keepdim)
    axes = None if dim is None or dim == [] else dim if isinstance(dim, int) else tuple(dim)
    return np.asarray(x.sum(axis=axes if x.ndim else None, keepdims=keepdim), dtype=object)


def largest(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    """The largest along axes."""
    return along(max, x, dim, keepdim)


def count(x: Array, dim: Any) -> int:
    """How many elements a reduction takes together."""
    axes = range(x.ndim) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    return int(np.prod([x.shape[axis] for axis in axes], dtype=int)) if x.ndim else 1


def product(N: number.Exact, a: Array, b: Array) -> Array:
    """A matrix product, batches allowed: (…, n, m) (…, m, k)."""
    a, b = numbers(N, a), numbers(N, b)
    if isinstance(N, number.Running) or not (a.size and b.size):
        return total(N, a[..., :, :, None] * b[..., None, :, :], a.ndim - 1)
    return np.asarray(np.matmul(a, b), dtype=object)


def reduced(N: number.Exact, x: Array, reduction: int) -> Array:
    """torch's reductions by number: 0 none, 1 mean, 2 sum."""
    return x if reduction == 0 else total(N, x) / (x.size if reduction == 1 else 1)

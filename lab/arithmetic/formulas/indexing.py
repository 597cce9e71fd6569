"""Parts of tensors, and tensors put together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.arithmetic import number
from lab.arithmetic.formula import Array, known, numbers

known("tril")(lambda N, a, diagonal=0: np.where(_below(a, diagonal), a, numbers(N, 0)))
known("triu")(lambda N, a, diagonal=0: np.where(_below(a, diagonal - 1), numbers(N, 0), a))
known("flip")(lambda N, a, dims: np.flip(a, dims))
known("roll")(lambda N, a, shifts, dims=(): np.roll(a, shifts, dims or None))
known("repeat")(lambda N, a, repeats: np.tile(a, repeats))
known("cat")(lambda N, tensors, dim=0: np.concatenate([t for t in tensors if t.shape != (0,)], dim))
known("stack")(lambda N, tensors, dim=0: np.stack(tensors, dim))


def _below(a: Array, diagonal: int) -> Array:
    """True on and below a diagonal of the last two axes."""
    rows, columns = a.shape[-2:]
    return np.tri(rows, columns, diagonal, dtype=np.bool_)


@known("index")
def _index(N: number.Exact, a: Array, indices: Sequence[Any]) -> Array:
    return a[tuple(slice(None) if i is None else i for i in indices)]


@known("index_put", "_index_put_impl")
def _index_put(N: number.Exact, a: Array, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Array:
    out = a.copy()
    where: Any = tuple(slice(None) if i is None else i for i in indices)
    if accumulate:
        np.add.at(out, where, values)
    else:
        out[where] = values
    return out


known("index_select")(lambda N, a, dim, index: np.take(a, index, dim))
known("gather")(lambda N, a, dim, index, sparse_grad=False: np.take_along_axis(a, index, dim))


@known("scatter")
def _scatter(N: number.Exact, a: Array, dim: int, index: Array, src: Any) -> Array:
    out, values = a.copy(), np.broadcast_to(numbers(N, src), np.shape(src) or index.shape)
    np.put_along_axis(out, index, values[tuple(slice(n) for n in index.shape)], dim)
    return out


@known("scatter_add")
def _scatter_add(N: number.Exact, a: Array, dim: int, index: Array, src: Array) -> Array:
    out = a.copy()
    for place in np.ndindex(index.shape):
        to = list(place)
        to[dim] = int(index[place])
        out[tuple(to)] = out[tuple(to)] + src[place]
    return out


@known("index_add")
def _index_add(N: number.Exact, a: Array, dim: int, index: Array, src: Array, alpha: Any = 1) -> Array:
    out = np.moveaxis(a.copy(), dim, 0)
    np.add.at(out, index, np.moveaxis(src * alpha, dim, 0))
    return np.moveaxis(out, 0, dim)


@known("constant_pad_nd")
def _pad(N: number.Exact, a: Array, pad: Sequence[int], value: Any = 0) -> Array:
    """Pads come in pairs, the last axis's first; a negative one takes away."""
    pairs = [(0, 0)] * (a.ndim - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    kept = a[tuple(slice(max(-left, 0), n - max(-right, 0)) for (left, right), n in zip(pairs, a.shape, strict=True))]
    wide = [(max(left, 0), max(right, 0)) for left, right in pairs]
    return np.pad(kept, wide, constant_values=numbers(N, value).item())

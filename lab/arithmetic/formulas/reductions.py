"""Along axes: sums, extremes, norms, softmax."""

from typing import Any

import numpy as np

from lab.arithmetic import number
from lab.arithmetic.formula import OPERATIONS, Array, along, count, known, largest, numbers, total


@known("sum")
def _sum(N: number.Exact, x: Array, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Array:
    return total(N, x, dim, keepdim)


@known("mean")
def _mean(N: number.Exact, x: Array, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Array:
    return total(N, x, dim, keepdim) / count(x, dim)


@known("prod")
def _prod(N: number.Exact, x: Array, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Array:
    return along(lambda v: np.multiply.reduce(v), numbers(N, x), dim, keepdim)


@known("cumsum")
def _cumsum(N: number.Exact, x: Array, dim: int, dtype: Any = None) -> Array:
    return np.cumsum(numbers(N, x), axis=dim)


@known("var")
def _var(N: number.Exact, x: Array, dim: Any = None, correction: Any = 1, keepdim: bool = False) -> Array:
    centred = x - total(N, x, dim, True) / count(x, dim)
    return total(N, centred * centred, dim, keepdim) / (count(x, dim) - (1 if correction is None else correction))


@known("std")
def _std(N: number.Exact, x: Array, dim: Any = None, correction: Any = 1, keepdim: bool = False) -> Array:
    return OPERATIONS["sqrt"](N, _var(N, x, dim, correction, keepdim))


known("amax")(lambda N, x, dim=None, keepdim=False: largest(x, dim, keepdim))
known("amin")(lambda N, x, dim=None, keepdim=False: -largest(-x, dim, keepdim))
known("any")(lambda N, x, dim=None, keepdim=False: along(any, x, dim, keepdim).astype(bool))
known("all")(lambda N, x, dim=None, keepdim=False: along(all, x, dim, keepdim).astype(bool))


def _first(x: Array, dim: Any, keepdim: bool) -> Array:
    return along(lambda v: max(range(len(v)), key=lambda i: v[i]), x, dim, keepdim).astype(np.int64)


known("argmax")(lambda N, x, dim=None, keepdim=False: _first(x, dim, keepdim))
known("argmin")(lambda N, x, dim=None, keepdim=False: _first(-x, dim, keepdim))


def _max(N: number.Exact, x: Array, dim: Any = None, keepdim: bool = False) -> Any:
    if isinstance(dim, np.ndarray):
        return OPERATIONS["maximum"](N, x, dim)
    return largest(x) if dim is None else (largest(x, dim, keepdim), _first(x, dim, keepdim))


def _min(N: number.Exact, x: Array, dim: Any = None, keepdim: bool = False) -> Any:
    if isinstance(dim, np.ndarray):
        return OPERATIONS["minimum"](N, x, dim)
    return -largest(-x) if dim is None else (-largest(-x, dim, keepdim), _first(-x, dim, keepdim))


known("max")(_max)
known("min")(_min)


@known("linalg_vector_norm")
def _norm(N: number.Exact, x: Array, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Array:
    p = float(N.value(ord))
    if p == 2:
        return OPERATIONS["sqrt"](N, total(N, x * x, dim, keepdim))
    if p == float("inf"):
        return largest(abs(x), dim, keepdim)
    if p == 1:
        return total(N, abs(x), dim, keepdim)
    power = OPERATIONS["pow"]
    return power(N, total(N, power(N, abs(x), p), dim, keepdim), 1 / p)


@known("logsumexp", "special_logsumexp")
def _logsumexp(N: number.Exact, x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    top = largest(x, dim, True)
    inner = OPERATIONS["log"](N, total(N, OPERATIONS["exp"](N, x - top), dim, keepdim))
    return inner + (top if keepdim else top.reshape(inner.shape))


@known("logcumsumexp")
def _logcumsumexp(N: number.Exact, x: Array, dim: int) -> Array:
    """One number after another, as torch does it: no exponential of a later, larger number enters an earlier sum."""
    rows = list(np.moveaxis(x, dim, 0))
    for i in range(1, len(rows)):
        rows[i] = OPERATIONS["logaddexp"](N, rows[i - 1], rows[i])
    return np.moveaxis(np.stack(rows), 0, dim)


@known("_softmax")
def _softmax(N: number.Exact, x: Array, dim: int, half_to_float: bool = False) -> Array:
    e = OPERATIONS["exp"](N, x - largest(x, dim, True))
    return e * OPERATIONS["div"](N, 1, total(N, e, dim, True))


@known("_log_softmax")
def _log_softmax(N: number.Exact, x: Array, dim: int, half_to_float: bool = False) -> Array:
    shifted = x - largest(x, dim, True)
    return shifted - OPERATIONS["log"](N, total(N, OPERATIONS["exp"](N, shifted), dim, True))


@known("sort")
def _sort(
    N: number.Exact, x: Array, dim: int = -1, descending: bool = False, stable: bool = False
) -> tuple[Array, Array]:
    order = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, order, dim), order

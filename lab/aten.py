"""torch's tensor operations as formulas on arrays of numbers: what each means, free of torch's own arithmetic.

An operation is known here by its aten name; `OPERATIONS[name](N, *arguments)` takes numpy arrays (of numbers of the
arithmetic N for floating tensors, of integers or booleans for others) and Python scalars as torch has them, and returns
an array or a tuple of arrays. Where torch composes one of others (softmax is exp(z − max z)/Σ), so does the formula,
so that a running error bounds torch's own way. An operation that changes its first argument in place has its plain
name; views need no formula (`lab.exact`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lab import number

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
    return along(lambda v: N.total(v), numbers(N, x), dim, keepdim)


def largest(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    """The largest along axes."""
    return along(max, x, dim, keepdim)


def count(x: Array, dim: Any) -> int:
    """How many elements a reduction takes together."""
    axes = range(x.ndim) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    return int(np.prod([x.shape[axis] for axis in axes], dtype=int)) if x.ndim else 1


def product(N: number.Exact, a: Array, b: Array) -> Array:
    """A matrix product, batches allowed: (…, n, m) (…, m, k)."""
    return total(N, numbers(N, a)[..., :, :, None] * numbers(N, b)[..., None, :, :], a.ndim - 1)


def reduced(N: number.Exact, x: Array, reduction: int) -> Array:
    """torch's reductions by number: 0 none, 1 mean, 2 sum."""
    return x if reduction == 0 else total(N, x) / (x.size if reduction == 1 else 1)


def _elementary(name: str) -> Operation:
    return lambda N, x, *ignored: mapped(lambda v: N.apply(name, v), numbers(N, x))


for _name in number.FUNCTIONS:
    if _name not in ("softplus", "log_sigmoid"):
        OPERATIONS[_name] = _elementary(_name)
OPERATIONS["special_expit"] = OPERATIONS["sigmoid"]


@known("softplus")
def _softplus(N: number.Exact, x: Array, beta: float = 1, threshold: float = 20) -> Array:
    scale = N.number(beta)
    return mapped(lambda v: N.apply("softplus", v * scale) / scale, x)


known("log_sigmoid_forward")(lambda N, x: (_elementary("log_sigmoid")(N, x), None))
known("add")(lambda N, a, b, alpha=1: a + (b if alpha == 1 else b * alpha))
known("sub")(lambda N, a, b, alpha=1: a - (b if alpha == 1 else b * alpha))
known("rsub")(lambda N, a, b, alpha=1: b - (a if alpha == 1 else a * alpha))
known("mul")(lambda N, a, b: a * b)
known("neg")(lambda N, a: -a)
known("abs")(lambda N, a: abs(a))
known("square")(lambda N, a: a * a)
known("rsqrt")(lambda N, a: quotient(N, 1, mapped(lambda v: N.apply("sqrt", v), a)))
known("reciprocal")(lambda N, a: quotient(N, 1, a))
known("clone", "alias", "contiguous", "positive", "lift_fresh_copy")(lambda N, a, **options: a)
known("copy")(lambda N, a, b, non_blocking=False: np.broadcast_to(b, a.shape))
known("fill")(lambda N, a, b: np.broadcast_to(numbers(N, b), a.shape))
known("zero")(lambda N, a: np.broadcast_to(numbers(N, 0), a.shape))
known("_to_copy")(lambda N, a, **options: a)
known("relu")(lambda N, a: mapped(lambda v: v if v > 0 else v * 0, a))
known("maximum", "fmax")(lambda N, a, b: mapped(lambda v, w: v if v >= w else w, a, b))
known("minimum", "fmin")(lambda N, a, b: mapped(lambda v, w: v if v <= w else w, a, b))
known("sign", "sgn")(lambda N, a: mapped(lambda v: N.number((v > 0) - (v < 0)), a))
known("eq")(lambda N, a, b: np.asarray(a == b, dtype=bool))
known("ne")(lambda N, a, b: ~np.asarray(a == b, dtype=bool))
known("lt")(lambda N, a, b: np.asarray(a < b, dtype=bool))
known("le")(lambda N, a, b: np.asarray(a <= b, dtype=bool))
known("gt")(lambda N, a, b: np.asarray(a > b, dtype=bool))
known("ge")(lambda N, a, b: np.asarray(a >= b, dtype=bool))
known("logical_not", "bitwise_not")(lambda N, a: ~np.asarray(a, dtype=bool))
known("logical_and", "bitwise_and", "__and__")(lambda N, a, b: np.logical_and(a, b))
known("logical_or", "bitwise_or", "__or__")(lambda N, a, b: np.logical_or(a, b))
known("where")(lambda N, c, a, b: np.where(c, numbers(N, a), numbers(N, b)))
known("masked_fill")(lambda N, a, c, b: np.where(c, numbers(N, b), a))
known("addcmul")(lambda N, a, b, c, value=1: a + b * c * value)
known("addcdiv")(lambda N, a, b, c, value=1: a + quotient(N, b * value, c))
known("lerp")(lambda N, a, b, w: a + (b - a) * w)
known("isnan")(lambda N, a: mapped(lambda v: bool(N.value(v) != N.value(v)), numbers(N, a)).astype(bool))
known("isinf")(lambda N, a: mapped(lambda v: abs(N.value(v)) == number.CONTEXT.inf, numbers(N, a)).astype(bool))


@known("div", "true_divide")
def quotient(N: number.Exact, a: Any, b: Any, rounding_mode: str | None = None) -> Array:
    """a / b; a pole where b is 0, as IEEE has it."""
    zero = number.CONTEXT.zero

    def one(v: Any, w: Any) -> Any:
        if N.value(w) == zero and not isinstance(w, number.Rounded):
            return v * number.CONTEXT.inf if v else number.CONTEXT.nan
        return v / w

    return mapped(one, numbers(N, a), numbers(N, b))


@known("pow")
def _power(N: number.Exact, a: Any, b: Any) -> Array:
    def one(v: Any, w: Any) -> Any:
        exponent = N.value(w)
        if exponent == int(exponent) and not N.error(w):
            return v ** int(exponent) if exponent >= 0 else 1 / v ** int(-exponent)
        if exponent * 2 == 1:
            return N.apply("sqrt", v)
        return N.apply("exp", w * N.apply("log", v))

    return mapped(one, numbers(N, a), numbers(N, b))


def _between(N: number.Exact, a: Array, low: Any = None, high: Any = None) -> Array:
    if low is not None:
        a = mapped(lambda v, w: v if v >= w else w, a, numbers(N, low))
    return a if high is None else mapped(lambda v, w: v if v <= w else w, a, numbers(N, high))


known("clamp")(lambda N, a, min=None, max=None: _between(N, a, min, max))
known("clamp_min")(lambda N, a, min: _between(N, a, min))
known("clamp_max")(lambda N, a, max: _between(N, a, None, max))
known("hardtanh")(lambda N, a, low=-1, high=1: _between(N, a, low, high))


@known("logaddexp")
def _logaddexp(N: number.Exact, a: Array, b: Array) -> Array:
    def one(v: Any, w: Any) -> Any:
        high, low = (v, w) if v >= w else (w, v)
        return high + N.apply("log1p", N.apply("exp", low - high)) if low != high else high + N.apply("log", v * 0 + 2)

    return mapped(one, numbers(N, a), numbers(N, b))


@known("xlogy", "special_xlogy")
def _xlogy(N: number.Exact, a: Any, b: Any) -> Array:
    return mapped(lambda v, w: v * N.apply("log", w) if v else v, numbers(N, a), numbers(N, b))


@known("silu")
def _silu(N: number.Exact, a: Array) -> Array:
    return a * OPERATIONS["sigmoid"](N, a)


@known("gelu")
def _gelu(N: number.Exact, a: Array, approximate: str = "none") -> Array:
    half = N.number(0.5)
    if approximate == "none":
        return half * a * (1 + mapped(lambda v: N.apply("erf", v * N.apply("sqrt", half)), a))
    scale = N.apply("sqrt", N.number(2) / N.number(number.CONTEXT.pi))
    return half * a * (1 + mapped(lambda v: N.apply("tanh", v), scale * (a + N.number(0.044715) * a * a * a)))


@known("leaky_relu")
def _leaky_relu(N: number.Exact, a: Array, slope: float = 0.01) -> Array:
    return mapped(lambda v: v if v > 0 else v * N.number(slope), a)


@known("elu")
def _elu(N: number.Exact, a: Array, alpha: float = 1, scale: float = 1, inner: float = 1) -> Array:
    return mapped(
        lambda v: v * N.number(scale) if v > 0 else N.apply("expm1", v * N.number(inner)) * N.number(alpha * scale), a
    )


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
    return total(N, abs(x), dim, keepdim) if p == 1 else _power(N, total(N, _power(N, abs(x), p), dim, keepdim), 1 / p)


@known("logsumexp", "special_logsumexp")
def _logsumexp(N: number.Exact, x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    top = largest(x, dim, True)
    inner = OPERATIONS["log"](N, total(N, OPERATIONS["exp"](N, x - top), dim, keepdim))
    return inner + (top if keepdim else top.reshape(inner.shape))


@known("_softmax")
def _softmax(N: number.Exact, x: Array, dim: int, half_to_float: bool = False) -> Array:
    e = OPERATIONS["exp"](N, x - largest(x, dim, True))
    return e * quotient(N, 1, total(N, e, dim, True))


@known("_log_softmax")
def _log_softmax(N: number.Exact, x: Array, dim: int, half_to_float: bool = False) -> Array:
    shifted = x - largest(x, dim, True)
    return shifted - OPERATIONS["log"](N, total(N, OPERATIONS["exp"](N, shifted), dim, True))


known("mm", "bmm", "matmul")(lambda N, a, b: product(N, a, b))
known("mv")(lambda N, a, b: product(N, a, b[:, None])[:, 0])
known("dot", "vdot")(lambda N, a, b: total(N, numbers(N, a) * b))
known("addmm", "baddbmm")(lambda N, c, a, b, beta=1, alpha=1: c * beta + product(N, a, b) * alpha)
known("addmv")(lambda N, c, a, b, beta=1, alpha=1: c * beta + product(N, a, b[:, None])[:, 0] * alpha)
known("addr")(lambda N, c, a, b, beta=1, alpha=1: c * beta + a[:, None] * b[None, :] * alpha)
known("trace")(lambda N, a: total(N, np.diagonal(a)))
known("tril")(lambda N, a, diagonal=0: np.where(np.tri(*a.shape[-2:], diagonal, dtype=bool), a, numbers(N, 0)))
known("triu")(lambda N, a, diagonal=0: np.where(np.tri(*a.shape[-2:], diagonal - 1, dtype=bool), numbers(N, 0), a))
known("flip")(lambda N, a, dims: np.flip(a, dims))
known("roll")(lambda N, a, shifts, dims=(): np.roll(a, shifts, dims or None))
known("repeat")(lambda N, a, repeats: np.tile(a, repeats))
known("cat")(lambda N, tensors, dim=0: np.concatenate([t for t in tensors if t.shape != (0,)], dim))
known("stack")(lambda N, tensors, dim=0: np.stack(tensors, dim))


@known("index")
def _index(N: number.Exact, a: Array, indices: Sequence[Any]) -> Array:
    return a[tuple(slice(None) if i is None else i for i in indices)]


@known("index_put", "_index_put_impl")
def _index_put(N: number.Exact, a: Array, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Array:
    out, where = a.copy(), tuple(slice(None) if i is None else i for i in indices)
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

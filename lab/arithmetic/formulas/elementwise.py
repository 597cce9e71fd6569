"""Entry by entry: arithmetic, elementary functions, comparisons, choices."""

from typing import Any

import numpy as np

from lab.arithmetic import number
from lab.arithmetic.formula import OPERATIONS, Array, Operation, known, mapped, numbers


def _elementary(name: str) -> Operation:
    return lambda N, x, *ignored: mapped(lambda v: N.apply(name, v), numbers(N, x))


for _name in number.FUNCTIONS:
    if _name not in ("softplus", "log_sigmoid"):
        OPERATIONS[_name] = _elementary(_name)
OPERATIONS["special_expit"] = OPERATIONS["sigmoid"]
OPERATIONS["special_erfcx"] = OPERATIONS["erfcx"]


@known("polygamma", "special_polygamma")
def _polygamma(N: number.Exact, n: int, x: Array) -> Array:
    """ψ⁽ⁿ⁾ for the orders that derivations meet; of the others there is no formula here."""
    orders = ("digamma", "trigamma", "tetragamma")
    if not 0 <= n < len(orders):
        raise NotImplementedError(f"polygamma of order {n}")
    return _elementary(orders[n])(N, x)


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

"""torch's own losses and layers, where it has them as one operation."""

from typing import Any

import numpy as np

from lab.arithmetic import number
from lab.arithmetic.formula import Array, known, mapped, numbers, reduced, total


@known("mse_loss")
def _mse(N: number.Exact, x: Array, y: Array, reduction: int = 1) -> Array:
    return reduced(N, (x - y) * (x - y), reduction)


@known("huber_loss")
def _huber(N: number.Exact, x: Array, y: Array, reduction: int = 1, delta: Any = 1.0) -> Array:
    half = N.number(0.5)
    d = abs(x - y)
    return reduced(N, mapped(lambda v: half * v * v if v <= delta else delta * (v - half * delta), d), reduction)


@known("smooth_l1_loss")
def _smooth_l1(N: number.Exact, x: Array, y: Array, reduction: int = 1, beta: Any = 1.0) -> Array:
    half = N.number(0.5)
    d = abs(x - y)
    return reduced(N, mapped(lambda v: half * v * v / beta if v < beta else v - half * beta, d), reduction)


@known("binary_cross_entropy_with_logits")
def _bce_with_logits(
    N: number.Exact, z: Array, t: Array, weight: Any = None, pos_weight: Any = None, reduction: int = 1
) -> Array:
    log_sigmoid = mapped(lambda v: N.apply("log_sigmoid", v), numbers(N, z))
    positive = 1 if pos_weight is None else (pos_weight - 1) * t + 1
    entries = (1 - t) * z - positive * log_sigmoid
    return reduced(N, entries if weight is None else entries * weight, reduction)


@known("binary_cross_entropy")
def _bce(N: number.Exact, p: Array, t: Array, weight: Any = None, reduction: int = 1) -> Array:
    def log(v: Any) -> Any:  # torch's logarithm stops at −100 here
        return mapped(lambda w: w if w > -100 else N.number(-100.0), mapped(lambda w: N.apply("log", w), v))

    entries = -(t * log(p) + (1 - t) * mapped(lambda w: w, log(1 - p)))
    return reduced(N, entries if weight is None else entries * weight, reduction)


@known("nll_loss_forward", "nll_loss2d_forward")
def _nll(N: number.Exact, L: Array, y: Array, weight: Any, reduction: int, ignore: int) -> tuple[Array, Array]:
    """L log-probabilities (N, K) or (K,), y classes; a mean divides by the kept rows' weights."""
    L, y = (L[None], np.reshape(y, 1)) if L.ndim == 1 else (L, y)
    L = np.moveaxis(L, 1, -1)
    w = numbers(N, np.ones(L.shape[-1])) if weight is None else weight
    kept = y != ignore
    safe = np.where(kept, y, 0)
    each = np.where(kept, w[safe], numbers(N, 0.0))
    entries = -(each * np.take_along_axis(L, safe[..., None], -1)[..., 0])
    mass = total(N, each)
    if reduction == 0:
        return entries, mass
    return (total(N, entries) / mass if reduction == 1 else total(N, entries)), mass


@known("native_layer_norm")
def _layer_norm(N: number.Exact, x: Array, shape: Any, weight: Any, bias: Any, eps: Any) -> tuple[Array, Array, Array]:
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    n = int(np.prod(shape))
    mean = total(N, x, axes, True) / n
    rstd = 1 / mapped(lambda v: N.apply("sqrt", v), total(N, (x - mean) * (x - mean), axes, True) / n + eps)
    y = (x - mean) * rstd
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias), mean, rstd

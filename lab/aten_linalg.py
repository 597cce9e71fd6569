"""More of `lab.aten`: torch's own losses, and linear algebra by elimination on exact numbers."""

from typing import Any

import numpy as np

from lab import number
from lab.aten import OPERATIONS, Array, known, mapped, numbers, product, reduced, total

__all__ = ["OPERATIONS"]


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


def eliminated(N: number.Exact, A: Array, B: Array) -> tuple[Array, Any]:
    """Solve A X = B for one matrix by elimination with row pivots; return X and the determinant of A."""
    n = A.shape[0]
    M = np.concatenate([A, B], axis=1)
    determinant = N.number(1.0)
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(N.value(M[i, k])))
        if pivot != k:
            M[[k, pivot]] = M[[pivot, k]]
            determinant = -determinant
        determinant = determinant * M[k, k]
        if not N.value(M[k, k]):
            return np.full(B.shape, N.number(float("nan")), dtype=object), determinant
        for i in range(k + 1, n):
            M[i, k:] = M[i, k:] - (M[i, k] / M[k, k]) * M[k, k:]
    X = np.empty(B.shape, dtype=object)
    for k in reversed(range(n)):
        X[k] = (M[k, n:] - (product(N, M[k : k + 1, k + 1 : n], X[k + 1 :])[0] if k + 1 < n else 0)) / M[k, k]
    return X, determinant


def _batched(f: Any, *arrays: Array) -> list[Array]:
    """f of each matrix of a batch; its results stacked."""
    batch = np.broadcast_shapes(*(a.shape[:-2] for a in arrays))
    wide = [np.broadcast_to(a, batch + a.shape[-2:]) for a in arrays]
    results = [f(*(a[index] for a in wide)) for index in np.ndindex(batch)]
    stacked = []
    for parts in zip(*results, strict=True):
        out = np.empty((len(parts), *np.shape(parts[0])), dtype=object)
        for i, part in enumerate(parts):
            out[i] = part
        stacked.append(out.reshape(batch + out.shape[1:]))
    return stacked


def _unit(N: number.Exact, A: Array) -> Array:
    return numbers(N, np.eye(A.shape[-1]))


@known("linalg_inv_ex")
def _inverse(N: number.Exact, A: Array, check_errors: bool = False) -> tuple[Array, None]:
    return _batched(lambda A: eliminated(N, A, _unit(N, A))[:1], A)[0], None


@known("_linalg_solve_ex")
def _solve(N: number.Exact, A: Array, B: Array, left: bool = True, check_errors: bool = False) -> tuple[Array, ...]:
    if not left:
        A, B = np.swapaxes(A, -1, -2), np.swapaxes(B, -1, -2)
    vector = B.ndim == A.ndim - 1
    X = _batched(lambda A, B: eliminated(N, A, B)[:1], A, B[..., None] if vector else B)[0]
    return (X[..., 0] if vector else X if left else np.swapaxes(X, -1, -2),)


@known("_linalg_det")
def _determinant(N: number.Exact, A: Array) -> tuple[Array, ...]:
    return (_batched(lambda A: eliminated(N, A, A[:, :0])[1:], A)[0],)


@known("_linalg_slogdet")
def _slogdet(N: number.Exact, A: Array) -> tuple[Array, ...]:
    det = _determinant(N, A)[0]
    sign = mapped(lambda v: N.number((v > 0) - (v < 0)), det)
    return sign, mapped(lambda v: N.apply("log", abs(v)), det)


@known("linalg_cholesky_ex")
def _cholesky(N: number.Exact, A: Array, upper: bool = False, check_errors: bool = False) -> tuple[Array, None]:
    def one(A: Array) -> tuple[Array]:
        n = A.shape[0]
        L = numbers(N, np.zeros((n, n)))
        for j in range(n):
            L[j, j] = N.apply("sqrt", A[j, j] - N.total(v * v for v in L[j, :j]))
            for i in range(j + 1, n):
                L[i, j] = (A[i, j] - N.total(v * w for v, w in zip(L[i, :j], L[j, :j], strict=True))) / L[j, j]
        return (L.T if upper else L,)

    return _batched(one, A)[0], None


@known("linalg_solve_triangular")
def _solve_triangular(
    N: number.Exact, A: Array, B: Array, upper: bool, left: bool = True, unitriangular: bool = False
) -> Array:
    n = A.shape[-1]
    A = np.where(np.tri(n, dtype=bool) if not upper else np.tri(n, dtype=bool).T, A, numbers(N, 0.0))
    if unitriangular:
        A = np.where(np.eye(n, dtype=bool), numbers(N, 1.0), A)
    return _solve(N, A, B, left)[0]

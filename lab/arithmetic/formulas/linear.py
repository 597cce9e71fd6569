"""Products of matrices, and linear algebra by elimination on exact numbers."""

from typing import Any

import numpy as np

from lab.arithmetic import number
from lab.arithmetic.formula import Array, known, mapped, numbers, product, total

STEP = 2.0**-64  # relative: below what rounding leaves of a symmetry, and above the step of a difference quotient

known("mm", "bmm", "matmul")(lambda N, a, b: product(N, a, b))
known("mv")(lambda N, a, b: product(N, a, b[:, None])[:, 0])
known("dot", "vdot")(lambda N, a, b: total(N, numbers(N, a) * b))
known("addmm", "baddbmm")(lambda N, c, a, b, beta=1, alpha=1: c * beta + product(N, a, b) * alpha)
known("addmv")(lambda N, c, a, b, beta=1, alpha=1: c * beta + product(N, a, b[:, None])[:, 0] * alpha)
known("addr")(lambda N, c, a, b, beta=1, alpha=1: c * beta + a[:, None] * b[None, :] * alpha)
known("trace")(lambda N, a: total(N, np.diagonal(a)))


def eliminated(N: number.Exact, A: Array, B: Array) -> tuple[Array, Any]:
    """Solve A X = B for one matrix by elimination with row pivots; return X and the determinant of A.

    The running error is not that of these steps, as LAPACK's blocks go another way, but of any elimination: its X̂
    solves (A + F) X̂ = B with |F| ≤ γ_3n |L||U| (Higham §9.3; an inverse has the like, §14.3: γ_6n is taken), so
        |X̂ − X| ≤ |A⁻¹| ((E_A + γ_6n P|L||U|) |X| + E_B),    |d̂ − d|/|d| ≤ tr |A⁻¹| (E_A + γ_6n P|L||U|)
    with E the errors that A and B came with; where |A⁻¹|E reaches a half it is no longer first order, and unknown.
    """
    n, u = A.shape[0], N.u
    values = mapped(N.value, np.concatenate([A, B], axis=1))
    X, determinant, lu = _elimination(values, n)
    if not isinstance(N, number.Running) or not determinant:
        return mapped(N.number, X), N.number(determinant)
    E = _errors(N, A) + 6 * n * u / (1 - 6 * n * u) * lu
    inverse = _floats(_elimination(np.concatenate([values[:, :n], _one(n)], axis=1), n)[0])
    moved = inverse @ E
    known = float(moved.sum(axis=1).max(initial=0.0)) < 0.5
    errors = 2 * (moved @ _floats(X) + inverse @ _errors(N, B)) if known else np.full(X.shape, np.inf)
    shift = number.size(determinant) * (2 * float(np.trace(moved)) + n * u) if known else np.inf
    solution = np.empty(X.shape, dtype=object)
    for index in np.ndindex(X.shape):
        solution[index] = number.Rounded(X[index], float(errors[index]), N)
    return solution, number.Rounded(determinant, shift, N)


def _elimination(M: Array, n: int) -> tuple[Array, Any, Array]:
    """Solve for exact numbers; return X, the determinant, and |L||U| with its rows in A's order, in floats."""
    M, rows, determinant = M.copy(), np.arange(n), number.CONTEXT.one
    L = np.eye(n)
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(M[i, k]))
        if pivot != k:
            M[[k, pivot]], rows[[k, pivot]], determinant = M[[pivot, k]], rows[[pivot, k]], -determinant
            L[[k, pivot], :k] = L[[pivot, k], :k]
        determinant = determinant * M[k, k]
        if not M[k, k]:
            return np.full(M[:, n:].shape, number.CONTEXT.nan, dtype=object), number.CONTEXT.zero, L
        for i in range(k + 1, n):
            factor = M[i, k] / M[k, k]
            L[i, k] = abs(float(factor))
            M[i, k:] = M[i, k:] - factor * M[k, k:]
    lu = np.empty((n, n))
    lu[rows] = L @ np.triu(_floats(M[:, :n]))
    X = M[:, n:].copy()
    for k in reversed(range(n)):
        X[k] = (X[k] - sum((M[k, j] * X[j] for j in range(k + 1, n)), number.CONTEXT.zero)) / M[k, k]
    return X, determinant, lu


def _floats(x: Array) -> Array:
    return np.array([number.size(v) for v in x.flat]).reshape(x.shape)


def _errors(N: number.Exact, x: Array) -> Array:
    return np.array([N.error(v) for v in x.flat]).reshape(x.shape)


def _one(n: int) -> Array:
    return mapped(number.CONTEXT.mpf, np.eye(n).astype(object))


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
    # torch sums the logarithms of U's diagonal; they may be larger than the sum by what γ_n of the largest allows.
    return sign, mapped(lambda v: _log_determinant(N, abs(v), A.shape[-1]), det)


def _log_determinant(N: number.Exact, d: Any, n: int) -> Any:
    found = N.apply("log", d)
    return (
        number.Rounded(found.v, found.e + n * n * N.u * (1 + number.size(found.v)), N)
        if isinstance(N, number.Running)
        else found
    )


def _evened(N: number.Exact, A: Array) -> Array:
    """(A + Aᵀ)/2 where A is symmetric but for the step of a difference quotient, and elsewhere A as it is.

    LAPACK reads one triangle. Of that the derivative would be twice as much in it and none in the other, while by
    torch's convention, as on paper, a symmetric A's two halves have an equal share.
    """
    v = np.vectorize(N.value, otypes=[object])(A)
    gap = max(map(number.size, (v - v.T).flat), default=0.0)
    return (A + A.T) / 2 if 0 < gap <= STEP * max(map(number.size, v.flat)) else A


@known("linalg_cholesky_ex")
def _cholesky(N: number.Exact, A: Array, upper: bool = False, check_errors: bool = False) -> tuple[Array, None]:
    def one(A: Array) -> tuple[Array]:
        n = A.shape[0]
        A = _evened(N, A)
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


@known("cholesky_solve")
def _cholesky_solve(N: number.Exact, B: Array, L: Array, upper: bool = False) -> Array:
    """A⁻¹B of A = LLᵀ, or LᵀL of an upper one, of which the other triangle is not read."""
    transposed = np.swapaxes(L, -1, -2)
    low, high = (transposed, L) if upper else (L, transposed)
    return _solve_triangular(N, high, _solve_triangular(N, low, B, False), True)

"""Two kinds of numbers to follow a tensor computation with: exact to hundreds of bits, and exact with a running error.

Exact       mpmath's binary floats of `BITS` bits. A formula replayed in them shows what it says, free of rounding.
Running     a pair (v, e): v what exact arithmetic gives, e a bound on how far the machine's own result is from it,
            carried along operation by operation (running error analysis: Wilkinson 1986; Higham, Accuracy and Stability
            of Numerical Algorithms, 2nd ed., §3.3). With u the unit roundoff and η the smallest normal number, which
            underflow may lose:
                a ± b   e_a + e_b + u|v|                      a·b   |a|e_b + |b|e_a + e_a e_b + u|v| + η
                a / b   (e_a + |v|e_b)/(|b| − e_b) + 2u|v| + η
                Σ a     Σe + γ_{n−1} Σ(|a| + e), in any order of summation (Higham, §4.2)
                f(a)    the larger of |f(a ± e) − f(a)|, f being monotone there, + 4u|v| + η: two units in the last
                        place, which the libraries behind torch promise for elementary functions
            Where e reaches the number itself before a division or a logarithm, it is infinite: nothing is known.

Here numbers are made and functions named; which tensor operation is which formula stands in `lab.arithmetic.formula`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import mpmath
import numpy as np

BITS = 400
CONTEXT = mpmath.MPContext()  # one of its own: mpmath's global precision is left alone
CONTEXT.prec = BITS

LOOSE = 4.0  # units of rounding that an elementary function may take
SPECIAL = {"lgamma": 32.0, "digamma": 32.0}  # and these, also in absolute terms near their zeros

ROUGH = dict.fromkeys(("trigamma", "tetragamma", "erfcx"), 16.0)  # twice the most that was seen of these


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + CONTEXT.exp(-x))


def _softplus(x: Any) -> Any:
    return CONTEXT.log1p(CONTEXT.exp(-abs(x))) + max(x, CONTEXT.zero)


PLAIN = (
    "exp", "expm1", "log1p", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc",
)  # fmt: skip
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "log_sigmoid": lambda x: -_softplus(-x),
    "exp2": lambda x: CONTEXT.power(2, x),
    "log2": lambda x: CONTEXT.log(x) / CONTEXT.ln2,
    "log10": lambda x: CONTEXT.log10(x),
    "lgamma": lambda x: CONTEXT.loggamma(x).real,
    "digamma": lambda x: CONTEXT.psi(0, x),
    "trigamma": lambda x: CONTEXT.psi(1, x),
    "tetragamma": lambda x: CONTEXT.psi(2, x),
    "erfcx": lambda x: CONTEXT.exp(x * x) * CONTEXT.erfc(x),
    **{name: getattr(CONTEXT, name) for name in PLAIN},
    "log": CONTEXT.ln,
}


def exactly(name: str, x: Any) -> Any:
    """Return the named function of x to `BITS` bits; nan outside its domain, −inf or inf at a pole."""
    return CONTEXT.make_mpf(_exactly(name, x._mpf_))


@lru_cache(maxsize=1 << 14)
def _exactly(name: str, raw: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The same on mpmath's raw numbers. Remembered: a difference quotient moves one of many entries."""
    x = CONTEXT.make_mpf(raw)
    nan: tuple[int, int, int, int] = CONTEXT.nan._mpf_
    if CONTEXT.isnan(x):
        return nan
    try:
        y = FUNCTIONS[name](x)
    except (ValueError, ZeroDivisionError):
        return nan
    return y._mpf_ if isinstance(y, CONTEXT.mpf) else nan  # complex: outside the domain


@dataclass(frozen=True)
class Exact:
    """Arithmetic without rounding, to `BITS` bits; `u` and `tiny` are those of the machine that is followed: none."""

    u: float = 0.0
    tiny: float = 0.0

    def number(self, x: Any, unit: float = 0.0) -> Any:
        """Return a machine number as it is; `unit` is the relative error it may have come with, not counted here."""
        return CONTEXT.mpf(x)

    def apply(self, name: str, x: Any) -> Any:
        """Return the named function of one number."""
        return exactly(name, x if isinstance(x, CONTEXT.mpf) else CONTEXT.mpf(x))

    def total(self, terms: Iterable[Any]) -> Any:
        """Return Σ terms."""
        return sum(terms, CONTEXT.zero)

    def value(self, x: Any) -> Any:
        """Return a number's exact value."""
        return x

    def error(self, x: Any) -> float:
        """Return the bound on a number's rounding error: none here."""
        return 0.0


@dataclass(frozen=True)
class Noting(Exact):
    """Exact arithmetic that notes the constants which may have come with an error."""

    seen: set[float] = field(default_factory=set)

    def number(self, x: Any, unit: float = 0.0) -> Any:
        if unit:
            self.seen.add(float(x))
        return CONTEXT.mpf(x)


@dataclass(frozen=True)
class Displaced(Exact):
    """Exact arithmetic in which constants of these values are off by the whole error that they may have come with."""

    of: frozenset[float] = frozenset()

    def number(self, x: Any, unit: float = 0.0) -> Any:
        return CONTEXT.mpf(x) * (1 + unit) if unit and float(x) in self.of else CONTEXT.mpf(x)


@dataclass(frozen=True)
class Running(Exact):
    """Arithmetic that carries a bound on the rounding of unit `u`; with u = 0, only of the constants' own errors."""

    def number(self, x: Any, unit: float = 0.0) -> "Rounded":
        return x if isinstance(x, Rounded) else Rounded(CONTEXT.mpf(x), unit * size(x) if unit else 0.0, self)

    def apply(self, name: str, x: Any) -> "Rounded":
        a = x if isinstance(x, Rounded) else self.number(x)
        v = exactly(name, a.v)
        units = self.u * SPECIAL.get(name, ROUGH.get(name, LOOSE))
        own = units * (size(v) + (name in SPECIAL)) + self.tiny * bool(v)
        if self.u:
            own += _cut_off(name, float(a.v))
        if name == "erfcx" and a.v < 0:  # 2exp(x²) − erfcx(−x), and x² is rounded
            own += self.u * (ROUGH[name] + 2 * size(a.v) ** 2) * size(v)
        return Rounded(v, _swing(name, a, v) + own, self)

    def total(self, terms: Iterable[Any]) -> "Rounded":
        parts = [t if isinstance(t, Rounded) else self.number(t) for t in terms]
        n = max(0, len(parts) - 1) * self.u
        gamma = n / (1 - n) if n < 0.5 else 1.0
        error = sum(p.e for p in parts) + gamma * sum(size(p.v) + p.e for p in parts)
        return Rounded(sum((p.v for p in parts), CONTEXT.zero), error, self)

    def value(self, x: Any) -> Any:
        return x.v if isinstance(x, Rounded) else CONTEXT.mpf(x)

    def error(self, x: Any) -> float:
        return float(x.e) if isinstance(x, Rounded) else 0.0


def size(v: Any) -> float:
    """|v| as a float; infinite where it is beyond floats."""
    return abs(float(v))


def _cut_off(name: str, x: float) -> float:
    """What torch's own way of computing a function leaves out.

    Its softplus is linear from 20 on. Its trigamma is an asymptotic series at x + 6, or below a half at 7 − x, which
    ends before its term in the eighth Bernoulli number, −1/30, and is off by less than that.
    """
    if name == "softplus" and x > 20:
        return math.exp(-x)
    return (6 + max(x, 1 - x)) ** -9 / 30 if name == "trigamma" else 0.0


def _swing(name: str, a: "Rounded", v: Any) -> float:
    """The larger of |f(a ± e) − f(a)|."""
    if not a.e:
        return 0.0
    if name in ("sin", "cos"):  # not monotone, but their slopes are at most 1
        return a.e
    if math.isinf(a.e):
        return math.inf
    ends = [exactly(name, a.v + sign * CONTEXT.mpf(a.e)) for sign in (-1, 1)]
    return math.inf if any(CONTEXT.isnan(end) for end in ends) else max(size(end - v) for end in ends)


def _paired(operation: Callable[["Rounded", "Rounded"], Any]) -> Callable[["Rounded", Any], Any]:
    """Let an operation of two numbers take any number as its second, and leave arrays to numpy."""

    def with_any(self: "Rounded", other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else operation(self, self.a.number(other))

    return with_any


class Rounded:
    """A pair (v, e) as in the module's page. Comparisons are those of v."""

    __slots__ = ("a", "e", "v")

    def __init__(self, v: Any, e: float, a: Running) -> None:
        self.v, self.a = v, a
        self.e = math.inf if math.isnan(e) else 0.0 if CONTEXT.isinf(v) else e

    @_paired
    def __add__(self, b: "Rounded") -> "Rounded":
        v = self.v + b.v
        # Adding an exact 0 rounds nothing.
        rounds = self.a.u * size(v) if self.v and b.v else 0.0
        return Rounded(v, self.e + b.e + rounds, self.a)

    @_paired
    def __mul__(self, b: "Rounded") -> "Rounded":
        v = self.v * b.v
        spread = _times(size(self.v), b.e) + _times(size(b.v), self.e) + _times(self.e, b.e)
        return Rounded(v, spread + self.a.u * size(v) + self.a.tiny * bool(v), self.a)

    @_paired
    def __truediv__(self, b: "Rounded") -> "Rounded":
        if not b.v:
            return Rounded(CONTEXT.nan if not self.v else CONTEXT.inf * CONTEXT.sign(self.v), math.inf, self.a)
        v = self.v / b.v
        left = size(b.v) - b.e
        spread = 0.0 if not (self.e or b.e) else (self.e + _times(size(v), b.e)) / left if left > 0 else math.inf
        return Rounded(v, spread + 2 * self.a.u * size(v) + self.a.tiny * bool(v), self.a)

    def __pow__(self, n: int) -> Any:
        """An integer power."""
        if n < 0:
            return self.a.number(1.0) / self**-n
        v = self.v**n
        spread = size((abs(self.v) + CONTEXT.mpf(self.e)) ** n - abs(v)) if self.e and n else 0.0
        return Rounded(v, spread + max(n - 1, 0) * self.a.u * size(v) + self.a.tiny * bool(v and n > 1), self.a)

    def __neg__(self) -> "Rounded":
        return Rounded(-self.v, self.e, self.a)

    def __abs__(self) -> "Rounded":
        return Rounded(abs(self.v), self.e, self.a)

    @_paired
    def __sub__(self, b: "Rounded") -> Any:
        return self + -b

    @_paired
    def __rsub__(self, b: "Rounded") -> Any:
        return b + -self

    @_paired
    def __rtruediv__(self, b: "Rounded") -> Any:
        return b / self

    __radd__, __rmul__ = __add__, __mul__

    @_paired
    def __lt__(self, b: "Rounded") -> bool:
        return bool(self.v < b.v)

    @_paired
    def __le__(self, b: "Rounded") -> bool:
        return bool(self.v <= b.v)

    @_paired
    def __gt__(self, b: "Rounded") -> bool:
        return bool(self.v > b.v)

    @_paired
    def __ge__(self, b: "Rounded") -> bool:
        return bool(self.v >= b.v)

    def __eq__(self, other: object) -> bool:
        return bool(self.v == self.a.number(other).v)

    def __bool__(self) -> bool:
        return bool(self.v)

    __hash__ = None  # type: ignore[assignment]


def _times(a: float, b: float) -> float:
    """a·b, and 0 where either is 0 though the other be infinite."""
    return a * b if a and b else 0.0

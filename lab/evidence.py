"""Evidence for a statement: a derivative against the oracle, two sides of an equality, a remainder's order.

Each is a figure and the band that it must lie in, and both are computed:

Derivative  |ours − truth| / bound ≤ 1 at every entry. The bound is what rounding can do to the two computations:
            γ_n = n u/(1 − n u) times the formula taken of absolute values, which bounds any sum of products of
            depth n (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., §3.1).
Equality    the same, of two sides computed on different ways.
Remainder   log R(h) = log C + s log h + c h + d h² + … must have s = the order stated. The four are fitted over the
            smallest steps at which R stands clear above its noise η(h), a bound on rounding. The band's half-width is
            what the fit leaves out: Σ|w_i| δ_i, w its weights of s and δ_i = η_i/R_i and the logarithms' rounding; and
            (|c h| + |d h²|^½ + h)³ at the largest step for the terms of third order. Too few clear steps, or a
            half-width above 1/4, which could take an order for another: nothing can be told.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor

from lab import oracle, rounding
from lab.referee import compare, ratios

Function = Callable[[Tensor], Tensor]

STEPS = tuple(2.0**-k for k in range(2, 41))
POINTS = 7  # of the fit: three more than it has unknowns, and a window of 2^6
CLEAR = 1e3  # how far above the noise a remainder stands to be fitted: its logarithm then moves by a thousandth


class Role(Enum):
    """What a piece of evidence is for, worded as the table shows it."""

    CLAIM = "the statement"
    OUTSIDE = "without its condition"  # must fail: it shows that the condition is needed
    MEND = "right is"  # must hold: what is true where the statement is not


@dataclass(frozen=True)
class Evidence:
    """A figure, and the band [low, high] that it lies in if what it is evidence for is so; nan: nothing can be told.

    To be looked at: `ratios` are |ours − truth| / bound of every entry, of two sides of one shape; `curve` (3, steps)
    holds a remainder's steps h, sizes R and noises η.
    """

    what: str
    figure: float
    low: float
    high: float
    detail: str
    role: Role = Role.CLAIM
    ratios: Tensor | None = field(default=None, compare=False, repr=False)
    curve: Tensor | None = field(default=None, compare=False, repr=False)

    @property
    def holds(self) -> bool | None:
        """Whether the figure lies in its band; None where nothing can be told."""
        return None if math.isnan(self.figure) else self.low <= self.figure <= self.high

    @property
    def as_it_should(self) -> bool:
        """Whether a mend holds and a counterexample does not; a claim may do either: its verdict says which."""
        return self.role is Role.CLAIM or self.holds is (self.role is Role.MEND)

    def __str__(self) -> str:
        lead = "" if self.role is Role.CLAIM else f"{self.role.value}: "
        return f"{lead}{self.what}: {self.detail}"


def gamma(n: float) -> float:
    """γ_n in float64, in which the ledger computes."""
    return rounding.gamma(n, torch.float64)


def jacobian(f: Function, x: Tensor) -> Tensor:
    """The oracle's Jacobian of f at x, both flattened row by row: (numbers in f(x), numbers in x)."""

    def row(i: int) -> Tensor:
        return oracle.gradient(lambda x: f(x).reshape(-1)[i], x).reshape(-1)

    return torch.stack([row(i) for i in range(f(x).numel())])


def hessian(f: Function, x: Tensor) -> Tensor:
    """The oracle's Hessian of a scalar f at x (n,): its products with the unit vectors, as columns (n, n)."""
    return torch.stack([oracle.hvp(f, x, unit) for unit in torch.eye(len(x), dtype=x.dtype)], dim=1)


def derivative(
    what: str, f: Function, x: Tensor, ours: Tensor, bound: Tensor | float, role: Role = Role.CLAIM
) -> Evidence:
    """Hold `ours` against the oracle's first derivative of the bare f at x.

    Args: ours in x's shape where f is a number, else (numbers in f(x), numbers in x); bound the rounding of one
        computation, which the difference of two may reach twice.
    """
    truth = oracle.gradient(f, x) if f(x).ndim == 0 else jacobian(f, x)
    return equality(what, ours, truth, 2 * bound, role)


def second_derivative(
    what: str, f: Function, x: Tensor, ours: Tensor, bound: Tensor | float, role: Role = Role.CLAIM
) -> Evidence:
    """Hold `ours` (n, n) against the oracle's Hessian of the bare scalar f at x (n,); bound as in `derivative`."""
    return equality(what, ours, hessian(f, x), 2 * bound, role)


def equality(what: str, ours: Tensor, truth: Tensor, bound: Tensor | float, role: Role = Role.CLAIM) -> Evidence:
    """Hold two sides against each other, entry by entry; `bound` is the rounding of their difference."""
    ours, truth = (side[None] if side.ndim == 0 else side for side in (ours, truth))
    if ours.shape != truth.shape:
        detail = f"shape {tuple(ours.shape)} where {tuple(truth.shape)} is due"
        return Evidence(what, math.inf, 0.0, 1.0, detail, role)
    allowed = torch.as_tensor(bound, dtype=truth.dtype).expand_as(truth)
    verdict = compare(what, "", ours, truth, allowed)
    if verdict.passed:
        detail = f"{verdict.ratio:.2g} of what rounding allows" if bool(allowed.any()) else "exactly equal"
    else:
        excess = "rounding allows none" if not verdict.bound else f"{verdict.ratio:.1e} times what rounding allows"
        detail = f"{verdict.ours:.6g} where {verdict.truth:.6g} is due, {excess}"
    return Evidence(what, verdict.ratio, 0.0, 1.0, detail, role, ratios(ours, truth, allowed))


def remainder(
    what: str, error: Callable[[float], float], order: float, noise: Callable[[float], float], role: Role = Role.CLAIM
) -> Evidence:
    """Fit the order at which `error` vanishes with the step, and ask that it be `order`.

    Args: error the size of the remainder at step h; noise a bound on how far rounding moves it there.
    """
    read = [(h, error(h), noise(h)) for h in STEPS]
    curve = torch.tensor(read, dtype=torch.float64).T
    clear = [(h, R, eta) for h, R, eta in read if CLEAR * eta < R < math.inf][-POINTS:]
    if len(clear) < POINTS:
        return untold(what, f"its remainder is above the noise at {len(clear)} steps only", role, curve)
    h, R, eta = torch.tensor(clear, dtype=torch.float64).T
    t, y = h / h[0], (R / R[0]).log()
    A = torch.stack([torch.ones_like(t), t.log(), t, t * t], dim=1)
    weights = torch.linalg.pinv(A)
    _, slope, bend, arch = (weights @ y).tolist()
    delta = -torch.log1p(-eta / R) + gamma(8 * float(torch.linalg.cond(A))) * (1 + y.abs())
    half = float(weights[1].abs() @ delta) + (abs(bend) + abs(arch) ** 0.5 + float(h[0])) ** 3
    window = f"h from {h[0]:.1e} to {h[-1]:.1e}"
    if half > 0.25:
        return untold(what, f"order {slope:.3g} ± {half:.2g}, {window}", role, curve)
    detail = f"order {slope:.6g} ± {half:.1g} where {order:g} is due, {window}"
    return Evidence(what, slope, order - half, order + half, detail, role, curve=curve)


def untold(what: str, why: str, role: Role = Role.CLAIM, curve: Tensor | None = None) -> Evidence:
    """Evidence from which nothing can be told, and why."""
    return Evidence(what, math.nan, 0.0, 0.0, f"nothing can be told: {why}", role, curve=curve)

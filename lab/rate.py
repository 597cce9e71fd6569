"""Rates read off a run: slopes with confidence intervals, over a window that is stated.

Line        y = a + s x + ε by least squares; s ± t_{n−2} se(s), t the 97.5 % quantile of Student's distribution. What
            is fitted here is no sample with independent errors but a smooth curve, and its residuals are what the line
            leaves out; the interval says how far the slope depends on where in the window one looks.
Limit       A curve y(x), x = log t, whose slope tends to a limit at least as fast as 1/x, and from one side: s(x) = s_∞
            + O(1/x), as where y = s_∞ x + O(1) or + O(log x). The window is cut into BLOCKS of equal length, each gives
            the slope between its ends. A line through those against 1/x, read at 1/x = 0, is the limit if the approach
            is as slow as that; the last block's slope is it if the approach is over. The limit lies between: the
            interval runs from the one to the other, widened by the line's own interval at 0.
Doubt       That approach is supposed, not proved: rows a little outside the margin leave a transient t^{−ε}, which no
            window outlasts. So an interval of a limit that misses what is due by no more than `doubt` is evidence of
            nothing either; only one that misses it by more says that the limit is another.

An interval wider than asked for is evidence of nothing.

Source  Draper & Smith, Applied Regression Analysis, 3rd ed., §1.4.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.evidence import Evidence, untold

BLOCKS = 8


@dataclass(frozen=True)
class Slope:
    """A slope, the half-width of its 95 % confidence interval, the window in x, and how many points are in it."""

    value: float
    half: float
    low: float
    high: float
    points: int


def line(x: Tensor, y: Tensor) -> Slope | None:
    """Fit y = a + s x to points (n,); None for fewer than three."""
    if len(x) < 3 or not bool(torch.isfinite(y).all()):
        return None
    fit = _least_squares(x, y)
    return Slope(fit.slope, _student(len(x) - 2) * fit.slope_error, float(x.min()), float(x.max()), len(x))


def limit(t: Tensor, y: Tensor, start: float) -> Slope | None:
    """Fit the limit of dy/d log t from step `start` on; None where there are too few steps for BLOCKS blocks.

    Args: t the steps (n,), increasing; y (n,).
    """
    kept = (t >= max(start, 2.0)) & torch.isfinite(y)
    x, y = t[kept].log(), y[kept]
    if len(x) < 2:
        return None
    edges = torch.linspace(float(x[0]), float(x[-1]), BLOCKS + 1, dtype=x.dtype)
    at = torch.unique((x[None, :] - edges[:, None]).abs().argmin(dim=1))
    if len(at) != BLOCKS + 1:
        return None
    slopes, middle = y[at].diff() / x[at].diff(), (x[at][1:] + x[at][:-1]) / 2
    fit = _least_squares(1 / middle, slopes)
    ends = (fit.at_zero, float(slopes[-1]))
    half = abs(ends[1] - ends[0]) / 2 + _student(BLOCKS - 2) * fit.zero_error
    return Slope(sum(ends) / 2, half, float(x[0]), float(x[-1]), len(x))


def judged(
    what: str,
    slope: Slope | None,
    due: float,
    widest: float,
    unit: str = "log t",
    slack: float = 0.0,
    doubt: float = 0.0,
) -> Evidence:
    """Evidence that a slope is what is due: it lies in its interval, widened by `slack`, a known bias of the fit.

    An interval of a half-width above `widest` tells nothing, nor does one that what is due lies outside of by at most
    `doubt`; `unit` names x in the statement of the window.
    """
    if slope is None:
        return untold(what, "there are too few steps to fit a slope to")
    half = slope.half + slack
    window = f"{slope.points} points, {unit} from {slope.low:.3g} to {slope.high:.3g}"
    if not half <= widest:
        return untold(what, f"slope {slope.value:.4g} ± {half:.2g}, {window}")
    detail = f"slope {slope.value:.4g} ± {half:.2g} where {due:.4g} is due, {window}"
    if half < abs(slope.value - due) <= half + doubt:
        return untold(what, f"{detail}: it may yet come to be that")
    return Evidence(what, slope.value, due - half, due + half, detail)


def contraction(what: str, slope: Slope | None, due: float, widest: float, slack: float) -> Evidence:
    """Evidence that log of a distance falls against t at the slope that its slowest direction sets, in the limit.

    A steeper one is no contradiction: what the slowest direction has of the distance may not show yet, or be none.
    """
    doubt = math.inf if slope is not None and slope.value < due else 0.0
    return judged(what, slope, due, widest, "t", slack, doubt)


@dataclass(frozen=True)
class _Line:
    """A line through points: slope and value at 0, and the standard error of each."""

    slope: float
    at_zero: float
    slope_error: float
    zero_error: float


def _least_squares(x: Tensor, y: Tensor) -> _Line:
    n, centre = len(x), x.mean()
    spread = float((x - centre).square().sum())
    slope = float(((x - centre) * y).sum()) / spread
    at_zero = float(y.mean() - slope * centre)
    sigma = math.sqrt(float((y - at_zero - slope * x).square().sum()) / max(n - 2, 1))
    return _Line(slope, at_zero, sigma / math.sqrt(spread), sigma * math.sqrt(1 / n + float(centre) ** 2 / spread))


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))

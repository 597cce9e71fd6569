"""Derivatives of an exactly replayed function, as difference quotients of 400-bit numbers (`lab.arithmetic.exact`).

f is a function of one array of exact numbers that returns one. With h = 2^-100 and directions d, e:

    first    (f(x + hd) − f(x − hd))/2h                                 error h²|f‴|/6 + 2^-400 |f|/h
    second   (q(h) + q(−h))/2h²,                                        error h²|f⁗| + 4·2^-400 |f|/h²
             q(h) = f(x + hd + he) − f(x + hd) − f(x + he) + f(x)

so the second is good to 1e-60 relative to |f⁗| and to |f|; q(h)/h² alone would leave h|f‴| where f″ vanishes. No rule
of differentiation is used anywhere.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.arithmetic import number

Array = Any
Function = Callable[[Array], Array]
Direction = Any  # an array, or a Unit

H = number.CONTEXT.ldexp(number.CONTEXT.one, -100)
TOLERANCE = 1e-25  # relative: what a constant of the quotients leaves, with much room
FLOOR = 1e-50  # relative to f and 1: what the second quotient's cancellation leaves, with as much room
SIDES = 1e-15  # one-sided quotients of a smooth f differ by h|f″|, far less than this share of them,
LEAST = 1e-25  # or, where f′ is 0, than this


@dataclass(frozen=True)
class Unit:
    """The direction of one entry, by its place in row-major order: no array, of which many entries would need many."""

    place: int

    def moved(self, x: Array, h: Any) -> Array:
        """x with h added to that entry."""
        there = x.copy().reshape(-1)
        there[self.place] = there[self.place] + h
        return there.reshape(x.shape)


def units(shape: tuple[int, ...]) -> Sequence[Unit]:
    """The unit directions of an array, in row-major order."""
    return [Unit(place) for place in range(math.prod(shape))]


def _moved(x: Array, d: Any, h: Any) -> Array:
    """x + d h."""
    return d.moved(x, h) if isinstance(d, Unit) else x + d * h


def first(f: Function, x: Array, directions: Sequence[Direction]) -> tuple[list[Array], list[Array]]:
    """Return the derivative of f in each direction, and where its two one-sided ones differ: kinks of f."""
    here, slopes, kinks = f(x), [], []
    for d in directions:
        ahead, behind = f(_moved(x, d, H)), f(_moved(x, d, -H))
        slopes.append((ahead - behind) / (2 * H))
        right, left = abs(ahead - here) / H, abs(here - behind) / H
        bend = abs(ahead - 2 * here + behind) / H
        kinks.append(np.asarray((bend > SIDES * (right + left)) & (bend > LEAST), dtype=bool))
    return slopes, kinks


def second(f: Function, x: Array, one: Sequence[Direction], other: Sequence[Direction]) -> list[list[Array]]:
    """Return the second derivatives of f in each direction of `one` and each of `other`."""
    here, rows = f(x), [[0 * H for _ in other] for _ in one]
    for h in (H, -H):
        along_one = [f(_moved(x, d, h)) for d in one]
        along_other = along_one if other is one else [f(_moved(x, e, h)) for e in other]
        for i, d in enumerate(one):
            for j, e in enumerate(other):
                if other is one and j < i:
                    rows[i][j] = rows[j][i]
                else:
                    q = f(_moved(_moved(x, d, h), e, h)) - along_one[i] - along_other[j] + here
                    rows[i][j] = rows[i][j] + q / (2 * H * H)
    return rows

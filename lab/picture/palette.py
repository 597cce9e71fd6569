"""Colours of numbers, told apart with any colour vision.

Diverging   blue, white, red (ColorBrewer's RdBu): −1 … 0 … 1
Sequential  dark blue to yellow (matplotlib's viridis): 0 … 1
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]  # (…, 3)

_RED_BLUE = (
    "053061",
    "2166ac",
    "4393c3",
    "92c5de",
    "d1e5f0",
    "f7f7f7",
    "fddbc7",
    "f4a582",
    "d6604d",
    "b2182b",
    "67001f",
)
_VIRIDIS = ("440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725")
NOTHING = (225, 225, 225)  # where there is no number
SHADES = 65  # which an eye hardly parts, and a PNG of them is a third of the size


def diverging(t: NDArray[Any]) -> Colours:
    """The colours (…, 3) of numbers in [−1, 1]; what is beyond has the end's colour, what is not finite is grey."""
    return _between((np.asarray(t, dtype=np.float64) + 1) / 2, _RED_BLUE)


def sequential(t: NDArray[Any]) -> Colours:
    """The colours (…, 3) of numbers in [0, 1]; what is beyond has the end's colour, what is not finite is grey."""
    return _between(np.asarray(t, dtype=np.float64), _VIRIDIS)


def _between(t: NDArray[np.float64], names: tuple[str, ...]) -> Colours:
    shade = np.clip(np.nan_to_num(t) * (SHADES - 1), 0, SHADES - 1).round().astype(np.intp)
    colours: Colours = _table(names).take(shade, axis=0)
    colours[~np.isfinite(t)] = NOTHING
    return colours


@cache
def _table(names: tuple[str, ...]) -> Colours:
    """The colours of all shades, linear between those that are named."""
    anchors = np.array([[int(name[i : i + 2], 16) for i in (0, 2, 4)] for name in names], dtype=np.float64)
    at, places = np.linspace(0, 1, SHADES), np.linspace(0, 1, len(names))
    found = np.stack([np.interp(at, places, anchors[:, channel]) for channel in range(3)], axis=-1)
    return found.round().astype(np.uint8)

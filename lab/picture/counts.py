"""Histograms of readings: of values as they are, and of the logarithms of their sizes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.record import Histogram

BINS = 30
FURTHEST = 2.0**1022  # the difference of two such values is a number still


def histogram(values: NDArray[Any]) -> Histogram | None:
    """Count finite values in equal bins from the smallest to the largest; None where there is none.

    Values that are equal up to rounding leave no room for bins: they share one, in the middle.
    """
    kept = np.clip(values[np.isfinite(values)].astype(np.float64), -FURTHEST, FURTHEST)
    if not kept.size:
        return None
    low, high = float(kept.min()), float(kept.max())
    room = 64 * BINS * float(np.spacing(max(abs(low), abs(high))))
    if high - low < room:
        low, high = low - max(room, 0.5), high + max(room, 0.5)
    counts, edges = np.histogram(kept, bins=BINS, range=(low, high))
    return Histogram(edges, counts.astype(np.float64))


def histogram_of_sizes(values: NDArray[Any]) -> Histogram | None:
    """Count log10 |value| of the values that are not zero: what spans decades fills one bin otherwise."""
    sizes = np.abs(values[values != 0])
    return histogram(np.log10(sizes)) if sizes.size else None

"""Histograms of readings: of values as they are, and of the logarithms of their sizes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.record import Histogram

BINS = 30


def histogram(values: NDArray[Any]) -> Histogram | None:
    """Count finite values in equal bins from the smallest to the largest; None where there is none."""
    kept = values[np.isfinite(values)]
    if not kept.size:
        return None
    counts, edges = np.histogram(kept, bins=BINS)
    return Histogram(edges, counts.astype(np.float64))


def histogram_of_sizes(values: NDArray[Any]) -> Histogram | None:
    """Count log10 |value| of the values that are not zero: what spans decades fills one bin otherwise."""
    sizes = np.abs(values[values != 0])
    return histogram(np.log10(sizes)) if sizes.size else None

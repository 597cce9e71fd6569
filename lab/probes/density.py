"""How many eigenvalues are large: the share of them above each tenth of the largest, for problems of any size.

By stochastic Lanczos quadrature, with an interval that holds with the stated probability (`lab.curvature.density`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt

from lab.curvature import density
from lab.probe import Probe, Reading, Step


@dataclass(frozen=True)
class Density(Probe):
    """Log the share of eigenvalues above 10^−1, 10^−2, … of the largest found, each as an interval.

    `vectors` random directions of `depth` Lanczos steps each; `chance` is the probability that an interval fails.
    """

    every: Annotated[int, Ge(1)] = 100
    vectors: Annotated[int, Ge(1)] = 4
    """Random directions, over which shares are averaged."""
    depth: Annotated[int, Ge(2)] = 30
    """Lanczos steps from each."""
    decades: Annotated[int, Ge(1)] = 4
    """Down to which power of ten of the largest eigenvalue shares are told."""
    chance: Annotated[float, Gt(0), Lt(1)] = 1e-6
    """The probability with which an interval may fail."""

    def measure(self, step: Step) -> Mapping[str, Reading]:
        curvature = step.curvature.in_double  # what rounding may do in single would be all that is said
        if not math.isfinite(curvature.trace):  # which no eigenvalue is above
            return {}
        # Shares are of the largest, so that H may be scaled: by a power of 2, which rounds nothing, and no square of
        # its numbers overflows, nor underflows.
        _, exponent = math.frexp(float(curvature.diagonal.max()))
        found = density.sample(
            lambda V: curvature(V) * 2.0 ** -(exponent // 2) * 2.0 ** -(exponent - exponent // 2),
            curvature.P,
            curvature.theta,
            self.vectors,
            self.depth,
            step.seed + step.t,
            self.chance,
        )
        if not bool(torch.isfinite(found.nodes).all()):  # H is finite, but not what it makes of a direction
            return {}
        readings: dict[str, Reading] = {}
        moved = math.ldexp(curvature.rounding, -exponent)  # by which rounding may move an eigenvalue (Weyl)
        for j in range(1, self.decades + 1):
            level = found.largest * 10.0**-j
            lower, upper = found.above(level + moved)[0], found.above(level - moved)[1]
            readings |= {f"density/above_1e-{j}/lower": lower, f"density/above_1e-{j}/upper": upper}
        return readings

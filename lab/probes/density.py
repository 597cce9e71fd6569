"""How many eigenvalues are large: the share of them above each tenth of the largest, for problems of any size.

By stochastic Lanczos quadrature, with an interval that holds with the stated probability (`lab.curvature.density`).
"""

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
    depth: Annotated[int, Ge(2)] = 30
    decades: Annotated[int, Ge(1)] = 4
    chance: Annotated[float, Gt(0), Lt(1)] = 1e-6

    def measure(self, step: Step) -> Mapping[str, Reading]:
        curvature = step.curvature
        if not bool(torch.isfinite(curvature.diagonal).all()):
            return {}
        found = density.sample(
            curvature, curvature.P, step.theta, self.vectors, self.depth, step.seed + step.t, self.chance
        )
        readings: dict[str, Reading] = {}
        for j in range(1, self.decades + 1):
            lower, upper = found.above(found.largest * 10.0**-j)
            readings |= {f"density/above_1e-{j}/lower": lower, f"density/above_1e-{j}/upper": upper}
        return readings

"""What was carried to a step against what is measured there: the two have something in common, or one is false.

Carried intervals rest on what the loss says of how fast its Hessian changes (`self_concordance`, `drift`), and on
convexity. Each measurement after another puts that to the test, for next to nothing.
"""

import math
import sys

from lab.curvature.bounds import Band
from lab.referee import Verdict, Who

NOTE = (
    "an interval that was carried here and the one that is measured have nothing in common: the loss's Hessian changes "
    "faster than its self_concordance or drift says, and no interval between measurements is to be believed"
)


def judge(carried: Band, measured: Band, dtype: str) -> Verdict | None:
    """How far apart the two are, in units of rounding, at the eigenvalue where it is most; None where there is none."""
    ends = list(zip(carried.lower, carried.upper, measured.lower, measured.upper, strict=False))
    gaps = [max(low - above, below - high) for below, above, low, high in ends]
    if not gaps or not all(map(math.isfinite, measured.lower + measured.upper)):
        return None
    i = max(range(len(gaps)), key=gaps.__getitem__)
    below, above, low, high = ends[i]
    ours, truth = (above, low) if low - above >= below - high else (below, high)
    bound = 8 * sys.float_info.epsilon * max(abs(truth), sys.float_info.min)
    ratio, what = max(gaps[i], 0.0) / bound, "the change of the eigenvalues"
    if ratio <= 1:
        return Verdict(what, f"λ_{i + 1}", ratio, (), ours, truth, bound, dtype=dtype)
    return Verdict(what, f"λ_{i + 1}", ratio, (), ours, truth, bound, Who.OURS, dtype, NOTE)

"""What is read off a logarithmic axis: steps at equal distances in log t, and where the fall as 1/t has begun."""

import math

from torch import Tensor

from lab.evidence import Evidence, untold
from lab.probe import Step

OCTAVE = 8  # steps that are measured while t doubles
BEGUN = 10.0


def due(step: Step) -> bool:
    """Whether step t ≥ 1 is the first in its eighth of an octave, or the last of the run."""
    t = step.t
    if step.after is None or t <= 1:
        return t >= 1
    return math.floor(OCTAVE * math.log2(t)) > math.floor(OCTAVE * math.log2(t - 1))


def not_begun(t: Tensor, loss: Tensor) -> Evidence | None:
    """Evidence of nothing where the loss of separable rows does not fall as 1/t yet from step √T on, T the last.

    From some step on 1/L_{t+1} is 1/L_t and a bounded number more (see large_steps), so that 1/L grows linearly once
    what it began with is small beside that: tenfold over the window is asked for, and the root of that over its later
    half. A long step may overshoot far enough for that to take thousands, or fall from one plateau onto another.
    """
    if len(t) < 2:
        return untold("the fall as 1/t", "the run is too short")
    for share, least in ((0.5, BEGUN), (0.75, BEGUN**0.5)):
        window = loss[t >= float(t[-1]) ** share]
        grown = float(window[0] / window[-1])
        if not grown >= least:
            return untold("the fall as 1/t", f"the loss fell {grown:.3g} times only since T^{share:g}")
    return None

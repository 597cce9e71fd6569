"""Steps at equal distances in log t, for what is read off a logarithmic axis."""

import math

from lab.probe import Step

OCTAVE = 8  # steps that are measured while t doubles


def due(step: Step) -> bool:
    """Whether step t ≥ 1 is the first in its eighth of an octave, or the last of the run."""
    t = step.t
    if step.after is None or t <= 1:
        return t >= 1
    return math.floor(OCTAVE * math.log2(t)) > math.floor(OCTAVE * math.log2(t - 1))

"""Random numbers that depend on where they are used, not on what was drawn before.

Whatever a run draws at a step comes from a stream named by (seed, purpose, step): a resumed run draws what the
uninterrupted one drew, and nothing random needs to be saved. (torch's generators keep 32 bits of a seed, too few
for a name; numpy's SeedSequence mixes as many numbers as it is given.)
"""

from zlib import crc32

import numpy as np


def stream(seed: int, purpose: str, step: int = 0) -> np.random.Generator:
    """Return the generator for one purpose at one step of the run with this seed."""
    return np.random.default_rng([seed, crc32(purpose.encode()), step])

"""A mean of the means of mini-batches of unequal size: the last, smaller one counts as much as a full one.

With B batches, a row in a batch that counts for b has the weight 1/(B·b), where 1/Σb is due; they agree where all b
are equal. A batch counts for its rows, or for their weights where the mean divides by those.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.mistake import Case, Made, Mistake

EVERY = 64  # below as many rows, every size of batch is tried; above, those that people use
USUAL = (*(2**k for k in range(1, 14)), 10, 20, 25, 50, 100, 200, 250, 500, 1000)


@dataclass(frozen=True)
class Batches(Mistake):
    """Batches counted alike, whatever rows they have."""

    def made(self, case: Case) -> Iterator[Made]:
        if case.problem is None or case.what not in ("value", "gradient", "hvp", "hessian") or case.rows is None:
            return
        N, rows = case.problem.N, case.rows
        mass = torch.ones(N).to(rows.z) if case.targets is None else case.targets.mass[:, 0]
        for size in range(2, N) if N <= EVERY else [b for b in USUAL if b < N]:
            c = _weights(mass, size)
            if c is None:
                continue
            if case.what == "value":
                tensor = case.summed(c * rows.value())
            elif case.what == "gradient":
                tensor = case.gathered(c[:, None] * rows.gradient())
            else:
                tensor = case.curved(c[:, None, None] * rows.hessian())
            if tensor is not None:
                yield Made(
                    "a mean of the means of unequal mini-batches",
                    "weigh each batch's mean by its rows",
                    tensor,
                    f"ours is the mean over batches of {size} rows" + (f", the last of {N % size}" if N % size else ""),
                )


def _weights(mass: Tensor, size: int) -> Tensor | None:
    """Σb/(B·b), (N,): each row's weight over what is due. None where all batches count alike, or one for nothing."""
    b = torch.stack([batch.sum() for batch in torch.split(mass, size)])
    if torch.allclose(b, b[0], rtol=1e-6) or bool((b == 0).any()):
        return None
    return (mass.sum() / (len(b) * b)).repeat_interleave(size)[: len(mass)]

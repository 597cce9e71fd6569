"""The diagonal alone, where the whole matrix is due: softmax's outputs all move when one logit does.

∂p_k/∂z_l = p_k(δ_kl − p_l). With its diagonal only, the Hessian is diag p(1 − p), and the chain rule gives −r∘(1 − p)
for the gradient; without its outer product, the Hessian is diag p.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from lab.mistake import Case, Made, Mistake

MEND = "∂p_k/∂z_l = p_k(δ_kl − p_l): keep −ppᵀ off the diagonal"


@dataclass(frozen=True)
class Diagonal(Mistake):
    """What lies off the diagonal is missing."""

    def made(self, case: Case) -> Iterator[Made]:
        rows, truth = case.rows, case.truth
        if rows is not None and rows.joint and case.what != "diagonal":
            p, a = rows.p, rows.a
            own, bare = (case.curved(torch.diag_embed(a * d)) for d in (p * (1 - p), p))
            for name, tensor in (
                ("softmax's diagonal only", case.gathered(-rows.r * (1 - p)) if own is None else own),
                ("softmax's outer product is missing", bare),
            ):
                if tensor is not None:
                    yield Made(name, MEND, tensor)
        if truth.ndim == 2 and truth.shape[0] == truth.shape[1] > 1:
            own = truth.diagonal()
            mend = "off the diagonal the derivative is not zero"
            yield Made("the diagonal only", mend, torch.diag(own), "ours is the truth on the diagonal, and zero off it")
            yield Made("the diagonal only", mend, own.clone(), "ours is the truth's diagonal")

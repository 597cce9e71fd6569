"""The activation: applied twice, along the wrong axis, or the other one.

A derivation that starts from p where z is due computes σ(σ(z)) or softmax(softmax(z)), and puts it in the place of p in
a∘p − r and in the Hessian, which is a∘(diag p − ppᵀ), or a∘p(1 − p).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab import anatomy
from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Activation(Mistake):
    """Something else than p, where p is due."""

    def made(self, case: Case) -> Iterator[Made]:
        rows = case.rows
        if rows is None or case.what == "value":
            return
        for name, mend, p in _wrong(rows, case.what):
            tensor = case.derived(replace(rows, p=p))
            if tensor is not None:
                yield Made(name, mend, tensor)


def _wrong(rows: anatomy.Rows, what: str) -> Iterator[tuple[str, str, Tensor]]:
    called = "softmax" if rows.joint else "σ"
    # In a Hessian the two are one: σ(p)(1 − σ(p)).
    name = f"{called} applied twice" + (f", or {called}′ taken of the activation" if what != "gradient" else "")
    yield name, f"p = {called}(z): p goes on from there, not {called}(p)", anatomy.activation(rows.p, rows.joint)
    if rows.joint:
        mend = "each row is a distribution over the K classes: sum along the row"
        yield "softmax over the wrong axis", mend, torch.softmax(rows.z, dim=0)
        yield "σ in place of softmax", "classes that exclude each other take softmax", torch.sigmoid(rows.z)
    elif rows.z.shape[1] > 1:
        mend = "labels that do not exclude each other take σ, each by itself"
        yield "softmax in place of σ", mend, torch.softmax(rows.z, dim=1)

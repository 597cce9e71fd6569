"""A factor on one part of a sum alone: n·(∇L − 2θ) + 2θ, where a mean's 1/n is missing and a penalty's 2θ is right.

With the true t = a + bx, x an input, and a factor c on a alone, ours = ca + bx = ct + (1 − c) b x. How large b is the
derivation alone knows, so it is fitted. Where t is a multiple of x that tells nothing. At x = 0 ours is ct whatever b
is: there it explains what the factor on all does, and counts only where other inputs tell the two apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.mistake import Case, Made, Mistake
from lab.mistakes.factor import Factor
from lab.mistakes.log_base import LogBase
from lab.mistakes.mean import Mean
from lab.mistakes.sign import Sign
from lab.mistakes.term import bases


@dataclass(frozen=True)
class Partial(Mistake):
    """A usual factor on all but a term in an input, of a function of unknown form."""

    def made(self, case: Case) -> Iterator[Made]:
        if case.loss is not None or case.problem is not None:  # the ridge is known there (lab/mistakes/ridge.py)
            return
        truth = case.truth
        terms = [(unit, x) for unit, x in bases(case) if unit != "1" and x.dtype == truth.dtype and _apart(x, truth)]
        factors = [made for kind in (Mean, Sign, LogBase, Factor) for made in kind().made(case) if made.basis is None]
        for made in factors if terms else ():
            _, _, sign = made.evidence.removesuffix(" everywhere").rpartition(" = ")
            for unit, x in terms:
                name, mend = f"{made.name}, but for a term in {unit}", f"{made.mend}, and leave the term in {unit}"
                said = f"ours − ({sign}) truth" if bool(x.any()) else f"{made.evidence}, at {unit} = 0"
                yield replace(made, name=name, mend=mend, evidence=said, basis=x, unit=unit)


def _apart(x: Tensor, truth: Tensor) -> bool:
    """Whether the truth is no multiple of x."""
    a, b = x.reshape(-1), truth.reshape(-1)
    ours, theirs = float(a.norm()), float(b.norm())
    return not ours or abs(float(a @ b)) < (1 - torch.finfo(x.dtype).eps ** 0.25) * ours * theirs

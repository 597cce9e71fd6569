"""Identity: a statement of matrix calculus from somewhere, and the evidence that it is so, is not, or needs more.

An identity writes its `claim` (the formula as the source has it) and yields evidence in three roles: for the claim
under the source's conditions; outside a condition, where it must fail; for the mend, which is right instead.

Verdict     a claim that fails                                 wrong as stated
            evidence from which nothing can be told            nothing can be told
            claims hold, and fail outside a condition          holds under a condition
            claims hold                                        holds

What the verdict should be is written down too (`expected`), so that a ledger can be regression-tested.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from lab.evidence import Evidence, Role

CROSS_ENTROPY = "000_2acb91445370ad93.txt"
RULES = "001_d3757a0fd4e5a779.txt"
JACOBIAN_HESSIAN = "002_46fceff93f0a57c4.txt"


class Judgement(StrEnum):
    """What can be said of a statement."""

    HOLDS = "holds"
    CONDITION = "holds under a condition"
    WRONG = "wrong as stated"
    UNTOLD = "nothing can be told"


@dataclass(frozen=True)
class Finding:
    """What was found of one statement: the verdict, the one that was expected, and the figures both rest on.

    `statement` is the formula in plain text; `remark` is what the source leaves out or has wrong, and what is right.
    """

    statement: str
    source: str
    heading: str
    remark: str
    verdict: Judgement
    expected: Judgement
    evidence: tuple[Evidence, ...]

    @property
    def sound(self) -> bool:
        """Whether all is as it should be: the verdict expected, mends that hold, counterexamples that are some."""
        return self.verdict is self.expected and all(evidence.as_it_should for evidence in self.evidence)


class Identity(ABC):
    """A statement that can be judged. `heading` is the one it stands under in `source`: a file above, or a citation."""

    statement: ClassVar[str]
    source: ClassVar[str]
    heading: ClassVar[str]
    remark: ClassVar[str] = ""
    expected: ClassVar[Judgement] = Judgement.HOLDS

    @abstractmethod
    def claim(self, *inputs: Any, **options: Any) -> Tensor:
        """Return what the statement says, from its inputs."""

    @abstractmethod
    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        """Yield the evidence, at inputs drawn from `rng`: float64, and sizes that differ wherever they may."""

    def judge(self, rng: Generator) -> Finding:
        """Weigh the evidence."""
        found = tuple(self.evidence(rng))
        return Finding(self.statement, self.source, self.heading, self.remark, weigh(found), self.expected, found)


def weigh(evidence: Sequence[Evidence]) -> Judgement:
    """Return the verdict on a statement from its evidence; the module's page has the rule."""
    claims = [each.holds for each in evidence if each.role is Role.CLAIM]
    outside = [each.holds for each in evidence if each.role is Role.OUTSIDE]
    if False in claims:
        return Judgement.WRONG
    if not claims or None in claims or None in outside:
        return Judgement.UNTOLD
    return Judgement.CONDITION if False in outside else Judgement.HOLDS


def normal(rng: Generator, *shape: int) -> Tensor:
    """Draw a float64 tensor of standard normal entries."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def drawn(x: Tensor) -> str:
    """Name a drawn point by its numbers, so that evidence at one is not taken for evidence at another."""
    return f"x = ({', '.join(f'{v:.3g}' for v in x.tolist())})"


def symmetric(rng: Generator, n: int) -> Tensor:
    """Draw an exactly symmetric float64 matrix (n, n)."""
    A = normal(rng, n, n)
    return A + A.T

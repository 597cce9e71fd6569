"""What a loss says of chances, held against the loss itself at all targets that there can be.

cℓ is −log of a likelihood, c being a number, where that adds up to 1 over the targets of a row: Σ_t e^{−cℓ(z, t)} = 1.
These are the classes' indices, or all 0/1 rows of a few labels, whichever `encode` makes of them targets for K logits.
A class's probability is then its term, and a label's the sum of those terms in which it is 1.

Rounding leaves ℓ within c₀u(1 + |ℓ|), c₀ as in `lab.bench.sayings`, and so e^{−cℓ} within c c₀u(1 + |ℓ|) of itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.bench.seen import Here, Seen, at_most, equal

LABELS = 6  # of more there are too many rows of 0 and 1


@dataclass(frozen=True)
class Outcomes:
    """All targets t that there can be, as `encode` has them, of so many `classes` or labels.

    `shares` (T, classes) is 1 where a target has that class or label; `whole`, where none of them is one left out.
    """

    targets: Tensor
    classes: int
    shares: Tensor
    whole: bool

    def likelihoods(self, here: Here) -> tuple[Tensor, Tensor] | None:
        """e^{−cℓ}, (N, T), and its rounding; None where the loss says that it has no likelihood, or not of all."""
        c = here.loss.likelihood(self.targets, here.z.shape[1])
        if c is None or not self.whole:
            return None
        N, T = len(here.z), len(self.targets)
        values = here.loss.value(here.z.repeat_interleave(T, 0), self.targets.repeat(N, *[1] * (self.targets.ndim - 1)))
        nats = c * values.view(N, T)
        chances = (-nats).exp()
        return chances, (here.units * (1 + c + nats.abs())) * chances + 4 * torch.finfo(chances.dtype).tiny


def outcomes(here: Here) -> Outcomes | None:
    """Those of the example's number of logits; None where there are none that `encode` takes."""
    K = here.z.shape[1]
    given = [(torch.arange(classes), classes, torch.eye(classes)) for classes in (K, K + 1)]
    if K <= LABELS:
        rows = torch.cartesian_prod(*[torch.arange(2)] * K).view(-1, K)
        given.append((rows, K, rows))
    for labels, classes, shares in given:
        try:
            y = here.loss.encode(labels.to(here.z.device), classes, here.z.dtype)
        except ValueError:
            continue
        if y.ndim == 1 or y.shape[1] == K:
            left_out = here.loss.correct(here.z[:1].expand(len(y), K), y).isnan().any()
            return Outcomes(y, classes, shares.to(here.z), not bool(left_out))
    return None


def likelihood(here: Here) -> Iterator[Seen]:
    """e^{−cℓ} adds up to 1 over all targets."""
    there = outcomes(here)
    found = there.likelihoods(here) if there else None
    if found is not None:
        chances, rounding = found
        whole = chances.sum(dim=1)
        yield equal("Σ e^{−cℓ}", torch.ones_like(whole), whole, rounding.sum(dim=1) + here.units[:, 0])


def probabilities(here: Here) -> Iterator[Seen]:
    """They are the likelihood's; where it has none, they are between 0 and 1, and those of classes add up to 1."""
    if (there := outcomes(here)) is None:
        return
    said, found = here.loss.probabilities(here.z, there.classes), there.likelihoods(here)
    if found is not None:
        chances, rounding = (each @ there.shares for each in found)
        yield equal("p", said, chances, rounding + here.units * chances)
        return
    yield at_most("p", torch.ones_like(said), said, here.units)
    yield at_most("−p", torch.zeros_like(said), -said, here.units)
    if bool((there.shares.sum(dim=1) == 1).all()):
        whole = said.sum(dim=1)
        yield equal("Σp", torch.ones_like(whole), whole, here.units[:, 0])

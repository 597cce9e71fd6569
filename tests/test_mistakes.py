"""Every mistake that people make is planted in every loss and option: all are caught, and all are named."""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch

from lab import catalog, discern, doctor
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.mistake import Case, Made
from lab.referee import compare

LOSSES: dict[str, Any] = {"softmax": Softmax(), "sigmoid": Sigmoid(), "average": Sigmoid(average=True)}
CONSTANT = 0.37  # for mistakes that have one of their own

Planted = tuple[Case, torch.Tensor, list[tuple[str, Made]]]


@cache
def planted(name: str) -> list[Planted]:
    """Every mistake in every derivative of a loss, in the logits and in θ, at inputs made to show them."""
    rng = torch.Generator().manual_seed(5)
    found = []
    for problem, theta, V in discern.problems(LOSSES[name], rng):
        if theta.shape[1] != 4 and (theta.shape[1] != 1 or name == "softmax"):
            continue  # at K = 2 a factor of 2 is K, and softmax has nothing to get wrong at K = 1
        z = problem.model.forward(problem.X, theta)
        u = torch.randn(z.shape, generator=rng, dtype=z.dtype)
        for case, bound in (
            *discern.in_parameters(problem, theta, V),
            *discern.in_logits(LOSSES[name], z, problem.y, u),
        ):
            made = [(family, each) for family in catalog.names("mistakes") for each in _made(family, case)]
            found.append((case, bound, made))
        if len(found) >= 16:
            break
    return found


def _made(family: str, case: Case) -> Iterator[Made]:
    yield from catalog.get("mistakes", family)().made(case)


def wrong(made: Made) -> torch.Tensor:
    return made.tensor if made.basis is None else made.tensor + CONSTANT * made.basis


@pytest.mark.parametrize(("family", "loss"), list(product(catalog.names("mistakes"), LOSSES)))
def test_every_mistake_is_caught_and_named(family, loss):
    for case, bound, everything in planted(loss):
        for made in (each for its, each in everything if its == family):
            ours, place = wrong(made), f"{made.name} in the {case.what} of {loss}, {tuple(case.truth.shape)}"
            assert not compare(case.what, "", ours, case.truth, bound).passed, f"{place}: not caught"
            causes = doctor.explain([each for _, each in everything], case, ours, bound)
            assert made.name in [cause.name for cause in causes], f"{place}: not named, but {causes}"
            if made.basis is None:
                assert len(causes) == 1, f"{place}: {[cause.name for cause in causes]}"
                assert not causes[0].fitted
            else:
                assert all(cause.fitted for cause in causes), place


def test_every_family_is_planted_somewhere():
    families = {family for loss in LOSSES for _, _, made in planted(loss) for family, _ in made}
    assert set(catalog.names("mistakes")) <= families | {"ignored", "weights"}

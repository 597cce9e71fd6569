"""Every mistake that people make is planted in every loss and option: all are caught, and all are named."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, compress, product
from typing import Any

import pytest
import torch

from lab import catalog, doctor
from lab.bench import discern
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.mistake import Case, Made
from lab.models.linear import Linear
from lab.problem import Problem
from lab.referee import compare

CONSTANT = 0.37  # for mistakes that have one of their own
WEIGHTS = (0.5, 2.0, 1.25, 0.8)
N, D, K = 13, 3, 4
IGNORED = (2, 7, 11)  # of the rows, so that 10 count, and they weigh neither 10 nor 13

Planted = tuple[Case, torch.Tensor, list[tuple[str, Made]]]


@dataclass(frozen=True)
class Setting:
    """A loss with its options, and the kind of targets it is given."""

    loss: Any
    targets: str = "labels"
    K: int = K


def _covering(*factors: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Rows with a level of each factor, in which any two levels of two factors meet: few rows, and every pair."""
    rows = list(product(*factors))
    pairs = {row: set(combinations(enumerate(row), 2)) for row in rows}
    left, chosen = set().union(*pairs.values()), []
    while left:
        chosen.append(max(rows, key=lambda row: len(pairs[row] & left)))
        left -= pairs[chosen[-1]]
    return chosen


def _settings() -> dict[str, Setting]:
    """Every two options together, and each without the other, by name."""
    either, found = (False, True), {}
    given: dict[str, Any] = {"weight": WEIGHTS, "label_smoothing": 0.15, "reduction": "sum"}
    for kind, *on in _covering(("probabilities", "index", "ignored", "class ignored"), *[either] * len(given)):
        options = dict(compress(given.items(), on))
        left_out = {"ignore_index": 1} if kind == "class ignored" else {}
        found[" ".join(["softmax", *options, kind])] = Setting(Softmax(**options, **left_out), kind)
    given = {"weight": WEIGHTS, "pos_weight": WEIGHTS[::-1], "average": True, "reduction": "sum"}
    for kind, *on in _covering(("labels", "soft", "weighed", "weighed rows"), *[either] * len(given)):
        options = dict(compress(given.items(), on))
        found[" ".join(["sigmoid", *options, kind])] = Setting(Sigmoid(**options), kind)
    three = Sigmoid(weight=WEIGHTS, pos_weight=WEIGHTS[::-1], average=True)
    found["sigmoid weight pos_weight average"] = Setting(three)
    found["softmax index"] = Setting(Softmax(), "index")
    found["softmax weight label_smoothing ignored"] = Setting(Softmax(weight=WEIGHTS, label_smoothing=0.15), "ignored")
    found["binary"] = Setting(Sigmoid(), K=1)
    found["binary weight pos_weight"] = Setting(Sigmoid(weight=(0.7,), pos_weight=(2.5,)), K=1)
    return found


SETTINGS = _settings()
QUICK = ("softmax index", "softmax weight label_smoothing ignored", "sigmoid weight pos_weight average", "binary")


def targets(setting: Setting, rng: torch.Generator) -> torch.Tensor:
    """Targets in which classes have unequal numbers."""
    K = setting.K
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 0, 2, 0, 1, 3, 0, 1])
    if setting.targets == "probabilities":
        return torch.softmax(torch.randn(N, K, generator=rng, dtype=torch.float64), dim=1)
    if setting.targets == "soft":
        return torch.rand(N, K, generator=rng, dtype=torch.float64)
    if setting.targets in ("labels", "weighed", "weighed rows"):
        y = torch.randint(2, (N, K), generator=rng).double()
        weight = 0.5 + 2 * torch.rand(N, K if setting.targets == "weighed" else 1, generator=rng, dtype=y.dtype)
        return y if setting.targets == "labels" else Sigmoid.weighed(y, weight)
    if setting.targets == "ignored":
        labels[list(IGNORED)] = setting.loss.ignore_index
    return labels


def problem(setting: Setting, rng: torch.Generator) -> tuple[Problem, torch.Tensor, torch.Tensor]:
    """A problem with an intercept that the ridge leaves alone; θ and a direction."""
    X, theta, V = (
        torch.randn(*s, generator=rng, dtype=torch.float64) for s in ((N, D), (D, setting.K), (D, setting.K))
    )
    X[:, -1] = 1
    held = torch.tensor([[1.0]] * (D - 1) + [[0.0]], dtype=torch.float64)
    return Problem(setting.loss, Linear(), X, targets(setting, rng), 0.3, held, setting.K), theta, V


@cache
def planted(name: str) -> list[Planted]:
    """Every mistake in every derivative of a loss, in the logits and in θ."""
    rng = torch.Generator().manual_seed(5)
    p, theta, V = problem(SETTINGS[name], rng)
    z = p.model.forward(p.X, theta)
    u = torch.randn(z.shape, generator=rng, dtype=z.dtype)
    return [
        (case, bound, [(family, each) for family in catalog.names("mistakes") for each in _made(family, case)])
        for case, bound in (*discern.in_parameters(p, theta, V), *discern.in_logits(p.loss, z, p.y, u))
    ]


def _made(family: str, case: Case) -> Iterator[Made]:
    yield from catalog.get("mistakes", family)().made(case)


def wrong(made: Made) -> torch.Tensor:
    return made.tensor if made.basis is None else made.tensor + CONSTANT * made.basis


@pytest.mark.parametrize(
    ("family", "name"),
    [
        pytest.param(family, name, marks=() if name in QUICK else pytest.mark.slow)
        for name in SETTINGS
        for family in catalog.names("mistakes")
    ],
)
def test_every_mistake_is_caught_and_named(family, name):
    for case, bound, everything in planted(name):
        for made in (each for its, each in everything if its == family):
            ours, place = wrong(made), f"{made.name} in the {case.what} of {name}, {tuple(case.truth.shape)}"
            assert not compare(case.what, "", ours, case.truth, bound).passed, f"{place}: not caught"
            causes = doctor.explain([each for _, each in everything], case, ours, bound)
            assert made.name in [cause.name for cause in causes], f"{place}: not named, but {causes}"
            if made.basis is None:
                assert len(causes) == 1, f"{place}: {[cause.name for cause in causes]}"
                assert not causes[0].fitted
            else:
                assert all(cause.fitted for cause in causes), place


def test_every_family_is_planted_somewhere():
    assert {family for name in QUICK for _, _, made in planted(name) for family, _ in made} == set(
        catalog.names("mistakes")
    ) - {"asymmetry", "partial"}  # of functions of unknown form (tests/test_doctor_unknown.py)


# What people get wrong, as it is commonly said, and what the doctor calls it.
LISTED = {
    "missing 1/N": "the mean's 1/N is missing",
    "missing 1/Σw": "the mean's 1/Σw is missing",
    "1/N twice": "1/N once too often",
    "1/(N−1)": "1/(N − 1) in place of 1/N",
    "mean over K too": "1/K once too often",
    "sign (y − p)": "y − p in place of p − y",
    "softmax's diagonal only": "softmax's diagonal only",
    "σ′ multiplied in again": "σ′ multiplied in again",
    "σ′ taken of the activation": "σ′ taken of the activation",
    "σ applied twice": "σ applied twice",
    "softmax twice": "softmax applied twice",
    "bias gradient summed to a scalar": "the bias's gradient summed to a scalar",
    "bias mean for sum": "the bias's gradient is a mean, for a sum",
    "bias sums include inputs": "the bias's sum includes the inputs",
    "bias regularised": "the bias is regularised",
    "ridge with factor 2": "the ridge with a factor 2",
    "ridge without its 1": "the ridge without its 1, halved",
    "ridge also divided by N": "the ridge also divided by N",
    "ridge's sign": "the ridge's sign",
    "smoothing y(1−α/K)+α/K": "smoothing by y(1 − α/K) + α/K",
    "smoothing α/(K−1)": "smoothing by α/(K − 1)",
    "smoothing in the loss alone": "no smoothing in the gradient",
    "smoothing in the gradient alone": "smoothing in the gradient alone",
    "smooth part ignores the weights": "the smooth part ignores the weights",
    "divides by N instead of Σw": "divides by N in place of Σw",
    "ignored rows in the denominator": "ignored rows in the denominator",
    "ignored rows in the gradient": "ignored rows in the gradient",
    "mean of unequal mini-batch means": "a mean of the means of unequal mini-batches",
    "one-hot off by one": "one-hot targets off by one",
    "transpose missing or extra": "a transpose missing or extra",
    "d×1 where b×d is due": "a sum over axis 0",
    "wrong ravel order": "wrong ravel order",
    "wrong log base": "wrong base of the logarithm",
    "Hessian's sign": "the hessian's sign",
    "(N,1) against (N)": "(N, 1) against (N)",
}


def test_every_mistake_on_the_list_is_planted():
    assert set(LISTED.values()) <= {made.name for name in QUICK for _, _, all_ in planted(name) for _, made in all_}


def test_a_mistake_is_a_mistake_and_never_the_truth():
    """What a mistake gives differs from the truth wherever it yields any, so the proof of sight excuses nothing."""
    for name in QUICK:
        for case, bound, everything in planted(name):
            for _, made in everything:
                distance = doctor.differ(
                    wrong(made), case.truth, doctor.allowance(wrong(made), case, bound, made.moved)
                )
                assert distance > 1, f"{made.name} in the {case.what} of {name}"

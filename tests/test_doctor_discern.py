"""The checker is checked: inputs that show every mistake are proved to, and what others cannot show is said."""

import pytest
import torch
from test_mistakes import QUICK, SETTINGS, Setting, problem

from lab.bench import discern
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem

EVERYTHING = "softmax weight label_smoothing ignored"  # and the ridge, and an intercept


def sights(p, theta, V) -> dict[str, discern.Sight]:
    return {case.what: discern.sight([(case, bound)]) for case, bound in discern.in_parameters(p, theta, V)}


@pytest.fixture
def everything(rng):
    return problem(SETTINGS[EVERYTHING], rng)


def test_with_everything_on_every_mistake_is_seen_and_no_two_look_alike(everything):
    p, theta, V = everything
    kept = int((p.y >= 0).sum())
    sizes = {p.N, kept, p.divisor, p.shape[0], p.shape[1]}
    assert len(sizes) == 5, "N, kept rows, Σw, D and K must differ"
    for what, found in sights(p, theta, V).items():
        assert found.clear, f"{what}: {found}"
        assert found.margin > 1e9
        assert len(found.seen) > 40


@pytest.mark.parametrize("name", QUICK)
def test_inputs_are_clear_with_other_options(name, rng):
    for what, found in sights(*problem(SETTINGS[name], rng)).items():
        assert found.clear, f"{what}: {found}"


def test_at_zero_with_balanced_labels_and_no_options_half_of_the_mistakes_cannot_be_seen(everything):
    p, theta, V = everything
    bare = Problem(Softmax(), Linear(), p.X[:12], torch.arange(12) % 4, outputs=4)
    there, here = sights(bare, 0 * theta, V)["gradient"], sights(p, theta, V)["gradient"]
    hidden = set(here.seen) - set(there.seen)
    assert {"softmax applied twice", "the bias's gradient summed to a scalar"} <= set(there.unseen)
    assert {"the ridge's sign", "no smoothing in the gradient", "the weights are left out"} <= hidden
    assert 2 * len(hidden) >= len(here.seen)
    assert ("1/K once too often", "softmax′ multiplied in again") in there.alike
    assert not there.clear


def test_square_parameters_hide_no_transpose_but_equal_sizes_hide_which_mean(rng):
    p, theta, V = problem(Setting(Softmax(), "index"), rng)
    X = torch.randn(13, 4, generator=rng, dtype=torch.float64)
    theta, V = (torch.randn(4, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    found = sights(Problem(p.loss, Linear(), X, p.y, outputs=4), theta, V)["gradient"]
    assert ("the mean's 1/D is missing", "the mean's 1/K is missing") in found.alike


def test_two_classes_hide_a_factor_of_two(rng):
    X, theta, V = (torch.randn(*s, generator=rng, dtype=torch.float64) for s in ((13, 3), (3, 2), (3, 2)))
    found = sights(Problem(Softmax(), Linear(), X, torch.arange(13) % 2, outputs=2), theta, V)["gradient"]
    assert ("a factor of 2", "the mean's 1/K is missing") in found.alike
    assert "not told apart: 1/K once too often and a factor of 1/2" in str(found)


def test_several_inputs_show_what_one_of_them_shows(rng):
    """At logits of zero softmax applied twice is not seen; with other examples beside it, it is."""
    y = torch.arange(13) % 4
    u = torch.randn(13, 4, generator=rng, dtype=torch.float64)
    flat = [c for c in discern.in_logits(Softmax(), 0 * u, y, u) if c[0].what == "gradient"]
    more = [c for c in discern.in_logits(Softmax(), 3 * u, y, u) if c[0].what == "gradient"]
    assert "softmax applied twice" in discern.sight(flat).unseen
    assert "softmax applied twice" in discern.sight(flat + more).seen


@pytest.mark.parametrize("loss", [Softmax(weight=(0.5, 2.0, 1.25, 0.8), label_smoothing=0.1), Sigmoid()], ids=str)
def test_a_losss_own_examples_show_every_mistake_in_its_gradient(loss, rng):
    found = discern.of_loss(loss, rng)["gradient"]
    assert found.clear, str(found)
    assert "are seen, and no two look alike" in str(found)

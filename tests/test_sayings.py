"""What a loss says of itself is held against its Hessian, and what is false of it is seen."""

from dataclasses import replace

import pytest
import torch
from test_losses import LOSSES

from lab.bench import judge, sayings
from lab.loss import Loss
from lab.losses._simplex import softmax
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.referee import Who


def examples(loss, rng, dtype=torch.float64):
    return [(z.to(dtype), y.to(dtype) if y.is_floating_point() else y) for z, y in loss.examples(rng)]


def wrong(loss, rng, dtype=torch.float64) -> set[str]:
    return {each.what for each in sayings.verdicts(loss, examples(loss, rng, dtype), rng) if not each.passed}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_all_that_the_labs_losses_say_of_themselves_is_so(loss, dtype, rng):
    found = list(sayings.verdicts(loss, examples(loss, rng, dtype), rng))
    # A loss that is weighed, smoothed or leaves a class out says of no example that it is a likelihood.
    silent = {"likelihood"} if dtype == torch.float32 else {"likelihood", "exact"}
    assert set(sayings.said(loss)) - {each.what for each in found} <= silent
    assert [str(each) for each in found if not each.passed] == []
    assert all(each.who is Who.NOBODY for each in found)


def test_bounds_are_near_to_what_there_is(rng):
    for loss in (Sigmoid(), Softmax()):
        said = {each.what: each.note for each in sayings.verdicts(loss, examples(loss, rng), rng)}
        for name in ("self_concordance", "self_bound", "peak"):
            share = float(said[name].split()[4])
            assert 0.9 <= share <= 1


def changed(kind, name, change):
    """A loss that says another thing under one name, and the rest as its parent does."""
    parents = getattr(kind, name)
    if isinstance(parents, property):
        return type("Mine", (kind,), {name: property(lambda self: change(parents.fget(self)))})()
    if not callable(parents):
        return type("Mine", (kind,), {name: change(parents)})()

    def method(self, *given):
        return change(parents(self, *given))

    mine = type("Mine", (kind,), {name: method})
    if name in ("hessian_map", "off_diagonal", "predicted", "subtracted"):
        mine.local = kind.local  # which a class that writes these anew works out of them
    if name == "value_and_gradient":  # which both make use of
        mine.value, mine.gradient = (
            lambda self, z, y, of=of: getattr(kind(), of)(z, y) for of in ("value", "gradient")
        )
    if name == "off_diagonal":
        mine.hessian = lambda self, z, y: kind().hessian(z, y)
    return mine()


PLANTED = [
    (Sigmoid, "value_and_gradient", lambda both: (both[0], 1.001 * both[1]), {"value_and_gradient"}),
    (Sigmoid, "value_and_gradient", lambda both: (both[0] + 1e-6, both[1]), {"value_and_gradient"}),
    (Softmax, "subtracted", lambda r: 0.99 * r, {"predicted"}),
    (Sigmoid, "subtracted", lambda r: 1e17 * r, {"subtracted"}),
    (Softmax, "mass", lambda D: D + 1, {"divisor"}),
    (Softmax, "off_diagonal", lambda h: 1.0001 * h, {"off_diagonal"}),
    (Softmax, "hessian_map", lambda f: lambda U: 1.0001 * f(U), {"hessian_map"}),
    (Softmax, "local", lambda known: replace(known, trace=0.999 * known.trace), {"local"}),
    (Softmax, "local", lambda known: replace(known, size=0.9 * known.size), {"local"}),
    (Softmax, "local", lambda known: replace(known, entries=0.999 * known.entries), {"local"}),
    (Softmax, "local", lambda known: replace(known, product=lambda U: 0.999 * known.product(U)), {"local"}),
    (Softmax, "factor", lambda F: 1.001 * F, {"factor"}),
    (Sigmoid, "factor", lambda F: -F.flip(1), {"factor"}),
    (Softmax, "self_concordance", lambda M: 0.9 * M, {"self_concordance"}),
    (Sigmoid, "self_concordance", lambda M: 0.9 * M, {"self_concordance"}),
    (Softmax, "self_bound", lambda a: 0.9 * a, {"self_bound"}),
    (Sigmoid, "self_bound", lambda a: 0.9 * a, {"self_bound"}),
    (Softmax, "peak", lambda c: 0.9 * c, {"peak"}),
    (Sigmoid, "peak", lambda c: 0.9 * c, {"peak"}),
    (Softmax, "drift_norm", lambda c: 0.2 * c, {"self_concordance"}),
    (Softmax, "flat", lambda told: (2, "more than it is"), {"flat"}),
    (Sigmoid, "ignores_shift", lambda told: True, {"ignores_shift", "self_concordance"}),
    (Softmax, "drift", lambda delta: 0.9 * delta, {"drift"}),
    (Softmax, "drift", lambda delta: 1.1 * delta, {"drift"}),
    (Softmax, "drift", lambda delta: delta.square() / 8, {"drift"}),
    (Softmax, "likelihood", lambda c: 1.001, {"likelihood", "probabilities"}),
    (Sigmoid, "likelihood", lambda c: 0.999, {"likelihood", "probabilities"}),
    (Softmax, "probabilities", lambda p: 0.9999 * p, {"probabilities"}),
    (Softmax, "probabilities", lambda p: p.flip(1), {"probabilities"}),
    (Sigmoid, "probabilities", lambda p: 1 - p, {"probabilities"}),
]


@pytest.mark.parametrize(("kind", "name", "change", "seen"), PLANTED, ids=[f"{p[0].__name__}-{p[1]}" for p in PLANTED])
def test_what_is_false_of_a_loss_is_seen_and_nothing_else(kind, name, change, seen, rng):
    assert wrong(changed(kind, name, change), rng) == seen


@pytest.mark.parametrize("change", [lambda p: p + 1e-3, lambda p: -p, lambda p: 2 * p, lambda p: p * torch.nan])
def test_probabilities_of_a_loss_that_is_no_likelihood_are_to_be_probabilities_all_the_same(change, rng):
    class Smooth(Softmax):
        def probabilities(self, z, classes):
            return change(super().probabilities(z, classes))

    assert wrong(Smooth(label_smoothing=0.1), rng) == {"probabilities"}


def test_targets_of_another_shape_are_refused(rng):
    class Forgot(Softmax):
        def subtracted(self, z, y):
            return y

        def predicted(self, z, y):
            return softmax(z)

    assert "subtracted" in wrong(Forgot(), rng)


def test_a_loss_that_says_it_is_a_likelihood_although_it_smooths_is_seen(rng):
    class Smooth(Softmax):
        def likelihood(self, y, K):
            return 1.0

    assert wrong(Smooth(label_smoothing=0.1), rng) == {"likelihood", "probabilities"}


@pytest.mark.parametrize("times", [2.0, 1e17])
def test_targets_that_are_said_to_weigh_more_than_they_do_are_seen_where_what_is_predicted_follows(times, rng):
    class Counts(Sigmoid):
        def value_and_gradient(self, z, y):
            return (z.exp() - y * z).sum(dim=1), z.exp() - y

        def subtracted(self, z, y):
            return times * y

        predicted = Loss.predicted

    given = [(torch.randn(9, 2, generator=rng, dtype=torch.float64), torch.randint(5, (9, 2), generator=rng).double())]
    found = {each.what: each for each in sayings.verdicts(Counts(), given, rng)}
    assert not found["subtracted"].passed


class SquaredHinge(Sigmoid):
    """Of margins z: (1 − z)²/2 below 1, whose second derivative jumps."""

    def hessian(self, z, y):
        return torch.diag_embed((z < 1).to(z.dtype))


class Faster(Sigmoid):
    """A logistic loss of 2z, which says of itself what is true of that of z."""

    def hessian(self, z, y):
        return 4 * super().hessian(2 * z, y)


class Focal(Sigmoid):
    """(1 − p)² times the loss of y = 1, which is not convex."""

    def hessian(self, z, y):
        p = torch.sigmoid(z)
        return torch.diag_embed(p * (1 - p) * ((1 - p) ** 2 + 2 * (1 - p) * p.log() * (2 * p - (1 - p))))


def test_a_loss_that_is_not_convex_is_told_so(rng):
    found = {each.what: each for each in sayings.verdicts(Focal(), examples(Focal(), rng), rng)}
    assert not found["convex"].passed
    assert "a function that is not is a lab.Derivation" in found["convex"].note


@pytest.mark.parametrize("kind", [SquaredHinge, Faster])
def test_a_hessian_that_jumps_or_changes_faster_is_seen(kind, rng):
    assert "self_concordance" in wrong(kind(), rng)


class Steep(Sigmoid):
    """A logistic loss of 20z, and what is true of it."""

    self_concordance = 20.0

    def hessian(self, z, y):
        return 400 * super().hessian(20 * z, y)


class Counts(Sigmoid):
    """Poisson's loss of counts, whose Hessian e^z overflows where logits are large."""

    def hessian(self, z, y):
        return torch.diag_embed(z.exp())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_what_overflows_or_underflows_convicts_nobody(dtype, rng):
    for loss, z in ((Steep(), 40.0), (Steep(), -40.0), (Counts(), 86.5), (Counts(), -120.0)):
        given = [*examples(loss, rng, dtype), (torch.full((3, 2), z, dtype=dtype), torch.zeros(3, 2, dtype=dtype))]
        found = {each.what: each for each in sayings.verdicts(loss, given, rng)}
        assert found["self_concordance"].passed, str(found["self_concordance"])


def test_a_direction_that_each_row_is_blind_to_by_itself_is_not_one_that_none_sees(rng):
    class Own(Sigmoid):
        def hessian(self, z, y):
            h = super().hessian(z, y)
            own = torch.arange(len(z)) % z.shape[1]
            h[torch.arange(len(z)), own, own] = 0
            return h

        def flat(self, K):
            return 1, "each row is blind to its own"

    z, y = torch.randn(12, 3, generator=rng, dtype=torch.float64), torch.zeros(12, 3, dtype=torch.float64)
    (found,) = [each for each in sayings.verdicts(Own(), [(z, y)], rng) if each.what == "flat"]
    assert not found.passed


def test_what_raises_is_told_with_its_place_and_the_rest_is_judged(rng):
    class Broken(Softmax):
        def factor(self, z, y):
            raise RuntimeError("no factor")

    found = {each.what: each for each in sayings.verdicts(Broken(), examples(Broken(), rng), rng)}
    assert not found["factor"].passed
    assert "test_sayings.py" in found["factor"].note
    assert "RuntimeError: no factor" in found["factor"].note
    assert found["local"].passed


def test_a_check_of_a_loss_judges_what_it_says_unless_a_derivative_is_wrong():
    class Hasty(Sigmoid):
        self_concordance = 0.5

    class Flipped(Hasty):
        def gradient(self, z, y):
            return -super().gradient(z, y)

    def refused(kind):
        return {each.what for each in judge.check(kind, dtypes=(torch.float64,)) if not each.passed}

    assert refused(Sigmoid) == set()
    assert refused(Hasty) == {"self_concordance"}
    assert refused(Flipped) == {"gradient"}

"""What a class writes anew is what counts, whichever shorter way to it was inherited."""

import pytest
import torch
from conftest import make_problem

from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.referee import judge_gradient


@pytest.mark.parametrize("kind", [Sigmoid, Softmax])
@pytest.mark.parametrize("written", [("gradient",), ("value",), ("value", "gradient")], ids="-".join)
def test_a_value_or_a_gradient_that_is_written_anew_is_trained_by(kind, written, rng):
    def negated(name):
        return lambda self, z, y: -getattr(kind, name)(self, z, y)  # as super() has it

    mine = type("Mine", (kind,), {name: negated(name) for name in written})()
    child = type("Child", (type(mine),), {})()
    for loss in (mine, child):
        for z, y in loss.examples(rng):
            both = dict(zip(("value", "gradient"), loss.both(z, y), strict=True))
            for name, found in both.items():
                sign = -1 if name in written else 1
                assert torch.equal(found, sign * getattr(kind(), name)(z, y))
                assert torch.equal(found, getattr(loss, name)(z, y))


def test_a_gradient_of_ones_own_that_is_wrong_is_seen_in_training(rng):
    class Flipped(Sigmoid):
        def gradient(self, z, y):
            return y - torch.sigmoid(z)

    problem, theta = make_problem(rng, "sigmoid")
    wrong = type(problem)(Flipped(), problem.model, problem.X, problem.y)
    gradient = wrong.value_and_gradient(theta)[1]
    assert torch.equal(gradient, wrong.gradient(theta))
    assert not judge_gradient(wrong, theta, gradient).passed


@pytest.mark.parametrize("kind", [Sigmoid, Softmax])
def test_halves_of_a_value_and_gradient_that_are_written_in_one_are_theirs(kind, rng):
    class Negated(kind):
        def value_and_gradient(self, z, y):
            value, gradient = super().value_and_gradient(z, y)
            return 2 * value, -gradient

    class Child(Negated):
        def gradient(self, z, y):
            return 5 * super().gradient(z, y)

    for z, y in kind().examples(rng):
        assert torch.equal(Negated().value(z, y), 2 * kind().value(z, y))
        assert torch.equal(Negated().gradient(z, y), -kind().gradient(z, y))
        value, gradient = Child().both(z, y)
        assert torch.equal(value, 2 * kind().value(z, y))
        assert torch.equal(gradient, -5 * kind().gradient(z, y))


def test_one_may_be_made_of_the_other_however_a_class_and_its_parents_write_them(rng):
    class Halved(Softmax):
        def value(self, z, y):
            return 0.5 * self.value_and_gradient(z, y)[0]

    class Plain(Sigmoid):
        def value(self, z, y):
            return 3 * super().value(z, y)

        def gradient(self, z, y):
            return 3 * super().gradient(z, y)

    class Together(Plain):
        def value_and_gradient(self, z, y):
            return self.value(z, y), self.gradient(z, y)

    for kind, loss, factors in ((Softmax, Halved(), (0.5, 1)), (Sigmoid, Plain(), (3, 3))):
        z, y = next(iter(loss._examples(rng, 1.0)))
        for found, factor, name in zip(loss.both(z, y), factors, ("value", "gradient"), strict=True):
            assert torch.equal(found, factor * getattr(kind(), name)(z, y))
    assert Together()._in_one


def test_a_bound_that_is_no_number_blames_nobodys_gradient(rng):
    class Broken(Sigmoid):
        def diagonal(self, z, y):
            return super().diagonal(z, y) * torch.nan

    problem, theta = make_problem(rng, "sigmoid")
    wrong = type(problem)(Broken(), problem.model, problem.X, problem.y)
    verdict = judge_gradient(wrong, theta, wrong.gradient(theta))
    assert not verdict.passed
    assert verdict.dispute is None
    assert str(verdict).startswith("gradient cannot be judged at theta[")
    assert "made of the loss's hvp, diagonal and gradient, and is not a number there" in str(verdict)

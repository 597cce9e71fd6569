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
            both = dict(zip(("value", "gradient"), loss.value_and_gradient(z, y), strict=True))
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
        value, gradient = Child().value_and_gradient(z, y)
        assert torch.equal(value, 2 * kind().value(z, y))
        assert torch.equal(gradient, -5 * kind().gradient(z, y))


def test_the_two_in_one_that_are_written_with_a_half_of_theirs_are_taken_at_their_word(rng):
    class Both(Sigmoid):
        def gradient(self, z, y):
            return super().gradient(z, y)

        def value_and_gradient(self, z, y):
            return 2 * self.value(z, y), 3 * self.gradient(z, y)

    z, y = next(iter(Sigmoid()._examples(rng, 1.0)))
    value, gradient = Both().value_and_gradient(z, y)
    assert torch.equal(value, 2 * Sigmoid().value(z, y))
    assert torch.equal(gradient, 3 * Sigmoid().gradient(z, y))


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

"""The open folder of optimizers: one contract for all, which sees each mistake that is planted here in it."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import count

import pytest
import torch
from conftest import make_problem

from lab import catalog
from lab.loop import Batches, walk
from lab.optimizer import Optimizer, Stateless
from lab.optimizers.newton import Newton
from lab.oracle import Objective

# What a member that has required fields is tried with; one with none, or with lr alone, needs no entry.
TRIED: dict[str, dict] = {}
SMALL = 1e-3  # a step length at which whatever leads downhill descends


def points(rng):
    """Problems in both precisions, each with a θ to start from."""
    for loss in ("softmax", "sigmoid"):
        for ridge in (0.0, 0.3):
            problem, theta = make_problem(rng, loss, ridge=ridge)
            single = replace(problem, X=problem.X.float(), y=problem.y.float(), held=problem.held.float())
            yield problem, theta
            yield single, theta.float()


def holds(optimizer, rng):
    """Assert what a run relies on: of an optimizer as it is given, and of one as the lab takes it into a run."""
    found = []
    for problem, theta in points(rng):
        gradient = problem.gradient(theta)
        given = theta.clone(), gradient.clone()
        after = optimizer.step(problem, theta, gradient)
        assert torch.equal(theta, given[0]), "it writes into θ"
        assert torch.equal(gradient, given[1]), "it writes into the gradient"
        assert isinstance(after, torch.Tensor), "step returns no tensor"
        assert after.shape == theta.shape, f"step returns shape {tuple(after.shape)} where θ has {tuple(theta.shape)}"
        assert after.dtype == theta.dtype, f"step returns {after.dtype} where θ is {theta.dtype}"
        assert torch.isfinite(after).all(), "a step ends where there are no numbers"
        assert after.data_ptr() != theta.data_ptr(), "step returns θ itself: whoever moves that moves both"
        assert problem.value(after) < problem.value(theta), "a small step leads uphill"
        truth = Objective(problem.reference)
        by_autograd = optimizer.step(truth, theta, truth.value_and_gradient(theta)[1])
        assert problem.value(by_autograd) < problem.value(theta), "by autograd, as a twin steps, it leads uphill"
        if (eta := optimizer.step_length) is not None:
            assert torch.allclose(after, theta - eta * gradient, atol=1e-6), "step_length is not what it steps by"
        found.append((problem, theta, gradient, after))
    for problem, theta, gradient, after in reversed(found):
        again = optimizer.step(problem, theta, gradient)
        assert torch.equal(again, after), "the same step ends elsewhere after others: it remembers, or draws by chance"
    goes_on(optimizer, *make_problem(rng))


def goes_on(optimizer, problem, theta):
    """Assert that a run that is taken up from a checkpoint goes on to the bit."""
    whole, half = Stateless(optimizer), Stateless(optimizer)
    end = list(walk(Batches(problem, None, 0), whole, theta, 0, 6))[-1].theta
    halfway = list(walk(Batches(problem, None, 0), half, theta, 0, 3))[-1].theta
    resumed = Stateless(replace(optimizer))
    resumed.load_state_dict(half.state_dict())
    assert torch.equal(list(walk(Batches(problem, None, 0), resumed, halfway, 3, 6))[-1].theta, end)


def made(name):
    member = catalog.get("optimizers", name)
    small = {"lr": SMALL} if "lr" in [field.name for field in fields(member)] else {}
    try:
        return member(**{**small, **TRIED.get(name, {})})
    except TypeError as error:
        said = "say what it is to be tried with, in TRIED of tests/test_own_optimizers.py"
        raise AssertionError(f"{error}: {said}") from None


@pytest.mark.parametrize("name", catalog.names("optimizers"))
def test_every_optimizer_keeps_the_contract(name, rng):
    holds(made(name), rng)


def test_newtons_whole_step_keeps_it_too(rng):
    holds(Newton(), rng)


@dataclass(frozen=True)
class Mine(Optimizer):
    """Gradient descent, and what a test would have it do."""

    moves: Callable
    eta: float | None = None

    def step(self, objective, theta, gradient):
        return self.moves(objective, theta, gradient)

    @property
    def step_length(self):
        return self.eta


def test_plain_descent_keeps_it(rng):
    holds(Mine(lambda objective, theta, gradient: theta - SMALL * gradient, SMALL), rng)


def remembering():
    """Descent whose steps grow, by a count that no checkpoint knows of."""
    taken = count(1)
    return lambda objective, theta, gradient: theta - SMALL * (1 + 0.1 * next(taken)) * gradient


MISTAKES = {
    "uphill": lambda objective, theta, gradient: theta + SMALL * gradient,
    "nowhere": lambda objective, theta, gradient: theta.clone(),
    "θ itself": lambda objective, theta, gradient: theta,
    "writing into θ": lambda objective, theta, gradient: theta.sub_(SMALL * gradient).clone(),
    "writing into the gradient": lambda objective, theta, gradient: theta - gradient.mul_(SMALL),
    "nothing returned": lambda objective, theta, gradient: None,
    "another shape": lambda objective, theta, gradient: (theta - SMALL * gradient).reshape(-1),
    "another type": lambda objective, theta, gradient: (theta - SMALL * gradient).double(),
    "no numbers": lambda objective, theta, gradient: theta / 0,
    "chance": lambda objective, theta, gradient: theta - SMALL * torch.rand(()).to(theta) * gradient,
    "memory": remembering(),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_an_optimizer_is_seen(mistake, rng):
    with pytest.raises(AssertionError):
        holds(Mine(MISTAKES[mistake]), rng)


def test_a_step_length_that_is_not_what_it_steps_by_is_seen(rng):
    with pytest.raises(AssertionError, match="step_length"):
        holds(Mine(lambda objective, theta, gradient: theta - SMALL * gradient.sign(), SMALL), rng)


def test_what_asks_for_more_than_an_objective_has_is_seen(rng):
    with pytest.raises(AttributeError, match="hvp"):
        holds(Mine(lambda objective, theta, gradient: theta - SMALL * objective.hvp(theta, gradient)), rng)

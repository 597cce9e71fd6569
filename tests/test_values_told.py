"""Numbers that are told are what they are defined as, in the cases that other tests do not tell apart."""

from dataclasses import replace

import pytest
import torch
from conftest import make_problem

from lab import coefficients, spectrum, stability
from lab.losses.sigmoid import Sigmoid
from lab.models.linear import Linear
from lab.probe import Step
from lab.probes.alignment import Alignment
from lab.probes.spectrum import SpectrumProbe
from lab.problem import Problem

F64 = torch.float64


def at(problem, theta, full=None):
    value, gradient = problem.value_and_gradient(theta)
    return Step(0, problem, full or problem, None, theta, value, gradient, theta, 0.1)


@pytest.mark.parametrize("method", ["dense", "krylov"])
def test_effective_rank_is_the_trace_over_the_largest_eigenvalue(method, rng):
    problem, theta = make_problem(rng)
    readings = SpectrumProbe(method=method, top=2).measure(at(problem, theta))
    values = spectrum.dense(problem.hessian(theta)).values
    assert readings["curvature/effective_rank"] == pytest.approx(float(values.sum() / values[0]), rel=1e-9)


def test_alignment_is_with_the_gradient_of_the_whole_training_set_by_mini_batches_too(rng):
    full, theta = make_problem(rng, N=40)
    batch = replace(full, X=full.X[:4], y=full.y[:4])
    readings = Alignment(top=2, tolerance=1e-9).measure(at(batch, theta, full))
    V = spectrum.dense(full.hessian(theta), vectors=True).vectors[:, :2]
    g = full.gradient(theta).reshape(-1)
    share = float((V.T @ g).square().sum() / g.square().sum())
    assert readings["alignment/gradient"] == pytest.approx(share, rel=1e-6)
    other = batch.gradient(theta).reshape(-1)
    assert float((V.T @ other).square().sum() / other.square().sum()) != pytest.approx(share, rel=1e-2)


@pytest.mark.parametrize("steps", [1, 3])
def test_adam_s_scale_is_without_the_bias_of_its_first_steps(steps):
    """Of a gradient that stays the same, its v̂ is the square, and a step is lr·sign g."""
    theta, g = torch.zeros(3, dtype=F64), torch.tensor([0.5, -2.0, 3.0], dtype=F64)
    adam = torch.optim.Adam([theta], lr=0.1, eps=1e-12)
    for _ in range(steps):
        theta.grad = g.clone()
        adam.step()
    known = stability.of("Adam", adam.param_groups[0], adam.state[theta])
    assert torch.allclose(known.scale, g.abs(), rtol=1e-9)
    assert known.limit == pytest.approx(2 * 1.9 * (1 - 0.9**steps) / (0.1 * 0.1))


def test_rmsprop_with_momentum_bears_what_momentum_bears():
    state = {"square_avg": torch.ones(2), "step": 5.0}
    options = {"lr": 0.1, "momentum": 0.9, "eps": 0.0, "alpha": 0.99}
    sgd = {"lr": 0.1, "momentum": 0.9, "dampening": 0.0, "nesterov": False}
    assert stability.of("RMSprop", options, state).limit == stability.of("SGD", sgd, {}).limit


@pytest.mark.parametrize(
    ("kind", "name"), [("RMSprop", "centered"), ("SGD", "maximize"), ("SGD", "weight_decay"), ("RMSprop", "maximize")]
)
def test_of_options_that_change_what_steps_bear_nothing_is_known(kind, name):
    options = {"lr": 0.1, "momentum": 0.0, "eps": 0.0, "alpha": 0.99, "dampening": 0.0, "nesterov": False}
    state = {"square_avg": torch.ones(2), "step": 5.0}
    assert stability.of(kind, options, state) is not None
    assert stability.of(kind, {**options, name: 0.1 if name == "weight_decay" else True}, state) is None


def table(loss, X, y):
    problem, theta = Problem(loss, Linear(), X, y), torch.zeros(X.shape[1], y.shape[1], dtype=F64)
    for _ in range(12):
        H, g = problem.hessian(theta), problem.gradient(theta)
        theta = theta - torch.linalg.solve(H, g.reshape(-1)).view_as(theta)
    names = [f"x{d}" for d in range(X.shape[1])], [f"y{k}" for k in range(y.shape[1])]
    return [(each.estimate, each.error) for each in coefficients.coefficients(problem, theta, *names)]


def test_standard_errors_do_not_hang_on_how_the_loss_is_reduced(rng):
    X = torch.cat([torch.randn(200, 2, generator=rng, dtype=F64), torch.ones(200, 1, dtype=F64)], dim=1)
    y = torch.randint(2, (200, 2), generator=rng).to(F64)
    plain = table(Sigmoid(), X, y)
    for loss in (Sigmoid(average=True), Sigmoid(reduction="sum")):
        for ours, due in zip(table(loss, X, y), plain, strict=True):
            assert ours == pytest.approx(due, rel=1e-9)


def test_a_constant_column_that_is_not_1_has_its_coefficient_per_unit(rng):
    X = torch.cat([torch.randn(200, 1, generator=rng, dtype=F64) + 3, torch.ones(200, 1, dtype=F64)], dim=1)
    y = torch.randint(2, (200, 1), generator=rng).to(F64)
    one, four = table(Sigmoid(), X, y), table(Sigmoid(), X * torch.tensor([1.0, 4.0], dtype=F64), y)
    assert four[0] == pytest.approx(one[0], rel=1e-9)
    assert four[1] == pytest.approx((one[1][0] / 4, one[1][1] / 4), rel=1e-9)

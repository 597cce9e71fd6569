"""Optimizers move θ as torch's do and as Newton's method should, by gradients that no graph was recorded for."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import make_problem

from lab import cli, config, launch, summary
from lab.console import Silent
from lab.errors import InputError
from lab.experiment import Experiment, assemble
from lab.loop import Batches, walk
from lab.optimizer import FromTorch, Optimizer, Stateless
from lab.optimizer_schema import torch_kinds
from lab.optimizers.newton import Newton
from lab.oracle import Objective

OPTIONS = {
    "sgd": {"lr": 0.5, "momentum": 0.9, "nesterov": True},
    "adam": {"lr": 0.1},
    "adamw": {"lr": 0.1, "weight_decay": 0.01},
    "rmsprop": {"lr": 0.01},
    "adagrad": {"lr": 0.3},
    "nadam": {"lr": 0.05},
    "rprop": {"lr": 0.01},
    "lbfgs": {"lr": 1.0, "max_iter": 3},
}


def trajectory(problem, stepper, theta, start=0, steps=8):
    return list(walk(Batches(problem, None, 0), stepper, theta, start, steps))


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_torch_optimizer_takes_the_steps_that_it_takes_in_torch(kind, rng):
    p, theta = make_problem(rng)
    ours = trajectory(p, FromTorch(torch_kinds()[kind], OPTIONS[kind], theta), theta)[-1].theta
    parameter = theta.clone()
    optimizer = torch_kinds()[kind]([parameter], **OPTIONS[kind])

    def closure():
        value, parameter.grad = p.value_and_gradient(parameter)
        return value

    for _ in range(8):
        closure()
        optimizer.step(closure)
    assert torch.equal(ours, parameter)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_saved_state_goes_on_to_the_bit(kind, rng, tmp_path):
    p, theta = make_problem(rng)
    kept = trajectory(p, FromTorch(torch_kinds()[kind], OPTIONS[kind], theta), theta)
    first = FromTorch(torch_kinds()[kind], OPTIONS[kind], theta)
    halfway = trajectory(p, first, theta, steps=4)[-1].theta
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = FromTorch(torch_kinds()[kind], OPTIONS[kind], theta)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(trajectory(p, second, halfway, start=4)[-1].theta, kept[-1].theta)


@pytest.mark.parametrize("kind", [k for k in sorted(torch_kinds()) if k not in OPTIONS])
def test_every_other_torch_optimizer_runs_and_descends(kind, rng):
    p, theta = make_problem(rng)
    start = float(p.value(theta))
    end = trajectory(p, FromTorch(torch_kinds()[kind], {"lr": 0.01}, theta), theta)[-1]
    assert float(end.value) < start


def test_training_never_needs_autograd(rng, monkeypatch):
    p, theta = make_problem(rng)
    before = trajectory(p, FromTorch(torch.optim.SGD, {"lr": 0.3, "momentum": 0.9}, theta), theta)[-1].theta

    def refuse(*args, **kwargs):
        raise AssertionError("autograd was used")

    for name in ("grad", "backward"):
        monkeypatch.setattr(torch.autograd, name, refuse)
    monkeypatch.setattr(torch.Tensor, "backward", refuse)
    with torch.inference_mode():
        after = trajectory(p, FromTorch(torch.optim.SGD, {"lr": 0.3, "momentum": 0.9}, theta), theta)[-1].theta
    assert torch.equal(before, after)


def test_newton_converges_quadratically(rng):
    p, theta = make_problem(rng, ridge=0.1)
    visits = trajectory(p, Stateless(Newton()), theta * 0.1, steps=9)
    norms = [float(v.gradient.norm()) for v in visits]
    assert norms[-1] < 1e-14
    close = [i for i, norm in enumerate(norms[:-1]) if 1e-7 < norm < 1e-2]
    assert close
    assert all(norms[i + 1] < 100 * norms[i] ** 2 for i in close)


def test_newton_handles_a_singular_hessian_and_leaves_its_null_space_alone(rng):
    p, theta = make_problem(rng, N=40, D=3, K=4, ridge=0.0)
    end = trajectory(p, Stateless(Newton()), torch.zeros_like(theta), steps=12)[-1]
    assert float(end.gradient.norm()) < 1e-12
    assert float(end.theta.sum(dim=1).abs().max()) < 1e-10  # the common shift of each row of θ


def test_newton_descends_from_far_away_where_a_full_step_would_not(rng):
    p, theta = make_problem(rng, ridge=0.001)
    visits = trajectory(p, Stateless(Newton()), 30 * theta, steps=40)
    values = [float(v.value) for v in visits]
    assert all(b <= a + 1e-12 for a, b in pairwise(values))
    assert float(visits[-1].gradient.norm()) < 1e-8


@pytest.mark.parametrize("twin", [None, "autograd"])
def test_a_run_of_newton_whose_hessian_overflows_has_diverged_and_says_why(twin, tiny, tmp_path, capsys):
    X = np.random.default_rng(0).normal(size=(40, 2)) * 1e160
    np.savez(tmp_path / "large.npz", X=X, y=(X.sum(axis=1) > 0).astype(int) ^ (np.arange(40) % 5 == 0))
    config = {"data": {"kind": "npz", "path": str(tmp_path / "large.npz"), "standardize": False}, "twin": twin}
    newton = {"loss": {"kind": "sigmoid"}, "optimizer": {"kind": "newton"}, "steps": 3, "probes": {}}
    (tmp_path / "c.yaml").write_text(json.dumps({**config, **newton}))
    assert cli.main(["train", str(tmp_path / "c.yaml"), "--runs", str(tmp_path / "runs")]) == 1
    said = "step 1: the loss is nan, ‖θ‖ = nan, ‖∇‖ = nan; the data or the start are too large for float64"
    assert said in capsys.readouterr().err.splitlines()


def test_damping_shortens_newtons_step(rng):
    p, theta = make_problem(rng)
    H, g = p.hessian(theta), p.gradient(theta)
    lengths = [float(Newton(damping=mu).direction(H, g).norm()) for mu in (0.0, 0.1, 10.0)]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == 3


def test_an_optimizer_runs_on_autograd_as_it_runs_by_hand(rng):
    p, theta = make_problem(rng)
    for stepper in (Stateless(Newton()), FromTorch(torch.optim.LBFGS, {"lr": 1.0}, theta)):
        objective = Objective(p.reference)
        value, gradient = objective.value_and_gradient(theta)
        by_autograd = stepper.step(objective, theta, gradient)
        fresh = (
            Stateless(Newton()) if isinstance(stepper, Stateless) else FromTorch(torch.optim.LBFGS, {"lr": 1.0}, theta)
        )
        assert torch.allclose(by_autograd, fresh.step(p, theta, p.gradient(theta)), atol=1e-9)
        assert float(value) == pytest.approx(float(p.value(theta)))


def test_mini_batches_cover_each_epoch_once_in_an_order_of_the_seed(rng):
    p, _ = make_problem(rng, N=13)
    batches = Batches(p, 4, seed=3)
    rows = [batches(t).X for t in range(4)]
    assert [len(X) for X in rows] == [4, 4, 4, 1]
    assert torch.equal(torch.cat(rows).sum(dim=0).round(decimals=9), p.X.sum(dim=0).round(decimals=9))
    assert torch.equal(batches(2).X, Batches(p, 4, seed=3)(2).X)
    assert not torch.equal(batches(0).X, batches(4).X)
    assert not torch.equal(batches(0).X, Batches(p, 4, seed=4)(0).X)
    assert Batches(p, None, 0)(5) is p
    assert Batches(p, 99, 0)(5) is p


def test_a_walk_ends_where_the_loss_is_not_finite(rng):
    p, theta = make_problem(rng)
    visits = trajectory(p, FromTorch(torch.optim.SGD, {"lr": 1e200}, theta), theta, steps=50)
    assert not visits[-1].finite
    assert visits[-1].after is None
    assert len(visits) < 10


# Optimizers of one's own


@dataclass(frozen=True)
class Mine(Optimizer):
    """A step as a test would have it."""

    moves: Callable

    def step(self, objective, theta, gradient):
        return self.moves(theta, gradient)


def test_who_writes_into_theta_and_gradient_writes_into_copies(rng):
    p, theta = make_problem(rng)
    before, gradient = theta.clone(), p.gradient(theta)
    due = gradient.clone()
    after = Stateless(Mine(lambda theta, gradient: theta.sub_(gradient.mul_(0.1)))).step(p, theta, gradient)
    assert torch.equal(theta, before)
    assert torch.equal(gradient, due)
    assert torch.equal(after, before - 0.1 * due)


@pytest.mark.parametrize(
    ("moves", "returned"),
    [
        (lambda theta, gradient: None, "a NoneType"),
        (lambda theta, gradient: 0.5, "a float"),
        (lambda theta, gradient: theta.reshape(-1), "a tensor of shape (20,) and type float64"),
        (lambda theta, gradient: theta.float(), "a tensor of shape (5, 4) and type float32"),
    ],
)
def test_what_is_no_theta_is_refused_by_the_optimizers_name(moves, returned, rng):
    p, theta = make_problem(rng)
    with pytest.raises(InputError) as error:
        Stateless(Mine(moves)).step(p, theta, p.gradient(theta))
    due = "where θ is a tensor of shape (5, 4) and type float64; return where the step from θ ends"
    assert str(error.value) == f"optimizer Mine: step returned {returned} {due}"


def test_an_optimizer_that_remembers_is_refused_as_a_resumed_run_would_be_another(rng):
    class Heavy(Descent):
        def step(self, objective, theta, gradient):
            object.__setattr__(self, "momentum", gradient)
            return theta - self.lr * gradient

    p, theta = make_problem(rng)
    with pytest.raises(InputError, match="optimizer Heavy: step sets 'momentum' on the optimizer, and a resumed run"):
        Stateless(Heavy()).step(p, theta, p.gradient(theta))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_step_length_that_steps_do_not_have_is_refused_and_rounding_is_not(dtype, rng):
    class Sign(Descent):
        def step(self, objective, theta, gradient):
            return theta - self.lr * gradient.sign()

    class Otherwise(Descent):
        def step(self, objective, theta, gradient):
            return -(self.lr * gradient - theta)

    for size in (1e-6, 1.0, 1e6):
        theta, gradient = (torch.randn(50, 4, generator=rng, dtype=torch.float64).to(dtype) for _ in range(2))
        for kind in (Descent, Otherwise):
            assert Stateless(kind(0.1 * size)).step(None, theta, gradient).shape == theta.shape
        with pytest.raises(InputError, match="optimizer Sign: step is not θ − η∇L"):
            Stateless(Sign(0.1 * size)).step(None, theta, gradient)


def test_a_step_length_below_0_is_told_to_go_uphill(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Experiment, "stepper", lambda self, theta: Stateless(Descent(-0.01)))
    experiment = assemble(config.from_mapping({**tiny, "probes": {"spectrum": {}}}, {}))
    run = launch.launch(experiment, tmp_path, Silent(), ["test"])
    told = summary.summarize(run.path, run.folder.status(), run.metrics.rows)
    (said,) = [line for line in told if line.what == "stability"]
    assert said.figures.endswith("below 0: every step goes uphill")
    assert not said.good


@dataclass(frozen=True)
class Descent(Optimizer):
    """Gradient descent."""

    lr: float = 0.1

    def step(self, objective, theta, gradient):
        return theta - self.lr * gradient

    @property
    def step_length(self):
        return self.lr


def test_an_optimizer_of_ones_own_that_says_its_step_length_has_lr_lambda_logged_as_torchs_has(
    tiny, tmp_path, monkeypatch
):
    experiment = assemble(config.from_mapping({**tiny, "probes": {"spectrum": {}, "sharpness": {"every": 1}}}, {}))
    theirs = launch.launch(experiment, tmp_path, Silent(), ["test"]).metrics.rows
    monkeypatch.setattr(Experiment, "stepper", lambda self, theta: Stateless(Descent(0.5)))
    ours = launch.launch(experiment, tmp_path, Silent(), ["test"]).metrics.rows
    assert len(ours) == len(theirs) > 1
    for tag in ("stability/lr_lambda_max", "stability/limit", "stability/share"):
        assert [row[tag] for row in ours] == pytest.approx([row[tag] for row in theirs], rel=1e-9), tag
    assert Stateless(Newton(lr=0.5)).lr is None
    assert Stateless(Newton()).stability is None

"""Sharpness as optimizers see it is in its interval, and their limits are where their steps begin to run away."""

from dataclasses import replace

import pytest
import torch
from conftest import make_problem
from test_more_curvature import step_from

from lab import launch, stability
from lab.curvature import plan
from lab.curvature.operator import Curvature
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.probes.sharpness import Sharpness, largest
from lab.problem import Problem
from lab.spectrum import dense
from lab.summary import summarize

F64 = torch.float64


def diverges(kind, options, curvature):
    """Whether steps on ½ λ θ², with P = 1 held, run away: by running them."""
    theta, m, lr = 1.0, 0.0, options["lr"]
    for _ in range(4000):
        g = curvature * theta
        if kind == "adam":
            beta = options["betas"][0]
            m = beta * m + (1 - beta) * g
            theta -= lr * m
        else:
            beta = options["momentum"]
            m = beta * m + (1 - options.get("dampening", 0.0)) * g if beta else g
            theta -= lr * (g + beta * m if options.get("nesterov") else m)
        if abs(theta) > 1e6:
            return True
    return abs(theta) > 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("sgd", {"momentum": 0.0, "dampening": 0.0, "nesterov": False}),
        ("sgd", {"momentum": 0.9, "dampening": 0.0, "nesterov": False}),
        ("sgd", {"momentum": 0.8, "dampening": 0.5, "nesterov": False}),
        ("sgd", {"momentum": 0.9, "dampening": 0.0, "nesterov": True}),
        ("adam", {"betas": (0.9, 0.999), "eps": 0.0}),
    ],
)
def test_an_optimizer_is_stable_just_below_its_limit_and_not_just_above(kind, options):
    options = {"lr": 0.1, **options}
    late = {"exp_avg_sq": torch.ones(1), "step": 1e9}
    limit = stability.of(kind, options, late).limit
    assert not diverges(kind, options, 0.98 * limit)
    assert diverges(kind, options, 1.02 * limit)


@pytest.mark.parametrize("options", [{"momentum": 0.9, "dampening": 1.5}, {"momentum": 1.2, "dampening": 0.0}])
@pytest.mark.parametrize("curvature", [1e-2, 1.0, 10.0])
def test_steps_that_run_away_at_any_curvature_have_the_limit_0(options, curvature):
    options = {"lr": 0.1, "nesterov": False, **options}
    assert diverges("sgd", options, curvature)
    assert stability.of("sgd", options, {}).limit == 0.0


def test_adam_s_limit_is_38_over_its_rate_and_what_is_not_known_is_not_said():
    adam = {"lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8}
    assert stability.of("Adam", adam, {"exp_avg_sq": torch.ones(2), "step": 1e9}).limit == pytest.approx(380)
    assert stability.of("Adam", adam, {}) is None
    assert stability.of("Adam", {**adam, "amsgrad": True}, {"exp_avg_sq": torch.ones(2), "step": 1.0}) is None
    assert stability.of("LBFGS", {"lr": 1.0}, {}) is None


@pytest.mark.parametrize("way", ["dense", "krylov"])
def test_preconditioned_sharpness_is_in_its_interval(way, rng, monkeypatch):
    problem, theta = make_problem(rng, N=80, D=12, K=4, ridge=0.05)
    curvature = Curvature(problem, theta)
    d = torch.rand(curvature.P, 1, generator=rng, dtype=F64) + 0.1
    monkeypatch.setattr(plan, "choose", lambda *_: plan.Plan(way, ""))
    found, true = largest(curvature, d, 0.05, 0), dense(d * curvature.dense * d.T)
    assert found.lower[0] <= true.values[0] + true.radius
    assert found.upper[0] >= true.values[0] - true.radius
    assert found.width <= (0.06 if way == "krylov" else 1e-10)


@pytest.mark.parametrize("way", ["dense", "krylov"])
def test_a_column_of_zeros_does_not_widen_the_interval_of_adam_s_sharpness(way, rng, monkeypatch):
    problem, theta = make_problem(rng, N=80, D=12, K=4, ridge=0.0)
    X = problem.X.clone()
    X[:, 0] = 0.0  # of which Adam's scale is ε
    single = replace(problem, X=X.float(), y=problem.y.float() if problem.y.is_floating_point() else problem.y)
    d = torch.rand(theta.shape, generator=rng, dtype=F64) + 0.1
    d[0] = 1e4
    d = d.reshape(-1, 1).float().double()
    exact = replace(single, X=single.X.double(), y=problem.y)
    H = exact.hessian(theta.float().double())
    true = dense(d.double() * H * d.double().T)
    monkeypatch.setattr(plan, "choose", lambda *_: plan.Plan(way, ""))
    found = largest(Curvature(single, theta.float()), d, 0.05, 0)
    assert found.lower[0] <= true.values[0] + true.radius
    assert found.upper[0] >= true.values[0] - true.radius
    if way == "dense":
        assert found.width <= 1e-9
    assert found.width <= 0.1  # of which 0.05 by chance; by the longest of all columns it would be 2


@pytest.mark.parametrize(
    ("true", "words"),
    [(0.9, "stable here"), (0.96, "cannot be told"), (0.99, "cannot be told"), (1.04, "unstable here")],
)
def test_of_a_share_that_is_known_by_chance_only_what_its_interval_says_is_told(
    true, words, rng, monkeypatch, tmp_path
):
    """At θ = 0 the largest eigenvalue is there K − 1 times, more than the block is wide."""
    monkeypatch.setattr(plan, "choose", lambda *_: plan.Plan("krylov", "for the test"))
    K = 12
    X = torch.randn(60, 20, generator=rng, dtype=F64)
    problem = Problem(Softmax(), Linear(), X, torch.arange(60) % K, outputs=K)
    theta = torch.zeros(20, K, dtype=F64)
    limit = float(torch.linalg.eigvalsh(X.T @ X / 60)[-1]) / K / true
    step = replace(step_from(problem, theta, theta), stability=stability.Stability(limit))
    readings = Sharpness().measure(step)
    assert "probable" in readings["stability/certainty"]
    assert readings["stability/share"] == pytest.approx(true, rel=1e-3)
    assert readings["stability/share/lower"] <= true <= readings["stability/share/upper"]
    lines = summarize(tmp_path, {"status": "finished"}, [{"step": 0, **readings}])
    said = next(line for line in lines if line.what == "sharpness")
    assert said.figures.endswith(" " + words)
    assert said.good == (readings["stability/share/upper"] < 1)


@pytest.mark.parametrize(("known", "dtype"), [(True, F64), (False, torch.float32)])
def test_a_sharpness_that_rounding_hides_has_no_share(known, dtype, rng):
    problem, theta = make_problem(rng, N=40, D=4, K=3, ridge=0.0)
    made = Problem(Softmax(), Linear(), problem.X.to(dtype), torch.arange(40) % 3, outputs=3)
    theta = (theta if known else 1e18 * theta).to(dtype)
    step = replace(step_from(made, theta, theta), stability=stability.Stability(20.0))
    readings = Sharpness().measure(step)
    assert ("stability/share" in readings) == known
    assert readings["stability/certainty"].startswith("not converged") != known


def test_the_sharpness_of_plain_descent_is_the_largest_eigenvalue(tiny, tmp_path):
    run = launch.train({**tiny, "probes": {"sharpness": {"every": 1}, "spectrum": {}}}, runs=tmp_path)
    for row in run.metrics.rows:
        assert row["stability/share"] == pytest.approx(row["stability/lr_lambda_max"] / 2, rel=1e-9)

"""Runs between measurements: every step has intervals, and they hold; what is not known has no number."""

import math
from contextlib import suppress

import pytest
import torch
from conftest import make_problem

from lab import config, launch
from lab.console import Silent
from lab.curvature import between, tracking
from lab.curvature.operator import Curvature
from lab.experiment import assemble
from lab.losses.softmax import Softmax
from lab.optimizer import FromTorch
from lab.problem import Problem


def trained(tiny, folder, **probe):
    return launch.train({**tiny, "steps": 40, "probes": {"spectrum": probe}}, runs=folder)


@pytest.mark.parametrize("method", ["dense", "krylov"])
def test_auto_measures_when_it_must_and_its_intervals_hold_at_every_step(method, tiny, tmp_path):
    tiny["optimizer"]["lr"] = 0.02
    run = trained(tiny, tmp_path / "auto", every="auto", tolerance=0.2, top=3, method=method)
    every = trained(tiny, tmp_path / "every", top=3, method="dense")
    measured = [row for row in run.metrics.rows if "curvature/lambda_1" in row]
    assert 1 < len(measured) < 25
    for row, true in zip(run.metrics.rows, every.metrics.rows, strict=True):
        size = true["curvature/lambda_1"]
        for i in (1, 2, 3):
            lower, upper = row[f"curvature/lambda_{i}/lower"], row[f"curvature/lambda_{i}/upper"]
            assert lower <= true[f"curvature/lambda_{i}"] * (1 + 1e-12)
            assert upper >= true[f"curvature/lambda_{i}"] * (1 - 1e-12)
            assert upper - lower <= 0.2 * max(size, upper) * (1 + 1e-9)
        assert ("curvature/change" in row) == ("curvature/lambda_1" not in row)


def test_steps_between_measurements_have_intervals(tiny, tmp_path):
    run = trained(tiny, tmp_path, every=5, top=2)
    for row in run.metrics.rows:
        assert ("curvature/lambda_1" in row) == (row["step"] % 5 == 0)
        assert row["curvature/lambda_2/lower"] <= row["curvature/lambda_2/upper"]
        assert math.isfinite(row["curvature/lambda_2/upper"])


def test_an_interval_that_long_steps_widen_stays_above_a_ridge_that_leaves_the_intercept_alone(tiny, tmp_path):
    tiny["optimizer"]["lr"] = 2.0
    run = trained(tiny | {"ridge": 0.05}, tmp_path, every=40, top=3)
    carried = [row for row in run.metrics.rows if "curvature/change" in row]
    assert max(row["curvature/change"] for row in carried) > 5
    assert min(row["curvature/lambda_3/lower"] for row in carried) == 0.05


@pytest.mark.parametrize("every", [7, "auto"])
@pytest.mark.parametrize("rows", [None, 32])
def test_a_loss_that_changes_faster_than_it_says_is_convicted_at_the_next_measurement(
    every, rows, tiny, tmp_path, monkeypatch
):
    tiny |= {"batch_size": rows, "optimizer": {"kind": "sgd", "lr": 0.5}}
    right = trained(tiny, tmp_path / "right", every=every, top=3)
    judged = [row["check/change"] for row in right.metrics.rows if "check/change" in row]
    assert judged
    assert max(judged) <= 1
    monkeypatch.setattr(Softmax, "self_concordance", 0.02)
    wrong = trained(tiny, tmp_path / "wrong", every=every, top=3)
    assert wrong.status == "failed"
    words = next(row["check/change/failure"] for row in wrong.metrics.rows if "check/change/failure" in row)
    assert "changes faster than its self_concordance or drift says" in words


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_interval_that_long_steps_widen_stays_below_the_trace_and_holds(momentum, tiny, tmp_path):
    tiny["optimizer"] |= {"lr": 2.0, "momentum": momentum}
    carried, every = trained(tiny, tmp_path / "5", every=5, top=3), trained(tiny, tmp_path / "1", top=3)
    for row, true in zip(carried.metrics.rows, every.metrics.rows, strict=True):
        for i in (1, 2, 3):
            upper = row[f"curvature/lambda_{i}/upper"]
            assert true[f"curvature/lambda_{i}"] <= upper * (1 + 1e-12)
            assert upper <= true["curvature/trace"] / i * (1 + 1e-9)


def test_an_interval_that_mini_batches_widen_stays_within_what_floor_and_data_allow(tiny, tmp_path):
    tiny |= {"batch_size": 8, "ridge": 0.01}
    tiny["optimizer"]["lr"] = 1.0
    carried, every = (trained(tiny, tmp_path / str(every), every=every, top=3) for every in (100, 1))
    widest = 0.0
    for row, true in zip(carried.metrics.rows, every.metrics.rows, strict=True):
        for i in (1, 2, 3):
            lower, upper = row[f"curvature/lambda_{i}/lower"], row[f"curvature/lambda_{i}/upper"]
            assert 0.0 <= lower <= true[f"curvature/lambda_{i}"] * (1 + 1e-12)
            assert true[f"curvature/lambda_{i}"] * (1 - 1e-12) <= upper
            widest = max(widest, upper)
    assert widest < 20


def test_what_was_not_reached_has_no_number_and_says_so(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "shared", lambda *_: None)
    run = trained(tiny, tmp_path, method="krylov", top=3, tolerance=1e-17)  # more than rounding allows
    first = run.metrics.rows[0]
    assert first["curvature/certainty"].startswith("not converged: ")
    assert "curvature/lambda_3" not in first
    assert first["curvature/lambda_3/lower"] < first["curvature/lambda_3/upper"]
    assert ("curvature/effective_rank" in first) == ("curvature/lambda_1" in first)


def walked(problem, theta, steps, lr, noise=0.0, rng=None):
    """θ at each step of descent along gradients with noise, and their norms."""
    for _ in range(steps):
        g = problem.gradient(theta)
        g = g + noise * torch.randn(g.shape, generator=rng, dtype=g.dtype).to(g) if noise else g
        yield theta, float(g.norm())
        theta = theta - lr * g


@pytest.mark.parametrize("back", [False, True])
def test_a_change_bounded_by_way_of_an_anchor_is_a_little_larger_and_costs_few_looks(back, rng, monkeypatch):
    problem, theta = make_problem(rng, N=60, D=12, K=4)
    walk = [at for at, _ in walked(problem, theta, 200, 0.01)]
    there, memory, looks, closer = Curvature(problem, theta), {}, [], Curvature.log_change_at_most
    monkeypatch.setattr(Curvature, "log_change_at_most", lambda self, at: looks.append(1) or closer(self, at))
    for at in [*walk, *walk[::-1]] if back else walk:
        delta = between.change(there, at, memory)
        assert there.log_change(at) <= delta
        assert back or delta <= 1.2 * closer(there, at)
    assert back or len(looks) / 2 < 60


def test_an_anchor_at_which_nothing_is_known_is_left_behind(rng):
    problem, theta = make_problem(rng, N=60, D=12, K=4)
    there, memory = Curvature(problem, theta), {"anchor": 1e200 * theta, "anchor_change": math.inf}
    assert between.change(there, 1.01 * theta, memory) == there.log_change_at_most(1.01 * theta)
    memory = {"anchor": 1.001 * theta, "anchor_change": math.inf}
    assert between.change(there, 1.01 * theta, memory) < math.inf


def looked_at(problem, walk, monkeypatch, lr=0.01):
    """δ to each θ of a walk as mini-batches have it, with its truth, and how often a θ was looked at."""
    looks, size_of = [], between.size_of
    monkeypatch.setattr(between, "size_of", lambda move: looks.append(1) or size_of(move))
    there, memory, delta, known = Curvature(problem, walk[0][0]), {}, math.nan, []
    for t, (theta, norm) in enumerate(walk):
        if not between.stays(t, theta, memory):
            delta = between.change_around(there, theta, memory)
        between.note(t, lr, norm, memory)
        known.append((there.log_change(theta), delta, there.log_change_at_most(theta)))
    return known, len(looks)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_one_bound_holds_in_a_ball_and_few_steps_are_looked_at(noise, dtype, rng, monkeypatch):
    problem, theta = make_problem(rng, N=60, D=12, K=4)
    problem, theta = Problem(problem.loss, problem.model, problem.X.to(dtype), problem.y.to(dtype)), theta.to(dtype)
    known, looks = looked_at(problem, list(walked(problem, theta, 400, 0.01, noise, rng)), monkeypatch)
    assert all(true <= delta for true, delta, _ in known)
    assert noise or all(delta <= 1.3 * least for _, delta, least in known[1:])
    assert looks < 300
    monkeypatch.undo()
    _, unknown = looked_at(problem, list(walked(problem, theta, 400, 0.01, noise, rng)), monkeypatch, math.inf)
    assert unknown > looks  # where lengths are not known, every θ is


def test_a_step_that_is_longer_than_noted_would_leave_the_ball_unseen(rng, monkeypatch):
    problem, theta = make_problem(rng, N=60, D=12, K=4)
    known, _ = looked_at(problem, list(walked(problem, theta, 400, 0.01)), monkeypatch, lr=0.0)
    assert not all(true <= delta for true, delta, _ in known)


def test_gradients_whose_squares_underflow_are_counted(rng, monkeypatch):
    problem, theta = make_problem(rng, N=60, D=12, K=4, ridge=0.0)
    problem = Problem(problem.loss, problem.model, 1e-24 * problem.X.float(), problem.y.float())
    theta, lr = 1e24 * theta.float(), 1e46
    walk = [(theta, float(problem.gradient(theta).norm()))]
    for _ in range(100):
        theta = (theta.double() - lr * problem.gradient(theta).double()).float()
        walk.append((theta, float(problem.gradient(theta).norm())))
    assert walk[0][1] == 0.0  # what torch makes of it
    known, _ = looked_at(problem, walk, monkeypatch, lr)
    assert all(true <= delta for true, delta, _ in known)


def test_a_walk_that_is_not_counted_step_by_step_is_looked_at_anew(rng):
    problem, theta = make_problem(rng, N=60, D=12, K=4)
    there, memory = Curvature(problem, theta), {}
    between.change_around(there, 1.1 * theta, memory)
    assert between.stays(3, 1.1 * theta, memory)
    assert not between.stays(4, 2 * theta, memory)
    between.note(3, 1.0, 0.0, memory)  # of a step that is not the one before
    assert not between.stays(4, 2 * theta, memory)


def test_what_an_older_checkpoint_kept_of_an_anchor_is_taken_up(rng):
    problem, theta = make_problem(rng, N=60, D=12, K=4)
    there, memory = Curvature(problem, theta), {"anchor": 1.1 * theta, "anchor_change": 1.0}
    assert not between.stays(7, 1.1 * theta, memory)
    assert between.change_around(there, 1.1 * theta, memory) == pytest.approx(1 / (1 - between.LEFT))
    between.note(7, 1.0, 0.0, memory)
    assert between.stays(8, 1.1 * theta, memory)


def test_where_all_of_x_is_zero_nothing_changes(rng):
    problem, theta = make_problem(rng, N=60, D=12, K=4)
    problem.X.zero_()
    there, memory = Curvature(problem, theta), {}
    for t in range(3):
        assert between.stays(t, t * theta, memory) or between.change_around(there, t * theta, memory) == 0.0
        between.note(t, 1.0, 1.0, memory)


@pytest.mark.parametrize(
    ("kind", "options", "plain"),
    [
        (torch.optim.SGD, {"lr": 0.1}, 0.1),
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}, None),
        (torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.01}, None),
        (torch.optim.SGD, {"lr": 0.1, "maximize": True}, None),
        (torch.optim.Adam, {"lr": 0.1}, None),
    ],
)
def test_steps_are_plain_where_they_are_as_long_as_the_gradient_says(kind, options, plain, rng):
    problem, theta = make_problem(rng, N=60, D=12, K=4)
    stepper, g = FromTorch(kind, options, theta), problem.gradient(theta)
    assert stepper.plain == plain
    for _ in range(3):
        after = stepper.step(problem, theta, g)
        moved = float((after - theta).norm())
        assert plain is None or moved == pytest.approx(plain * float(g.norm()), rel=1e-12)
        theta, g = after, problem.gradient(after)


class Interrupting(Silent):
    """Ends the sitting at a step, as a crash does."""

    def __init__(self, at):
        self.at = at

    def step(self, t, readings):
        if t == self.at:
            raise RuntimeError("out")


@pytest.mark.parametrize("at", [3, 11, 17])
def test_what_is_kept_of_a_ball_goes_on_to_the_bit_after_an_interruption(at, tiny, tmp_path):
    keys = {**tiny, "batch_size": 8, "steps": 40, "checkpoint_every": 5, "probes": {"spectrum": {"every": 100}}}
    whole = launch.train(keys, runs=tmp_path / "whole")
    experiment = assemble(config.from_mapping(keys))
    with suppress(RuntimeError):
        launch.launch(experiment, tmp_path / "torn", Interrupting(at), [])
    folder = next((tmp_path / "torn").rglob("metrics.jsonl")).parent
    launch.resume(launch.RunFolder(folder), experiment, Silent())
    assert (folder / "metrics.jsonl").read_bytes() == (whole.path / "metrics.jsonl").read_bytes()

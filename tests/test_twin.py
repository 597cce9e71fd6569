"""A twin trained by autograd stays within rounding of a right derivation, and parts from a wrong one at once."""

import pytest
import torch
from test_trainer import Heard, plant, start

from lab.problem import Problem
from lab.summary import summarize
from lab.twin import DRAWS


def test_a_twin_stays_within_rounding(tiny, tmp_path):
    run = start({**tiny, "twin": "autograd", "steps": 20}, tmp_path)
    for row in run.metrics.rows:
        assert row["check/twin"] <= 1
        assert row["twin/drift"] <= row["twin/allowed"] < 1e-12


def test_a_twin_names_the_first_step_at_which_it_parts(tiny, tmp_path, monkeypatch):
    plant(monkeypatch, "value_and_gradient", lambda vg: (vg[0], vg[1] * (1 + 1e-6)))
    heard = Heard()
    run = start({**tiny, "twin": "autograd", "probes": {}}, tmp_path, heard)
    assert run.status == "failed"
    assert heard.said[0].startswith("step 1: twin disagrees with autograd at theta[")
    assert run.metrics.rows[0]["check/twin"] == 0
    assert run.folder.load_checkpoint()[1]["lockstep"]["parted"] == 1


def test_the_rounding_of_an_optimizer_s_own_steps_is_allowed(tmp_path):
    data = {"kind": "synthetic", "task": "binary", "n": 12, "d": 1, "separable": True, "seed": 95, "standardize": False}
    loss = {"kind": "softmax", "label_smoothing": 1e-6, "reduction": "sum"}
    optimizer = {"kind": "adamw", "lr": 1.0, "amsgrad": True, "eps": 1e-12, "weight_decay": 0.1}
    fixed = {"ridge": 0.01, "seed": 679, "steps": 10, "probes": {}, "twin": "autograd"}
    run = start({"data": data | {"validation": 0.5}, "loss": loss, "optimizer": optimizer, **fixed}, tmp_path)
    assert run.status == "finished", run.folder.status()
    assert max(run.metrics["twin/allowed"]) < DRAWS * 1e-12


def test_the_rounding_of_a_hessian_is_allowed_where_a_step_solves_with_it(tmp_path):
    data = {"kind": "synthetic", "task": "multiclass", "n": 30, "d": 3, "k": 3, "seed": 1}
    fixed = {"init": 5.0, "steps": 2, "probes": {}, "twin": "autograd", "loss": {"kind": "softmax"}}
    for seed in range(4):
        run = start({"data": data, "optimizer": {"kind": "newton"}, "seed": seed, **fixed}, tmp_path)
        assert run.status == "finished", run.folder.status()
        assert max(run.metrics["twin/allowed"]) < 1e-5


@pytest.mark.parametrize(
    ("shape", "init", "dtype"),
    [((12, 2, 2), 4.0, "float64"), ((4, 6, 3), 0.0, "float64"), ((150, 5, 2), 1.0, "float32")],
)
def test_what_autograd_leaves_of_a_hessian_s_zeros_parts_no_twin(shape, init, dtype, tmp_path):
    data = {"kind": "synthetic", "task": "multiclass", **dict(zip("ndk", shape, strict=True)), "seed": 1}
    fixed = {"init": init, "dtype": dtype, "steps": 7, "probes": {}, "twin": "autograd", "loss": {"kind": "softmax"}}
    run = start({"data": data, "optimizer": {"kind": "newton"}, "seed": 1, **fixed}, tmp_path)
    assert run.status == "finished", run.folder.status()
    allowed = [row["twin/allowed"] for row in run.metrics.rows if "check/twin" in row]
    assert len(allowed) > 4
    assert allowed == sorted(allowed)


def test_a_twin_says_where_rounding_alone_decides_a_step(tmp_path):
    data = {"kind": "synthetic", "task": "multiclass", "n": 12, "d": 2, "k": 3, "seed": 2}
    fixed = {"init": 30.0, "steps": 6, "probes": {}, "twin": "autograd", "loss": {"kind": "softmax"}}
    run = start({"data": data, "optimizer": {"kind": "newton"}, "seed": 2, **fixed}, tmp_path)
    assert run.status == "finished", run.folder.status()
    told = [row["step"] for row in run.metrics.rows if "check/twin" in row]
    said = [row["twin/untold"] for row in run.metrics.rows if "twin/untold" in row]
    assert said == [f"at step {told[-1]} H is singular but for rounding"]
    lines = [line.figures for line in summarize(run.folder.path, run.folder.status(), run.metrics.rows)]
    assert f"from step {told[-1] + 1} on nothing can be told: {said[0]}" in lines


@pytest.mark.parametrize(
    ("optimizer", "more"),
    [
        ({"kind": "rprop", "lr": 0.01}, {}),  # balanced classes: the intercept's gradient is rounding, and has a sign
        ({"kind": "rprop", "lr": 0.001}, {"seed": 3}),
        ({"kind": "lbfgs", "lr": 1.0, "max_iter": 4}, {"dtype": "float32", "batch_size": 16, "ridge": 0.01}),
        ({"kind": "lbfgs", "lr": 1.0, "line_search_fn": "strong_wolfe"}, {}),
        ({"kind": "sgd", "lr": 30.0, "momentum": 0.9}, {"dtype": "float32", "ridge": 0.01, "steps": 150}),
        (
            {"kind": "sgd", "lr": 50.0, "momentum": 0.9},
            {"dtype": "float32", "ridge": 0.01, "steps": 150, "batch_size": 8},
        ),
    ],
    ids=[
        "by sign",
        "by sign again",
        "by comparing",
        "by comparing values",
        "beyond stability",
        "beyond stability by batches",
    ],
)
def test_a_right_derivation_does_not_fail_where_rounding_decides_on_steps(optimizer, more, tiny, tmp_path):
    data = {"kind": "sklearn", "name": "iris"}
    run = start({**tiny, "data": data, "probes": {}, "twin": "autograd", "optimizer": optimizer, **more}, tmp_path)
    assert run.status == "finished", run.folder.status()
    untold = [row for row in run.metrics.rows if "twin/untold" in row]
    assert len(untold) == (optimizer["kind"] != "lbfgs")
    assert all("as much as a step" in row["twin/untold"] for row in untold)


def test_a_wrong_hessian_parts_the_twin_where_a_step_solves_with_it(tiny, tmp_path, monkeypatch):
    plant(monkeypatch, "hessian", lambda H: H * (1 + 1e-6))
    run = start({**tiny, "optimizer": {"kind": "newton"}, "twin": "autograd", "probes": {}}, tmp_path)
    assert run.status == "failed"
    assert run.folder.load_checkpoint()[1]["lockstep"]["parted"] == 1


def test_a_twin_whose_own_loss_is_not_finite_says_so_and_convicts_nobody(tiny, tmp_path, monkeypatch):
    right = Problem.reference
    lost = lambda self, theta: right(self, theta) + torch.where((theta != 0).any(), torch.nan, 0.0)  # noqa: E731
    monkeypatch.setattr(Problem, "reference", lost)
    run = start({**tiny, "twin": "autograd", "probes": {}}, tmp_path)
    assert run.status == "finished", run.folder.status()
    said = [row["twin/untold"] for row in run.metrics.rows if "twin/untold" in row]
    assert said == ["autograd's loss is not finite at step 1"]

"""Every theorem holds where it should, says where it does not apply, and finds out a run that was tampered with."""

import math
import os
import re
import signal
from dataclasses import replace

import pytest
import torch

from lab import catalog, config, launch
from lab.cli import main
from lab.console import Silent
from lab.errors import InputError
from lab.experiment import assemble
from lab.panel import setting
from lab.problem import Problem
from lab.report.page import find
from lab.summary import summarize
from lab.theorem import Outcome, Trail, at_most, rule
from lab.theorems._optimum import optimum

NAMES = catalog.names("theorems")
LONG = {"max_margin", "flattening", "large_steps", "period_doubling"}  # thousands of steps


def runs_of(names):
    """The names as parameters, slow where their runs are long."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in names]


SECTIONS = ("Statement", "Source", "Conditions", "Quantity", "Prediction", "Proof idea")


def scaled(quantity, by, at=None):
    """Multiply a column, or its entry at one step, by a number or a function of the step."""

    def tamper(trail, monkeypatch):
        tag = quantity if "/" in quantity else f"theorem/{trail.name}/{quantity}"
        rows = [dict(row) for row in trail.rows]
        for row in rows:
            if tag in row and at in (None, row["step"]):
                row[tag] *= by(row["step"]) if callable(by) else by
        return replace(trail, rows=rows)

    return tamper


def wrong_hessian(trail, monkeypatch):
    right = Problem.hessian
    monkeypatch.setattr(Problem, "hessian", lambda self, theta: right(self, theta) * 1.0001)
    return trail


def other_labels(trail, monkeypatch):
    """Labels that no logistic model draws: 1 where |x₁| is large, so that the variance is not p(1 − p)."""
    problem = trail.setting.problem
    problem = replace(problem, y=(problem.X[:, :1].abs() > 1).to(problem.X))
    theta = optimum(problem, torch.zeros_like(trail.theta)).theta
    return replace(trail, setting=replace(trail.setting, problem=problem), theta=theta)


# For each theorem: what makes its config quicker, what breaks a condition and how that is told, what is tampered with.
CASES = {
    "bohning_bound": ({"steps": 10}, {"loss.label_smoothing": None}, scaled("lambda_1", 1.001, at=0)),
    "self_bound": ({"steps": 60}, {"ridge": 0.1}, scaled("lambda_1", 100)),
    "monotone_descent": ({"steps": 40}, {"optimizer.lr": 2.0}, scaled("loss", 1.1, at=30)),
    "zero_start": ({"steps": 1}, {"init": 0.1}, scaled("apart", 1e9)),
    "hessian_rank": ({"steps": 10}, {"ridge": 0.1}, scaled("beyond", 1e6)),
    "second_order_model": ({"steps": 8}, {"batch_size": 30}, scaled("order", 2 / 3, at=4)),
    "ridge_contraction": ({"steps": 150}, {"optimizer.lr": 2.5}, scaled("distance", 1.5, at=60)),
    "newton_convergence": ({}, {"optimizer.damping": 0.1}, scaled("envelope", 10, at=2)),
    "rounding_drift": ({"steps": 20}, {"twin": None}, scaled("twin/drift", 1e6)),
    "score_equations": ({"data.n": 200}, {"ridge": 0.1}, wrong_hessian),
    "information_equality": ({"data.n": 5000}, {"data.separable": True}, other_labels),
    "large_steps": ({"steps": 300}, {"optimizer.lr": 1.0}, scaled("loss", 5, at=250)),
    "flattening": ({}, {"ridge": 0.1}, scaled("lambda_1", lambda t: max(t, 1) ** 0.4)),
    "max_margin": ({}, {"ridge": 0.1}, scaled("norm", 0.7)),
    "period_doubling": ({"steps": 100}, {"optimizer.momentum": 0.9}, scaled("one_step", 0.0)),
}


def made(name, configs, *changes):
    overrides = {key: value for change in changes for key, value in change.items() if value is not None}
    texts = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in overrides.items()]
    return assemble(config.load(configs / "theorems" / f"{name}.yaml", texts))


@pytest.fixture(scope="module")
def trails(tmp_path_factory):
    """Each theorem's run, made once."""
    done: dict[str, Trail] = {}

    def run(name, configs):
        if name not in done:
            lean = {"theorems": f"[{name}]", "probes": "{}"}
            experiment = made(name, configs, CASES[name][0], lean)
            finished = launch.launch(experiment, tmp_path_factory.mktemp(name), Silent(), [])
            done[name] = Trail(setting(experiment), name, finished.folder.metrics(), finished.theta), finished
        return done[name]

    return run


def test_every_theorem_has_a_case_here_and_a_config(configs):
    assert set(NAMES) == set(CASES), "each theorem needs its case in CASES of tests/test_theorems.py"
    for name in NAMES:
        assert (configs / "theorems" / f"{name}.yaml").is_file(), f"{name} needs a config of its own to hold on"
        assert name in config.load(configs / "theorems" / f"{name}.yaml").theorems
    for path in (configs / "theorems").glob("*.yaml"):
        assert path.read_text().startswith("# yaml-language-server: $schema=../schema.json\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_theorem_has_a_page_with_every_section(name):
    (page,) = find(name)
    places = [page.text.index(f"\n{heading}") for heading in SECTIONS]
    assert places == sorted(places)
    member = catalog.get("theorems", name)
    assert member.statement
    assert re.search(r"\d{4}", member.source)  # the year


@pytest.mark.parametrize("name", runs_of(NAMES))
def test_a_theorem_holds_on_its_own_config_and_is_drawn(name, trails, configs):
    trail, run = trails(name, configs)
    last = run.folder.metrics()[-1]
    assert last[f"theorem/{name}/verdict"] == "held", last[f"theorem/{name}/figures"]
    assert last[f"theorem/{name}/held"] == 1
    assert f"| {name} | held | " in last["theorems/verdicts"]
    assert run.status == "finished"
    drawn = (run.path / "theorems" / f"{name}.svg").read_text()
    assert drawn.startswith("<svg ")
    assert "nan" not in drawn
    assert rule(name, catalog.get("theorems", name)(), trail).outcome is Outcome.HELD  # judged again from its rows


@pytest.mark.parametrize("name", NAMES)
def test_a_theorem_does_not_apply_where_a_condition_is_broken(name, configs):
    broken = CASES[name][1]
    if name == "bohning_bound":  # its config's loss has no option to break
        broken = {"loss.pos_weight": "[2.0]"}
    if name == "rounding_drift":
        broken = {"twin": "null"}
    experiment = made(name, configs, {"steps": 3}, broken)
    trail = Trail(setting(experiment), name, (), experiment.theta)
    ruling = rule(name, catalog.get("theorems", name)(), trail)
    assert ruling.outcome is Outcome.INAPPLICABLE
    assert ": no" in ruling.figures


@pytest.mark.parametrize("name", runs_of(NAMES))
def test_a_theorem_fails_on_a_run_that_was_tampered_with(name, trails, configs, monkeypatch):
    trail, _ = trails(name, configs)
    tampered = CASES[name][2](trail, monkeypatch)
    conditions = () if name == "information_equality" else None  # its labels are drawn elsewhere on purpose
    assert rule(name, catalog.get("theorems", name)(), tampered, conditions).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    "name", runs_of(["flattening", "max_margin", "newton_convergence", "large_steps", "score_equations"])
)
def test_nothing_is_told_of_a_run_that_is_too_short(name, trails, configs):
    trail, _ = trails(name, configs)
    few = replace(trail, rows=trail.rows[:4], theta=0.9 * trail.theta)
    assert rule(name, catalog.get("theorems", name)(), few).outcome is Outcome.UNTOLD


@pytest.mark.slow
def test_a_stable_cycle_exists_below_two_in_one_dimension(configs, tmp_path):
    experiment = made("stable_cycle", configs, {"steps": 100, "probes": "{}"})
    run = launch.launch(experiment, tmp_path, Silent(), [])
    last = run.folder.metrics()[-1]
    assert last["theorem/period_doubling/verdict"] == "held"
    assert "from a start near θ*" in (run.path / "theorems" / "period_doubling.svg").read_text()
    assert "period: 2, with a multiplier of 0.4" in last["theorem/period_doubling/figures"]
    found = optimum(experiment.full, experiment.theta)
    assert 1 < experiment.config.optimizer["lr"] * float(found.spectrum.values[0]) < 2


TWO = {"theorems": ["hessian_rank", "zero_start"], "probes": {}}


class Interrupting(Silent):
    def step(self, t, readings):
        if t == 3:
            os.kill(os.getpid(), signal.SIGINT)


def test_theorems_move_no_parameter_and_a_resumed_run_gets_the_verdict_of_the_whole(tiny, tmp_path):
    def start(watcher, **changes):
        return launch.launch(assemble(config.from_mapping({**tiny, **changes})), tmp_path, watcher, [])

    whole, plain = start(Silent(), **TWO), start(Silent(), probes={})
    assert torch.equal(whole.theta, plain.theta)
    broken = start(Interrupting(), **TWO)
    assert broken.status == "interrupted"
    folder, again = launch.reopen(broken.path)
    resumed = launch.resume(folder, assemble(again), Silent())
    assert resumed.folder.metrics() == whole.folder.metrics()
    assert resumed.folder.metrics()[-1]["theorem/zero_start/verdict"] == "held"


def test_a_failed_theorem_fails_the_run_with_its_figures(tiny, tmp_path, monkeypatch):
    right = Problem.hessian
    monkeypatch.setattr(Problem, "hessian", lambda self, theta: right(self, theta) * 2)
    run = launch.train({**tiny, "theorems": ["zero_start"], "probes": {}}, runs=tmp_path)
    assert launch.EXIT[run.status] == 1
    assert run.folder.metrics()[-1]["theorem/zero_start/held"] == -1
    assert "of what rounding allows" in run.folder.status()["failures"]["theorem/zero_start/verdict"]
    (line,) = [
        line
        for line in summarize(run.path, run.folder.status(), run.folder.metrics())
        if line.what.startswith("theorem")
    ]
    assert line.good is False
    assert line.figures.startswith("failed: ")


def test_names_of_theorems_are_checked_in_one_line(tiny):
    for names, said in (
        (["bohning_bond"], "theorems: unknown theorem 'bohning_bond'; did you mean 'bohning_bound'?"),
        (["zero_start", "zero_start"], "theorems: 'zero_start' is there twice"),
        ("zero_start", "theorems: must be a list"),
        ([3], "theorems"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            config.from_mapping({**tiny, "theorems": names})


def test_the_verb_lists_theorems_and_prints_their_pages(capsys):
    assert main(["theorems"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in NAMES)
    assert "softmax " not in listed.split("\n")[1]
    assert main(["theorems", "flattening"]) == 0
    assert "Proof idea" in capsys.readouterr().out
    assert main(["theorems", "flatening"]) == 2
    assert "did you mean 'flattening'?" in capsys.readouterr().err


def test_a_limit_is_read_off_a_curve_that_has_one_and_not_off_noise():
    from lab import rate

    t = torch.arange(1, 5000, dtype=torch.float64)
    for curve, due in ((2 * t.log() + 3, 2.0), (t.log() + t.log().log(), 1.0), ((t + 5).log(), 1.0)):
        slope = rate.limit(t, curve, 70)
        assert abs(slope.value - due) <= slope.half < 0.3
        assert rate.judged("", slope, due, 0.3).holds is True
        assert rate.judged("", slope, due + 1, 0.3).holds is False
    noise = torch.randn(len(t), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert rate.judged("", rate.limit(t, noise, 70), 0.0, 0.3).holds is None
    below = rate.Slope(0.9, 0.05, 0, 8, 50)
    assert rate.judged("", below, 1.0, 0.3).holds is False
    assert rate.judged("", below, 1.0, 0.3, doubt=0.1).holds is None
    assert rate.judged("", below, 1.2, 0.3, doubt=0.1).holds is False
    assert rate.limit(t[:3], t[:3], 1) is None
    assert math.isclose(rate.line(t, 3 * t).value, 3)


def test_where_no_figure_is_above_0_no_size_is_told():
    t = torch.arange(3)
    assert (
        at_most("rises", torch.tensor([-4.0, -2.0, -3.0]), 1.0, t, "of rounding").detail == "none above 0, at 3 steps"
    )
    assert (
        at_most("rises", torch.tensor([-4.0, 0.5]), 1.0, t[1:], "of it").detail
        == "at most 0.5 of it, at 2 steps (step 2)"
    )
    assert at_most("rises", torch.tensor([torch.nan]), 1.0, t[:1], "of it").holds is False

"""A run records what happened, says when a check failed, and is resumed without a trace."""

import json
import math
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lab import catalog, config, launch
from lab.console import Silent
from lab.errors import InputError
from lab.experiment import assemble
from lab.probe import Probe
from lab.problem import Problem
from lab.runs import RunFolder
from lab.summary import summarize


class Heard(Silent):
    """A watcher that keeps what it was told, and may do something at a step."""

    def __init__(self, at=None, do=None):
        self.said, self._at, self._do = [], at, do

    def say(self, message):
        self.said.append(message)

    def step(self, t, readings):
        if t == self._at:
            self._do()


def start(tiny, root, watcher=None, **overrides) -> launch.Run:
    made = config.from_mapping(tiny, overrides)
    return launch.launch(assemble(made), root, watcher or Heard(), ["test"])


def go_on(path, watcher=None) -> launch.Run:
    folder, made = launch.reopen(path)
    return launch.resume(folder, assemble(made), watcher or Heard())


def scalars(path: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a run: every scalar's steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def assert_same_run(one: Path, other: Path) -> None:
    """Bit for bit the metrics, the weights, and what TensorBoard shows."""
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    a, b = RunFolder(one).load_checkpoint(), RunFolder(other).load_checkpoint()
    assert a[0] == b[0]
    assert torch.equal(a[1]["theta"], b[1]["theta"])
    assert scalars(one) == scalars(other)


def test_a_run_finishes_and_records_every_step(tiny, tmp_path):
    run = start(tiny, tmp_path)
    assert run.status == run.folder.status()["status"] == "finished"
    rows = run.metrics.rows
    assert [row["step"] for row in rows] == list(range(7))
    for row in rows:
        assert row["check/gradient"] <= 1
        assert row["check/hvp"] <= 1
        assert row["curvature/lambda_1"] >= row["curvature/lambda_2"]
        assert row["stability/lr_lambda_max"] == 0.5 * row["curvature/lambda_1"]
    assert [i for i, row in enumerate(rows) if "check/hessian" in row] == [0, 6]
    assert rows[-1]["loss/train"] < rows[0]["loss/train"] == pytest.approx(math.log(3))
    assert rows[0]["curvature/definiteness"].startswith("positive semi-definite: 5 zero eigenvalues: softmax ignores")
    assert {"config.yaml", "provenance.json", "status.json", "metrics.jsonl", "checkpoints"} < {
        f.name for f in run.path.iterdir()
    }
    shown = scalars(run.path)
    assert [step for step, _ in shown["curvature/lambda_1"]] == list(range(7))


def test_predicted_decrease_is_right_to_third_order(tiny, tmp_path):
    rows = start(tiny, tmp_path, **{"optimizer.lr": 0.01}).metrics.rows[:-1]
    for row in rows:
        assert row["step/predicted_decrease"] == pytest.approx(row["step/actual_decrease"], rel=1e-3)
        assert row["step/actual_decrease"] > 0


def test_the_runs_own_config_reproduces_the_run(tiny, tmp_path):
    one = start({**tiny, "batch_size": 40, "init": 0.1, "seed": 5}, tmp_path / "a")
    again = launch.train(one.folder.config, runs=tmp_path / "b")
    assert_same_run(one.path, again.path)


def test_seeds_change_what_is_random(tiny, tmp_path):
    tiny |= {"batch_size": 40, "init": 0.1}
    one, other = (start({**tiny, "seed": seed}, tmp_path) for seed in (1, 2))
    assert not torch.equal(one.theta, other.theta)


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 32, "init": 0.1, "optimizer": {"kind": "adam", "lr": 0.05}},
        slow({"twin": "autograd", "optimizer": {"kind": "sgd", "lr": 0.5, "momentum": 0.9}}),
        slow({"dtype": "float32", "optimizer": {"kind": "nadam", "lr": 0.05}}),
        slow({"ridge": 0.01, "optimizer": {"kind": "newton"}}),
        slow({"probes": {"spectrum": {"every": "auto", "tolerance": 0.9, "method": "krylov"}}}),
    ],
    ids=["plain", "adam-batches", "twin", "float32", "newton", "auto"],
)
def test_an_interrupted_run_goes_on_to_the_bit(tiny, tmp_path, options):
    tiny |= options
    whole = start(tiny, tmp_path / "whole")
    broken = start(tiny, tmp_path / "broken", Heard(at=3, do=lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert broken.status == "interrupted"
    assert launch.EXIT[broken.status] == 130
    assert broken.folder.load_checkpoint()[0] == 4
    told = [line.figures for line in summarize(broken.path, broken.folder.status(), broken.metrics.rows)]
    assert any(words.endswith(f"train --resume {broken.path}") for words in told)
    assert go_on(broken.path).status == "finished"
    assert_same_run(whole.path, broken.path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="os.fork is not there")
def test_a_run_killed_at_any_moment_goes_on_to_the_bit(tiny, tmp_path):
    tiny |= {"steps": 40, "checkpoint_every": 3, "batch_size": 50}
    began = time.monotonic()
    whole = start(tiny, tmp_path / "whole")
    lasts = time.monotonic() - began
    root, chance = tmp_path / "killed", random.Random(7)
    kills = 0
    for attempt in range(12):
        child = os.fork()
        if child == 0:
            try:
                found = sorted(root.glob("tiny/2*"))
                go_on(found[0]) if found else start(tiny, root)
            finally:
                os._exit(0)
        time.sleep(lasts * 2 ** -chance.uniform(0, 6) if attempt < 11 else lasts)  # some early, whatever the machine
        os.kill(child, signal.SIGKILL)
        kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    (path,) = root.glob("tiny/2*")
    assert go_on(path).status == "finished"
    assert kills >= 1
    assert_same_run(whole.path, path)
    assert not list(path.rglob("*.part"))


def test_resuming_a_finished_run_changes_nothing(tiny, tmp_path):
    run = start(tiny, tmp_path)
    before, shown = (run.path / "metrics.jsonl").read_bytes(), scalars(run.path)
    assert go_on(run.path).status == "finished"
    assert (run.path / "metrics.jsonl").read_bytes() == before
    assert scalars(run.path) == shown


def test_data_that_changed_are_not_resumed(tiny, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,x\n2,y\n3,x\n4,y\n")
    tiny["data"] = {"kind": "csv", "path": str(table), "target": "b"}
    run = start(tiny, tmp_path)
    table.write_text("a,b\n1,x\n2,y\n3,x\n5,y\n")
    with pytest.raises(InputError, match="the data have changed since this run began"):
        go_on(run.path)


def plant(monkeypatch, method, mistake):
    right = getattr(Problem, method)
    monkeypatch.setattr(Problem, method, lambda self, *args: mistake(right(self, *args)))


@pytest.mark.parametrize(
    ("method", "mistake", "tag"),
    [
        ("value_and_gradient", lambda vg: (vg[0], -vg[1]), "check/gradient"),
        ("value_and_gradient", lambda vg: (vg[0], vg[1] * 150), "check/gradient"),
        ("hvp", lambda Hv: Hv * 1.000001, "check/hvp"),
        ("hessian", lambda H: H * 150, "check/hessian"),
    ],
    ids=["sign", "missing 1/N", "scale", "hessian"],
)
def test_a_wrong_derivation_fails_the_run_which_goes_on_to_its_end(tiny, tmp_path, monkeypatch, method, mistake, tag):
    plant(monkeypatch, method, mistake)
    heard = Heard()
    run = start(tiny, tmp_path, heard)
    assert run.status == "failed"
    assert launch.EXIT[run.status] == 1
    rows = run.metrics.rows
    assert len(rows) == 7
    assert rows[0][tag] > 1
    assert f"{tag.removeprefix('check/')} disagrees with autograd at " in rows[0][tag + "/failure"]
    said = heard.said[0]  # the first failure is told at once, the others are counted
    later = [row[tag + "/failure"] for row in rows[1:] if tag + "/failure" in row]
    assert all(words.endswith(f"; first at {said}") for words in later)  # which has the doctor's words
    witnesses = "decrease in float64 is wrong", "the Hessian of the eigenvalues in float64 is wrong"
    assert all(any(words in other for words in witnesses) for other in heard.said[1:])  # if they see it
    assert said.startswith("step 0: ")
    assert "ours / truth = " in said
    assert run.folder.status()["failures"][tag] == said


def test_a_failed_check_stops_the_run_where_it_is_asked_to(tiny, tmp_path, monkeypatch):
    plant(monkeypatch, "hvp", lambda Hv: -Hv)
    heard = Heard()
    run = start({**tiny, "probes": {"hvp": {"stop": True}}}, tmp_path, heard)
    assert run.status == "failed"
    assert len(run.metrics.rows) == 1
    assert heard.said[-1] == "step 0: stopped at a failed check, as probes.hvp.stop asks"


def test_a_failure_before_an_interruption_is_not_forgotten(tiny, tmp_path, monkeypatch):
    with monkeypatch.context() as planted:
        plant(planted, "hvp", lambda Hv: -Hv)
        broken = start(tiny, tmp_path, Heard(at=1, do=lambda: os.kill(os.getpid(), signal.SIGINT)))
        assert broken.status == "interrupted"
    assert go_on(broken.path).status == "failed"


def test_a_second_process_cannot_write_to_the_run(tiny, tmp_path):
    run = start(tiny, tmp_path)
    with run.folder.claimed(), pytest.raises(InputError, match="another process"):
        go_on(run.path)


def test_provenance_says_where_the_run_comes_from(tiny, tmp_path):
    run = start(tiny, tmp_path)
    origin = json.loads((run.path / "provenance.json").read_text())
    assert origin["data_sha256"] == run.experiment.data.sha256
    assert origin["argv"] == ["test"]
    assert origin["packages"]["torch"]


def test_probes_are_measured_when_due_and_at_the_end(tiny, tmp_path):
    run = start({**tiny, "probes": {"spectrum": {"every": 4, "top": 2}}}, tmp_path)
    measured = [row["step"] for row in run.metrics.rows if "curvature/lambda_2" in row]
    assert measured == [0, 4, 6]
    assert not any("curvature/lambda_3" in row for row in run.metrics.rows)


@pytest.mark.parametrize("name", catalog.names("probes"))
def test_every_probe_keeps_its_contract(name, tiny, tmp_path):
    member = catalog.get("probes", name)
    assert issubclass(member, Probe)
    pixels = {"data": {"kind": "sklearn", "name": "digits"}, "steps": 2}  # eigenvectors are drawn of pixels only
    tiny |= pixels if name == "eigenvectors" else {}
    others = {"spectrum": {}} if member.last else {}
    logged = logged_by(start({**tiny, "probes": {**others, name: {}}}, tmp_path / "with"))
    logged -= logged_by(start({**tiny, "probes": others}, tmp_path / "without"))
    assert logged
    assert all(re.fullmatch(r"\w+/[\w-]+(/lower|/upper|/failure|/positive|/negative)?", tag) for tag in logged), logged


def logged_by(run):
    """The tags of a run's metrics, pictures and histograms."""
    kinds = EventAccumulator(str(run.path)).Reload().summary_metadata
    shown = {tag for tag, kind in kinds.items() if kind.plugin_data.plugin_name in ("images", "histograms")}
    return {tag for row in run.metrics.rows for tag in row} | shown


def test_curvature_is_that_of_the_whole_training_set_unless_told(tiny, tmp_path):
    tiny |= {"batch_size": 50, "probes": {"spectrum": {}}}
    whole = start(tiny, tmp_path).metrics.rows[0]["curvature/lambda_1"]
    batch = start(tiny, tmp_path, **{"probes.spectrum.on": "batch"}).metrics.rows[0]["curvature/lambda_1"]
    full = start({**tiny, "batch_size": None}, tmp_path).metrics.rows[0]["curvature/lambda_1"]
    assert whole == full != batch


def test_training_itself_is_the_same_with_autograd_switched_off(tiny, tmp_path, monkeypatch):
    tiny |= {"probes": {"fit": {}, "spectrum": {}, "descent": {}}}
    with_it = start(tiny, tmp_path / "with")

    def refuse(*args, **kwargs):
        raise AssertionError("autograd was used")

    monkeypatch.setattr(torch.autograd, "grad", refuse)
    monkeypatch.setattr(torch.autograd, "backward", refuse)
    monkeypatch.setattr(torch, "enable_grad", refuse)
    without = start(tiny, tmp_path / "without")
    assert_same_run(with_it.path, without.path)

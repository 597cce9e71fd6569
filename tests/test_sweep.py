"""A sweep makes the runs that it says, each once, whatever stops it on the way."""

import json
import os
import random
import signal
import statistics
import sys
import time
from pathlib import Path

import pytest
from conftest import BARE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_grid import tasks
from test_trainer import assert_same_run, plant

import lab
from lab import launch
from lab.cli import main
from lab.launcher import Launcher, Outcome
from lab.launchers.here import Here
from lab.runs import RunFolder, list_runs
from lab.study import crew, sweep
from lab.study.display import Lines, Quiet
from lab.study.task import standing
from lab.yamlfile import dumped


def test_train_refuses_a_file_of_several_runs_and_says_what_to_do(here, capsys):
    Path("s.yaml").write_text(dumped({**BARE, "sweep": {"grid": {"seed": [1, 2]}}}))
    assert main(["train", "s.yaml"]) == 2
    assert "s.yaml:" in (err := capsys.readouterr().err)
    assert "`lab sweep` makes them, sweep=null leaves it out" in err
    assert not Path("runs").exists()
    assert main(["train", "s.yaml", "sweep=null"]) == 0


def test_a_sweep_shows_a_table_and_leaves_what_is_finished_alone(file, capsys):
    words = ["sweep", file, "optimizer.lr=0.1,1", "seed=0..1", "init=0.1", "--jobs", "1"]
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "optimizer.lr=0.1 seed=0  new"
    assert not Path("runs").exists()
    assert main(words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("[1/4] optimizer.lr=0.1 seed=0: finished in ")
    assert out[4].split() == ["run", "status", "loss/train", "accuracy/train", "folder"]
    assert out[-1] == "4 runs: 4 finished"
    before = {path: path.stat().st_mtime_ns for run in list_runs("runs") for path in run.path.rglob("*")}
    assert main([*words[:2], "optimizer.lr=0.1,1,2", *words[3:]]) == 0
    out = capsys.readouterr().out
    assert out.count("done before") == 4
    assert len(list_runs("runs")) == 6
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_worker_that_is_stopped_before_it_began_was_interrupted(tmp_path):
    worker = crew.Worker(1)
    worker.interrupt()
    (task,) = tasks(tmp_path, "seed=0")
    *_, last = worker.carry_out(task)
    worker.close()
    assert last["outcome"]["status"] == "interrupted"
    assert not list(tmp_path.glob("**/status.json"))


class Met(Launcher):
    """Ctrl-C while workers start: of each task one says that it was interrupted, and nothing was made."""

    def run(self, tasks, listener):
        for task in tasks:
            listener.began(task)
            listener.ended(task, Outcome("interrupted"))
        raise KeyboardInterrupt


def test_what_ctrl_c_meets_while_workers_start_is_interrupted_only_where_there_is_a_run(tmp_path, capsys):
    found = tasks(tmp_path, "seed=0..2", init=0.1)
    sweep.carry_out(found, Here(), Stopping())
    swept = sweep.carry_out(found, Met(), Lines(3))
    assert [outcome.status for outcome in swept.outcomes.values()] == ["finished", "interrupted", "not begun"]
    assert [outcome.path is None for outcome in swept.outcomes.values()] == [False, False, True]
    assert "seed=2: not begun\n" in capsys.readouterr().out
    untouched = sweep.Swept(tuple(found), {}, True)  # Ctrl-C before any task: what an earlier call left is told
    assert "3 runs: 1 finished, 1 interrupted, 1 not begun" in list(sweep.lines(untouched))


def test_seeds_that_change_nothing_are_told(file, capsys):
    said = "all seeds ended the same to the bit"
    assert main(["sweep", file, "seed=0..1", "optimizer.lr=0.1,1", "--jobs", "1"]) == 0
    assert said in capsys.readouterr().out
    assert main(["sweep", file, "seed=0..1", "init=0.1", "--jobs", "1"]) == 0
    assert said not in capsys.readouterr().out


def test_each_run_of_a_sweep_is_bit_for_bit_the_run_alone(tmp_path):
    found = lab.sweep({**BARE, "init": 0.1}, {"seed": range(2)}, runs=tmp_path / "sweep", jobs=1)
    for seed, run in enumerate(found):
        alone = launch.train({**BARE, "init": 0.1, "seed": seed}, runs=tmp_path / "alone")
        assert_same_run(run.path, alone.path)
    assert [run.metrics["loss/train"].shape for run in found] == [(7,), (7,)]


def test_a_run_that_fails_does_not_stop_the_others_and_is_tried_again(here, capsys, monkeypatch):
    Path("table.csv").write_text("a,b\n1,x\n2,y\n3,x\n4,y\n")
    data = {"kind": "csv", "path": "table.csv", "target": "b"}
    Path("c.yaml").write_text(dumped({**BARE, "data": data, "loss": {"kind": "sigmoid"}}))
    words = ["sweep", "c.yaml", "data.path=nowhere.csv,table.csv", "--jobs", "1"]
    assert main(words) == 1
    out, _ = capsys.readouterr()
    assert "data.path=nowhere.csv  error" in out
    assert "nowhere.csv: " in out
    assert out.splitlines()[-1] == "2 runs: 1 error, 1 finished"
    with monkeypatch.context() as planted:
        plant(planted, "value_and_gradient", lambda vg: (vg[0], -vg[1]))
        assert main(["sweep", "c.yaml", "ridge=0,1", "probes.gradient={}", "--jobs", "1"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 runs: 2 failed"
    assert main(["sweep", "c.yaml", "ridge=0,1", "probes.gradient={}", "--jobs", "1"]) == 0


def test_a_bug_in_one_run_is_told_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    assemble = sweep.catalog.import_module("lab.study.task").assemble

    def broken(config):
        if config.seed == 0:
            raise ZeroDivisionError("planted")
        return assemble(config)

    monkeypatch.setattr("lab.study.task.assemble", broken)
    swept = sweep.carry_out(tasks(tmp_path, "seed=0..1"), Here(), Lines(2))
    assert [outcome.status for outcome in swept.outcomes.values()] == ["error", "finished"]
    assert swept.outcomes[1].words == "ZeroDivisionError: planted"
    assert "Traceback" in capsys.readouterr().err
    assert swept.code == 1


class Overtaken(Here):
    """Another process begins with the last task while the first is trained."""

    def run(self, tasks, listener):
        made = launch.train(tasks[-1].config, runs=tasks[-1].root).folder
        made.write_status("running", step=0)
        with made.claimed():
            super().run(tasks, listener)


def test_a_run_that_another_process_began_meanwhile_is_told_as_that(tmp_path, capsys):
    swept = sweep.carry_out(tasks(tmp_path, "seed=0..1"), Overtaken(), Lines(2))
    assert [outcome.status for outcome in swept.outcomes.values()] == ["finished", "running"]
    first, last = capsys.readouterr().out.splitlines()
    assert first.endswith(" s")
    assert last == "[2/2] seed=1: running  another process is at it"


class Stopping(Quiet):
    """Presses Ctrl-C at the second run's first step."""

    def step(self, task, t, figures):
        if task.number == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_leaves_every_run_resumable_and_the_next_call_goes_on_to_the_bit(tmp_path):
    found = tasks(tmp_path / "stopped", "seed=0..2", init=0.1)
    swept = sweep.carry_out(found, Here(), Stopping())
    assert swept.interrupted
    assert swept.code == 130
    assert [outcome.status for outcome in swept.outcomes.values()] == ["finished", "interrupted"]
    said = ["3 runs: 1 finished, 1 interrupted, 1 not begun", "go on: call the same command again"]
    assert list(sweep.lines(swept))[-2:] == said
    assert [standing(task)[0] for task in found] == ["done", "open", "new"]
    again = sweep.carry_out(found, Here(), Quiet())
    assert again.code == 0
    assert len(list_runs(tmp_path / "stopped")) == 3
    for task in found:
        alone = launch.train(dict(task.config), runs=tmp_path / "alone")
        assert_same_run(Path(again.outcomes[task.number].path), alone.path)


def killed_at_random(root: Path, kills: int, seed: int) -> None:
    """A sweep that is killed so many times at random moments; then it is let go on to its end, and is as if it had
    never been: nothing lost, nothing doubled."""
    more = {"steps": 8, "checkpoint_every": 2, "init": 0.1}
    whole = tasks(root / "whole", "optimizer.lr=0.1,1,2", **more)
    began = time.monotonic()
    assert sweep.carry_out(whole, Here(), Quiet()).code == 0
    lasts, chance = time.monotonic() - began, random.Random(seed)
    found, killed = tasks(root / "killed", "optimizer.lr=0.1,1,2", **more), 0
    while killed < kills:
        child = os.fork()
        if child == 0:
            try:
                sweep.carry_out(found, Here(), Quiet())
            finally:
                os._exit(0)
        time.sleep(chance.uniform(0, lasts))
        os.kill(child, signal.SIGKILL)
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):  # it was done: kill the next sweep, from its start
            check_swept(whole, found)
            found = tasks(root / f"killed{killed}", "optimizer.lr=0.1,1,2", **more)
        killed += 1
    assert sweep.carry_out(found, Here(), Quiet()).code == 0
    check_swept(whole, found)


def check_swept(whole, found) -> None:
    for one, other in zip(whole, found, strict=True):
        assert_same_run(standing(one)[1].path, standing(other)[1].path)
    runs = list_runs(found[0].root)
    assert len(runs) == len(found)
    assert not [part for run in runs for part in run.path.rglob("*.part")]


def test_runs_that_differ_by_their_seed_are_shown_as_mean_and_spread_too(tmp_path):
    found = tasks(tmp_path, "optimizer.lr=0.1,1", "seed=0..2", init=0.1, steps=2)
    swept = sweep.carry_out(found, Here(), Quiet())
    shown = sorted((tmp_path / "tiny").glob("seeds-*"))
    assert len(shown) == 2  # one for each setting
    assert len(list_runs(tmp_path)) == 6  # they are no runs
    first = [Path(swept.outcomes[task.number].path) for task in found if f"seeds-{task.digest}" == shown[0].name]
    losses = [RunFolder(path).metrics()[-1]["loss/train"] for path in first]
    events = EventAccumulator(str(shown[0])).Reload()
    assert events.Scalars("loss/train")[-1].value == pytest.approx(statistics.fmean(losses), rel=1e-6)
    assert events.Scalars("seeds/loss/train/upper")[-1].value > events.Scalars("seeds/loss/train/lower")[-1].value


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="os.fork is not there")
def test_a_sweep_killed_at_any_moment_goes_on_to_the_bit(tmp_path):
    killed_at_random(tmp_path, 4, seed=5)


WRONG = {
    "no config": (["sweep"], "no config given"),
    "no file": (["sweep", "nowhere.yaml"], "no such file"),
    "no job": (["sweep", "{file}", "seed=0..1", "--jobs", "0"], "at least one"),
    "jobs": (["sweep", "{file}", "--jobs", "many"], "invalid int"),
    "launcher": (["sweep", "{file}", "--launcher", "submitti"], "did you mean 'submitit'?"),
    "option": (["sweep", "{file}", "--option", "a"], "write KEY=VALUE"),
    "option of none": (["sweep", "{file}", "--launcher", "here", "--option", "a=b"], "takes no options"),
    "one of many": (["sweep", "{file}", "optimizer.lr=0.1,0.2,-1,x"], "optimizer.lr: must be"),
    "place": (["sweep", "{file}", "--runs", "{file}", "--jobs", "1"], "cannot make a run here"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line_and_writes_nothing(case, file, capsys):
    words, expected = WRONG[case]
    code = main([word.format(file=file) for word in words])
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err
    assert [path.name for path in Path().iterdir()] == ["tiny.yaml"]


PIECES = ["seed", "optimizer.lr", "loss.weight", "sweep", "null", "..", "-1", *"=,014[]{}'\": a.∂"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), min_size=1, max_size=3))
def test_no_axis_ends_in_a_traceback(words, file, capsys):
    words = [word for word in words if not word.startswith("-")]
    code = main(["sweep", file, *words, "--dry-run"])
    out, err = capsys.readouterr()
    assert code in (0, 2)
    assert (code == 2) == (err.count("\n") == 1) == (out == "")
    assert [path.name for path in Path().iterdir()] == ["tiny.yaml"]


def test_outcomes_travel_as_json():
    assert Outcome(**json.loads(json.dumps(Outcome("finished", "a", "b").__dict__))) == Outcome("finished", "a", "b")

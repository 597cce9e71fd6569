"""Workers of a sweep that die, or are interrupted, leave nothing undone that is not told."""

import os
import signal
import sys

import pytest
import torch
from test_grid import tasks

import lab
from lab import launch
from lab.launchers.processes import Processes
from lab.study import crew, sweep
from lab.study.display import Quiet


class Heard(Quiet):
    def __init__(self):
        self.steps, self.ends = [], {}

    def step(self, task, t, figures):
        self.steps.append((task.number, t, figures))

    def ended(self, task, outcome):
        self.ends[task.number] = outcome


ANSWERS = """
import json, os, sys
for line in sys.stdin:
    task = json.loads(line)
    print(json.dumps({"step": 1, "figures": str(os.getpid())}), flush=True)
    if task["seed"] == 1:
        print("out of memory", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 9)
    print(json.dumps({"outcome": {"status": "finished", "path": None, "words": ""}}), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_worker_that_dies_is_replaced_and_its_run_called_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "PROGRAM", ("-c", ANSWERS))
    heard = Heard()
    Processes(2).run(tasks(tmp_path, "seed=0..5"), heard)
    assert {n: outcome.status for n, outcome in heard.ends.items()} == {
        n: "killed" if n == 2 else "finished" for n in range(1, 7)
    }
    assert heard.ends[2].words == "its process was killed by signal 9: out of memory"
    assert len({figures for _, _, figures in heard.steps}) in (2, 3)  # processes: one job's tasks share theirs


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_processes_stop_at_ctrl_c_with_checkpoints_and_what_they_leave_goes_on_to_the_bit(tmp_path):
    more = {"steps": 100_000, "checkpoint_every": 1000, "init": 0.1}
    found = tasks(tmp_path, "seed=0..2", **more)
    pressed = []

    class Pressing(Heard):
        def step(self, task, t, figures):
            if not pressed:
                pressed.append(task.number)
                os.kill(os.getpid(), signal.SIGINT)

    heard = Pressing()
    swept = sweep.carry_out(found, Processes(2), heard)
    assert swept.code == 130
    assert swept.outcomes[pressed[0]].status == "interrupted"
    assert 3 not in swept.outcomes  # it was not begun
    stopped = lab.Run.open(swept.outcomes[pressed[0]].path)
    steps = stopped.folder.load_checkpoint()[0]
    rows = stopped.metrics.rows
    assert len(rows) == steps < 100_000
    alone = launch.train({**found[pressed[0] - 1].config, "steps": steps}, runs=tmp_path / "alone")
    assert alone.metrics.rows[:steps] == list(rows)
    assert torch.equal(alone.theta, stopped.theta)

"""A sweep through submitit: its local executor makes the runs, and what is wrong is one line."""

import sys
from pathlib import Path

import pytest
from test_grid import tasks

import lab
from lab import launch
from lab.cli import main
from lab.launchers.submitit import OneRun
from lab.study import sweep
from lab.study.display import Quiet


@pytest.mark.slow
def test_jobs_of_submitit_make_the_runs_and_are_put_back_where_they_were(tmp_path):
    submitit = pytest.importorskip("submitit")
    found = tasks(tmp_path, "seed=0..1", init=0.1)
    engine = sweep.engine("submitit", 2, 2, {"cluster": "local", "timeout_min": "10"})
    swept = sweep.carry_out(found, engine, Quiet())
    assert swept.code == 0, list(sweep.lines(swept))
    alone = launch.train(dict(found[1].config), runs=tmp_path / "alone")
    assert lab.Run.open(swept.outcomes[2].path).metrics["loss/train"] == pytest.approx(alone.metrics["loss/train"])
    again = OneRun().checkpoint(found[0])
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    assert again.function(*again.args).path == swept.outcomes[1].path  # it is done, and is not done again


def test_submitit_that_is_not_installed_is_named_with_its_extra(file, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert main(["sweep", file, "seed=0..1", "--launcher", "submitit"]) == 2
    assert "pip install 'lab[submitit]'" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["tiny.yaml"]


def test_wrong_options_of_submitit_are_one_line(file, capsys):
    pytest.importorskip("submitit")
    for option in ("cluster=nowhere", "timeout=3"):
        assert main(["sweep", file, "--launcher", "submitit", "--option", option]) == 2
        assert capsys.readouterr().err.count("\n") == 1

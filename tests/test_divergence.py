"""A run that breaks says where, and what may have broken it."""

import os
import signal
from pathlib import Path

from test_trainer import Heard, go_on, start

from lab import launch


def test_a_loss_that_is_not_finite_stops_the_run_with_a_hint(tiny, tmp_path):
    heard = Heard()
    run = start(
        {**tiny, "steps": 2000, "ridge": 1.0, "optimizer": {"kind": "sgd", "lr": 5.0}, "probes": {}}, tmp_path, heard
    )
    assert run.status == "diverged"
    assert launch.EXIT[run.status] == 1
    assert "‖θ‖ = " in heard.said[-1]
    assert "lr·λ₁ = 5 " in heard.said[-1]
    assert "> 2" in heard.said[-1]
    # With ρ = 1 and a θ that runs away p is saturated, and λ₁ is ρ itself.
    assert "try optimizer.lr below 2" in heard.said[-1]
    assert run.metrics.rows[-1]["step"] < 2000


def test_a_resumed_run_that_breaks_at_once_blames_the_step_before_and_not_the_data(tiny, tmp_path):
    tiny |= {"steps": 2000, "ridge": 1.0, "optimizer": {"kind": "sgd", "lr": 5.0}, "probes": {}}
    last = start(tiny, tmp_path / "whole").metrics.rows[-1]["step"]
    stopped = Heard(at=last - 1, do=lambda: os.kill(os.getpid(), signal.SIGINT))
    broken, heard = start(tiny, tmp_path / "broken", stopped), Heard()
    assert go_on(broken.path, heard).status == "diverged"
    assert "before the run was resumed, was too long" in heard.said[-1]


def test_data_that_are_too_large_are_not_called_stable(tiny, tmp_path):
    Path(tmp_path / "huge.csv").write_text("x,y\n1,0\n2,1\n3,0\n1e200,0\n3e200,1\n")
    data = {"kind": "csv", "path": str(tmp_path / "huge.csv"), "target": "y", "standardize": False}
    heard = Heard()
    run = start({**tiny, "data": data, "loss": {"kind": "sigmoid"}, "probes": {}}, tmp_path, heard)
    assert run.status == "diverged"
    assert "the curvature at step 0 is not finite: the data or the start are too large for float64" in heard.said[-1]

"""Runs between measurements: every step has intervals, and they hold; what is not known has no number."""

import math

import pytest

from lab import launch
from lab.curvature import tracking


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

"""Runs are chosen, tabled, compared and exported, and a Python session has what the files have."""

import csv
import io
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lab
from lab import launch
from lab.cli import main
from lab.errors import InputError
from lab.launcher import Outcome, Task
from lab.runs import RunFolder
from lab.study import sweep
from lab.study.facts import gather, select
from lab.study.metrics import Metrics
from lab.study.table import table


def said(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_runs_are_chosen_by_config_status_and_last_value(three_runs):
    found = gather(three_runs)
    assert len(select(found, "optimizer.lr > 1 and status == 'finished'")) == 1
    assert [run.get("seed") for run in select(found, "init == 0.1")] == [1]
    assert len(select(found, "loss/train < 1 and step == 6")) == 3
    assert select(found, "status == 'failed'") == []


def test_runs_are_sorted_and_what_lacks_the_value_comes_last(three_runs, tmp_path):
    torch.set_num_threads(1)
    bare = launch.train({**TINY, "probes": {}}, runs=tmp_path)
    found = gather(three_runs) + gather(tmp_path)
    values = [run.get("curvature/lambda_1") for run in select(found, sort="curvature/lambda_1")]
    assert values[:3] == sorted(values[:3])
    assert values[3] is None
    back = select(found, sort="curvature/lambda_1", reverse=True)
    assert [run.get("curvature/lambda_1") for run in back[:3]] == values[:3][::-1]
    assert back[3].run.path == bare.path


def test_what_no_run_has_is_told_with_the_nearest_name(three_runs):
    for where, sort in (("optimizer.rl < 1", None), (None, "optimizer.rl")):
        with pytest.raises(InputError, match=r"no run has 'optimizer.rl'; did you mean 'optimizer.lr'\?"):
            select(gather(three_runs), where, sort)
    with pytest.raises(InputError, match="a text is in quotes"):
        select(gather(three_runs), "status == finished")


def test_the_last_value_is_found_however_early_it_was_recorded(paths):
    facts = next(f for f in gather(paths[0].parent) if f.run.path == paths[0])
    rows = RunFolder(paths[0]).metrics()
    assert facts.get("check/hessian") == [row["check/hessian"] for row in rows if "check/hessian" in row][-1]
    assert facts.get("loss/train") == rows[-1]["loss/train"]
    assert facts.get("nonsense") is None


@pytest.fixture
def halted(paths, tmp_path):
    """A run that a kill left after step 3, and whose λ₁ was measured at step 0 alone."""
    run = tmp_path / "tiny" / paths[0].name
    shutil.copytree(paths[0], run)
    rows = [row if row["step"] == 0 else {**row, "curvature/lambda_1/upper": 2.0} for row in RunFolder(run).metrics()]
    for row in rows[1:4]:
        del row["curvature/lambda_1"]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:4]))
    return run


def test_a_value_that_is_older_than_the_run_is_shown_with_its_step(halted, paths, capsys):
    rows = RunFolder(halted).metrics()
    old = f"{rows[0]['curvature/lambda_1']:.6g} (step 0)"
    (facts,) = gather(halted)
    assert facts.shown("curvature/lambda_1") == old
    assert facts.get("curvature/lambda_1") == rows[0]["curvature/lambda_1"]
    assert facts.shown("loss/train") == rows[3]["loss/train"]
    assert select([facts], "curvature/lambda_1 > 0", "curvature/lambda_1") == [facts]
    assert main(["runs", str(halted)]) == 0
    assert old in capsys.readouterr().out
    assert main(["compare", str(halted), str(paths[1])]) == 0
    assert old in capsys.readouterr().out.split("best, of a check")[0]
    for words in (["report", str(halted.parent), str(paths[1])], ["compare", str(halted), str(paths[1]), "--html"]):
        out = halted.parent / "page.html"
        assert main([*words, *(["--out"] if words[0] == "report" else []), str(out)]) == 0
        assert old in out.read_text()
    task = Task(1, "tiny", "tiny", facts.run.digest, 0, 6, {}, str(halted.parent.parent), ())
    swept = sweep.Swept((task,), {1: Outcome("killed", str(halted))}, False)
    assert old in list(sweep.lines(swept))[1]
    assert main(["export", str(halted)]) == 0
    assert "(step" not in capsys.readouterr().out


def test_of_a_run_that_came_to_its_end_no_value_is_shown_with_a_step(paths):
    for path in paths:
        (facts,) = gather(path)
        tags = {tag for row in RunFolder(path).metrics() for tag in row}
        assert {"step/actual_decrease", "check/decrease", "check/hessian"} <= tags
        assert all(facts.shown(tag) == facts.get(tag) for tag in tags)


def test_lab_runs_shows_what_tells_the_runs_apart(three_runs, capsys):
    assert main(["runs", "--runs", str(three_runs), "--sort", "optimizer.lr", "--reverse"]) == 0
    header, first, *rest = said(capsys)
    assert header.split() == [
        "status", "step", "loss/train", "curvature/lambda_1", "optimizer.lr", "seed", "init", "folder"
    ]  # fmt: skip
    assert first.split()[4] == "1.5"
    assert len(rest) == 2
    assert main(["runs", str(three_runs / "tiny"), "--where", "seed == 1", "--paths"]) == 0
    (path,) = said(capsys)
    assert path.endswith("-s1")


def test_a_table_is_aligned_with_numbers_to_the_right():
    assert table(["a", "λ₁"], [["x", 1.5], ["yy", None], ["z", -10]]) == ["a    λ₁", "x   1.5", "yy    –", "z   -10"]


def test_metrics_are_arrays_with_gaps_where_nothing_was_measured(paths):
    run = lab.Run.open(paths[0])
    rows = run.metrics.rows
    assert run.metrics["step"].tolist() == list(range(7))
    assert run.metrics["loss/train"].dtype == np.float64
    assert run.metrics["loss/train"].tolist() == [row["loss/train"] for row in rows]
    assert run.metrics["curvature/rank"].dtype == np.int64
    assert np.isnan(run.metrics["check/hessian"]).tolist() == ["check/hessian" not in row for row in rows]
    steps, values = run.metrics.series("check/hessian")
    assert steps.tolist() == [0, 6]
    assert values.tolist() == [rows[0]["check/hessian"], rows[6]["check/hessian"]]
    assert run.metrics["curvature/definiteness"][0].startswith("positive semi-definite")
    assert set(run.metrics) == {tag for row in rows for tag in row}
    with pytest.raises(KeyError, match="did you mean 'loss/train'"):
        run.metrics["loss/tran"]
    assert list(Metrics([])) == ["step"]


def test_metrics_become_a_data_frame(paths):
    pytest.importorskip("pandas")
    run = lab.Run.open(paths[0])
    frame = run.metrics.to_pandas()
    assert frame.index.name == "step"
    assert frame["loss/train"].tolist() == run.metrics["loss/train"].tolist()
    assert frame["check/hessian"].notna().sum() == 2


def test_a_run_gives_the_spectrum_of_any_of_its_steps(paths):
    for path in paths:
        run = lab.Run.open(path)
        for step in (0, 3, 6):
            row, found = run.metrics.rows[step], run.spectrum(step)
            for i in range(5):  # two drivers of LAPACK, each within its own interval
                assert abs(float(found.values[i]) - row[f"curvature/lambda_{i + 1}"]) <= 2 * found.radius
            assert float(run.problem.value(run.theta_at(step))) == row["loss/train"]  # to the bit: θ is the same
        assert run.spectrum().values.tolist() == run.spectrum(6).values.tolist()
        assert run.spectrum().vectors.shape == (15, 15)
        assert run.status == "finished"
        with pytest.raises(InputError, match="no step 7; the last checkpoint is at step 6"):
            run.spectrum(7)


def test_metrics_that_may_not_be_read_hide_no_other_run(three_runs, capsys, monkeypatch):
    denied, right = sorted(three_runs.glob("*/*"))[0] / "metrics.jsonl", Path.read_bytes

    def read(path):
        if path == denied:
            raise PermissionError(13, "Permission denied", str(path))
        return right(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert main(["runs", str(three_runs)]) == 0
    listed = capsys.readouterr()
    assert len(listed.out.splitlines()) == 1 + 3
    assert listed.err.startswith(f"{denied}: cannot be read: Permission denied.")


def test_a_run_that_lost_a_file_or_its_config_is_told(paths, tmp_path, capsys):
    good, bare, garbled = (tmp_path / "tiny" / f"20261121T00000{i}Z-0123456789-s{i}" for i in range(3))
    for place in (good, bare, garbled):
        shutil.copytree(paths[0], place)
    (bare / "status.json").unlink()
    (garbled / "config.yaml").write_text("a: [\n")
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    listed = capsys.readouterr()
    assert [str(place) in listed.out for place in (good, bare, garbled)] == [True, False, True]
    lost, unread = listed.err.splitlines()
    assert lost == f"{bare}: left out, it has no status.json"
    assert unread.startswith(f"{garbled / 'config.yaml'}:")
    assert unread.endswith("; the run is listed without its config")
    assert main(["runs", str(good)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_an_export_gives_every_value_back_to_the_bit(form, three_runs, paths, tmp_path):
    out = tmp_path / f"out.{form}"
    if form == "parquet":
        pytest.importorskip("pyarrow")
    assert main(["export", str(three_runs), "--format", form, "--out", str(out)]) == 0
    if form == "csv":
        read = list(csv.DictReader(io.StringIO(out.read_text())))
    elif form == "jsonl":
        read = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        from pyarrow import parquet

        read = parquet.read_table(out).to_pylist()
    assert len(read) == 21
    for path in paths:
        mine = [row for row in read if row["run"] == f"tiny/{path.name}"]
        for row, true in zip(mine, RunFolder(path).metrics(), strict=True):
            for tag, value in true.items():
                assert type(value)(row[tag]) == value
            assert row["check/hessian"] in (None, "") or "check/hessian" in true
    assert {float(row["optimizer.lr"]) for row in read} == {0.5, 1.5}


def test_what_is_not_finite_is_exported_by_name(tmp_path, capsys):
    run = launch.train(
        {**TINY, "probes": {}, "steps": 2000, "ridge": 1.0, "optimizer": {"kind": "sgd", "lr": 5.0}}, runs=tmp_path
    )
    assert run.status == "diverged"
    assert main(["export", str(run.path), "--format", "jsonl"]) == 0
    assert json.loads(said(capsys)[-1])["loss/train"] in ("NaN", "Infinity")
    assert main(["export", str(run.path)]) == 0
    assert not math.isfinite(float(said(capsys)[-1].split(",")[2]))


def test_a_missing_package_is_named_with_its_extra(paths, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert main(["export", str(paths[0]), "--format", "parquet", "--out", str(tmp_path / "x")]) == 2
    assert "pip install 'lab[parquet]'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


WRONG = {
    "compare nothing": (["compare"], "two runs or more, and here are none"),
    "compare one": (["compare", "{run}"], "and here is one"),
    "compare what is not there": (["compare", "nowhere", "{run}"], "no such run"),
    "export nothing": (["export"], "name runs"),
    "export into no folder": (["export", "{run}", "--out", "a/b/c.csv"], "cannot be written"),
    "export a folder over": (["export", "{run}", "--out", "."], "is a folder"),
    "parquet to a terminal": (["export", "{run}", "--format", "parquet"], "name a file"),
    "coefficients of two": (["export", "{run}", "{run}", "--what", "coefficients"], "name one run"),
    "where": (["runs", "--runs", "{root}", "--where", "seed = 1"], "--where, column 6"),
    "where at export": (["export", "{root}", "--where", "sed == 1"], "did you mean 'seed'?"),
    "sort": (["runs", "--runs", "{root}", "--sort", "lambda_1"], "did you mean 'curvature/lambda_1'?"),
    "columns": (["runs", "--runs", "{root}", "--columns", "loss/train,,"], "no run has ''"),
    "runs of nothing": (["runs", "nowhere"], "no such run or folder of runs"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line_and_writes_nothing(case, three_runs, paths, here, capsys):
    before = snapshot(three_runs)
    words, expected = WRONG[case]
    assert main([word.format(root=three_runs, run=paths[0]) for word in words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert expected in err
    assert snapshot(three_runs) == before
    assert list(here.iterdir()) == []


JUNK = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        ['{"step": 0}\n', '{"step": "a"}\n', "[]\n", '{"a": 1}\n', '{"step": 1, "a/b": [1]}\n', "{}\n"]
    ).map(str.encode),
)
VERBS = (
    ["runs", "{run}"],
    ["runs", "{run}", "--sort", "loss/train"],
    ["compare", "{run}", "{good}"],
    ["export", "{run}"],
    ["export", "{run}", "--format", "jsonl"],
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(verb=st.sampled_from(VERBS), file=st.sampled_from(["metrics.jsonl", "status.json", "config.yaml"]), junk=JUNK)
def test_files_that_were_tampered_with_end_in_one_line_at_worst(verb, file, junk, paths, tmp_path, capsys):
    run = tmp_path / "name" / "20261121T000000Z-0123456789-s0"
    run.mkdir(parents=True, exist_ok=True)
    for name in ("metrics.jsonl", "status.json", "config.yaml"):
        (run / name).write_bytes(junk if name == file else (paths[0] / name).read_bytes())
    code = main([word.format(run=run, good=paths[1]) for word in verb])
    out, err = capsys.readouterr()
    listed = [(0, 1)] if verb[0] == "runs" else []  # which goes on, and says what it could not read
    assert (code, err.count("\n")) in ((0, 0), (2, 1), *listed)
    assert code == 0 or out == ""

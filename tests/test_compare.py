"""Runs are compared: what differs, and the first step at which they part, to the bit."""

import json
import math
import shutil
from dataclasses import replace

from conftest import TINY

from lab import launch
from lab.cli import main
from lab.runs import RunFolder
from lab.study import compare as comparing


def said(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_comparison_has_what_differs_and_nothing_else(paths, capsys):
    assert main(["compare", *map(str, paths)]) == 0
    text = "\n".join(said(capsys))
    found = comparing.compare(paths)
    assert {key: values for key, values in found.config.items() if key != "checkpoint_every"} == {
        "seed": (0, 1, 0),
        "init": (0.0, 0.1, 0.0),
        "optimizer.lr": (0.5, 0.5, 1.5),
    }
    rows = [RunFolder(path).metrics() for path in paths]
    assert found.last["loss/train"] == tuple(run[-1]["loss/train"] for run in rows)
    assert found.best["loss/train"][0] == min((row["loss/train"], row["step"]) for row in rows[0])
    assert found.best["accuracy/train"][1][0] == max(row["accuracy/train"] for row in rows[1])
    assert found.best["check/gradient"][0][0] == max(row["check/gradient"] for row in rows[0])
    assert [part.step for part in found.motion] == [0, 1]  # another start, and the same start with another step
    assert "A and B part at step 0: loss/train is 1.0986122886681" in text
    assert "A and C part at step 1: loss/train is " in text
    assert "optimizer.lr  0.5  0.5  1.5" in text
    tabled, rest = text.split("last value, the same in all: ")
    alike = {told.split()[0] for told in rest.splitlines()[0].split(", ")}
    assert alike == {tag for tag, values in found.last.items() if len(set(values)) == 1}
    assert not any(line.split()[:1] == [tag] for tag in alike for line in tabled.splitlines())


def test_null_and_what_is_absent_are_told_apart(paths, tmp_path, capsys):
    bare = tmp_path / "tiny" / paths[0].name
    shutil.copytree(paths[0], bare)
    text = (bare / "config.yaml").read_text()
    (bare / "config.yaml").write_text(text.replace("batch_size: null\n", ""))
    (bare / "provenance.json").write_text(json.dumps({"data_sha256": "0123456789abcdef" * 4}))
    assert main(["compare", str(paths[0]), str(bare)]) == 0
    (line,) = (line for line in said(capsys) if line.startswith("batch_size"))
    assert line.split() == ["batch_size", "null", "–"]
    assert main(["compare", str(paths[0]), str(bare), "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "<td>batch_size</td><td>null</td><td>–</td>" in page
    assert '<h2>Origin</h2><div class="long">' in page  # whose hashes wrap


def test_equal_trajectories_are_said_to_be_equal_to_the_bit(tmp_path):
    one, other = (launch.train({**TINY, "probes": probes}, runs=tmp_path) for probes in ({}, {"fit": {}}))
    found = comparing.compare([one.path, other.path])
    assert str(found.motion[0]) == "are the same to the bit at all 7 steps that both have"
    assert str(found.others[0]) == "have no step and tag in common"


def test_runs_that_part_in_what_was_measured_alone_are_not_said_to_be_the_same(paths):
    found = comparing.compare(paths[:1] * 2)
    measured = replace(found, others=(comparing.Parting(1, 0, "curvature/lambda_1", 1.0, 2.0),))
    told = [line for line in comparing.lines(measured) if line.startswith("A and B")]
    assert told[0] == "A and B, in loss and gradient, are the same to the bit at all 7 steps that both have"
    assert told[1].startswith("A and B, in what else was measured, part at step 0: curvature/lambda_1 is 1.0")


def test_a_planted_difference_in_the_last_bit_is_found_where_it_is(paths):
    rows = RunFolder(paths[0]).metrics()
    other = [dict(row) for row in rows]
    other[4]["loss/train"] = math.nextafter(other[4]["loss/train"], 9)
    found = comparing.parting(rows, other, motion=True)
    assert (found.step, found.tag, found.common) == (4, "loss/train", 5)
    assert "e-16" in str(found)
    assert comparing.parting(rows, other, motion=False).step is None

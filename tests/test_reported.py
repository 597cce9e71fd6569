"""What users met once: a run that broke down over a picture, a table that was false, a step that was not the last."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lab import launch
from lab.cli import main
from lab.coefficients import coefficients
from lab.config import from_mapping
from lab.console import Silent
from lab.errors import InputError
from lab.experiment import assemble, describe
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.picture.counts import BINS, histogram
from lab.problem import Problem
from lab.progress import Bar
from lab.summary import summarize
from lab.yamlfile import dumped

DATA = {"kind": "synthetic", "task": "multiclass", "n": 60, "d": 1, "k": 3}
TINY = {"data": DATA, "loss": {"kind": "softmax"}, "steps": 2, "optimizer": {"kind": "sgd", "lr": 0.1}}


@pytest.mark.parametrize(
    "values",
    [
        [1 / 3, np.nextafter(1 / 3, 1), 1 / 3],
        [0.0],
        [0.0, 5e-324],
        [1e300, np.nextafter(1e300, np.inf)],
        [-1.7e308, 1.7e308],
        [np.nan, 2.0, np.inf],
        list(np.linspace(-3, 5, 101)),
    ],
)
def test_a_histogram_counts_whatever_is_finite(values):
    found = histogram(np.array(values))
    assert found is not None
    assert found.counts.sum() == np.isfinite(values).sum()
    assert len(found.counts) == BINS
    assert (np.diff(found.edges) > 0).all()


def test_a_run_whose_eigenvalues_are_all_but_equal_trains(tmp_path):
    assert launch.train(TINY, runs=tmp_path).status == "finished"


def fit(loss, y: torch.Tensor, X: torch.Tensor, K: int) -> tuple[Problem, torch.Tensor]:
    """A problem, and θ at its minimum by Newton's method."""
    problem = Problem(loss, Linear(), X, y, outputs=K)
    theta = torch.zeros(problem.shape, dtype=X.dtype)
    for _ in range(30):
        H = problem.hessian(theta)
        theta = theta - (torch.linalg.pinv(H) @ problem.gradient(theta).reshape(-1)).view(theta.shape)
    return problem, theta


def rows(n: int = 80) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    X = torch.cat([torch.randn(n, 2, dtype=torch.float64, generator=g), torch.ones(n, 1, dtype=torch.float64)], dim=1)
    return X, (X[:, :2] + 2 * torch.randn(n, 2, dtype=torch.float64, generator=g) > 0).double()


def test_an_average_over_labels_has_the_same_standard_errors():
    X, y = rows()
    names = ("a", "b", "1"), ("s", "t")
    tables = [
        coefficients(*fit(loss, y, X, 2), *names)
        for loss in (Sigmoid(), Sigmoid(average=True), Sigmoid(reduction="sum"))
    ]
    for table in tables[1:]:
        for one, other in zip(tables[0], table, strict=True):
            assert one.error == pytest.approx(other.error, rel=1e-9)
            assert one.estimate == pytest.approx(other.estimate, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(
    "loss",
    [Sigmoid(weight=(1.0, 2.0)), Sigmoid(pos_weight=(2.0, 2.0)), Softmax(label_smoothing=0.1), Softmax((1.0, 2.0))],
)
def test_what_is_no_likelihood_has_no_table_of_coefficients(loss):
    X, y = rows()
    y = y if isinstance(loss, Sigmoid) else y[:, 0].long()
    with pytest.raises(InputError, match="no likelihood"):
        coefficients(*fit(loss, y, X, 2), ("a", "b", "1"), ("s", "t"))


def test_separable_data_have_no_table_of_coefficients():
    X, _ = rows()
    apart = (X[:, 0] > 0).double()
    for loss, y, K in ((Sigmoid(), apart[:, None], 1), (Softmax(), apart.long(), 2)):
        problem = Problem(loss, Linear(), X, y, outputs=K)
        theta = torch.zeros(3, K, dtype=torch.float64)
        theta[0, -1] = 5.0
        with pytest.raises(InputError, match="separable"):
            coefficients(problem, theta, ("a", "b", "1"), ("s", "t")[:K])


def test_a_step_that_was_not_measured_shows_which_step_its_eigenvalues_are_of(tmp_path):
    run = launch.train({**TINY, "steps": 5, "probes": {"spectrum": {"every": 10}}}, runs=tmp_path)
    rows = run.metrics.rows[:4]
    told = {line.what: line.figures for line in summarize(run.path, {"status": "interrupted"}, rows)}
    assert told["eigenvalues"].endswith("(at step 0)")
    assert told["stability"].endswith("(at step 0)")
    last = {line.what: line.figures for line in summarize(run.path, {"status": "finished"}, run.metrics.rows)}
    assert "at step" not in last["eigenvalues"] + last["stability"]


def test_the_summary_says_what_the_optimizers_own_steps_bear(tmp_path):
    adam = TINY | {"optimizer": {"kind": "adam", "lr": 0.1}, "probes": {"sharpness": {}}}
    run = launch.train(adam, runs=tmp_path)
    told = {line.what: line for line in summarize(run.path, run.folder.status(), run.metrics.rows)}
    share = run.metrics["stability/share"][-1]
    assert told["sharpness"].figures.startswith(f"{share:.4g} of what the optimizer's steps bear")
    assert told["sharpness"].good == (share < 1)


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        ({"kind": "Adam", "lr": 0.1}, "these steps are adam, of which the probe sharpness tells"),
        ({"kind": "nadam", "lr": 0.1}, "these steps are nadam"),
        (
            {"kind": "sgd", "lr": 0.1, "momentum": 0.9},
            "steps are sgd with momentum, of which the probe sharpness tells",
        ),
        ({"kind": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}, "are sgd with momentum and weight_decay"),
        ({"kind": "sgd", "lr": 0.1, "maximize": True}, "these steps are sgd, uphill as maximize asks"),
        ({"kind": "sgd", "lr": 0.1}, "below 2: plain gradient descent is stable here"),
        ({"kind": "sgd", "lr": 0.1, "dampening": 0.5}, "below 2: plain gradient descent is stable here"),
    ],
)
def test_only_of_plain_gradient_descent_is_lr_lambda_1_said_to_be_stable(optimizer, words, tmp_path):
    made = assemble(from_mapping({**TINY, "steps": 2, "optimizer": optimizer}))
    run = launch.launch(made, tmp_path, Silent(), ["test"])
    told = {line.what: line.figures for line in summarize(run.path, run.folder.status(), run.metrics.rows)}
    assert told["stability"].endswith(words)
    assert ("uphill" in describe(made).get("notes", "")) == ("maximize" in optimizer)


def test_a_run_that_climbs_until_it_breaks_is_not_sent_to_smaller_steps(tmp_path, capsys):
    words = ["optimizer.maximize=true", "optimizer.lr=1e308", "steps=9", "twin=null"]
    assert main(["train", str(Path(__file__).parents[1] / "configs/iris.yaml"), *words, "--runs", str(tmp_path)]) == 1
    assert "optimizer.maximize goes uphill, where the loss has no end; leave it out" in capsys.readouterr().err


def told_of(tmp_path, *rows):
    numbered = [{"step": t, "curvature/definiteness": "positive definite", **row} for t, row in enumerate(rows)]
    return {line.what: line for line in summarize(tmp_path, {"status": "finished"}, numbered)}


def test_the_summary_says_that_steps_were_too_long_before_they_were_not(tmp_path):
    product = "stability/lr_lambda_max"
    told = told_of(tmp_path, {product: 1.0}, {product: 2.9}, {product: 2.0}, {product: 0.7})["stability"]
    assert told.figures.endswith("stable here; it was not at 2 of 4 steps, first at step 1")
    assert told.good
    assert "it was not" not in told_of(tmp_path, {product: 1.0}, {product: 0.7})["stability"].figures


def test_the_summary_tells_nothing_of_before_where_the_last_measurement_knows_less(tmp_path):
    before = {"curvature/lambda_1": 1.0, "curvature/rank": 3, "stability/lr_lambda_max": 0.5, "stability/share": 0.5}
    unknown = {"curvature/rank": 0, "curvature/certainty": "not known", "stability/certainty": "not converged"}
    told = told_of(tmp_path, before, unknown)
    assert told["eigenvalues"].figures == "not known"
    assert told["sharpness"].figures == "not converged"
    assert "stability" not in told


@pytest.mark.parametrize("check", ["hvp", "hessian", "product"])
def test_eigenvalues_of_a_hessian_that_failed_its_check_are_told_as_that(check, tmp_path):
    known = {"curvature/lambda_1": 1.0, "curvature/rank": 3, "stability/lr_lambda_max": 0.5}
    for ratio, good in ((2.0, False), (0.5, None)):
        told = told_of(tmp_path, {f"check/{check}": ratio}, known)
        for line in ("Hessian", "eigenvalues"):
            assert told[line].figures.endswith(", of a Hessian that failed its check") is (good is False)
            assert told[line].good is good
        assert ("says nothing" in told["stability"].figures) is (good is False)


def test_the_summary_says_at_how_many_steps_the_ceiling_met_an_interval_that_was_carried(tmp_path):
    run = launch.train({**TINY, "steps": 5, "probes": {"spectrum": {"every": 3}, "ceiling": {}}}, runs=tmp_path)
    told = {line.what: line.figures for line in summarize(run.path, run.folder.status(), run.metrics.rows)}
    said = "judged 6 times, 3 of them by a λ₁ measured there and the rest by its interval as it was carried; at worst 0"
    assert said in told["λ₁ against its ceilings"]


def test_steps_that_explode_are_not_called_stable(tmp_path):
    run = launch.train({**TINY, "steps": 4, "optimizer": {"kind": "sgd", "lr": 1e300}}, runs=tmp_path)
    told = {line.what: line.figures for line in summarize(run.path, run.folder.status(), run.metrics.rows)}
    assert "stability" not in told
    assert re.fullmatch(r"not told from zero: each is at most \S+ \(proved\)", told["eigenvalues"])


def test_a_killed_run_is_listed_at_its_last_step(tmp_path, capsys):
    run = launch.train(TINY, runs=tmp_path)
    (run.path / "status.json").write_text('{"status": "running", "step": 0}')
    assert main(["runs", str(tmp_path), "--where", "step == 2", "--columns", "step"]) == 0
    assert "killed" in capsys.readouterr().out
    assert main(["report", str(run.path)]) == 0
    assert "killed after step 2" in (run.path / "report.html").read_text()


def test_runs_are_listed_beside_one_whose_metrics_were_edited(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(dumped(TINY))
    assert [main(["train", "c.yaml", f"steps={steps}"]) for steps in (2, 3)] == [0, 0]
    damaged = sorted(Path("runs").glob("*/*"))[0]
    with open(damaged / "metrics.jsonl", "a") as file:
        file.write("{no row\n")
    capsys.readouterr()
    assert main(["runs"]) == 0
    listed = capsys.readouterr()
    lines = listed.out.splitlines()
    assert sum("finished" in line for line in lines) == 2
    assert ["–" in line for line in lines if str(damaged) in line] == [True]
    assert listed.err.startswith(f"{damaged}/metrics.jsonl:4: not a row of metrics")
    assert listed.err.count("\n") == 1
    assert main(["runs", "--where", "loss/train > 0"]) == 0
    assert "left out here" in capsys.readouterr().err
    assert main(["export", "runs", "--where", "loss/train > 0"]) == 2  # a table that lacks a run is no table of all
    assert "metrics.jsonl:4" in capsys.readouterr().err


@pytest.mark.parametrize("text", ['{"status": "fin', "[]", "{}", ""])
def test_a_damaged_status_is_one_line(text, tmp_path, capsys):
    run = launch.train(TINY, runs=tmp_path)
    (run.path / "status.json").write_text(text)
    capsys.readouterr()
    assert main(["train", "--resume", str(run.path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "status.json" in err
    assert main(["runs", str(run.path)]) == 0
    assert "unreadable" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["status.json", "config.yaml"])
def test_a_run_that_has_lost_a_part_is_told_so(name, tmp_path, capsys):
    run = launch.train(TINY, runs=tmp_path)
    (run.path / name).unlink()
    for verb in ("runs", "report", "export", "compare", "board"):
        capsys.readouterr()
        assert main([verb, str(run.path)]) == 2
        said = f"{run.path}: a run that has lost its {name}, and can be read no more; train it anew\n"
        assert capsys.readouterr().err == said


def test_nothing_to_list_is_said(tmp_path, capsys):
    said = f"{tmp_path}: no runs here; `lab train CONFIG` makes one\n"
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().err == said
    assert main(["runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err == said
    launch.train(TINY, runs=tmp_path)
    assert main(["runs", "--runs", str(tmp_path), "--where", "status == 'failed'"]) == 0
    assert capsys.readouterr().err.startswith("--where: no run meets the condition;")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line_and_a_closed_pipe_is_no_success(tmp_path):
    Path(tmp_path / "c.yaml").write_text(dumped(TINY))
    python = [sys.executable, "-m", "lab"]
    with open("/dev/full", "w") as full:
        done = subprocess.run([*python, "schema"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Traceback" not in done.stderr
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run([*python, "schema"], stdout=closed, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(os.name == "nt", reason="sets a limit that Windows has not")
def test_a_run_that_meets_a_limit_on_what_it_may_write_is_one_line_and_can_be_resumed(tmp_path):
    Path(tmp_path / "c.yaml").write_text(dumped({**TINY, "steps": 400, "checkpoint_every": 200, "probes": {"fit": {}}}))
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    command = [sys.executable, "-c", limited + "from lab.cli import main; sys.exit(main(sys.argv[1:]))"]
    words = ["train", str(tmp_path / "c.yaml"), "--runs", str(tmp_path / "runs")]
    kept = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}  # of which Python would leave the part that the limit allows
    done = subprocess.run([*command, *words], capture_output=True, text=True, env=kept)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("lab: File too large; ")
    assert "`lab train --resume RUN`" in done.stderr
    (run,) = tmp_path.glob("runs/*/*")
    assert main(["train", "--resume", str(run)]) == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_full_quota_are_one_line_each(number):
    refused = f"def run(*_): raise OSError({number}, 'no room')"
    code = f"import sys; from lab.cli import main; from lab.verbs.schema import Schema\n{refused}\nSchema.run = run\n"
    command = [sys.executable, "-c", code + "sys.exit(main(['schema']))"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "lab: no room; what was written may be incomplete\n")


def test_the_progress_bar_keeps_its_step_in_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    bar = Bar(200)
    bar.step(7, {"loss/train": 1.0, "accuracy/train": 0.5, "step/gradient_norm": 1e-3, "curvature/lambda_1": 0.97})
    with bar._console.capture() as seen:
        bar._console.print(bar._progress.get_renderable())
    (line,) = seen.get().splitlines()
    assert line.startswith("step ")
    assert "7/200" in line
    assert len(line) <= 60

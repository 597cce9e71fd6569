"""Golden traces: a run holds against its recorded values within what rounding allows, and within no more."""

import dataclasses
import re

import pytest
import torch

import lab
from lab import golden, goldenfile
from lab.errors import InputError
from lab.experiment import assemble
from lab.problem import Problem
from lab.provenance import versions

CONFIGS = {
    "sgd": {},
    "momentum": {"optimizer": {"kind": "sgd", "lr": 0.3, "momentum": 0.9}},
    "adam": {"optimizer": {"kind": "adam", "lr": 0.1}},
    "newton": {"optimizer": {"kind": "newton"}, "ridge": 0.001},
    "minibatch": {"batch_size": 20},
    "single precision": {"dtype": "float32"},
}
QUICK = ("sgd", "minibatch")
EACH = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in CONFIGS]
# Far above 2/λ₁, where momentum and ridge hold the run together: it is chaotic.
CHAOS = {"ridge": 0.1, "optimizer": {"kind": "sgd", "lr": 19.0, "momentum": 0.9}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "golden" / "tiny.txt"


@pytest.fixture
def recorded(tiny, path):
    """A golden file of the tiny config."""
    lab.testing.assert_trace(tiny, path, renew=True)
    return path


def experiment_of(tiny, **changes):
    return assemble(lab.config.made_of({**tiny, **changes}, {}))


def values(rows):
    return [{tag: quantity.value for tag, quantity in row.items()} for row in rows]


def shuffled(problem: Problem) -> Problem:
    """The same problem with its rows in another order: every sum over them is rounded otherwise."""
    order = torch.randperm(problem.N, generator=torch.Generator().manual_seed(1))
    return dataclasses.replace(problem, X=problem.X[order], y=problem.y[order])


@pytest.mark.parametrize("kind", EACH)
def test_another_order_of_summation_stays_within_the_bounds_at_every_step(kind, tiny, monkeypatch):
    experiment = experiment_of(tiny, steps=30, **CONFIGS[kind])
    rows = list(golden.trace(experiment))
    other = dataclasses.replace(experiment, full=shuffled(experiment.full))
    if "batch_size" in CONFIGS[kind]:
        batches = type(experiment.batches).__call__
        other = experiment
        monkeypatch.setattr(type(experiment.batches), "__call__", lambda self, t: shuffled(batches(self, t)))
    then = list(golden.trace(other))
    assert values(rows) != values(then)
    assert golden.mismatch(values(then), rows) == ""


@pytest.mark.parametrize("relative", [1e-6, 1e-10])
@pytest.mark.parametrize("kind", EACH[:-1])
def test_a_change_of_the_gradient_is_seen_at_once_however_small(kind, relative, tiny, monkeypatch):
    experiment = experiment_of(tiny, steps=30, **CONFIGS[kind])
    rows = list(golden.trace(experiment))
    right = Problem.value_and_gradient

    def wrong(self, theta):
        value, gradient = right(self, theta)
        gradient[0, 0] *= 1 + relative
        return value, gradient

    monkeypatch.setattr(Problem, "value_and_gradient", wrong)
    found = golden.mismatch(values(rows), list(golden.trace(experiment)))
    assert re.match(r"step [01], (step/gradient_norm|curvature/lambda_\d): recorded ", found)


def test_a_bound_starts_at_rounding_and_follows_what_the_run_makes_of_it(tiny):
    calm = list(golden.trace(experiment_of(tiny, steps=40, ridge=0.1)))
    assert calm[0]["loss/train"].bound < 1e-12
    assert max(row["loss/train"].bound for row in calm) < 1e-12
    wild = list(golden.trace(experiment_of(tiny, steps=40, **CHAOS)))
    assert wild[-1]["loss/train"].bound > 1e6 * wild[0]["loss/train"].bound


def test_a_run_that_multiplies_rounding_beyond_its_loss_is_not_recorded(tiny, path):
    chaos = {**tiny, **CHAOS, "steps": 100}
    with pytest.raises(InputError, match=r"step \d\d: nothing can be told: rounding alone, multiplied over \d\d steps"):
        lab.testing.assert_trace(chaos, path, renew=True)
    assert not path.exists()


def test_a_run_that_diverges_is_not_recorded(tiny, path):
    tiny["optimizer"]["lr"] = 1e308
    with pytest.raises(InputError, match=r"step 1: "):
        lab.testing.assert_trace(tiny, path, renew=True)
    assert not path.exists()


def test_a_missing_golden_file_fails_with_the_words_how_to_make_it(tiny, path):
    with pytest.raises(AssertionError, match=r"tiny\.txt: no golden trace yet; make it with `pytest --lab-renew`"):
        lab.testing.assert_trace(tiny, path)
    assert not path.exists()


def test_a_golden_file_is_text_with_exact_numbers_a_line_a_step(recorded, tiny):
    lab.testing.assert_trace(tiny, recorded)
    lines = recorded.read_text().splitlines()
    assert lines[0] == goldenfile.TITLE
    assert re.fullmatch(r"# config    [0-9a-f]{10} of what moves the run, its data by content", lines[1])
    assert lines[2] == f"# made by   {versions()}"
    assert lines[3] == "step  loss/train  step/gradient_norm  curvature/lambda_1  curvature/lambda_2"
    assert [line.split()[0] for line in lines[4:]] == [str(t) for t in range(7)]
    exact = values(golden.trace(experiment_of(tiny)))
    assert goldenfile.read(recorded).rows == tuple(exact)


def test_the_trace_is_of_the_values_that_a_run_logs(recorded, tiny, tmp_path):
    run = lab.train(tiny, runs=tmp_path / "runs")
    for row, logged in zip(goldenfile.read(recorded).rows, run.metrics.rows, strict=True):
        assert row == {tag: logged[tag] for tag in row}


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_mismatch_names_step_quantity_both_values_and_the_ratio(recorded, tiny):
    row = goldenfile.read(recorded).rows[3]
    value = row["curvature/lambda_1"]
    change(recorded, repr(value), repr(value * (1 + 1e-9)))
    with pytest.raises(AssertionError) as failed:
        lab.testing.assert_trace(tiny, recorded)
    assert re.fullmatch(
        rf".*tiny\.txt: step 3, curvature/lambda_1: recorded {value * (1 + 1e-9)!r}, now {value!r}, "
        r"\d\.\de\+0\d times what rounding allows \(\d\.\de-1\d\); if the change is meant, renew it with .*",
        str(failed.value),
    )
    change(recorded, f"torch {torch.__version__}", "torch 1.0")
    with pytest.raises(AssertionError, match=r"\nrecorded by .* torch 1\.0,.*\nreplayed by "):
        lab.testing.assert_trace(tiny, recorded)


def test_the_last_digit_of_a_recorded_value_may_differ(recorded, tiny):
    value = goldenfile.read(recorded).rows[5]["loss/train"]
    change(recorded, repr(value), repr(value * (1 + 4e-16)))
    lab.testing.assert_trace(tiny, recorded)


def test_renewing_leaves_a_file_alone_that_still_holds(recorded, tiny):
    change(recorded, f"torch {torch.__version__}", "torch 1.0")
    before = recorded.read_bytes()
    lab.testing.assert_trace(tiny, recorded, renew=True)
    assert recorded.read_bytes() == before
    lab.testing.assert_trace(tiny, recorded, renew=True, steps=7)
    assert recorded.read_bytes() != before
    lab.testing.assert_trace(tiny, recorded, steps=7)


@pytest.mark.parametrize("changes", [{"steps": 7}, {"seed": 1}, {"ridge": 0.5}, {"optimizer": {"lr": 0.25}}])
def test_a_config_that_moves_the_run_needs_another_trace(changes, recorded, tiny):
    with pytest.raises(AssertionError, match="the trace of another config or of other data"):
        lab.testing.assert_trace(tiny, recorded, **changes)


@pytest.mark.parametrize("changes", [{"name": "other"}, {"probes": {"hessian": None}}, {"checkpoint_every": 1}])
def test_what_does_not_move_the_run_needs_no_other_trace(changes, recorded, tiny):
    lab.testing.assert_trace(tiny, recorded, **changes)


def test_an_option_that_the_lab_gains_makes_no_other_config(recorded, tiny):
    before = goldenfile.digest(experiment_of(tiny))
    named = {**tiny, "ridge": 0.0, "model": {"kind": "linear"}, "optimizer": {**tiny["optimizer"], "momentum": 0}}
    assert goldenfile.digest(experiment_of(named)) == before
    assert goldenfile.digest(experiment_of(tiny, init=0.1)) != before
    assert goldenfile.digest(experiment_of(tiny, dtype="float32")) != before
    adam = {"optimizer": {"kind": "adam", "lr": 0.1, "betas": [0.9, 0.999]}}
    assert goldenfile.digest(experiment_of(tiny, **adam)) == goldenfile.digest(
        experiment_of(tiny, optimizer={"kind": "adam", "lr": 0.1})
    )


def test_data_are_known_by_their_content_wherever_they_lie(tmp_path, path):
    made = {"data": {"kind": "csv", "path": "", "target": "y"}, "loss": {"kind": "sigmoid"}, "steps": 2}
    made["optimizer"] = {"kind": "sgd", "lr": 0.1}
    rows = "".join(f"{i * i % 7},{i % 2}\n" for i in range(9))
    for place in ("here", "there"):
        made["data"]["path"] = str(tmp_path / f"{place}.csv")
        (tmp_path / f"{place}.csv").write_text("x,y\n" + rows)
        lab.testing.assert_trace(made, path, renew=place == "here")
    (tmp_path / "there.csv").write_text("x,y\n1.5,0\n" + rows)
    with pytest.raises(AssertionError, match="or of other data"):
        lab.testing.assert_trace(made, path)


def test_fewer_eigenvalues_than_recorded_are_a_mismatch_in_words(recorded, tiny):
    with pytest.raises(AssertionError, match=r"step 0: loss/train, .* are recorded, and there are loss/train, step/gr"):
        lab.testing.assert_trace(tiny, recorded, eigenvalues=0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (goldenfile.TITLE, "# something else", ":1: no golden trace; restore the file"),
        ("\n3  ", "\n4  ", ":8: must be step 3 and 4 numbers; restore the line"),
        ("\n3  ", "\n3  x", ":8: must be step 3 and 4 numbers"),
        ("\n3  ", "\n3  1.0  ", ":8: must be step 3 and 4 numbers"),
    ],
)
def test_a_broken_golden_file_is_told_by_line(old, new, said, recorded, tiny):
    change(recorded, old, new)
    with pytest.raises(InputError, match=re.escape(str(recorded) + said)):
        lab.testing.assert_trace(tiny, recorded)


def test_a_nan_in_the_file_is_a_mismatch(recorded, tiny):
    value = goldenfile.read(recorded).rows[2]["step/gradient_norm"]
    change(recorded, repr(value), "nan")
    with pytest.raises(AssertionError, match="step 2, step/gradient_norm: recorded nan"):
        lab.testing.assert_trace(tiny, recorded)

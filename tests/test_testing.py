"""What the lab offers other people's test suites: it passes what is right, and says what is wrong in its own words."""

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import ClassVar

import pytest
import torch

import lab
from lab import golden, goldenfile
from lab.errors import InputError
from lab.experiment import assemble
from lab.problem import Problem
from lab.provenance import versions

pytest_plugins = ["pytester"]

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


class Cubic(lab.Derivation):
    """Σ x³/3, whose second derivative vanishes at 0 and whose third does not."""

    shapes: ClassVar = {"x": "n"}
    factor = 1.0

    def value(self, x):
        return (x**3).sum() / 3

    def gradient(self, x):
        return self.factor * x**2

    def hvp(self, x, v):
        return 2 * x * v


class Square(torch.autograd.Function):
    """y = a∘x∘x, with a gradient of a that is right."""

    factor = 2.0

    @staticmethod
    def forward(ctx, a, x):
        ctx.save_for_backward(a, x)
        return a * x * x

    @staticmethod
    def backward(ctx, g):
        a, x = ctx.saved_tensors
        return x * x * g, Square.factor * a * x * g


INPUTS = (torch.linspace(0.5, 2, 5), torch.linspace(-3, 3, 5))


def test_a_right_derivation_passes_as_a_class_and_as_an_instance():
    lab.testing.assert_derivation(Cubic)
    lab.testing.assert_derivation(Cubic(), dtypes=[torch.float32])


def test_a_wrong_derivation_fails_in_the_verdicts_words(monkeypatch):
    monkeypatch.setattr(Cubic, "factor", 2.0)
    with pytest.raises(AssertionError) as failed:
        lab.testing.assert_derivation(Cubic)
    said = str(failed.value)
    assert re.match(
        r"Cubic: gradient in float64 is wrong, \d\.?\d?e\+1\d times what rounding allows, at gradient\[\d\]", said
    )
    assert "\ngradient in float32 is wrong" in said
    assert "hvp" not in said
    wrong = [verdict for verdict in lab.check(Cubic) if not verdict.passed]
    assert len(wrong) == 2
    assert all(verdict.diagnosis in said for verdict in wrong)


def test_a_derivation_with_nothing_derived_is_wrong_input():
    class Nothing(lab.Derivation):
        shapes: ClassVar = {"x": "n"}

        def value(self, x):
            return x.sum()

    with pytest.raises(InputError, match="nothing was derived"):
        lab.testing.assert_derivation(Nothing)


def test_a_right_backward_pass_passes():
    lab.testing.check_autograd_function(Square, INPUTS)


def test_a_wrong_backward_pass_fails_and_says_to_which_input(monkeypatch):
    monkeypatch.setattr(Square, "factor", 1.0)
    with pytest.raises(AssertionError) as failed:
        lab.testing.check_autograd_function(Square, INPUTS, dtypes=[torch.float64])
    assert re.match(r"Square: vjp in float64 is wrong, .* at ∂/∂x\[\d\]; ours ", str(failed.value))
    assert "∂/∂a" not in str(failed.value)


def test_a_backward_pass_needs_inputs_to_be_judged_at():
    with pytest.raises(InputError, match="no inputs to judge it at"):
        lab.testing.check_autograd_function(Square)
    with pytest.raises(InputError, match="Square: no floating input to differentiate by"):
        lab.testing.check_autograd_function(Square, [torch.tensor([1, 2]), torch.tensor([1, 2])])


TEST = """
import pytest

TINY = {"data": {"kind": "sklearn", "name": "iris"}, "loss": {"kind": "softmax"}, "steps": 2,
        "optimizer": {"kind": "sgd", "lr": 0.5}}

@pytest.mark.parametrize("lr", [0.5, 0.25])
def test_it(golden_trace, lr):
    golden_trace(TINY, optimizer={"lr": lr})
"""


def inner(pytester, *arguments):
    """Run pytest within this one, the plugin named: it may be installed or not."""
    return pytester.runpytest_inprocess("-p", "lab.pytest_plugin", "-p", "no:cacheprovider", *arguments)


def test_the_fixture_keeps_a_file_for_each_test_and_the_option_writes_it(pytester):
    pytester.makepyfile(test_mine=TEST)
    missing = inner(pytester)
    missing.assert_outcomes(failed=2)
    missing.stdout.fnmatch_lines(["E *AssertionError: *test_it-0.5.txt: no golden trace yet; make it with*"])
    inner(pytester, "--lab-renew").assert_outcomes(passed=2)
    made = sorted(path.name for path in (pytester.path / "golden" / "test_mine").iterdir())
    assert made == ["test_it-0.25.txt", "test_it-0.5.txt"]
    inner(pytester).assert_outcomes(passed=2)


def test_a_failed_assertions_text_is_the_verdict_and_none_of_the_labs_own_code(pytester, monkeypatch):
    monkeypatch.setattr(Cubic, "factor", 2.0)
    monkeypatch.setitem(sys.modules, "mine", sys.modules[__name__])
    pytester.makepyfile("import mine, lab\ndef test_it():\n    lab.testing.assert_derivation(mine.Cubic)\n")
    result = inner(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *AssertionError: Cubic: gradient in float64 is wrong, *"])
    result.stdout.no_fnmatch_line("*lab/testing.py*")


def test_the_example_of_the_document_runs_as_it_stands(pytester):
    text = (Path(lab.__file__).parent.parent / "docs" / "testing.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    pytester.makepyfile(test_mine=example)
    first = inner(pytester)
    first.assert_outcomes(passed=2, failed=2)
    first.stdout.fnmatch_lines(["E *AssertionError: *no golden trace yet; make it with `pytest --lab-renew`*"])
    inner(pytester, "--lab-renew").assert_outcomes(passed=4)
    inner(pytester).assert_outcomes(passed=4)
    made = goldenfile.read(pytester.path / "golden" / "test_mine" / "test_iris_trains_as_it_did.txt")
    shown = text.partition("step  loss/train")[2].splitlines()[1:3]
    for line, row in zip(shown, made.rows, strict=False):
        assert [float(word) for word in line.split()[1:]] == pytest.approx(list(row.values()), rel=1e-12)
    assert f"# config    {made.config} of what moves" in text


def test_two_traces_of_one_name_in_a_test_are_refused(pytester):
    twice = "def test_it(golden_trace):\n    golden_trace(TINY, name='a')\n    golden_trace(TINY, name='a')\n"
    pytester.makepyfile(TEST.partition("@")[0] + twice)
    result = inner(pytester, "--lab-renew")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *ValueError: golden_trace: two traces are called 'a'*"])


def test_installing_the_lab_is_all_it_takes_and_naming_the_plugin_too_is_no_second_one(pytester):
    project = tomllib.loads((Path(lab.__file__).parent.parent / "pyproject.toml").read_text())["project"]
    ((name, module),) = project["entry-points"]["pytest11"].items()
    installed = pytester.mkdir("installed-1.0.dist-info")
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
    pytester.syspathinsert(pytester.path)
    pytester.makepyfile("def test_it(golden_trace):\n    pass\n")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    inner(pytester).assert_outcomes(passed=1)


def test_the_plugin_waits_for_nothing_before_a_test_uses_it():
    code = "import sys, lab.pytest_plugin; print(sorted({'torch', 'numpy', 'pydantic', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What the lab offers other people's test suites: it passes what is right, and says what is wrong in its own words."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import ClassVar

import pytest
import torch

import lab
from lab import goldenfile
from lab.errors import InputError

pytest_plugins = ["pytester"]


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
    missing.stdout.fnmatch_lines(["E *AssertionError: golden/*/test_it-0.5.txt: no golden trace yet; make it with*"])
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

"""`lab check FILE.py`: what is in the file is judged, and what is wrong with the file is said in one line."""

import re
from pathlib import Path

import pytest
import torch
from derivations import POISSON

from lab.bench import userfile
from lab.board import lab_command
from lab.cli import main

HEAD = "import torch\nimport lab\nfrom torch.nn import functional\n"

SWISH = """
class Swish(torch.autograd.Function):
    shapes = {"x": "n d", "b": ""}

    @staticmethod
    def forward(ctx, x, b):
        ctx.save_for_backward(x, b)
        return x * torch.sigmoid(b * x)

    @staticmethod
    def backward(ctx, g):
        x, b = ctx.saved_tensors
        s = torch.sigmoid(b * x)
        return g * (s + b * x * s * (1 - s)), (g * x * x * s * (1 - s)).sum()
"""
PRODUCT = """
class Product(torch.autograd.Function):
    shapes = {"x": "n d", "w": "d k"}

    @staticmethod
    def forward(x, w):
        return x @ w

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w.T, x.T @ g
"""
LAYER = (
    PRODUCT.replace('    shapes = {"x": "n d", "w": "d k"}\n', "")
    + """
class Layer(torch.nn.Module):
    shapes = {"x": "n 3"}

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.linspace(-1, 1, 6).reshape(3, 2))

    def forward(self, x):
        return torch.tanh(Product.apply(x, self.w))
"""
)
RIDGE = """
class Ridge(lab.Derivation):
    shapes = {"theta": "d", "X": "n d", "y": "n"}

    def __init__(self, rho):
        self.rho = rho

    def value(self, theta, X, y):
        return (X @ theta - y).square().mean() / 2 + self.rho / 2 * theta @ theta

    def gradient(self, theta, X, y):
        return X.T @ (X @ theta - y) / len(X) + self.rho * theta

ridge = Ridge(0.3)
"""
LOSS = "from dataclasses import dataclass\n" + POISSON
RIGHT = {"function": SWISH, "new style": PRODUCT, "module": LAYER, "instance": RIDGE, "loss": LOSS}
WRONG = {
    "function": (SWISH, "g * (s + b * x", "g * (s + x", {"∂/∂x"}),
    "one input of a function": (SWISH, ".sum()", ".mean()", {"∂/∂b"}),
    "new style": (PRODUCT, "x.T @ g", "x.T @ g * 1.000001", {"∂/∂w"}),
    "module": (LAYER, "x.T @ g", "-x.T @ g", {"∂/∂w"}),
    "instance": (RIDGE, "self.rho * theta\n\nridge", "2 * self.rho * theta\n\nridge", {"gradient"}),
    "loss": (LOSS, "return z.exp() * u", "return u", {"hvp", "hessian", "diagonal"}),
}


@pytest.fixture
def mine(tmp_path):
    def write(text: str, name: str = "mine.py") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("case", RIGHT)
def test_right_files_of_every_kind_pass(case, mine, capsys):
    assert main(["check", mine(HEAD + RIGHT[case])]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "WRONG" not in out
    assert re.search(r"\d+ judged: \d+ right, 0 wrong", out)


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_in_a_file_of_every_kind_exits_1_and_is_placed(case, mine, capsys):
    text, right, wrong, places = WRONG[case]
    assert right in text
    assert main(["check", mine(HEAD + text.replace(right, wrong))]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    lines = [line for line in out.splitlines() if "WRONG" in line]
    assert lines
    for place in places:
        assert any(f"at {place}" in line for line in lines), out
    for line in lines:
        assert any(f"at {place}" in line for place in places), line


def test_a_reference_of_a_function_is_the_truth(mine, capsys):
    other = "\n    @staticmethod\n    def reference(x, b):\n        return functional.silu(b * x)\n"
    assert main(["check", mine(HEAD + SWISH + other)]) == 1
    right = other.replace("silu(b * x)", "silu(b * x) / b")
    assert main(["check", mine(HEAD + SWISH + right)]) == 0
    assert "0 wrong" in capsys.readouterr().out.splitlines()[-1]


BAD = {
    "no such file": (None, r"mine\.py: no such file"),
    "a syntax error": ("import lab\nclass A(lab.Derivation)\n    pass\n", r"mine\.py:2: .*expected.*; mend it there"),
    "an error at the top": ("import lab\n\nx = 1 / 0\n", r"mine\.py:3: ZeroDivisionError"),
    "nothing in it": ("x = 1\n", r"mine\.py: nothing to judge in it"),
    "a missing import": ("import nonsense_of_mine\n", r"mine\.py:1: ModuleNotFoundError.*install .* -m pip\n"),
    "a missing part": ("import torch.nonsense\n", r"mine\.py:1: ModuleNotFoundError: .*'torch.nonsense'\n"),
    "a misspelt import": ("import math\nimport trch\n", r"mine\.py:2: ModuleNotFoundError.*did you mean 'torch'\?"),
    "arguments needed": (HEAD + RIDGE.replace("ridge = Ridge(0.3)", ""), r"mine\.py:\d+: Ridge cannot be made without"),
    "an abstract loss": (
        HEAD + "class L(lab.Loss):\n    pass\n",
        r"mine\.py:4: L lacks .*gradient.*; write .*def hvp\(self, z, y, u\)",
    ),
    "no value": (
        HEAD + 'class N(lab.Derivation):\n    shapes = {"x": "n", "w": "n"}\n    def gradient(self, x, w): return w\n',
        r"mine\.py:4: N lacks value; write def value\(self, x, w\), or start from `lab check --new FILE\.py`",
    ),
    "no value and no shapes": (
        HEAD + "class N(lab.Derivation):\n    def gradient(self, x): return 2 * x\n",
        r"mine\.py:4: N lacks value; write def value\(self, …\)",
    ),
    "a bad shape": (HEAD + RIDGE.replace('"n d"', '"n dd"'), r"mine\.py:\d+: ridge: 'X': 'dd' is neither"),
    "no shapes": (HEAD + SWISH.replace("shapes", "shape"), r"mine\.py:\d+: Swish: no inputs"),
    "examples that raise": (
        HEAD + RIDGE.replace("    def value", "    def examples(self, rng):\n        yield 1 / 0\n\n    def value"),
        r"mine\.py:\d+: ridge: examples raises .*mine\.py:\d+: ZeroDivisionError",
    ),
    "a class that raises when it is made": (
        HEAD
        + RIDGE.replace(
            "ridge = Ridge(0.3)", "ridge = Ridge(0.3)\n\n\nclass B(Ridge):\n    def __init__(self): 1 / 0\n"
        ),
        r"mine\.py:\d+: B cannot be made: it raises .*mine\.py:\d+: ZeroDivisionError",
    ),
    "examples without entries": (
        HEAD
        + RIDGE.replace(
            "    def value", "    def examples(self, rng):\n        yield torch.zeros(0), 1\n\n    def value"
        ),
        r"mine\.py:\d+: ridge: examples yields nothing to judge it at",
    ),
    "nothing derived": (
        HEAD + 'class A(lab.Derivation):\n    shapes = {"x": "d"}\n    def value(self, x): return x.sum()\n',
        r"mine\.py:4: A: nothing was derived",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line_on_stderr_and_exit_2(case, mine, tmp_path, capsys):
    text, says = BAD[case]
    path = str(tmp_path / "mine.py") if text is None else mine(text)
    assert main(["check", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(says, err), err


def test_a_value_that_raises_is_a_failed_check_with_its_place(mine, capsys):
    text = RIDGE.replace("        return (X @ theta", "        raise KeyError('rho')\n        return (X @ theta")
    assert main(["check", mine(HEAD + text)]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"ridge value, float64: WRONG; raises .*mine\.py:\d+: KeyError", out)


def test_a_backward_pass_of_a_wrong_number_of_gradients_is_not_placed_in_the_labs_own_lines(mine, capsys):
    assert main(["check", mine(HEAD + SWISH.replace("return g", "return g, g"))]) == 1
    said = capsys.readouterr().out
    assert "raises RuntimeError" in said
    assert "oracle.py" not in said


def test_files_losses_and_statements_go_side_by_side(mine, capsys):
    assert main(["check", "trace_cyclic", mine(HEAD + RIDGE)]) == 0
    out = capsys.readouterr().out
    assert "trace_cyclic: " in out
    assert "ridge gradient, float64: right" in out
    assert main(["check", "sofmax"]) == 2
    assert "did you mean 'softmax'?" in capsys.readouterr().err


def test_a_file_may_import_what_lies_beside_it(mine, capsys):
    mine("factor = 3.0\n", "beside_mine.py")
    text = "from beside_mine import factor\n" + HEAD + SWISH
    assert main(["check", mine(text)]) == 0


def test_the_new_file_passes_and_is_never_written_over(tmp_path, capsys):
    path = tmp_path / "my_loss.py"
    assert main(["check", "--new", str(path)]) == 0
    assert capsys.readouterr().out == f"wrote {path}; judge it with: {lab_command('check', str(path))}\n"
    before = path.read_text()
    assert main(["check", str(path)]) == 0
    assert "6 judged: 6 right, 0 wrong" in capsys.readouterr().out
    assert main(["check", "--new", str(path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert path.read_text() == before
    for wrong in (tmp_path / "x.txt", tmp_path / "none" / "x.py"):
        assert main(["check", "--new", str(wrong)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["check", "--new", str(tmp_path / "y.py"), "softmax"]) == 2
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["my_loss.py"]


def test_on_a_terminal_it_is_a_table(mine, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["check", mine(HEAD + RIDGE)]) == 0
    out = capsys.readouterr().out
    assert "derivation" in out
    assert "│ ridge" in out
    assert not re.search(r"\x1b\[3\d", out)  # NO_COLOR is set


def test_what_a_module_has_beside_parameters_is_no_input_to_be_derived(mine):
    text = LAYER.replace("self.w = ", 'self.register_buffer("shift", torch.ones(2))\n        self.w = ').replace(
        "self.w))", "self.w) + self.shift)"
    )
    found = dict.fromkeys(subject.tensor for _, subject in userfile.subjects(Path(mine(HEAD + text))))
    assert list(found) == ["∂/∂x", "∂/∂w"]


def test_a_base_of_which_nothing_was_derived_is_left_to_what_builds_on_it(mine, capsys):
    own = "    def gradient"
    base, built = RIDGE.removesuffix("\nridge = Ridge(0.3)\n").split(own)
    text = HEAD + base.replace("rho):", "rho=0.3):") + "\nclass Whole(Ridge):\n" + own + built + "\n"
    assert main(["check", mine(text)]) == 0
    assert "Whole gradient, float64: right" in capsys.readouterr().out
    misspelt = text.replace("\nclass Whole", "    def gradiant(self, theta, X, y):\n        return X\n\nclass Whole")
    assert main(["check", mine(misspelt)]) == 2
    assert "Ridge: gradiant: not a name that is judged; did you mean 'gradient'" in capsys.readouterr().err


def test_judging_leaves_the_modules_parameters_alone(mine):
    path = Path(mine(HEAD + LAYER + "layer = Layer()\n"))
    before = torch.linspace(-1, 1, 6).reshape(3, 2)
    module = userfile.load(path)
    assert torch.equal(module.layer.w, before)
    assert main(["check", str(path)]) == 0
    assert torch.equal(module.layer.w, before)


def test_the_manuals_example_is_judged_as_the_manual_says(mine, capsys):
    manual = (Path(__file__).parent.parent / "docs" / "check.md").read_text()
    code = re.search(r"```python\n(import torch\nimport lab\n.*?)```", manual, re.DOTALL)
    shown = re.search(r"```\n(Logistic, .*?)```", manual, re.DOTALL)
    assert code
    assert shown
    assert main(["check", mine(code[1])]) == 1
    # Up to the last digit of rounding, which another machine may have otherwise.
    words = [[line.split(",")[0], "WRONG" in line] for line in capsys.readouterr().out.splitlines()]
    assert words == [[line.split(",")[0], "WRONG" in line] for line in shown[1].splitlines()]

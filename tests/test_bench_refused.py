"""What a file of one's own may not do, though its numbers be right, is told as that and never passed over."""

import importlib
import re

import pytest
from derivations import POISSON

from lab.cli import main

HEAD = """
import sys
import torch
import lab
from dataclasses import dataclass
"""
CUBES = '''
class Cubes(lab.Derivation):
    """Σ x³."""

    shapes = {"x": "d"}

    def value(self, x): return (x ** 3).sum()
    def gradient(self, x): return 3 * x ** 2
    def hvp(self, x, v): return 6 * x * v
'''


@pytest.mark.parametrize("what", ["value", "gradient", "hvp"])
def test_who_leaves_the_program_is_a_failed_check_with_its_place(what, mine, capsys):
    left = re.sub(rf"(def {what}\(.*\)): return .*", r"\1: sys.exit(0)", CUBES)
    assert left != CUBES
    assert main(["check", mine(HEAD + left)]) == 1
    assert re.search(rf"Cubes {what}, float64: WRONG; raises .*mine\.py:\d+: SystemExit: 0", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["__init__", "examples"])
def test_who_leaves_the_program_before_there_is_something_to_judge_is_wrong_input(name, mine, capsys):
    assert main(["check", mine(HEAD + CUBES + f"    def {name}(self, *rng): sys.exit(0)\n")]) == 2
    assert re.search(r"mine\.py:\d+: Cubes.* raises .*mine\.py:\d+: SystemExit: 0", capsys.readouterr().err)


SQUARES = """
class Squares(torch.autograd.Function):
    @staticmethod
    def examples(rng): yield torch.ones(3)

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g): return 2 * g * ctx.saved_tensors[0]
"""


@pytest.mark.parametrize("raises", ["sys.exit(0)", "1 / 0"])
def test_examples_and_a_backward_pass_of_a_function_that_raise_are_told_with_their_place(raises, mine, capsys):
    assert main(["check", mine(HEAD + SQUARES.replace("yield torch.ones(3)", f"yield {raises}"))]) == 2
    assert re.search(r"mine\.py:\d+: Squares: examples raises .*mine\.py:\d+: ", capsys.readouterr().err)
    assert main(["check", mine(HEAD + SQUARES.replace("return 2 * g", f"return {raises}"))]) == 1
    assert re.search(r"Squares vjp, float64: WRONG; raises .*mine\.py:\d+: ", capsys.readouterr().out)


@pytest.mark.parametrize("what", ["gradient", "hvp"])
@pytest.mark.parametrize(("cast", "ours", "x"), [("double", "float64", "float32"), ("float", "float32", "float64")])
def test_a_losss_derivative_in_another_type_is_wrong(what, cast, ours, x, mine, capsys):
    assert main(["check", mine(HEAD + POISSON)]) == 0
    assert main(["check", mine(HEAD + re.sub(rf"(def {what}\(.*\): return) (.*)", rf"\1 (\2).{cast}()", POISSON))]) == 1
    assert f"Poisson {what}, {x}: WRONG; is {ours} where x is {x}" in capsys.readouterr().out


def test_any_other_derivative_in_a_wider_type_is_right_and_noted(mine, capsys):
    assert main(["check", mine(HEAD + CUBES.replace("3 * x ** 2", "(3 * x ** 2).double()"))]) == 0
    assert re.search(r"gradient, float32: right.*; ours is float64 where x is float32", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("short", "full", "right"),
    [("grad", "gradient", "3 * x ** 2"), ("jac", "jacobian", "3 * x ** 2"), ("hess", "hessian", "torch.diag(6 * x)")],
)
def test_a_derivatives_name_cut_short_is_no_name_and_a_helper_beside_it_is_one(short, full, right, mine, capsys):
    text = HEAD + CUBES + f"    def {short}(self, x): return {right}\n"
    alone = re.sub(r"    def gradient.*\n", "", text)
    assert main(["check", mine(alone)]) == 2
    assert f"{short}: not a name that is judged; did you mean '{full}'?" in capsys.readouterr().err
    assert main(["check", mine(alone + f"    def {full}(self, x): return self.{short}(x)\n")]) == 0


BAD_MISTAKES = {
    "tried": """
from lab.mistake import Mistake


class Tried(Mistake):
    def made(self, case):
        yield from ()
        1 / 0
""",
    "unread": "import nonsense_of_mine\n",
}


@pytest.mark.parametrize(("name", "place"), [("tried", "8: ZeroDivisionError"), ("unread", "1: ModuleNotFoundError")])
def test_a_mistakes_file_that_raises_is_left_out_and_nobodys_check_ends_by_it(
    name, place, mine, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "mistakes"
    folder.mkdir()
    (folder / f"{name}.py").write_text(BAD_MISTAKES[name])
    package = importlib.import_module("lab.mistakes")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    assert main(["check", mine(HEAD + CUBES)]) == 0
    assert main(["check", mine(HEAD + CUBES.replace("return 3 *", "return -3 *"))]) == 1
    out, err = capsys.readouterr()
    assert "change the sign" in out
    assert re.fullmatch(rf"\S*{name}\.py:{place}: .* \(a mistake that the doctor would know, left out\)\n", err)

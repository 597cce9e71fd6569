"""A value whose numbers leave torch is told so at its line, and nobody is accused by what torch then makes of it."""

import re

import pytest

from lab.cli import main

HEAD = """
import math
import numpy as np
import torch
import lab
from scipy import special
"""
LEAVE = {
    "numpy": "torch.tensor(np.exp(x.numpy()).sum())",
    "numpy of detached": "torch.from_numpy(np.tanh(x.detach().numpy())).sum()",
    "a numpy function of a tensor": "torch.as_tensor(np.square(np.asarray(x)).sum())",
    "item": "torch.tensor(sum(v.item() ** 2 for v in x))",
    "tolist": "torch.tensor(sum(v**2 for v in x.tolist()))",
    "float": "torch.tensor(sum(float(v) ** 2 for v in x))",
    "math": "torch.tensor(math.sin(x[0]))",
    "scipy": "torch.tensor(special.logsumexp(x.numpy()))",
    "scipy of a tensor": "torch.tensor(special.logsumexp(x))",
    "one of two factors": "x.sum() * torch.tensor(float(x.sum()))",
    "a norm": "(x * x).sum() / x.norm().item()",
}


FEW = "def examples(self, rng): yield from torch.tensor([[3.0, 1.0], [0.5, -2.0]])"  # some may refuse all others


def derivation(value: str, *more: str, gradient: str = "2 * x") -> str:
    lines = (f"def value(self, x): return {value}", f"def gradient(self, x): return {gradient}", *more)
    return HEAD + 'class Mine(lab.Derivation):\n    shapes = {"x": "n"}\n' + "".join(f"    {line}\n" for line in lines)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("case", LEAVE)
def test_a_value_that_leaves_torch_is_told_so_in_one_line_with_its_place(case, mine, capsys):
    assert main(["check", mine(derivation(LEAVE[case]))]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    wrong = [line for line in out.splitlines() if "WRONG" in line]
    assert len(wrong) == 2
    for line, dtype in zip(wrong, ("float64", "float32"), strict=True):
        says = rf"Mine value, {dtype}: WRONG; value leaves torch at \S*mine\.py:9 \(.*\), so that it cannot be "
        assert re.fullmatch(says + "differentiated: write it in torch, or give `reference`, the same in torch", line)


def test_with_a_reference_in_torch_a_value_may_leave_it_and_is_judged(mine, capsys):
    reference = "def reference(self, x): return torch.logsumexp(x, 0)"
    value = "torch.tensor(special.logsumexp(x.numpy()), dtype=x.dtype)"
    assert main(["check", mine(derivation(value, reference, gradient="torch.softmax(x, 0)"))]) == 0
    assert "numbers leave torch, as for NumPy; what rounding allows is estimated" in capsys.readouterr().out
    assert main(["check", mine(derivation(f"2 * {value}", reference, gradient="torch.softmax(x, 0)"))]) == 1
    assert re.search("Mine value, float64: WRONG.*\n.*a factor of 2", capsys.readouterr().out)


def test_a_reference_that_leaves_torch_is_blamed_itself_and_does_for_a_value_alone(mine, capsys):
    reference = "def reference(self, x): return torch.tensor(special.logsumexp(x.numpy()))"
    text = derivation("torch.logsumexp(x, 0)", reference, gradient="torch.softmax(x, 0)")
    assert main(["check", mine(text)]) == 1
    assert re.search(
        r"WRONG; reference leaves torch at \S*mine\.py:11 .*: write it in torch\n", capsys.readouterr().out
    )
    assert main(["check", mine(re.sub(r"    def gradient.*\n", "", text))]) == 0


@pytest.mark.parametrize(
    ("value", "gradient"),
    [
        ("x.max().item() + (x - x.max().item()).exp().sum().log()", "torch.softmax(x, 0)"),
        ("(x * x).sum() if float(x.sum()) > 0 else -(x * x).sum()", "2 * x * x.sum().sign()"),
        ("(x * x).sum() if abs(2 * float(x[0]) % 1 - 0.5) > 0.499 else 1 / 0", "2 * x"),
        ("x.relu().sum() + 0 * x.sum().item()", "(x > 0).to(x.dtype)"),
    ],
)
def test_a_number_that_leaves_without_moving_the_derivative_is_nobodys_mistake(value, gradient, mine, capsys):
    assert main(["check", mine(derivation(value, FEW, gradient=gradient))]) == 0
    assert "a number leaves torch by .item() or float(); what rounding allows is estimated" in capsys.readouterr().out
    assert main(["check", mine(derivation(value, FEW, gradient=f"2 * ({gradient})"))]) == 1
    assert "Mine gradient, float64: WRONG, " in capsys.readouterr().out


FORWARD = """
class Squares(torch.autograd.Function):
    shapes = {"x": "n"}

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.from_numpy(np.square(x.numpy()))

    @staticmethod
    def backward(ctx, g): return 2 * g * ctx.saved_tensors[0]
"""


def test_a_forward_pass_that_leaves_torch_is_told_so_and_judged_where_it_has_a_reference(mine, capsys):
    assert main(["check", mine(HEAD + FORWARD)]) == 1
    assert re.search(r"WRONG; forward leaves torch at \S*mine\.py:14 .* or give `reference`", capsys.readouterr().out)
    reference = "\n    @staticmethod\n    def reference(x): return x * x\n"
    assert main(["check", mine(HEAD + FORWARD + reference)]) == 0
    assert main(["check", mine(HEAD + FORWARD.replace("2 * g", "3 * g") + reference)]) == 1


ONCE = """
class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.from_numpy(np.square(x.detach().numpy()))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g): return 2 * g * ctx.saved_tensors[0]

"""


def test_a_file_that_was_mended_within_a_second_is_judged_as_it_is_now(mine, capsys):
    for _ in range(3):
        for factor, code in (("2", 0), ("3", 1)):
            text = f"def gradient(self, x): return {factor} * x"
            assert main(["check", mine(derivation("(x * x).sum()", text))]) == code


def test_of_what_torch_differentiates_but_once_nothing_can_be_told_the_second_time(mine, capsys):
    text = derivation("Once.apply(x).sum()", "def hvp(self, x, v): return 2 * v").replace(
        "class Mine", ONCE + "class Mine"
    )
    assert main(["check", mine(text)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Mine gradient, float64: right" in out
    assert re.search(
        "Mine hvp, float64: cannot be told; .*torch's second derivative is not the slope of its first", out
    )


def test_a_second_derivative_that_torch_gets_wrong_as_a_number_left_it_accuses_nobody(mine, capsys):
    value = "x.square().sum() + (x.sum() - x.sum().item()).square()"
    assert main(["check", mine(derivation(value, "def hvp(self, x, v): return 2 * v"))]) == 0
    assert "Mine hvp, float64: cannot be told" in capsys.readouterr().out


def test_what_neither_torch_nor_a_replay_differentiates_is_told_so(mine, capsys):
    text = derivation("torch.special.bessel_y0(x.abs() + 1).sum()")
    assert main(["check", mine(text)]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "value has no exact formula (aten::special_bessel_y0" in out
    assert "or give `reference`" in out

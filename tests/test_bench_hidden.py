"""A mistake that rounding hides is told by what convicts it, and nothing that is said beside it speaks against it."""

import re

import pytest
import torch

import lab
from lab.checking import line


class Exponentials(lab.Derivation):
    """Σ exp x."""

    shapes = {"x": "n"}

    def value(self, x):
        return x.exp().sum()

    def gradient(self, x):
        return x.exp()


def judged(gradient, *, at=None):
    class Off(Exponentials):
        def gradient(self, x):
            return gradient(x)

        def examples(self, rng):
            yield from super().examples(rng) if at is None else [torch.tensor(at, dtype=torch.float64)]

    double, single = lab.check(Off)
    assert (double.dtype, single.dtype) == ("float64", "float32")
    assert not double.passed
    assert not single.passed
    return double, single


@pytest.mark.parametrize("at", [None, [0.0, 0.0, 0.0]])
def test_a_difference_that_a_type_cannot_show_is_quoted_from_the_replay(at):
    double, single = judged(lambda x: x.exp() * (1 + 1e-12), at=at)
    assert single.ours / single.truth == pytest.approx(1 + 1e-12, abs=1e-15)
    assert single.ratio <= 1 < double.ratio
    for verdict in (double, single):
        said = line("Off", verdict)
        assert re.search(r"off by: ours 1e-12, ", said)
        ours, truth = re.search(r"ours (\S+), truth (\S+);", said).groups()
        assert ours != truth
        assert verdict.errors["ours"] == pytest.approx(1e-12, rel=1e-3)
    assert "less than rounding: float32 cannot show it, the formula in 120 digits does" in line("Off", single)


def test_the_entry_quoted_is_the_one_that_convicts():
    _, single = judged(lambda x: x.exp() + 1e-12 * torch.tensor([0, 0, 1, 0], dtype=x.dtype), at=[1.0, 2.0, 0.5, 3.0])
    assert single.where == (2,)


@pytest.mark.parametrize("off", [1e-9, 1e-12, 1e-20])
def test_no_word_of_the_doctors_denies_what_rounding_hides(off):
    for verdict in judged(lambda x: x.exp() + off * x.exp().square(), at=[0.5, -1.0, 2.0, 0.25, 1.5]):
        assert "below rounding" not in verdict.diagnosis
        assert "at most 0)" not in verdict.diagnosis
        assert "off by" in str(verdict)


def test_what_rounding_hides_is_named_by_the_replay_and_what_float64_cannot_show_is_not_named():
    _, single = judged(lambda x: x.exp() * (1 + 1e-12))
    assert re.match(r"ours / truth = 1 \+ 1e-12 in all \d+ entries \(one constant fitted", single.diagnosis)
    for verdict in judged(lambda x: x.exp() + 1e-22 * x.exp()):
        assert verdict.diagnosis == ""

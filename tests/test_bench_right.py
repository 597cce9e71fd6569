"""Right derivations that a judge could take for wrong ones, and the mistakes beside them that it must still see."""

import math
from itertools import count

import pytest
import torch
from derivations import Quadratic
from torch.nn import functional

import lab
from lab.bench import conduct
from lab.referee import Who


class Doublings(lab.Derivation):
    """f(x) = Σ 2ˣ, its truth written with a logarithm that a machine number holds to 16 digits."""

    shapes = {"x": "n"}

    def value(self, x):
        return torch.exp(math.log(2) * x).sum()

    def gradient(self, x):
        return torch.log(torch.full_like(x, 2.0)) * 2**x


class ThreeTenths(lab.Derivation):
    """f(x) = 0.3 Σ x², the constant of the value one of x's own type, that of the derivatives of float64."""

    shapes = {"x": "n"}

    def value(self, x):
        return (torch.tensor(0.3, dtype=x.dtype) * x**2).sum()

    def gradient(self, x):
        return 0.6 * x

    def hvp(self, x, v):
        return 0.6 * v


class Smoothed(lab.Derivation):
    """Label smoothing: (p − 0.9 y − 0.1/k)/n, where the truth's own weights add up to 1 but for rounding."""

    shapes = {"z": "n k", "y": "n labels k"}

    def value(self, z, y):
        return functional.cross_entropy(z, y, label_smoothing=0.1)

    def gradient(self, z, y):
        onehot = functional.one_hot(y, z.shape[1]).to(z)
        return (torch.softmax(z, 1) - 0.9 * onehot - 0.1 / z.shape[1]) / len(z)


class Cholesky(lab.Derivation):
    """ln det A by A's Cholesky factor: A⁻¹, as by its determinant."""

    shapes = {"A": "d d definite"}

    def value(self, A):
        return 2 * torch.linalg.cholesky(A).diagonal().log().sum()

    def gradient(self, A):
        return torch.linalg.inv(A)

    def hvp(self, A, v):
        inverse = torch.linalg.inv(A)
        return -inverse @ ((v + v.T) / 2) @ inverse


class Counted(lab.Derivation):
    """f(x) = Σ max(x, 0), its gradient in whole numbers: the right ones, in another type."""

    shapes = {"x": "n"}

    def value(self, x):
        return x.clamp(min=0).sum()

    def gradient(self, x):
        return (x > 0).long()


RIGHT = (Doublings, ThreeTenths, Smoothed, Cholesky)


@pytest.mark.parametrize("kind", RIGHT)
def test_what_is_right_on_paper_is_right(kind):
    for verdict in lab.check(kind):
        assert verdict.who in (Who.NOBODY, Who.TORCH), str(verdict)
        assert "estimated" not in verdict.note


@pytest.mark.parametrize("kind", RIGHT)
def test_and_what_is_wrong_by_little_is_wrong(kind):
    class Wrong(kind):
        def gradient(self, *args):
            right = super().gradient(*args)
            return right * (1 + 256 * torch.finfo(right.dtype).eps)

    verdicts = [v for v in lab.check(Wrong) if v.what == "gradient"]
    assert len(verdicts) == 2
    assert all(v.who is Who.OURS for v in verdicts), [str(v) for v in verdicts]


class FewDigits(Doublings):
    """A logarithm typed in ten digits is a mistake of the formula."""

    def gradient(self, x):
        return 0.6931471806 * 2**x


def test_a_constant_typed_in_few_digits_is_seen_beside_one_that_is_written_in_all():
    assert [v.who for v in lab.check(FewDigits, dtypes=[torch.float64])] == [Who.OURS]


@pytest.mark.parametrize("kind", ["long", "bool"])
def test_whole_numbers_and_yes_and_no_are_judged_as_numbers(kind):
    class Typed(Counted):
        def gradient(self, x):
            return getattr(super().gradient(x), kind)()

    for verdict in lab.check(Typed):
        assert verdict.who is Who.NOBODY, str(verdict)
        assert "where x is" in verdict.note

    class Wrong(Counted):
        def gradient(self, x):
            return getattr(x < 0, kind)()

    assert all(v.who is Who.OURS and "raises" not in v.note for v in lab.check(Wrong))


def test_an_empty_example_is_passed_over_and_nothing_but_empty_ones_is_refused():
    class Empty(ThreeTenths):
        def examples(self, rng):
            yield torch.zeros(0)

    class EmptyToo(Empty):
        def examples(self, rng):
            yield torch.zeros(0, 3)
            yield torch.ones(2, 3)

    assert all(v.who is Who.NOBODY for v in lab.check(EmptyToo))
    with pytest.raises(lab.InputError, match="nothing to judge it at"):
        lab.check(Empty)


class NoNumbers(Quadratic):
    """Inputs that are no numbers, in x, or in what goes with it."""

    x, other = torch.tensor([float("nan"), float("inf")]), 1.0

    def examples(self, rng):
        for _ in range(2):
            yield self.x, torch.full((2, 2), self.other)


def test_examples_of_nothing_but_nan_are_refused_and_a_single_inf_is_not(tmp_path):
    with pytest.raises(lab.InputError, match="no numbers to judge it at"):
        lab.check(NoNumbers)
    NoNumbers.x, NoNumbers.other = torch.ones(2), float("nan")
    with pytest.raises(lab.InputError, match="no numbers to judge it at"):
        lab.check(NoNumbers)
    NoNumbers.x, NoNumbers.other = torch.tensor([1.0, float("inf")]), 1.0
    assert lab.check(NoNumbers)


def test_several_tensors_where_one_is_due_are_told_as_that():
    class Several(ThreeTenths):
        def value(self, x):
            return super().value(x), x

    assert all("must return one tensor, and returned 2" in v.note for v in lab.check(Several))


@pytest.mark.parametrize("what", ["value", "gradient", "hvp"])
def test_who_writes_into_its_argument_is_told_so_though_the_numbers_be_right(what):
    class Writes(ThreeTenths):
        pass

    def written(self, x, *v):
        right = getattr(ThreeTenths, what)(self, x, *v)
        (*v, x)[0].mul_(0.5)
        return right

    setattr(Writes, what, written)
    wrong = [v for v in lab.check(Writes) if not v.passed]
    assert wrong
    assert all(v.what in (what, "gradient") for v in wrong)
    assert all(f"writes into its argument {'direction' if what == 'hvp' else 'x'}" in v.note for v in wrong)


@pytest.mark.parametrize("what", ["value", "gradient"])
def test_what_is_another_number_at_every_call_is_told_so(what):
    class Random(ThreeTenths):
        pass

    calls = count(1)

    def other_each_time(self, x):
        right = getattr(ThreeTenths, what)(self, x)
        return right + next(calls) * (1 + right.abs().max())

    setattr(Random, what, other_each_time)
    wrong = [v for v in lab.check(Random) if not v.passed]
    assert wrong
    assert all("other numbers each time" in v.note for v in wrong)


def test_what_is_no_number_at_every_call_is_the_same_at_every_call():
    conduct.require(lambda x: torch.log(x), (torch.tensor([-1.0, 2.0, math.nan, 0.0]),), ("x",))


class Smoothed(lab.Derivation):
    """Targets that torch makes float32 of, from whole numbers and 0.9."""

    shapes = {"z": "n k", "y": "n labels k"}
    coarse = True

    def targets(self, z, y):
        hot = functional.one_hot(y, z.shape[1])
        return 0.9 * (hot if self.coarse else hot.to(z)) + 0.1 / z.shape[1]

    def value(self, z, y):
        return -(self.targets(z, y) * torch.log_softmax(z, 1)).sum()

    def gradient(self, z, y):
        return torch.softmax(z, 1) - self.targets(z, y)


class SmoothedOtherwise(Smoothed):
    def reference(self, z, y):
        return functional.cross_entropy(z, y, label_smoothing=0.1, reduction="sum")


class SmoothedExactly(Smoothed):
    coarse = False


class SmoothedWrong(SmoothedOtherwise):
    def gradient(self, z, y):
        return super().gradient(z, y) * (1 + 1e-5)


def test_a_constant_that_came_in_fewer_digits_is_noted_and_no_mistake():
    for kind in (Smoothed, SmoothedOtherwise):
        double, single = (v for v in lab.check(kind) if v.what == "gradient")
        assert double.passed, str(double)
        assert "a constant came in float32, without the rest of float64's digits" in str(double)
        assert single.passed
        assert not single.note
    assert all(v.passed and not v.note for v in lab.check(SmoothedExactly))
    assert all(v.who is Who.OURS for v in lab.check(SmoothedWrong) if v.what == "gradient")

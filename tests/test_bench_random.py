"""What gives other numbers at each call is told as that, however few they are; the order of a sum is nobody's fault."""

import pytest
import torch

import lab
from lab.bench import conduct

RANDOM = "gives other numbers each time it is called"


class Squares(lab.Derivation):
    """Σ x²."""

    shapes = {"x": "n"}

    def value(self, x):
        return (x**2).sum()

    def gradient(self, x):
        return 2 * x

    def hvp(self, x, v):
        return 2 * v


@pytest.mark.parametrize("share", [1.0, 1e-3, 1e-5])
@pytest.mark.parametrize("what", ["gradient", "hvp", "value"])
def test_randomness_is_told_as_that_in_both_types(what, share):
    class Noisy(Squares):
        pass

    right = getattr(Squares, what)

    def noisy(self, *args):
        found = right(self, *args)
        return found + share * torch.randn_like(found)

    setattr(Noisy, what, noisy)
    wrong = [v for v in lab.check(Noisy) if not v.passed]
    assert [(v.what, v.dtype) for v in wrong] == [(what, "float64"), (what, "float32")]
    assert all(RANDOM in v.note for v in wrong)


def test_randomness_that_one_example_hides_is_told_by_another():
    class Hidden(Squares):
        def examples(self, rng):
            yield torch.tensor([1.0, 3.0, 1e8])
            yield torch.tensor([0.5, 2.0, -1.0])

        def gradient(self, x):
            return 2 * x + 1e-3 * torch.rand_like(x)

    assert all(RANDOM in v.note for v in lab.check(Hidden) if v.what == "gradient")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("balanced", [False, True])
def test_an_honest_function_with_long_sums_in_any_order_is_not_accused(dtype, balanced):
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = (x - x.mean() * balanced).to(dtype)  # a sum that vanishes is all rounding

    def shuffled(x):
        return x[torch.randperm(len(x))].sum()

    assert len({float(shuffled(x)) for _ in range(20)}) > 1
    for _ in range(20):
        conduct.require(shuffled, (x,), ("x",))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_result_that_moves_by_more_than_its_rounding_is_told_by_its_bound(dtype):
    first = torch.tensor([1.0, 2.0], dtype=dtype)
    bound = torch.tensor([1e-6, 0.0], dtype=torch.float64)
    conduct.steady(first, first + torch.tensor([1.9e-6, 0.0], dtype=dtype), bound)
    with pytest.raises(conduct.MisconductError, match=RANDOM):
        conduct.steady(first, first + torch.tensor([2.2e-6, 0.0], dtype=dtype), bound)


def test_a_wrong_gradient_in_any_order_of_its_sums_is_wrong_and_not_called_random():
    class Mean(lab.Derivation):
        shapes = {"theta": "d", "X": "n d", "y": "n"}

        def value(self, theta, X, y):
            return (X @ theta - y).square().sum()

        def gradient(self, theta, X, y):
            order = torch.randperm(len(X))
            return 3 * X[order].T @ (X @ theta - y)[order]

    for verdict in lab.check(Mean):
        assert not verdict.passed
        assert RANDOM not in verdict.note


def test_how_many_threads_there_are_is_left_as_it_was():
    before = torch.get_num_threads()
    seen = []
    try:
        torch.set_num_threads(2)
        conduct.require(lambda x: seen.append(torch.get_num_threads()) or x, (torch.ones(2),), ("x",))
        assert (seen, torch.get_num_threads()) == ([1, 1], 2)
    finally:
        torch.set_num_threads(before)

"""What a loss says of its Hessian in one way is what it says in another, and what is written anew counts."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import make_problem
from test_losses import LOSSES

from lab.losses.softmax import Softmax
from lab.pairs import KEPT_BYTES, Pairs


@pytest.fixture(params=LOSSES.values(), ids=LOSSES.keys())
def loss(request):
    return request.param


@pytest.mark.parametrize("D", [1, 50])
def test_hessian_by_pairs_of_classes_is_the_hessian(loss, D, rng):
    for z, y in loss.examples(rng):
        known, entries = loss.by_pairs(z, y, D)
        H, slack = loss.hessian(z, y), (4 + z.shape[1]) * torch.finfo(z.dtype).eps
        size = H.abs().sum(dim=2).amax(dim=1)[:, None, None]
        assert bool(((known.whole(entries, z.shape[1]) - H).abs() <= slack * size).all())


@pytest.mark.parametrize("written", ["hvp", "hessian", "diagonal", "predicted", "hessian_map", "off_diagonal"])
def test_what_a_subclass_writes_anew_is_not_undone_by_what_it_inherits(written, rng):
    def twice(self, z, y, *more):
        found = getattr(Softmax, written)(self, z, y, *more)
        return (lambda U: 2 * found(U)) if callable(found) else 2 * found

    mine = type("Mine", (Softmax,), {written: twice})()
    z, y = next(iter(Softmax()._examples(rng, 1.0)))
    told, known, U = mine.local(z, y), Softmax().local(z, y), torch.randn(*z.shape, 1, generator=rng, dtype=z.dtype)
    changed = {
        "product": not torch.equal(told.product(U.clone()), known.product(U.clone())),
        "trace": not torch.allclose(told.trace, known.trace),
        "size": not torch.allclose(told.size, known.size),
        "entries": told.entries is None or not torch.allclose(told.entries, known.entries),
    }
    expected = {
        "hvp": {"product"},
        "hessian_map": {"product"},
        "diagonal": {"trace", "size"},
        "predicted": {"size"},
        "hessian": {"entries"},
        "off_diagonal": {"entries"},
    }
    assert {name for name, other in changed.items() if other} == expected[written]


def test_a_loss_that_writes_its_hessian_anew_is_taken_at_its_word(rng):
    class Twice(Softmax):
        def hessian(self, z, y):
            return 2 * super().hessian(z, y)

    problem, theta = make_problem(rng, ridge=0.0)
    assert torch.allclose(replace(problem, loss=Twice()).hessian(theta), 2 * problem.hessian(theta), rtol=1e-12)


class Halved:
    """Of no loss, to be mixed into one."""

    def hessian(self, z, y):
        return super().hessian(z, y) / 2


def test_a_hessian_that_is_mixed_in_is_taken_at_its_word(rng):
    problem, theta = make_problem(rng, ridge=0.0)
    mixed = type("Mixed", (Halved, Softmax), {})()
    assert torch.allclose(replace(problem, loss=mixed).hessian(theta), problem.hessian(theta) / 2, rtol=1e-12)


def test_a_hessian_beside_the_entries_of_the_same_class_is_taken_at_its_word(rng):
    class Both(Softmax):
        def hessian(self, z, y):
            return 3 * super().hessian(z, y)

        def off_diagonal(self, z, y):
            return super().off_diagonal(z, y)

    problem, theta = make_problem(rng, ridge=0.0)
    assert torch.allclose(replace(problem, loss=Both()).hessian(theta), 3 * problem.hessian(theta), rtol=1e-12)
    assert Both().local(*next(iter(Softmax()._examples(rng, 1.0)))).entries is None


def test_a_hessian_that_is_made_of_its_parent_s_is_as_exact(rng):
    class Twice(Softmax):
        def hessian(self, z, y):
            return 2 * super().hessian(z, y)

    z, y = torch.tensor([[0.0, 40.0]], dtype=torch.float64), torch.tensor([0])
    assert float(Twice().hessian(z, y)[0, 1, 1]) == pytest.approx(2 * math.exp(-40), rel=1e-14)


def test_a_thousand_classes_have_a_hessian_that_takes_no_more_than_itself():
    H = Softmax().hessian(torch.zeros(1, 1000, dtype=torch.float64), torch.tensor([0]))[0]
    assert torch.allclose(H, torch.eye(1000, dtype=H.dtype) / 1000 - 1e-6, rtol=1e-12, atol=1e-18)


def test_entries_are_kept_for_few_classes_and_as_many_rows_as_fit():
    def kept(rows, classes):
        return Pairs.kept(torch.empty(rows, classes, dtype=torch.float64, device="meta"))

    rows = KEPT_BYTES // (45 * 8)  # 45 pairs of 10 classes
    assert kept(rows, 10)
    assert not kept(rows + 1, 10)
    assert kept(1, 14)
    assert not kept(1, 15)
    z, y = torch.zeros(rows + 1, 10, dtype=torch.float64), torch.zeros(rows + 1, dtype=torch.int64)
    assert Softmax().local(z, y).entries is None

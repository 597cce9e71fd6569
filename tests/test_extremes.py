"""Extremes of the cross-entropies, one by one: what torch says there, what ours says, and what is refused."""

import math

import mpmath
import pytest
import torch
from torch.nn import functional

from lab import oracle, referee
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem


def of_all_rows(loss, y):
    return lambda z: loss.reference(z, y).sum()


def test_averaged_and_weighted_sigmoid_is_torch_s_multilabel_soft_margin(rng):
    z = 4 * torch.randn(9, 3, generator=rng, dtype=torch.float64)
    y = torch.randint(2, (9, 3), generator=rng).to(z.dtype)
    weight = torch.tensor([0.5, 1.0, 3.0], dtype=z.dtype)
    for reduction in ("mean", "sum", "none"):
        loss = Sigmoid(average=True, weight=weight, reduction=reduction)
        truth = functional.multilabel_soft_margin_loss(z, y, weight, reduction=reduction)
        assert torch.allclose(loss.reduced(z, y), truth, rtol=1e-13)
    ours = Sigmoid(average=True, weight=weight).gradient(z, y)
    torchs = oracle.gradient(lambda z: functional.multilabel_soft_margin_loss(z, y, weight, reduction="sum"), z)
    assert torch.allclose(ours, torchs, rtol=1e-12)


def test_sigmoid_keeps_its_curvature_where_torch_s_soft_margin_has_none():
    z, y = torch.tensor([[40.0, -40.0]], dtype=torch.float64), torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    torchs = oracle.hessian(lambda z: functional.multilabel_soft_margin_loss(z, y), z)
    assert not torchs.any()
    assert torch.allclose(
        Sigmoid(average=True).diagonal(z, y), torch.full_like(z, math.exp(-40) / 2), rtol=1e-15, atol=0
    )


def test_sigmoid_keeps_its_curvature_where_torch_s_softplus_has_none():
    z, y = torch.tensor([[20.1]], dtype=torch.float64), torch.tensor([[0.0]], dtype=torch.float64)
    assert float(oracle.hessian(lambda z: functional.softplus(z).sum(), z)) == 0
    assert float(Sigmoid().diagonal(z, y)) == pytest.approx(1.8650e-9, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_saturated_sigmoid_and_torch_s_are_judged_by_what_underflow_leaves_of_either(dtype):
    """torch's own is 0 from where e^|z| overflows; ours goes on to the smallest number that there is."""
    edge = math.log(torch.finfo(dtype).max)
    z = torch.linspace(0.97, 1.12, 40, dtype=dtype)[:, None] * -edge
    slopes = [float(mpmath.exp(v) / (1 + mpmath.exp(v)) ** 2) for v in z[:, 0].tolist()]
    true = torch.tensor(slopes, dtype=torch.float64)[:, None]
    least = torch.finfo(dtype).tiny * torch.finfo(dtype).eps
    unit = (8 + 2 * edge) * torch.finfo(dtype).eps / 2
    assert bool(((Sigmoid().diagonal(z, z * 0).double() - true).abs() <= unit * true + 2 * least).all())
    theta, V = z.new_full((1, 1), -edge), z.new_ones(1, 1)
    for x in z / -edge:
        problem = Problem(Sigmoid(), Linear(), x[None], torch.zeros_like(V))
        assert referee.judge_hessian(problem, theta, problem.hessian(theta)).passed
        assert referee.judge_hvp(problem, theta, V, problem.hvp(theta, V)).passed


def test_all_rows_ignored_make_no_loss_where_torch_s_is_nan():
    z, y = torch.randn(3, 4, dtype=torch.float64), torch.full((3,), 2)
    for options in ({}, {"weight": (1, 2, 3, 4)}, {"label_smoothing": 0.1}):
        loss = Softmax(ignore_index=2, **options)
        torchs = functional.cross_entropy(z, y, ignore_index=2)
        assert math.isnan(torchs)
        assert float(loss.reduced(z, y)) == float(loss.reduced_reference(z, y)) == 0
        assert not loss.gradient(z, y).any()
        assert not loss.hessian(z, y).any()


@pytest.mark.parametrize("loss", [Softmax(), Softmax(label_smoothing=0.1), Sigmoid()], ids=str)
def test_an_empty_batch_has_no_loss_where_torch_s_is_nan(loss):
    z = torch.zeros(0, 3)
    for y in (z, torch.zeros(0, dtype=torch.int64)) if isinstance(loss, Softmax) else (z,):
        assert math.isnan(loss.reference(z, y).mean())
        assert float(loss.reduced(z, y)) == float(loss.reduced_reference(z, y)) == 0
        assert loss.gradient(z, y).shape == (0, 3)
        assert loss.hessian(z, y).shape == (0, 3, 3)


def test_one_class_has_nothing_to_learn():
    z = torch.tensor([[3.0], [-1e4]], dtype=torch.float64)
    for loss in (Softmax(), Softmax(label_smoothing=0.1, weight=(3.0,))):
        for y in (torch.tensor([0, 0]), torch.tensor([[1.0], [0.5]], dtype=z.dtype)):
            assert not loss.value(z, y).any()
            assert not loss.gradient(z, y).any()
            assert not loss.hessian(z, y).any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_class_that_cannot_be_is_left_out_of_softmax(smoothing):
    z = torch.tensor([[0.0, -torch.inf, 1.0]], dtype=torch.float64)
    loss = Softmax(label_smoothing=smoothing)
    for y in (torch.tensor([0]), torch.tensor([1]), torch.tensor([[0.5, 0.5, 0.0]], dtype=z.dtype)):
        torchs = loss.reference(z, y)
        assert torch.allclose(loss.value(z, y), torchs)
        assert torch.allclose(loss.gradient(z, y), oracle.gradient(of_all_rows(loss, y), z), rtol=1e-14)
        assert torch.isfinite(loss.hessian(z, y)).all()
        assert not loss.hessian(z, y)[0, 1].any()


def test_a_class_that_cannot_be_and_is_not_asked_for_costs_nothing_where_torch_s_is_nan():
    z = torch.tensor([[0.0, -torch.inf, 1.0]], dtype=torch.float64)
    y = torch.tensor([[0.5, 0.0, 0.5]], dtype=z.dtype)
    assert math.isnan(Softmax().reference(z, y))
    assert float(Softmax().value(z, y)) == pytest.approx(math.log(1 + math.e) - 0.5)


def test_a_logit_of_plus_infinity_is_nan_as_in_torch():
    z, y = torch.tensor([[torch.inf, 0.0]]), torch.tensor([0])
    assert math.isnan(Softmax().value(z, y))
    assert math.isnan(Softmax().reference(z, y))


def test_certain_labels_cost_nothing_or_everything_where_torch_s_are_nan():
    z = torch.tensor([[torch.inf], [-torch.inf], [torch.inf], [-torch.inf]], dtype=torch.float64)
    y = torch.tensor([[1.0], [0.0], [0.0], [1.0]], dtype=torch.float64)
    for loss in (Sigmoid(), Sigmoid(pos_weight=(2.0,))):
        assert loss.value(z, y).tolist() == [0, 0, math.inf, math.inf]
        assert (
            loss.gradient(z, y) / torch.tensor([[1.0], [1.0], [1.0], [loss.pos_weight[0] if loss.pos_weight else 1.0]])
        ).tolist() == [[0], [0], [1], [-1]]
        assert not loss.hessian(z, y).any()
    assert loss.reference(z, y).isnan().tolist() == [True, True, False, True]


def test_hard_labels_are_not_the_equal_probabilities_once_there_are_weights():
    z = torch.tensor([[1.0, -1.0, 0.5], [0.0, 2.0, 1.0]], dtype=torch.float64)
    y, loss = torch.tensor([2, 0]), Softmax(weight=(1, 2, 5), label_smoothing=0.2)
    q = functional.one_hot(y, 3).to(z.dtype)
    hard, soft = loss.reduced(z, y), loss.reduced(z, q)
    assert torch.allclose(loss.value(z, y), loss.value(z, q), rtol=1e-13)  # row by row they are
    assert (loss.divisor(y), loss.divisor(q)) == (6.0, 2.0)
    assert float(hard) != pytest.approx(float(soft), rel=0.1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Softmax(label_smoothing=1.1), r"label_smoothing: 1.1 .* \[0, 1\]"),
        (lambda: Softmax(label_smoothing=math.nan), "label_smoothing: nan"),
        (lambda: Softmax(reduction="average"), "reduction: 'average' is unknown"),
        (lambda: Sigmoid(reduction=None), "reduction: None is unknown"),
        (lambda: Softmax(weight=(1, -2)), "weight: -2 is no weight"),
        (lambda: Softmax(weight=(1, math.inf)), "weight: inf is no weight"),
        (lambda: Softmax(weight=()), "weight: the list is empty"),
        (lambda: Softmax(weight=(1, 2), class_weight="balanced"), "are the same thing"),
        (lambda: Softmax(class_weight="even"), "'even' is unknown"),
        (lambda: Sigmoid(pos_weight=(-1,)), "pos_weight: -1 is no weight"),
        (lambda: Sigmoid(pos_weight=(1,), class_weight="balanced"), "give one or the other"),
        (
            lambda: Softmax(weight=(1, 2)).value(torch.zeros(1, 3), torch.tensor([0])),
            "weight has 2 entries, and there are 3",
        ),
        (
            lambda: Sigmoid(weight=(1,)).value(torch.zeros(1, 3), torch.zeros(1, 3)),
            "weight has 1 entry, and there are 3",
        ),
        (lambda: Softmax(class_weight="balanced").value(torch.zeros(1, 3), torch.tensor([0])), "fitted"),
        (
            lambda: Softmax(ignore_index=1).value(torch.zeros(1, 3), torch.zeros(1, 3)),
            "ignore_index leaves out class indices",
        ),
        (lambda: Softmax().value(torch.zeros(1, 3), torch.zeros(1)), "must be whole numbers"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()

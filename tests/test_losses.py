"""Every loss keeps its contract, judged by torch and, digit by digit, by mpmath."""

import mpmath
import pytest
import torch
from torch import Tensor

from lab import catalog, oracle
from lab.loss import Loss
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax

LOSSES = {**{name: member() for name, member in catalog.members("losses").items()}, "average": Sigmoid(average=True)}


@pytest.fixture(params=LOSSES.values(), ids=LOSSES.keys())
def loss(request):
    return request.param


def rows(loss: Loss, rng, largest: float = 10.0):
    """The loss's examples, apart from those so saturated that torch's own derivatives have no digit left."""
    return [(z, y) for z, y in loss.examples(rng) if z.abs().max() <= largest]


def test_value_is_that_of_torch(loss, rng):
    for z, y in loss.examples(rng):
        assert torch.allclose(loss.value(z, y), loss.reference(z, y), rtol=1e-13, atol=1e-13)


def test_gradient_is_the_derivative_of_the_reference(loss, rng):
    for z, y in rows(loss, rng):
        truth = oracle.gradient(lambda z, y=y: loss.reference(z, y).sum(), z)
        assert torch.allclose(loss.gradient(z, y), truth, rtol=1e-12, atol=1e-14)


def test_product_is_the_second_derivative_of_the_reference(loss, rng):
    for z, y in rows(loss, rng):
        u = torch.randn(z.shape, generator=rng, dtype=z.dtype)
        truth = oracle.hvp(lambda z, y=y: loss.reference(z, y).sum(), z, u)
        assert torch.allclose(loss.hvp(z, y, u), truth, rtol=1e-9, atol=1e-13)


def test_hessian_and_diagonal_agree_with_the_product(loss, rng):
    for z, y in loss.examples(rng):
        H = loss.hessian(z, y)
        from_products = Loss.hessian(loss, z, y)
        assert torch.allclose(H, from_products, rtol=1e-12, atol=1e-15)
        assert torch.equal(H, H.transpose(1, 2))
        assert torch.allclose(loss.diagonal(z, y), H.diagonal(dim1=1, dim2=2), rtol=1e-15, atol=0)


def test_value_and_gradient_in_one_are_the_two(loss, rng):
    for z, y in loss.examples(rng):
        value, gradient = loss.value_and_gradient(z, y)
        assert torch.allclose(value, loss.value(z, y), rtol=1e-14, atol=1e-300)
        assert torch.allclose(gradient, loss.gradient(z, y), rtol=1e-13, atol=1e-300)


def test_logit_hessian_is_positive_semi_definite(loss, rng):
    for z, y in loss.examples(rng):
        eigenvalues = torch.linalg.eigvalsh(loss.hessian(z, y))
        assert eigenvalues.min() >= -1e-15


def test_flat_directions_of_the_logits_are_as_many_as_stated(loss, rng):
    for z, y in rows(loss, rng):
        count, reason = loss.flat(z.shape[1])
        ranks = torch.linalg.matrix_rank(loss.hessian(z, y), hermitian=True)
        assert (ranks == z.shape[1] - count).all()
        assert bool(reason) == bool(count)


def test_self_concordance_bounds_how_fast_the_hessian_changes(loss, rng):
    for z, y in rows(loss, rng):
        u, v = (torch.randn(z.shape, generator=rng, dtype=z.dtype) for _ in range(2))
        small = 1e-6
        bend = (loss.hvp(z + small * v, y, u) - loss.hvp(z - small * v, y, u)) / (2 * small)
        third = (u * bend).sum(dim=1).abs()
        allowed = loss.self_concordance * v.abs().amax(dim=1) * (u * loss.hvp(z, y, u)).sum(dim=1)
        assert (third <= allowed * (1 + 1e-6) + 1e-9).all()


def test_softmax_hessian_is_blind_to_a_common_shift(rng):
    for z, y in Softmax().examples(rng):
        assert Softmax().hvp(z, y, torch.ones_like(z)).abs().max() <= 4 * torch.finfo(z.dtype).eps


def test_two_class_softmax_is_the_sigmoid_of_the_difference(rng):
    z = torch.randn(9, 2, generator=rng, dtype=torch.float64) * 5
    labels = torch.arange(9) % 2
    one = Softmax().value(z, Softmax().encode(labels, 2, z.dtype))
    other = Sigmoid().value(z[:, 1:] - z[:, :1], Sigmoid().encode(labels, 2, z.dtype))
    assert torch.allclose(one, other, rtol=1e-13)


def softmax_gradient_to_50_digits(z: Tensor, target: int) -> list[mpmath.mpf]:
    with mpmath.workdps(50):
        e = [mpmath.exp(mpmath.mpf(float(v))) for v in z]
        total = mpmath.fsum(e)
        return [-mpmath.fsum(e[:k] + e[k + 1 :]) / total if k == target else e[k] / total for k in range(len(e))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("logit", [0.0, 10.0, 17.0, 37.0, 80.0])
def test_softmax_gradient_keeps_its_digits_where_torch_has_lost_them(logit, dtype):
    z = torch.tensor([[logit, 0.0, -1.0]], dtype=dtype)
    y = torch.tensor([[1.0, 0.0, 0.0]], dtype=dtype)
    truth = softmax_gradient_to_50_digits(z[0], 0)
    allowed = (4 + 3 + logit + 1) * torch.finfo(dtype).eps
    for ours, true in zip(Softmax().gradient(z, y)[0].tolist(), truth, strict=True):
        assert abs(ours - true) <= allowed * abs(true)


@pytest.mark.parametrize("logit", [-80.0, -3.0, 0.0, 12.0, 30.0, 80.0])
def test_sigmoid_derivatives_keep_their_digits_at_any_logit(logit):
    z, y = torch.tensor([[logit]], dtype=torch.float64), torch.tensor([[1.0]], dtype=torch.float64)
    with mpmath.workdps(50):
        s = 1 / (1 + mpmath.exp(-mpmath.mpf(logit)))
        truths = {"gradient": s - 1, "diagonal": s * (1 - s), "value": -mpmath.log(s)}
        for what, true in truths.items():
            ours = float(getattr(Sigmoid(), what)(z, y))
            assert abs(ours - true) <= (8 + abs(logit)) * 2.3e-16 * abs(true), what


def test_softmax_value_is_exact_where_it_is_tiny():
    z, y = torch.tensor([[50.0, 0.0]], dtype=torch.float64), torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert float(Softmax().value(z, y)) == pytest.approx(1.9287498479639178e-22, rel=1e-13)
    assert float(Softmax().reference(z, y)) == 0.0  # what torch makes of it


def test_encoding_refuses_labels_that_the_loss_has_no_use_for():
    with pytest.raises(ValueError, match="there are 3 classes; use softmax"):
        Sigmoid().encode(torch.tensor([0, 1, 2]), 3, torch.float64)
    with pytest.raises(ValueError, match="several target columns; use sigmoid"):
        Softmax().encode(torch.zeros(5, 2, dtype=torch.int64), 2, torch.float64)


def test_averaging_over_labels_divides_by_their_number(rng):
    for z, y in Sigmoid().examples(rng):
        K = z.shape[1]
        assert torch.equal(Sigmoid(average=True).gradient(z, y), Sigmoid().gradient(z, y) / K)

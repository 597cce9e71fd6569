"""Every loss keeps its contract, judged by torch; every option in test_surface, every digit in test_digits."""

import math

import numpy as np
import pytest
import torch

from lab import catalog, oracle
from lab.loss import Loss
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax

LOSSES = {
    **{name: member() for name, member in catalog.members("losses").items()},
    "smoothed": Softmax(label_smoothing=0.3),
    "weighted": Softmax(weight=(0.5, 2, 1, 0.25), label_smoothing=0.1, ignore_index=2),
    "average": Sigmoid(average=True),
    "weighted labels": Sigmoid(weight=(0.5, 2, 1), pos_weight=(3, 1, 0.25)),
    "unseen label": Sigmoid(weight=(0.5, 0, 1)),
}


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
        units = torch.eye(z.shape[1], dtype=z.dtype)
        from_products = torch.stack([loss.hvp(z, y, unit.expand_as(z)) for unit in units], dim=2)
        assert torch.allclose(H, from_products, rtol=1e-12, atol=1e-15)
        assert torch.equal(H, H.transpose(1, 2))
        spread = float(z.max() - z.min()) if len(z) else 0.0
        slack = (4 + z.shape[1] + spread) * torch.finfo(z.dtype).eps  # what both are exact to, twice
        assert torch.allclose(loss.diagonal(z, y), H.diagonal(dim1=1, dim2=2), rtol=slack, atol=0)


def test_logit_hessian_is_positive_semi_definite(loss, rng):
    for z, y in loss.examples(rng):
        eigenvalues = torch.linalg.eigvalsh(loss.hessian(z, y))
        assert eigenvalues.min() >= -1e-15


def test_flat_directions_of_the_logits_are_as_many_as_stated(loss, rng):
    for z, y in rows(loss, rng):
        count, reason = loss.flat(z.shape[1])
        ranks = torch.linalg.matrix_rank(loss.hessian(z, y), hermitian=True)
        assert (ranks[loss.diagonal(z, y).any(dim=1)] == z.shape[1] - count).all()  # an ignored row sees nothing
        assert bool(reason) == bool(count)


def test_whoever_ignores_a_shift_has_values_that_do(loss, rng):
    for z, y in loss.examples(rng):
        if loss.ignores_shift:
            assert torch.allclose(loss.value(z + 1, y), loss.value(z, y), rtol=1e-12, atol=1e-12)


def test_self_concordance_bounds_how_fast_the_hessian_changes(loss, rng):
    for z, y in rows(loss, rng):
        u, v = (torch.randn(z.shape, generator=rng, dtype=z.dtype) for _ in range(2))
        small = 1e-6
        bend = (loss.hvp(z + small * v, y, u) - loss.hvp(z - small * v, y, u)) / (2 * small)
        third = (u * bend).sum(dim=1).abs()
        allowed = loss.self_concordance * v.abs().amax(dim=1) * (u * loss.hvp(z, y, u)).sum(dim=1)
        assert (third <= allowed * (1 + 1e-6) + 1e-9).all()


def test_a_loss_that_does_not_say_how_fast_its_hessian_changes_is_refused():
    class Silent(Sigmoid):
        self_concordance = None

    class Endless(Sigmoid):
        self_concordance = math.inf

    for kind in (Silent, Endless):
        with pytest.raises(ValueError, match=r"a function that has none is a lab\.Derivation"):
            kind()


def test_softmax_hessian_is_blind_to_a_common_shift(rng):
    for z, y in Softmax().examples(rng):
        assert Softmax().hvp(z, y, torch.ones_like(z)).abs().max() <= 4 * torch.finfo(z.dtype).eps


def test_two_class_softmax_is_the_sigmoid_of_the_difference(rng):
    z = torch.randn(9, 2, generator=rng, dtype=torch.float64) * 5
    labels = torch.arange(9) % 2
    one = Softmax().value(z, Softmax().encode(labels, 2, z.dtype))
    other = Sigmoid().value(z[:, 1:] - z[:, :1], Sigmoid().encode(labels, 2, z.dtype))
    assert torch.allclose(one, other, rtol=1e-13)


def test_encoding_refuses_labels_that_the_loss_has_no_use_for():
    with pytest.raises(ValueError, match="there are 3 classes; use softmax"):
        Sigmoid().encode(torch.tensor([0, 1, 2]), 3, torch.float64)
    with pytest.raises(ValueError, match="several target columns; use sigmoid"):
        Softmax().encode(torch.zeros(5, 2, dtype=torch.int64), 2, torch.float64)


def test_averaging_over_labels_divides_by_their_number(rng):
    for z, y in Sigmoid().examples(rng):
        K = z.shape[1]
        assert torch.equal(Sigmoid(average=True).gradient(z, y), Sigmoid().gradient(z, y) / K)


def test_softmax_leaves_ignored_rows_out_of_mean_and_accuracy_but_their_class_in_the_softmax(rng):
    z = torch.randn(6, 3, generator=rng, dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 2, 0, 1])
    loss, kept = Softmax(ignore_index=2), y != 2
    assert loss.divisor(y) == 4
    assert torch.allclose(loss.reduced(z, y), Softmax().reduced(z[kept], y[kept]), rtol=1e-14)
    assert float(loss.gradient(z, y)[0, 2]) == pytest.approx(float(z[0].softmax(0)[2]))
    assert loss.correct(z, y).isnan().tolist() == (~kept).tolist()


def test_balanced_weights_are_those_of_scikit_learn(rng):
    from sklearn.utils.class_weight import compute_class_weight

    y = torch.tensor([0] * 7 + [1] * 2 + [2])
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=y.numpy())
    ours = Softmax(class_weight="balanced", label_smoothing=0.1).fitted(y, 3)
    assert ours == Softmax(weight=theirs, label_smoothing=0.1)
    assert ours.divisor(y) == pytest.approx(10)  # so that it divides by N, as scikit-learn does
    binary = (y > 0).long()
    zeros, ones = compute_class_weight("balanced", classes=np.arange(2), y=binary.numpy())
    loss = Sigmoid(class_weight="balanced").fitted(binary, 2)
    assert loss.weight == pytest.approx((zeros,))
    assert loss.weight[0] * loss.pos_weight[0] == pytest.approx(ones)


def test_a_class_without_a_row_cannot_be_balanced():
    with pytest.raises(ValueError, match="no training row shows class 1"):
        Softmax(class_weight="balanced").fitted(torch.tensor([0, 2]), 3)
    with pytest.raises(ValueError, match="no training row shows label 1"):
        Sigmoid(class_weight="balanced").fitted(torch.tensor([[0, 1], [1, 1]]), 2)


def test_class_weight_may_be_listed_too_and_any_sequence_will_do():
    assert Softmax(class_weight=[1, 2]) == Softmax(weight=torch.tensor([1.0, 2.0]))
    assert hash(Softmax(weight=[1, 2])) == hash(Softmax(weight=(1.0, 2.0)))


def test_each_entry_of_the_hessian_is_exact_relative_to_what_it_may_be(loss, rng):
    unit = torch.finfo(torch.float32).eps / 2
    for z, y in loss.examples(rng):
        z = z.float()
        h = loss.hessian(z, y.float() if y.is_floating_point() else y).double()
        true = loss.hessian(z.double(), y)
        size = true.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
        c = 8 + z.shape[1] + 2 * float(z.abs().max()) if len(z) else 0.0
        allowed = c * unit * size[:, :, None] * size[:, None, :] + 4 * torch.finfo(torch.float32).tiny
        assert bool(((h - true).abs() <= allowed).all())

"""All that torch's cross-entropies take, crossed with itself and with extreme logits: ours against torch's.

Rounding of torch's own derivatives, relative to the parts that they are made of (`lab.rounding`): with p of a
log-softmax, c = 8 + K + 2 spread units, for the gradient of Rp + r, for a Hessian entry of R (p_k δ_kl + p_k p_l).
A value is Σ r (log Σ exp d − d) with d = z − max z, each of |d| + log K, whose roundings are |d| + K + 8 units at most.
Ours are held to torch's within twice that, and to 50 digits, far more narrowly, in test_digits.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lab import oracle
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax

LOGITS = st.sampled_from([0.0, 1.0, -1.0, 17.0, 37.0, -90.0, 1e4, -1e4]) | st.floats(-50, 50, width=32)
WEIGHTS = st.sampled_from([0.0, 0.25, 1.0, 3.5])
SHARES = st.sampled_from([0.0, 0.125, 0.5, 1.0])
TINY = 1e-30  # float32's smallest normal numbers are 1e-38; below lies what neither can hold


def matrix(draw, N: int, K: int, entries, dtype: torch.dtype) -> Tensor:
    flat = draw(st.lists(entries, min_size=N * K, max_size=N * K))
    return torch.tensor(flat, dtype=dtype).view(N, K)


@st.composite
def softmax_cases(draw, logits=LOGITS):
    N, K = draw(st.integers(0, 4)), draw(st.integers(1, 5))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    options = {
        "weight": draw(st.none() | st.lists(WEIGHTS, min_size=K, max_size=K)),
        "label_smoothing": draw(st.sampled_from([0.0, 0.1, 1.0])),
        "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
    }
    z = matrix(draw, N, K, logits, dtype)
    if draw(st.booleans()):
        return Softmax(**options), z, matrix(draw, N, K, SHARES, dtype)
    ignored = draw(st.sampled_from([-100, 0, K - 1]))
    labels = st.sampled_from([*range(K), ignored])
    y = torch.tensor(draw(st.lists(labels, min_size=N, max_size=N)), dtype=torch.int64)
    return Softmax(**options, ignore_index=ignored), z, y


@st.composite
def sigmoid_cases(draw):
    N, K = draw(st.integers(0, 4)), draw(st.integers(1, 4))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    each = st.none() | st.lists(WEIGHTS, min_size=K, max_size=K)
    loss = Sigmoid(
        average=draw(st.booleans()),
        weight=draw(each),
        pos_weight=draw(each),
        reduction=draw(st.sampled_from(["mean", "sum", "none"])),
    )
    targets = draw(st.sampled_from([st.sampled_from([0.0, 1.0]), SHARES]))
    return loss, matrix(draw, N, K, LOGITS, dtype), matrix(draw, N, K, targets, dtype)


def close(ours: Tensor, truth: Tensor, allowed: Tensor) -> bool:
    return bool(((ours - truth).abs() <= allowed + TINY).all())


def units(z: Tensor) -> Tensor:
    """c u of each row, (N, 1)."""
    spread = z.amax(dim=1, keepdim=True) - z.amin(dim=1, keepdim=True)
    return (8 + z.shape[1] + 2 * spread) * torch.finfo(z.dtype).eps / 2


def of_all_rows(loss, y):
    return lambda z: loss.reference(z, y).sum()


def blocks(H: Tensor, z: Tensor) -> Tensor:
    """The diagonal blocks (N, K, K) of a Hessian over all logits."""
    N, K = z.shape
    return H.view(N, K, N, K).diagonal(dim1=0, dim2=2).permute(2, 0, 1)


@given(softmax_cases())
@settings(max_examples=300)
def test_softmax_is_torch_s_cross_entropy_with_every_option(case):
    loss, z, y = case
    r, cu = loss.subtracted(z, y), units(z)
    value, gradient = loss.value_and_gradient(z, y)
    far = z.amax(dim=1, keepdim=True) - z
    assert close(value, loss.reference(z, y), 2 * (cu * r * (8 + far)).sum(dim=1))
    assert close(gradient, oracle.gradient(of_all_rows(loss, y), z), 2 * cu * (gradient + 2 * r))
    assert torch.equal(loss.value(z, y), value)
    assert torch.equal(loss.gradient(z, y), gradient)


@given(softmax_cases())
@settings(max_examples=100)
def test_softmax_s_curvature_is_torch_s_with_every_option(case):
    loss, z, y = case
    H, R, p = loss.hessian(z, y), loss.subtracted(z, y).sum(dim=1, keepdim=True), z.softmax(dim=1)
    parts = R[:, :, None] * (torch.diag_embed(p) + p[:, :, None] * p[:, None, :])
    allowed = 2 * units(z)[:, :, None] * parts
    assert close(H, blocks(oracle.hessian(of_all_rows(loss, y), z), z), allowed)
    u = torch.arange(1.0, z.numel() + 1, dtype=z.dtype).view_as(z)
    assert close(loss.hvp(z, y, u), oracle.hvp(of_all_rows(loss, y), z, u), (allowed * u[:, None, :]).sum(dim=2))
    assert close(
        loss.hessian_map(z, y)(u[:, :, None])[:, :, 0], loss.hvp(z, y, u), (allowed * u[:, None, :]).sum(dim=2)
    )
    diagonal = H.diagonal(dim1=1, dim2=2)
    assert close(loss.diagonal(z, y), diagonal, allowed.diagonal(dim1=1, dim2=2))
    F = loss.factor(z, y)
    assert close(F @ F.transpose(1, 2), H, 2 * units(z)[:, :, None] * (F.abs() @ F.abs().transpose(1, 2)))


@given(softmax_cases())
@settings(max_examples=200)
def test_softmax_s_reductions_are_torch_s(case):
    loss, z, y = case
    weight = None if loss.weight is None else torch.tensor(loss.weight, dtype=z.dtype)
    truth = functional.cross_entropy(
        z, y, weight, ignore_index=loss.ignore_index, label_smoothing=loss.label_smoothing, reduction=loss.reduction
    )
    ours = loss.reduced(z, y)
    assert ours.shape == truth.shape
    if loss.reduction == "none":
        assert torch.equal(ours, loss.value(z, y))
        with pytest.raises(ValueError, match="no one loss to train on; use mean"):
            loss.divisor(y)
        return
    assert float(loss.reduced_reference(z, y)) == float(truth) or math.isnan(truth)
    if math.isnan(truth):  # a mean of nothing, or by no weight: see losses/softmax.py, Mean
        assert not math.isfinite(ours) if loss.subtracted(z, y).any() else float(ours) == 0
    else:
        far, r = z.amax(dim=1, keepdim=True) - z, loss.subtracted(z, y)
        allowed = 2 * ((units(z) + len(z) * torch.finfo(z.dtype).eps) * r * (8 + far)).sum() / loss.divisor(y)
        assert close(ours, truth, allowed)


@given(sigmoid_cases())
@settings(max_examples=300)
def test_sigmoid_is_torch_s_binary_cross_entropy_with_every_option(case):
    loss, z, y = case
    K = z.shape[1]
    u = torch.finfo(z.dtype).eps / 2
    value, gradient = loss.value_and_gradient(z, y)
    b = loss.subtracted(z, y)
    both = loss.diagonal(torch.zeros_like(z), y) * 4  # a + b, as σ(0)σ(0) = 1/4
    truth = functional.binary_cross_entropy_with_logits(
        z,
        y,
        weight=None if loss.weight is None else torch.tensor(loss.weight, dtype=z.dtype),
        pos_weight=None if loss.pos_weight is None else torch.tensor(loss.pos_weight, dtype=z.dtype),
        reduction="none",
    )
    rows = truth.mean(dim=1) if loss.average else truth.sum(dim=1)
    # torch adds (1 − y)z and log σ(z), which share their size, |z|.
    assert close(value, rows, (8 + K) * u * (both * (4 + z.abs())).sum(dim=1))
    assert close(gradient, oracle.gradient(of_all_rows(loss, y), z), (16 + K) * u * (gradient + 2 * b).abs().add(b))
    total = {"mean": rows.mean(), "sum": rows.sum(), "none": rows}[loss.reduction]
    if len(z):
        assert close(loss.reduced(z, y), total, (8 + K + len(z)) * u * (both * (4 + z.abs())).sum())


@given(sigmoid_cases())
@settings(max_examples=100)
def test_sigmoid_s_curvature_is_torch_s_with_every_option(case):
    loss, z, y = case
    H = loss.hessian(z, y)
    # torch's is relative to σ, not to σ(1 − σ): in the right tail it has no digit of its own.
    parts = (loss.gradient(z, y) + loss.subtracted(z, y)).abs() + loss.diagonal(z, y)
    allowed = (16 + z.shape[1]) * torch.finfo(z.dtype).eps * parts
    assert close(H, blocks(oracle.hessian(of_all_rows(loss, y), z), z), torch.diag_embed(allowed))
    u = torch.arange(1.0, z.numel() + 1, dtype=z.dtype).view_as(z)
    assert close(loss.hvp(z, y, u), oracle.hvp(of_all_rows(loss, y), z, u), allowed * u)
    F = loss.factor(z, y)
    assert close(F @ F.transpose(1, 2), H, torch.diag_embed(allowed))


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

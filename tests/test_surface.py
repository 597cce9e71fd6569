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
    """A softmax with any options, with logits and targets of its kinds, in either precision."""
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
def sigmoid_cases(draw, logits=LOGITS):
    """A sigmoid with any options, with logits and targets, hard or soft, in either precision."""
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
    z, y = matrix(draw, N, K, logits, dtype), matrix(draw, N, K, targets, dtype)
    width = draw(st.sampled_from([0, 1, K]))  # of no weights, one for each row, one for each element
    return loss, z, Sigmoid.weighed(y, matrix(draw, N, width, WEIGHTS, dtype)) if width else y


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
@settings(max_examples=150)
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
@settings(max_examples=60)
def test_softmax_s_curvature_is_torch_s_with_every_option(case):
    loss, z, y = case
    H, R, p = loss.hessian(z, y), loss.subtracted(z, y).sum(dim=1, keepdim=True), z.softmax(dim=1)
    parts = R[:, :, None] * (torch.diag_embed(p) + p[:, :, None] * p[:, None, :])
    allowed = 2 * units(z)[:, :, None] * parts
    assert close(H, blocks(oracle.hessian(of_all_rows(loss, y), z), z), allowed)
    u = torch.arange(1.0, z.numel() + 1, dtype=z.dtype).view_as(z)
    assert close(loss.hvp(z, y, u), oracle.hvp(of_all_rows(loss, y), z, u), (allowed * u[:, None, :]).sum(dim=2))
    assert close(
        loss.hessian_map(z, y)(u[:, :, None].clone())[:, :, 0], loss.hvp(z, y, u), (allowed * u[:, None, :]).sum(dim=2)
    )
    diagonal = H.diagonal(dim1=1, dim2=2)
    assert close(loss.diagonal(z, y), diagonal, allowed.diagonal(dim1=1, dim2=2))
    F = loss.factor(z, y)
    assert close(F @ F.transpose(1, 2), H, 2 * units(z)[:, :, None] * (F.abs() @ F.abs().transpose(1, 2)))


@given(softmax_cases())
@settings(max_examples=60)
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


@given(softmax_cases(LOGITS | st.just(-math.inf)))
@settings(max_examples=60)
def test_softmax_with_classes_that_cannot_be_is_torch_s_where_torch_has_an_answer(case):
    loss, z, y = case
    some = z.isfinite().any(dim=1)  # a row without any class is nan, here as in torch
    z, y = z[some], y[some]
    r, finite = loss.subtracted(z, y), torch.where(z.isfinite(), z, z.amax(dim=1, keepdim=True))
    value, gradient = loss.value_and_gradient(z, y)
    truth, cu = loss.reference(z, y), units(finite)
    known = truth.isfinite()
    far = finite.amax(dim=1, keepdim=True) - finite
    assert close(value[known], truth[known], (2 * cu * r * (8 + far)).sum(dim=1)[known])
    assert value[truth.isinf()].isinf().all()
    assert not value.isnan().any()  # where torch's is, 0·∞ was: see losses/softmax.py, Numerics
    slope = oracle.gradient(of_all_rows(loss, y), z)
    assert close(torch.where(slope.isnan(), gradient, slope), gradient, 2 * cu * (gradient + 2 * r))
    assert gradient.isfinite().all()
    assert loss.hessian(z, y).isfinite().all()


@given(sigmoid_cases())
@settings(max_examples=150)
def test_sigmoid_is_torch_s_binary_cross_entropy_with_every_option(case):
    loss, z, targets = case
    K = z.shape[1]
    u = torch.finfo(z.dtype).eps / 2
    value, gradient = loss.value_and_gradient(z, targets)
    b = loss.subtracted(z, targets)
    both = loss.diagonal(torch.zeros_like(z), targets) * 4  # a + b, as σ(0)σ(0) = 1/4
    y, w = targets.unbind(2) if targets.ndim > 2 else (targets, torch.ones_like(targets))
    truth = functional.binary_cross_entropy_with_logits(
        z,
        y,
        weight=w if loss.weight is None else w * torch.tensor(loss.weight, dtype=z.dtype),
        pos_weight=None if loss.pos_weight is None else torch.tensor(loss.pos_weight, dtype=z.dtype),
        reduction="none",
    )
    rows = truth.mean(dim=1) if loss.average else truth.sum(dim=1)
    # torch adds (1 − y)z and log σ(z), which share their size, |z|.
    assert close(value, rows, (8 + K) * u * (both * (4 + z.abs())).sum(dim=1))
    assert close(
        gradient, oracle.gradient(of_all_rows(loss, targets), z), (16 + K) * u * (gradient + 2 * b).abs().add(b)
    )
    total = {"mean": rows.mean(), "sum": rows.sum(), "none": rows}[loss.reduction]
    if len(z):
        assert close(loss.reduced(z, targets), total, (8 + K + len(z)) * u * (both * (4 + z.abs())).sum())


@given(sigmoid_cases())
@settings(max_examples=60)
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


@given(sigmoid_cases(LOGITS | st.sampled_from([math.inf, -math.inf])))
@settings(max_examples=60)
def test_sigmoid_of_labels_that_are_certain_is_torch_s_where_torch_has_an_answer(case):
    loss, z, y = case
    value, gradient = loss.value_and_gradient(z, y)
    assert not value.isnan().any()  # torch's is where 0·∞ was: see losses/sigmoid.py, Numerics
    truth, finite = loss.reference(z, y), torch.where(z.isfinite(), z, 0)
    known, b = ~truth.isnan(), loss.subtracted(z, y)
    assert torch.equal(value[known].isinf(), truth[known].isinf())
    both, u = loss.diagonal(torch.zeros_like(z), y) * 4, torch.finfo(z.dtype).eps / 2
    allowed = (8 + z.shape[1]) * u * (both * (4 + finite.abs())).sum(dim=1)
    assert close(value[known & truth.isfinite()], truth[known & truth.isfinite()], allowed[known & truth.isfinite()])
    slope = oracle.gradient(of_all_rows(loss, y), z)
    allowed = (16 + z.shape[1]) * u * (gradient + 2 * b).abs().add(b)
    assert close(torch.where(slope.isnan(), gradient, slope), gradient, allowed)
    assert gradient.isfinite().all()
    assert loss.hessian(z, y).isfinite().all()
    assert not loss.diagonal(z, y)[z.isinf()].any()

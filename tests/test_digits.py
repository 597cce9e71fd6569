"""Digit by digit: hand-derived values, gradients and Hessians against 50 digits, with every option, at any logit.

u is the unit of rounding, half of torch's eps. What is allowed is said and derived in losses/softmax.py and sigmoid.py
(Numerics): (4 + K + spread) u of a gradient's parts A_k + B_k, which is the entry itself unless labels are smoothed or
soft, and of every Hessian entry; down to the smallest normal number, below which no relative figure holds.
"""

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf
from torch import Tensor
from torch.nn.functional import one_hot

from lab import oracle
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax

LOGITS = st.sampled_from([0.0, 17.0, 37.0, -88.0, 1e4, -1e4]) | st.floats(-300, 300, width=32)
WEIGHTS = st.sampled_from([0.0, 0.25, 1.0]) | st.floats(0.01, 8)
DTYPES = st.sampled_from([torch.float32, torch.float64])
SHARES = st.sampled_from([0.0, 1.0, 0.5, 1e-6]) | st.floats(0, 1, width=32)


def digits(x) -> list[mpf]:
    return [mpf(float(v)) for v in x]


def without(x: list[mpf], k: int) -> mpf:
    return mpmath.fsum(x[:k] + x[k + 1 :])


def shares(loss: Softmax, y: Tensor, K: int) -> list[mpf]:
    """r of one row, as the table of losses/softmax.py has it."""
    w = [mpf(1)] * K if loss.weight is None else digits(loss.weight)
    a = mpf(loss.label_smoothing)
    if y.ndim == 1 and int(y) == loss.ignore_index:
        return [mpf(0)] * K
    if y.ndim == 1:
        return [(1 - a) * w[int(y)] * (c == int(y)) + a / K * w[c] for c in range(K)]
    return [w[c] * ((1 - a) * q + a / K) for c, q in enumerate(digits(y[0]))]


def softmax_truth(loss: Softmax, z: Tensor, y: Tensor):
    """Value, gradient, its parts A + B, and Hessian of one row."""
    K, r = z.shape[1], shares(loss, y, z.shape[1])
    e = [mpmath.exp(v) for v in digits(z[0])]
    total, R = mpmath.fsum(e), mpmath.fsum(r)
    p = [v / total for v in e]
    others = [without(e, k) / total for k in range(K)]
    A, B = [p[k] * without(r, k) for k in range(K)], [r[k] * others[k] for k in range(K)]
    value = -mpmath.fsum(r[k] * (mpmath.log1p(-others[k]) if p[k] > 0.5 else mpmath.log(p[k])) for k in range(K))
    H = [[R * p[k] * (others[k] if k == l else -p[l]) for l in range(K)] for k in range(K)]
    return value, [a - b for a, b in zip(A, B, strict=True)], [a + b for a, b in zip(A, B, strict=True)], H


def sigmoid_truth(loss: Sigmoid, z: Tensor, y: Tensor):
    K = z.shape[1]
    v = [mpf(1)] * K if loss.weight is None else digits(loss.weight)
    rho = [mpf(1)] * K if loss.pos_weight is None else digits(loss.pos_weight)
    if y.ndim > 2:
        v = [own * other for own, other in zip(digits(y[0, :, 1]), v, strict=True)]
        y = y[:, :, 0]
    t, x, c = digits(y[0]), digits(z[0]), mpf(1) / (K if loss.average else 1)
    a, b = [c * v[k] * (1 - t[k]) for k in range(K)], [c * v[k] * rho[k] * t[k] for k in range(K)]
    s = [1 / (1 + mpmath.exp(-q)) for q in x]
    n = [1 / (1 + mpmath.exp(q)) for q in x]
    A, B = [p * q for p, q in zip(a, s, strict=True)], [p * q for p, q in zip(b, n, strict=True)]
    value = mpmath.fsum(
        a[k] * mpmath.log1p(mpmath.exp(x[k])) + b[k] * mpmath.log1p(mpmath.exp(-x[k])) for k in range(K)
    )
    H = [[(a[k] + b[k]) * s[k] * n[k] * (k == l) for l in range(K)] for k in range(K)]
    return value, [p - q for p, q in zip(A, B, strict=True)], [p + q for p, q in zip(A, B, strict=True)], H


def assert_exact(loss, z: Tensor, y: Tensor, truth, units: mpf) -> None:
    """Hold one row's value, gradient, Hessian and diagonal to `truth`; a sum of products is exact to its parts."""
    with mpmath.workdps(50):
        value, gradient, parts, H = truth(loss, z, y)
        info = torch.finfo(z.dtype)
        u = mpf(info.eps) / 2
        # Products with what is below the smallest normal number are lost, and so are their sums.
        tiny = 4 * z.shape[1] * mpf(info.tiny) * (1 + mpmath.fsum(shares_of(loss)))

        def held(ours, true, size) -> bool:
            return abs(mpf(float(ours)) - true) <= units * u * abs(size) + tiny

        assert held(loss.value(z, y), value, value)
        for k in range(z.shape[1]):
            assert held(loss.gradient(z, y)[0, k], gradient[k], parts[k])
            assert held(loss.diagonal(z, y)[0, k], H[k][k], H[k][k])
            for l in range(z.shape[1]):
                assert held(loss.hessian(z, y)[0, k, l], H[k][l], H[k][l])


def shares_of(loss) -> list[mpf]:
    return digits([*(loss.weight or ()), *(getattr(loss, "pos_weight", None) or ())])


@st.composite
def softmax_rows(draw):
    K, dtype = draw(st.integers(1, 4)), draw(DTYPES)
    z = torch.tensor([draw(st.lists(LOGITS, min_size=K, max_size=K))], dtype=dtype)
    options = {
        "weight": draw(st.none() | st.lists(WEIGHTS, min_size=K, max_size=K)),
        "label_smoothing": draw(st.just(0.0) | SHARES),
    }
    if draw(st.booleans()):
        q = torch.tensor([draw(st.lists(SHARES, min_size=K, max_size=K))], dtype=dtype)
        return Softmax(**options), z, q
    return (
        Softmax(**options, ignore_index=draw(st.sampled_from([-100, 0]))),
        z,
        torch.tensor([draw(st.integers(0, K - 1))]),
    )


@given(softmax_rows())
@settings(max_examples=150)
def test_softmax_is_exact_to_its_condition_with_every_option(row):
    loss, z, y = row
    spread = float(z.amax() - z.amin())
    assert_exact(loss, z, y, softmax_truth, mpf(4 + z.shape[1] + spread))


@st.composite
def sigmoid_rows(draw):
    K, dtype = draw(st.integers(1, 3)), draw(DTYPES)
    each = st.none() | st.lists(WEIGHTS, min_size=K, max_size=K)
    z = torch.tensor([draw(st.lists(LOGITS, min_size=K, max_size=K))], dtype=dtype)
    y = torch.tensor(
        [draw(st.lists(draw(st.sampled_from([SHARES, st.sampled_from([0.0, 1.0])])), min_size=K, max_size=K))]
    )
    y = y.to(dtype)
    if draw(st.booleans()):
        y = Sigmoid.weighed(y, torch.tensor([draw(st.lists(WEIGHTS, min_size=K, max_size=K))]))
    return Sigmoid(average=draw(st.booleans()), weight=draw(each), pos_weight=draw(each)), z, y


@given(sigmoid_rows())
@settings(max_examples=150)
def test_sigmoid_is_exact_to_its_condition_with_every_option(row):
    loss, z, y = row
    assert_exact(loss, z, y, sigmoid_truth, mpf(4 + z.shape[1]))


@pytest.mark.parametrize("options", [{}, {"weight": (0.7, 1.3, 2.9)}], ids=["plain", "weighted"])
@pytest.mark.parametrize(("dtype", "logit"), [(torch.float32, 17.0), (torch.float64, 37.0)], ids=str)
def test_softmax_keeps_every_digit_of_a_gradient_of_which_torch_has_none(dtype, logit, options):
    loss, z, y = Softmax(**options), torch.tensor([[logit, 0.0, -1.0]], dtype=dtype), torch.tensor([0])
    with mpmath.workdps(50):
        true = softmax_truth(loss, z, y)[1][0]
        ours, torchs = loss.gradient(z, y)[0, 0], oracle.gradient(lambda z: loss.reference(z, y).sum(), z)[0, 0]
        assert abs(float(torchs) / true - 1) > 0.1  # ours right beside it:
        assert abs(float(ours) / true - 1) <= (4 + 3 + logit + 1) * torch.finfo(dtype).eps / 2


@pytest.mark.parametrize(("dtype", "logit"), [(torch.float32, 17.0), (torch.float64, 37.0)], ids=str)
def test_sigmoid_keeps_every_digit_of_a_gradient_of_which_torch_has_none(dtype, logit):
    loss, z, y = Sigmoid(pos_weight=(3.0,)), torch.tensor([[logit]], dtype=dtype), torch.tensor([[1.0]], dtype=dtype)
    with mpmath.workdps(50):
        true = sigmoid_truth(loss, z, y)[1][0]
        ours, torchs = loss.gradient(z, y)[0, 0], oracle.gradient(lambda z: loss.reference(z, y).sum(), z)[0, 0]
        assert abs(float(torchs) / true - 1) > 0.1
        assert abs(float(ours) / true - 1) <= (4 + 1) * torch.finfo(dtype).eps / 2


def test_a_soft_target_loses_the_digits_that_its_parts_share_and_no_others():
    # p = r/R to 7 digits: A − B cancels, so that no form is exact to the entry itself; all are to A + B.
    z = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64)
    q = z.softmax(dim=1) + torch.tensor([[1e-7, 0.5e-7, -1.5e-7]], dtype=z.dtype)
    with mpmath.workdps(50):
        _, truth, parts, _ = softmax_truth(Softmax(), z, q)
        errors = [abs(float(g) - true) for g, true in zip(Softmax().gradient(z, q)[0], truth, strict=True)]
        u = 2.0**-53
        assert all(error <= 7 * u * size for error, size in zip(errors, parts, strict=True))
        assert max(error / abs(true) for error, true in zip(errors, truth, strict=True)) > 7 * u


def test_the_check_on_digits_sees_a_lost_one():
    z, y = torch.tensor([[17.0, 0.0, -1.0]]), torch.tensor([0])

    class Naive(Softmax):
        def gradient(self, z, y):
            return z.softmax(dim=1) - one_hot(y, z.shape[1])

    class Plain(Softmax):
        def hessian(self, z, y):
            p = z.softmax(dim=1)
            return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]

    for loss in (Naive(), Plain()):
        with pytest.raises(AssertionError):
            assert_exact(loss, z, y, softmax_truth, mpf(4 + 3 + 18))


def test_softmax_value_is_exact_where_it_is_tiny():
    z, y = torch.tensor([[50.0, 0.0]], dtype=torch.float64), torch.tensor([0])
    assert float(Softmax().value(z, y)) == pytest.approx(1.9287498479639178e-22, rel=1e-13)
    assert float(Softmax().reference(z, y)) == 0.0  # what torch makes of it

"""A loss's options reach the mean, the chain rule, the bounds, the mini-batches and the config."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from lab import oracle, problem, rounding
from lab.curvature import forms
from lab.curvature.coarse import coarse
from lab.curvature.operator import Curvature
from lab.doctor import diagnosed
from lab.loop import Batches
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem
from lab.referee import judge_gradient, judge_hessian, judge_hvp

WEIGHT = (0.5, 3.0, 1.25, 2.0)
LOSSES = {
    "index": Softmax(weight=WEIGHT, ignore_index=1, label_smoothing=0.2),
    "probabilities": Softmax(weight=WEIGHT, label_smoothing=0.2),
    "sum": Softmax(weight=WEIGHT, ignore_index=2, reduction="sum"),
    "labels": Sigmoid(weight=WEIGHT, pos_weight=(2.0, 0.5, 1.0, 4.0), average=True),
    "soft labels": Sigmoid(pos_weight=(2.0, 0.5, 1.0, 4.0)),
    "weighed labels": Sigmoid(weight=WEIGHT, pos_weight=(2.0, 0.5, 1.0, 4.0)),
    "weighed rows": Sigmoid(average=True),
}


def drawn(name: str, rng, N: int = 13, D: int = 5, K: int = 4, ridge: float = 0.3) -> tuple[Problem, Tensor]:
    X = torch.randn(N, D, generator=rng, dtype=torch.float64)
    y = {
        "probabilities": lambda: torch.rand(N, K, generator=rng, dtype=X.dtype),
        "labels": lambda: torch.randint(2, (N, K), generator=rng).to(X.dtype),
        "soft labels": lambda: torch.rand(N, K, generator=rng, dtype=X.dtype),
        "weighed labels": lambda: weighed(torch.rand(N, K, generator=rng, dtype=X.dtype), K, rng),
        "weighed rows": lambda: weighed(torch.randint(2, (N, K), generator=rng).to(X.dtype), 1, rng),
    }.get(name, lambda: torch.randperm(N, generator=rng) % K)()
    return Problem(LOSSES[name], Linear(), X, y, ridge, outputs=K), torch.randn(D, K, generator=rng, dtype=X.dtype)


def weighed(y: Tensor, width: int, rng) -> Tensor:
    """y with a weight for each element, or for each row if `width` is 1; one of them 0."""
    weight = 3 * torch.rand(len(y), width, generator=rng, dtype=y.dtype)
    weight[2] = 0
    return Sigmoid.weighed(y, weight)


def cast(p: Problem, dtype: torch.dtype) -> Problem:
    return replace(p, X=p.X.to(dtype), y=p.y.to(dtype) if p.y.is_floating_point() else p.y)


@pytest.fixture(params=LOSSES)
def problem_and_theta(request, rng):
    return drawn(request.param, rng)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_derivatives_with_options_pass_at_every_scale_and_precision(problem_and_theta, scale, dtype, rng):
    p, theta = problem_and_theta
    p, theta = cast(p, dtype), (scale * theta).to(dtype)
    V = torch.randn(theta.shape, generator=rng, dtype=torch.float64).to(dtype)
    verdicts = [
        judge_gradient(p, theta, p.gradient(theta)),
        judge_gradient(p, theta, p.value_and_gradient(theta)[1]),
        judge_hvp(p, theta, V, p.hvp(theta, V)),
        judge_hessian(p, theta, p.hessian(theta)),
    ]
    assert [str(v) for v in verdicts if not v.passed] == []
    assert torch.allclose(p.value(theta), p.reference(theta), rtol=1e-4 if dtype == torch.float32 else 1e-12)


def test_bounds_hold_against_a_reference_in_higher_precision(problem_and_theta):
    p, theta = problem_and_theta
    single, point = cast(p, torch.float32), theta.float()
    truth = cast(single, torch.float64)
    for ours, true, bound in (
        (single.gradient(point), truth.gradient(point.double()), rounding.gradient_bound(single, point)),
        (single.hessian(point), truth.hessian(point.double()), rounding.hessian_bound(single, point)),
    ):
        error = (ours - true).abs()
        assert (error <= bound).all()
        assert error.max() / bound.max() > 1e-4, "the bound is too wide to see anything"


def test_blocks_of_rows_change_nothing_but_rounding(rng, monkeypatch):
    p, theta = drawn("index", rng, N=300)
    whole = [p.value(theta), p.gradient(theta), p.hessian(theta), p.correct(theta), *p.value_and_gradient(theta)]
    monkeypatch.setattr(problem, "BLOCK_BYTES", 1)
    blocked = [p.value(theta), p.gradient(theta), p.hessian(theta), p.correct(theta), *p.value_and_gradient(theta)]
    for one, other in zip(whole, blocked, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-15)


def test_the_operator_is_the_matrix_with_options_too(problem_and_theta, rng):
    p, theta = problem_and_theta
    curvature, bare, H = Curvature(p, theta), Curvature(replace(p, ridge=0.0), theta), p.hessian(theta)
    V = torch.randn(theta.numel(), 3, generator=rng, dtype=theta.dtype)
    assert torch.allclose(curvature(V), H @ V, rtol=1e-11, atol=1e-14)
    assert torch.allclose(curvature.diagonal, H.diagonal(), rtol=1e-12)
    assert forms.frobenius(curvature) == pytest.approx(float(H.norm()), rel=1e-12)
    assert torch.allclose(forms.factor(bare).T @ forms.factor(bare), bare.dense, rtol=1e-11, atol=1e-14)
    dual = torch.linalg.eigvalsh(forms.dual(bare))[-5:]
    assert torch.allclose(dual, torch.linalg.eigvalsh(bare.dense)[-5:], rtol=1e-11)
    for kept in (True, False):
        made = coarse(curvature, kept)
        L = made.coordinates.lifted(torch.eye(len(made.matrix), dtype=H.dtype))
        assert torch.linalg.matrix_norm(made.matrix * made.scale - L.T @ H @ L, 2) <= made.error


@dataclass(frozen=True)
class ByRows(Softmax):
    """Divides by N, not by the weight of the rows that count."""

    def mass(self, y):
        return float(len(y))


@dataclass(frozen=True)
class ByKept(Softmax):
    """Divides by the rows kept, whatever they weigh."""

    def mass(self, y):
        return float((y != self.ignore_index).sum())


@dataclass(frozen=True)
class Unsmoothed(Softmax):
    """Smooths the reference alone."""

    def value_and_gradient(self, z, y):
        return Softmax(weight=self.weight, ignore_index=self.ignore_index).value_and_gradient(z, y)


@dataclass(frozen=True)
class EvenlySmoothed(Softmax):
    """The smooth part ignores the weights."""

    def _shares(self, z, y):
        hard, rest = Softmax(weight=self.weight, ignore_index=self.ignore_index)._shares(z, y)
        even, others = Softmax(ignore_index=self.ignore_index, label_smoothing=1.0)._shares(z, y)
        a = self.label_smoothing
        return (1 - a) * hard + a * even, (1 - a) * rest + a * others


@dataclass(frozen=True)
class Unignored(Softmax):
    """Ignored rows are in the gradient."""

    def value_and_gradient(self, z, y):
        return Softmax(weight=self.weight, label_smoothing=self.label_smoothing).value_and_gradient(z, y)


@pytest.mark.parametrize("wrong", [ByRows, ByKept, Unsmoothed, EvenlySmoothed, Unignored])
def test_a_mistake_in_an_option_is_seen(wrong, rng):
    p, theta = drawn("index", rng)
    right = p.loss
    loss = wrong(weight=right.weight, ignore_index=right.ignore_index, label_smoothing=right.label_smoothing)
    mistaken = replace(p, loss=loss)
    assert judge_gradient(p, theta, mistaken.gradient(theta)).ratio > 100
    assert judge_gradient(mistaken, theta, mistaken.gradient(theta)).ratio > 100  # its own bounds see it too
    if wrong in (ByRows, ByKept):
        assert judge_hessian(mistaken, theta, mistaken.hessian(theta)).ratio > 100


@dataclass(frozen=True)
class Unweighed(Sigmoid):
    """Leaves the elements' weights out."""

    def value_and_gradient(self, z, y):
        return super().value_and_gradient(z, y[:, :, 0].contiguous())

    def diagonal(self, z, y):
        return super().diagonal(z, y[:, :, 0].contiguous())


@dataclass(frozen=True)
class ByWeight(Sigmoid):
    """Divides by the weight of the rows, where torch's mean counts them."""

    def mass(self, y):
        return float(y[:, 0, 1].sum())


@pytest.mark.parametrize(
    ("wrong", "named"),
    [(Unweighed, "the elements' own weights are left out"), (ByWeight, "divides by Σw in place of N")],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_mistake_in_the_elements_weights_is_seen_and_named(wrong, named, dtype, rng):
    p, theta = drawn("weighed rows", rng)
    p, theta = cast(p, dtype), theta.to(dtype)
    mistaken = replace(p, loss=wrong(average=True))
    for judge, what in ((judge_gradient, "gradient"), (judge_hessian, "hessian")):
        verdict = judge(p, theta, getattr(mistaken, what)(theta))
        assert verdict.ratio > 100
        assert named in str(diagnosed(verdict))
    assert judge_gradient(mistaken, theta, mistaken.gradient(theta)).ratio > 100


def test_a_row_of_weight_0_is_as_if_it_were_not_there(rng):
    p, theta = drawn("weighed rows", rng)
    rest = torch.arange(p.N) != 2
    without = replace(p, X=p.X[rest], y=p.y[rest])
    assert torch.allclose(p.N * p.hessian(theta), without.N * without.hessian(theta) + 0.3 * torch.eye(20))
    assert torch.equal(p.correct(theta), without.correct(theta))


def test_weights_that_are_none_are_refused():
    for weight in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="a finite number of at least 0"):
            Sigmoid.weighed(torch.ones(2, 1), torch.tensor([[1.0], [weight]]))


def test_each_mini_batch_has_the_divisor_of_its_own_rows(rng):
    p, theta = drawn("index", rng)
    weights = torch.tensor([0.5, 0.0, 1.25, 2.0])  # of 4 classes, one of them ignored
    seen = set()
    for t in range(4):
        batch = Batches(p, 4, seed=0)(t)
        assert batch.divisor == pytest.approx(float(weights[batch.y].sum()))
        assert torch.allclose(batch.gradient(theta), oracle.gradient(batch.reference, theta), rtol=1e-12)
        seen.add(batch.divisor)
    assert len(seen) > 1


def test_a_batch_of_ignored_rows_leaves_the_ridge_alone(rng):
    p, theta = drawn("index", rng)
    nothing = replace(p, y=torch.ones_like(p.y))
    value, gradient = nothing.value_and_gradient(theta)
    assert float(value) == pytest.approx(0.15 * float(theta.square().sum()))
    assert torch.allclose(gradient, 0.3 * theta)
    assert judge_gradient(nothing, theta, gradient).passed
    assert judge_hessian(nothing, theta, nothing.hessian(theta)).passed


def test_another_device_gives_what_the_cpu_gives(problem_and_theta, elsewhere):
    p, theta = problem_and_theta
    there, at = elsewhere(p), elsewhere(theta)
    assert there.divisor == p.divisor
    for name in ("value", "gradient", "hessian", "correct"):
        ours, here = getattr(there, name)(at).cpu(), getattr(p, name)(theta)
        assert torch.allclose(ours, here, rtol=1e-12, atol=1e-15)


def test_class_indices_do_not_tell_how_many_classes_there_are(rng):
    p, _ = drawn("index", rng)
    with pytest.raises(ValueError, match=r"give Problem\(…, outputs=K\)"):
        replace(p, outputs=None)


@pytest.mark.parametrize("share", [0.3, 1e-3, 1e-9, 1e-300, 0.0])
def test_ones_of_little_weight_are_judged_by_all_their_digits(share, rng):
    loss = Sigmoid(pos_weight=(share, 2.0))
    z = 3 * torch.randn(6, 2, generator=rng, dtype=torch.float64)
    y = torch.tensor([[1.0, 1.0]] * 3 + [[0.0, 0.0], [0.25, 0.5], [1.0, 0.0]], dtype=torch.float64)
    ones = y[:3], z[:3]
    truth = share * torch.log1p(torch.exp(-ones[1][:, 0])) + 2 * torch.log1p(torch.exp(-ones[1][:, 1]))
    assert torch.allclose(loss.reference(ones[1], ones[0]), truth, rtol=1e-15, atol=0)
    assert torch.allclose(loss.reference(z, y), loss.value(z, y), rtol=1e-14, atol=0)
    one = Problem(Sigmoid(pos_weight=(share,)), Linear(), torch.ones(1, 1).double(), torch.ones(1, 1).double())
    theta = torch.full((1, 1), 0.3, dtype=torch.float64)
    assert judge_gradient(one, theta, one.gradient(theta)).ratio <= 1
    assert judge_hessian(one, theta, one.hessian(theta)).ratio <= 1

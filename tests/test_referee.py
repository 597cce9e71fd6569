"""The referee passes what is right at every scale, and sees each planted mistake."""

from dataclasses import replace

import pytest
import torch
from conftest import make_problem

from lab import oracle, rounding
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem
from lab.referee import compare, judge_gradient, judge_hessian, judge_hvp


def stale(theta):
    """θ with one entry moved; moving all of a row would be a common shift, to which softmax is blind."""
    moved = theta.clone()
    moved[1, 0] += 1e-8
    return moved


def cast(p: Problem, dtype: torch.dtype) -> Problem:
    return replace(p, X=p.X.to(dtype), y=p.y.to(dtype), held=p.held.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("scale", [0.0, 1e-8, 1.0, 30.0])
def test_right_derivatives_pass_at_every_scale_and_precision(problem_and_theta, scale, dtype, rng):
    p, theta = problem_and_theta
    p, theta = cast(p, dtype), (scale * theta).to(dtype)
    V = torch.randn(theta.shape, generator=rng, dtype=torch.float64).to(dtype)
    verdicts = [
        judge_gradient(p, theta, p.gradient(theta)),
        judge_hvp(p, theta, V, p.hvp(theta, V)),
        judge_hessian(p, theta, p.hessian(theta)),
    ]
    assert [str(v) for v in verdicts if not v.passed] == []


def test_bounds_hold_against_a_reference_in_higher_precision(problem_and_theta):
    p, theta = problem_and_theta
    single, point = cast(p, torch.float32), theta.float()
    truth = cast(single, torch.float64)
    errors = {
        "gradient": (
            (single.gradient(point) - truth.gradient(point.double())).abs(),
            rounding.gradient_bound(single, point),
        ),
        "hessian": (
            (single.hessian(point) - truth.hessian(point.double())).abs(),
            rounding.hessian_bound(single, point),
        ),
    }
    for what, (error, bound) in errors.items():
        assert (error <= bound).all(), what
        assert (error.max() / bound.max()) > 1e-4, f"the bound on the {what} is too wide to see anything"


GRADIENT_MISTAKES = {
    "sign": lambda p, theta: -p.gradient(theta),
    "missing 1/N": lambda p, theta: p.gradient(theta) * p.N,
    "1/(N-1)": lambda p, theta: p.gradient(theta) * p.N / (p.N - 1),
    "stale theta": lambda p, theta: p.gradient(stale(theta)),
    "ridge on the intercept": lambda p, theta: replace(p, held=None).gradient(theta),
    "ridge with factor 2": lambda p, theta: replace(p, ridge=2 * p.ridge).gradient(theta),
    "a part in a billion": lambda p, theta: p.gradient(theta) * (1 + 1e-9),
    "transposed": lambda p, theta: p.gradient(theta).T,
}


@pytest.mark.parametrize("mistake", GRADIENT_MISTAKES)
def test_a_wrong_gradient_is_seen(mistake, problem_and_theta):
    p, theta = problem_and_theta
    verdict = judge_gradient(p, theta, GRADIENT_MISTAKES[mistake](p, theta))
    assert not verdict.passed
    assert verdict.ratio > 100


def dropped_outer_product(p: Problem, theta):
    class Diagonal(Softmax):
        def hessian(self, z, y):
            return torch.diag_embed(torch.softmax(z, 1))

        def hvp(self, z, y, u):
            return torch.softmax(z, 1) * u

    return replace(p, loss=Diagonal())


HESSIAN_MISTAKES = {
    "sign": lambda p, theta: -p.hessian(theta),
    "missing 1/N": lambda p, theta: p.hessian(theta) * p.N,
    "dropped ppT": lambda p, theta: dropped_outer_product(p, theta).hessian(theta),
    "stale theta": lambda p, theta: p.hessian(stale(theta)),
    "ravelled k*D + d": lambda p, theta: p.hessian(theta).view(5, 4, 5, 4).permute(1, 0, 3, 2).reshape(20, 20),
    "no ridge": lambda p, theta: replace(p, ridge=0.0).hessian(theta),
}


@pytest.mark.parametrize("mistake", HESSIAN_MISTAKES)
def test_a_wrong_hessian_is_seen(mistake, rng):
    p, theta = make_problem(rng)
    verdict = judge_hessian(p, theta, HESSIAN_MISTAKES[mistake](p, theta))
    assert verdict.ratio > 100


PRODUCT_MISTAKES = {
    "sign": lambda p, theta, V: -p.hvp(theta, V),
    "missing 1/N": lambda p, theta, V: p.hvp(theta, V) * p.N,
    "dropped ppT": lambda p, theta, V: dropped_outer_product(p, theta).hvp(theta, V),
    "stale theta": lambda p, theta, V: p.hvp(stale(theta), V),
    "transposed": lambda p, theta, V: p.hvp(theta, V).T,
}


@pytest.mark.parametrize("mistake", PRODUCT_MISTAKES)
def test_a_wrong_product_is_seen(mistake, rng):
    p, theta = make_problem(rng)
    V = torch.randn(theta.shape, generator=rng, dtype=theta.dtype)
    assert judge_hvp(p, theta, V, PRODUCT_MISTAKES[mistake](p, theta, V)).ratio > 100


def test_a_sign_flip_that_gradcheck_passes_is_seen():
    # torch.autograd.gradcheck with its defaults passes −∇ here: the gradient is 3e-7, below its atol.
    p = Problem(Sigmoid(), Linear(), torch.ones(3, 1, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64))
    theta = torch.tensor([[15.0]], dtype=torch.float64)
    assert float(p.gradient(theta)) == pytest.approx(-3.06e-7, rel=1e-2)
    assert judge_gradient(p, theta, p.gradient(theta)).passed
    assert not judge_gradient(p, theta, -p.gradient(theta)).passed


def test_a_failed_verdict_names_tensor_index_ours_truth_and_ratio(rng):
    p, theta = make_problem(rng)
    wrong = p.gradient(theta).clone()
    wrong[3, 1] = -2 * wrong[3, 1]
    words = str(judge_gradient(p, theta, wrong))
    truth = oracle.gradient(p.reference, theta)[3, 1]
    assert words.startswith("gradient disagrees with autograd at theta[3, 1]: ours ")
    assert f"truth {float(truth):.6g}" in words
    assert "times what rounding allows" in words
    assert words.endswith("ours / truth = -2")


def test_numbers_that_are_not_finite_fail_and_are_named(rng):
    p, theta = make_problem(rng)
    wrong = p.gradient(theta).clone()
    wrong[0, 2] = float("nan")
    verdict = judge_gradient(p, theta, wrong)
    assert not verdict.passed
    assert str(verdict).startswith("gradient is not finite at theta[0, 2]")


def test_equal_entries_pass_where_no_rounding_is_possible():
    zero = torch.zeros(2, 2)
    assert compare("gradient", "theta", zero, zero, zero).ratio == 0
    assert not compare("gradient", "theta", zero + 1e-30, zero, zero).passed


def test_a_result_of_the_wrong_shape_is_said_to_be_one(rng):
    p, theta = make_problem(rng)
    assert "of shape (5, 1) for (5, 4)" in str(judge_gradient(p, theta, p.gradient(theta).sum(dim=1, keepdim=True)))


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(torch.float32, 1e-18), (torch.float32, 1e-21), (torch.float64, 1e-150), (torch.float64, 1e-159)],
)
def test_numbers_below_the_smallest_normal_one_are_judged_by_what_they_can_hold(dtype, size, rng):
    X = size * torch.randn(12, 3, generator=rng, dtype=torch.float64)
    y = (torch.rand(12, 1, generator=rng) > 0.5).to(dtype)
    problem = Problem(Sigmoid(), Linear(), X.to(dtype), y)
    theta, V = torch.zeros(3, 1, dtype=dtype), torch.ones(3, 1, dtype=dtype)
    H = problem.hessian(theta)
    for verdict in (judge_hessian(problem, theta, H), judge_hvp(problem, theta, V, problem.hvp(theta, V))):
        assert verdict.ratio <= 1, str(verdict)
    assert judge_hessian(problem, theta, 16 * H).ratio > 1

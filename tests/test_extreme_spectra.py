"""Intervals hold where numbers are about to end: saturated, tiny and huge Hessians, against mpmath."""

import math

import mpmath
import pytest
import torch

from lab.curvature import krylov, tracking
from lab.curvature.operator import Curvature
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem


def problem_of(loss, N, D, K, dtype, rng, ridge=0.0):
    X = torch.randn(N, D, generator=rng, dtype=torch.float64).to(dtype)
    if loss == "softmax":
        return Problem(Softmax(), Linear(), X, torch.arange(N) % K, ridge, outputs=K)
    return Problem(Sigmoid(), Linear(), X, torch.randint(2, (N, K), generator=rng).to(dtype), ridge)


def one_row_truth(problem, theta):
    """λ₁ of the one row's sigmoid Hessian, however small: max_k σ(z)σ(−z) ‖x‖²."""
    with mpmath.workdps(50):
        x = [mpmath.mpf(v) for v in problem.X[0].tolist()]
        z = [mpmath.fdot(x, c) for c in theta.T.tolist()]
        h = [1 / ((1 + mpmath.exp(v)) * (1 + mpmath.exp(-v))) for v in z]
        return sorted((v * mpmath.fdot(x, x) / problem.divisor for v in h), reverse=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reach", [50.0, 300.0, 1e4, 1e7])
def test_a_hessian_that_is_zero_in_floating_point_is_not_said_to_be_zero(reach, dtype, rng):
    problem = problem_of("sigmoid", 1, 4, 3, dtype, rng)
    theta = reach * torch.randn(4, 3, generator=rng, dtype=torch.float64).to(dtype)
    found = tracking.track(Curvature(problem, theta), 3, 1e-6)
    for j, truth in enumerate(one_row_truth(problem, theta)):
        slack = truth * 1e-14
        assert float(found.enclosure.lower[j]) <= truth + slack
        assert float(found.enclosure.upper[j]) >= truth - slack


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
@pytest.mark.parametrize("decades", [-16, -12, 12, 15])
def test_units_change_no_digit_of_what_is_proved(loss, decades, dtype, rng):
    """With X·2^a, θ·2^−a and ρ·4^a H is 4^a times as large to the bit, and so must be its intervals nearly."""
    problem = problem_of(loss, 40, 12, 3, dtype, rng, ridge=1e-3)
    a = round(decades / math.log10(2))
    there = Problem(problem.loss, Linear(), problem.X * 2.0**a, problem.y, problem.ridge * 4.0**a, outputs=3)
    before = after = None
    for size in (0.0, 0.5, 0.5001):
        theta = size * torch.ones(12, 3, dtype=dtype).tril()
        before = tracking.track(Curvature(problem, theta), 4, 1e-2, before)
        after = tracking.track(Curvature(there, theta * 2.0**-a), 4, 1e-2, after)
        assert after.settled == before.settled
        lower, upper = after.enclosure.lower / 4.0**a, after.enclosure.upper / 4.0**a
        assert bool((lower <= before.enclosure.upper).all())
        assert bool((before.enclosure.lower <= upper).all())
        assert after.enclosure.width <= max(1e-2, 2 * before.enclosure.width)


def test_a_block_that_spans_the_whole_space_leaves_nothing_to_chance():
    problem = Problem(
        Sigmoid(), Linear(), torch.full((3, 2), 1e7, dtype=torch.float64), torch.ones(3, 1).double(), 10.0
    )
    found = tracking.track(Curvature(problem, torch.ones(2, 1, dtype=torch.float64)), 3, 1e-2)
    assert bool(torch.isfinite(found.enclosure.upper).all())
    assert float(found.enclosure.upper[0]) >= 10.0


def test_a_space_without_directions_has_no_largest():
    empty = torch.zeros(4, 2, dtype=torch.float64)
    assert krylov.largest_within(lambda V: V, empty, 3) == 0.0


def test_a_polynomial_that_grows_beyond_single_precision_is_no_trouble(rng):
    """A ridge of 1e-12 with a free intercept: λ₁/λ_m is 1e12 and more, and its powers are no float32."""
    held = torch.ones(20, 1, dtype=torch.float64)
    held[-1] = 0
    for seed in range(12):
        g = torch.Generator().manual_seed(seed)
        X = torch.randn(20, 20, generator=g, dtype=torch.float64)
        X[:, 10], X[:, -1] = X[:, 0], 1
        theta = 1e3 / float(X.norm(dim=1).max()) * torch.randn(20, 10, generator=g, dtype=torch.float64)
        problem = Problem(Softmax(), Linear(), X, torch.arange(20) % 10, 1e-12, held, outputs=10)
        curvature = Curvature(problem, theta)
        found = tracking.track(curvature, 6, 1e-8)
        values = torch.linalg.eigvalsh(curvature.dense).flip(0)[:6]
        slack = 400 * torch.finfo(values.dtype).eps * curvature.trace
        assert bool((found.enclosure.lower <= values + slack).all())
        assert bool((found.enclosure.upper >= values - slack).all())

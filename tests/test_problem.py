"""The chain rule, the mean and the ridge are right, in blocks of rows as in one."""

import pytest
import torch
from conftest import make_problem

from lab import oracle, problem
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem


def test_value_is_that_of_the_reference(problem_and_theta):
    p, theta = problem_and_theta
    assert float(p.value(theta)) == pytest.approx(float(p.reference(theta)), rel=1e-13)


def test_gradient_and_hessian_are_those_of_the_reference(problem_and_theta):
    p, theta = problem_and_theta
    assert torch.allclose(p.gradient(theta), oracle.gradient(p.reference, theta), rtol=1e-11, atol=1e-14)
    assert torch.allclose(p.hessian(theta), oracle.hessian(p.reference, theta), rtol=1e-10, atol=1e-14)


def test_product_is_the_hessian_times_the_direction(problem_and_theta, rng):
    p, theta = problem_and_theta
    V = torch.randn(theta.shape, generator=rng, dtype=theta.dtype)
    assert torch.allclose(p.hvp(theta, V).reshape(-1), p.hessian(theta) @ V.reshape(-1), rtol=1e-11, atol=1e-14)


def test_hessian_index_is_d_times_k_plus_k(rng):
    p, theta = make_problem(rng)
    D, K = p.shape
    unit = torch.zeros(D, K, dtype=theta.dtype)
    unit[2, 3] = 1
    assert torch.allclose(p.hessian(theta)[:, 2 * K + 3].view(D, K), p.hvp(theta, unit), rtol=1e-12, atol=1e-15)


def test_blocks_of_rows_change_nothing_but_rounding(rng, monkeypatch):
    p, theta = make_problem(rng, N=300)
    whole = [p.value(theta), p.gradient(theta), p.hessian(theta), *p.value_and_gradient(theta)]
    monkeypatch.setattr(problem, "BLOCK_BYTES", 1)
    assert len(list(p.blocks())) == 5
    blocked = [p.value(theta), p.gradient(theta), p.hessian(theta), *p.value_and_gradient(theta)]
    for one, other in zip(whole, blocked, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-15)


def test_ridge_leaves_the_intercept_alone(rng):
    p, theta = make_problem(rng)
    free, _ = make_problem(torch.Generator().manual_seed(20), ridge=0.0)
    difference = p.gradient(theta) - free.gradient(theta)
    assert torch.allclose(difference[:-1], 0.3 * theta[:-1])
    assert not difference[-1].any()


def test_flat_directions_count_the_zero_eigenvalues(rng):
    X = torch.randn(30, 4, generator=rng, dtype=torch.float64)
    X = torch.cat([X, X[:, :1] + X[:, 1:2], torch.zeros(30, 1, dtype=X.dtype), torch.ones(30, 1, dtype=X.dtype)], dim=1)
    y = Softmax().encode(torch.arange(30) % 3, 3, X.dtype)
    held = torch.ones(7, 1, dtype=X.dtype)
    held[-1] = 0
    theta = torch.randn(7, 3, generator=rng, dtype=X.dtype)
    for ridge, expected in (
        (0.0, [(5, "softmax ignores a common shift"), (6, "2 columns of X depend on the others")]),
        (0.1, [(1, "softmax ignores a common shift")]),
    ):
        p = Problem(Softmax(), Linear(), X, y, ridge, held, outputs=3)
        assert p.flat_directions == expected
        zeros = (torch.linalg.eigvalsh(p.hessian(theta)).abs() < 1e-12).sum()
        assert zeros == sum(count for count, _ in expected)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_off_the_flat_directions_a_hessian_is_as_it_was_and_rounding_has_no_part_in_them(ridge, rng):
    X = torch.randn(30, 3, generator=rng, dtype=torch.float64)
    X = torch.cat([X, X[:, :1] + X[:, 1:2], X[:, :1], torch.ones(30, 1, dtype=X.dtype)], dim=1)
    held = torch.tensor([1, 1, 1, 0, 0, 0], dtype=X.dtype)[:, None]
    p = Problem(Softmax(), Linear(), X, torch.arange(30) % 3, ridge, held, outputs=3)
    theta, P = torch.randn(6, 3, generator=rng, dtype=X.dtype), 18
    assert p.sloped == P - sum(count for count, _ in p.flat_directions)
    H = p.hessian(theta)
    assert torch.allclose(p.without_flat(H), H, rtol=0, atol=1e-14)
    noise = torch.randn(P, P, generator=rng, dtype=X.dtype)
    found = torch.linalg.eigvalsh(p.without_flat(noise)).abs()
    assert int((found > 1e-12).sum()) == p.sloped


def test_hessian_at_zero_has_multiplicity_k_minus_one(rng):
    p, theta = make_problem(rng, N=40, D=3, K=4, ridge=0.0)
    at_zero = torch.linalg.eigvalsh(p.hessian(torch.zeros_like(theta))).flip(0)[:9].view(3, 3)
    expected = torch.linalg.eigvalsh(p.X.T @ p.X / (40 * 4)).flip(0)
    assert torch.allclose(at_zero, expected[:, None].expand(3, 3), rtol=1e-12)


def test_single_precision_stays_single_precision(rng):
    p, theta = make_problem(rng)
    single = Problem(p.loss, p.model, p.X.float(), p.y.float(), p.ridge, p.held.float())
    for result in (single.value(theta.float()), single.gradient(theta.float()), single.hessian(theta.float())):
        assert result.dtype == torch.float32


def test_another_device_gives_what_the_cpu_gives(problem_and_theta, elsewhere):
    p, theta = problem_and_theta
    there, at = elsewhere(p), elsewhere(theta)
    assert torch.allclose(there.gradient(at).cpu(), p.gradient(theta), rtol=1e-12, atol=1e-15)
    assert torch.allclose(there.hessian(at).cpu(), p.hessian(theta), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("unit", [1.0, 1e3, 1e9])
def test_the_rank_of_columns_does_not_depend_on_their_units_nor_on_how_many_rows_there_are(unit, dtype, rng):
    X = torch.randn(20_000, 4, generator=rng, dtype=torch.float64)
    X[:, 3] = 1
    y = torch.zeros(len(X), 1, dtype=dtype)
    units = torch.tensor([unit, 1, 1 / unit, 1], dtype=torch.float64)
    free = Problem(Sigmoid(), Linear(), (X * units).to(dtype), y)
    assert (free.sloped, free.flat_directions) == (4, [])
    X[:, 2] = X[:, 0] - 3 * X[:, 1]
    bound = Problem(Sigmoid(), Linear(), (X * units).to(dtype), y)
    assert (bound.sloped, bound.flat_directions) == (3, [(1, "1 column of X depends on the others")])
    v = bound.model.unseen(bound.X)[:, 0]
    there = torch.tensor([1, -3, -1, 0], dtype=torch.float64) / units
    assert float((v @ there).abs() / there.norm()) == pytest.approx(1, abs=1e-5)


def test_without_a_ridge_the_reference_has_no_part_of_it_where_theta_s_square_overflows(rng):
    X, theta = torch.randn(5, 2, generator=rng), torch.tensor([[1e30], [-1e30]])
    assert torch.isfinite(Problem(Sigmoid(), Linear(), 1e-30 * X, torch.ones(5, 1)).reference(theta))

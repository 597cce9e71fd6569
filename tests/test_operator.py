"""The Hessian as an operator is the Hessian as a matrix, in each of its forms."""

import math
from dataclasses import replace

import mpmath
import pytest
import torch
from conftest import make_problem

from lab import catalog
from lab import problem as problems
from lab.curvature import forms
from lab.curvature.coarse import coarse
from lab.curvature.operator import Curvature
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem

LOSSES = {name: member() for name, member in catalog.members("losses").items()}


@pytest.fixture
def curvature(problem_and_theta):
    return Curvature(*problem_and_theta)


def test_product_with_a_block_is_the_matrix_times_it(curvature, rng):
    V = torch.randn(curvature.P, 6, generator=rng, dtype=torch.float64)
    assert torch.allclose(curvature(V), curvature.dense @ V, rtol=1e-11, atol=1e-14)


def test_products_round_by_no_more_than_stated(curvature, rng):
    V = torch.linalg.qr(torch.randn(curvature.P, 5, generator=rng, dtype=torch.float64)).Q
    error = (curvature(V) - curvature.dense @ V).norm(dim=0).max()
    assert 0 < float(error) <= curvature.rounding + curvature.dense_rounding
    assert curvature.rounding < 1e-11 * curvature.trace


@pytest.mark.parametrize("kept", [True, False])
def test_the_coarse_matrix_is_off_by_no_more_than_stated(curvature, kept):
    made = coarse(curvature, kept)
    L = made.coordinates.lifted(torch.eye(len(made.matrix), dtype=torch.float64))
    off = float(torch.linalg.matrix_norm(made.matrix.double() * made.scale - L.T @ curvature.dense @ L, 2))
    assert 1e-9 < off <= made.error < 1e-4 * curvature.trace


@pytest.mark.parametrize("K", [2, 3, 16])
@pytest.mark.parametrize("blocks", [False, True])
def test_the_coarse_matrix_and_the_trace_are_the_same_by_pairs_and_by_rows(K, blocks, rng, monkeypatch):
    if blocks:
        monkeypatch.setattr(problems, "BLOCK_BYTES", 0)
    problem, theta = make_problem(rng, N=600, D=7, K=K)
    curvature, written = Curvature(problem, theta), Curvature(replace(problem, loss=Written()), theta)
    assert (len(curvature.rows) > 1) == blocks
    assert (curvature.pairwise is None) == (K == 16)  # of so many pairs none are kept
    assert written.pairwise is None
    assert curvature.trace == pytest.approx(written.trace, rel=1e-13)
    for kept in (True, False):
        for these in (curvature, written):
            made = coarse(these, kept)
            L = made.coordinates.lifted(torch.eye(len(made.matrix), dtype=torch.float64))
            off = float(torch.linalg.matrix_norm(made.matrix.double() * made.scale - L.T @ curvature.dense @ L, 2))
            assert off <= made.error < 1e-4 * curvature.trace


@pytest.mark.parametrize("kept", [True, False])
def test_the_coarse_matrix_of_single_precision_is_the_same_when_made_again(kept, rng):
    problem, theta = make_problem(rng, N=60, D=7)
    single = Problem(problem.loss, problem.model, problem.X.float(), problem.y.float())
    curvature = Curvature(single, theta.float())
    assert torch.equal(coarse(curvature, kept).matrix, coarse(curvature, kept).matrix)


class Written(Softmax):
    """Softmax, whose Hessian was written as a matrix."""

    def hessian(self, z, y):
        return super().hessian(z, y)


def test_what_the_coarse_matrix_does_not_see_is_the_ridge_alone(problem_and_theta, rng):
    p, theta = problem_and_theta
    X = p.X.clone()
    X[:, 1] = 0.0
    for ridge, held in ((0.0, None), (0.3, None), (0.3, p.held)):
        curvature = Curvature(Problem(p.loss, p.model, X, p.y, ridge, held, theta.shape[1]), theta)
        made = coarse(curvature)
        lost = X.shape[1] - 1, theta.shape[1] - p.loss.flat(theta.shape[1])[0]
        assert len(made.matrix) == lost[0] * lost[1]
        L = made.coordinates.lifted(torch.eye(len(made.matrix), dtype=torch.float64))
        assert torch.allclose(L.T @ L, torch.eye(L.shape[1], dtype=L.dtype), atol=1e-12)
        V = torch.randn(theta.numel(), 3, generator=rng, dtype=theta.dtype)
        assert torch.allclose(L @ made.coordinates.lowered(V), L @ (L.T @ V), atol=1e-12)
        U = torch.linalg.qr(L, mode="complete").Q[:, L.shape[1] :]
        assert float((L.T @ curvature.dense @ U).norm()) < 1e-12
        largest = float(torch.linalg.eigvalsh(U.T @ curvature.dense @ U)[-1])
        assert largest <= made.outside + 1e-12 <= ridge + 2e-12


def test_single_precision_products_round_by_no_more_than_stated(problem_and_theta, rng):
    p, theta = problem_and_theta
    single = Problem(p.loss, p.model, p.X.float(), p.y.float(), p.ridge, p.held.float())
    ours = Curvature(single, theta.float())
    true = Curvature(Problem(p.loss, p.model, single.X.double(), p.y, p.ridge, p.held), theta.float().double())
    v = torch.randn(ours.P, 1, generator=rng)
    error = (ours(v).double() - true(v.double())).norm() / v.norm()
    assert 0 < float(error) <= ours.rounding


def test_blocks_of_rows_change_nothing_but_rounding(rng, monkeypatch):
    p, theta = make_problem(rng, N=300)
    V = torch.randn(theta.numel(), 3, generator=rng, dtype=theta.dtype)
    whole = Curvature(p, theta)(V)
    monkeypatch.setattr(problems, "BLOCK_BYTES", 1)
    assert torch.allclose(Curvature(p, theta)(V), whole, rtol=1e-12, atol=1e-15)


def test_diagonal_trace_and_norm_are_the_matrix_s(curvature):
    H = curvature.dense
    assert torch.allclose(curvature.diagonal, H.diagonal(), rtol=1e-12)
    assert curvature.trace == pytest.approx(float(H.trace()), rel=1e-12)
    assert forms.frobenius(curvature) == pytest.approx(float(H.norm()), rel=1e-12)


def test_both_ways_to_the_norm_agree(problem_and_theta):
    p, theta = problem_and_theta
    bare = Curvature(Problem(p.loss, p.model, p.X, p.y), theta)
    assert forms._square_by_classes(bare) == pytest.approx(forms._square_by_rows(bare), rel=1e-12)


def test_the_factor_squares_to_the_hessian_and_its_dual_has_the_same_eigenvalues(problem_and_theta):
    p, theta = problem_and_theta
    bare = Curvature(Problem(p.loss, p.model, p.X[:6], p.y[:6]), theta)
    A = forms.factor(bare)
    assert torch.allclose(A.T @ A, bare.dense, rtol=1e-11, atol=1e-15)
    assert torch.allclose(forms.dual(bare), A @ A.T, rtol=1e-11, atol=1e-15)


def test_the_dual_of_few_rows_is_smaller(rng):
    p, theta = make_problem(rng, N=5, D=40, K=3, ridge=0.0)
    bare = Curvature(p, theta)
    assert forms.dual(bare).shape == (10, 10)  # N(K − 1)
    top = torch.linalg.eigvalsh(bare.dense)[-10:]
    assert torch.allclose(torch.linalg.eigvalsh(forms.dual(bare)), top, rtol=1e-10, atol=1e-14)


def test_blocks_by_class_are_the_matrix_s(curvature):
    D, K = curvature.theta.shape
    H = curvature.dense.view(D, K, D, K)
    for k in range(K):
        for l in range(K):
            assert torch.allclose(forms.block(curvature, k, l), H[:, k, :, l], rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_factor_and_a_map_of_its_hessian(name, rng):
    loss = LOSSES[name]
    for z, y in loss.examples(rng):
        h, F = loss.hessian(z, y), loss.factor(z, y)
        assert torch.allclose(F @ F.transpose(1, 2), h, rtol=1e-12, atol=1e-16)
        U = torch.randn(*z.shape, 3, generator=rng, dtype=z.dtype)
        assert torch.allclose(loss.hessian_map(z, y)(U.clone()), h @ U, rtol=1e-10, atol=1e-14)
        general = super(type(loss), loss)
        assert torch.allclose(general.hessian_map(z, y)(U.clone()), h @ U, rtol=1e-10, atol=1e-14)
        F = general.factor(z, y)
        assert torch.allclose(F @ F.transpose(1, 2), h, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_drift_bounds_how_far_the_hessian_moves_however_far_the_logits_do(name, rng):
    loss = LOSSES[name]
    for z, y in loss.examples(rng):
        for far in (1e-3, 1.0, 6.0):
            v = far * torch.randn(z.shape, generator=rng, dtype=z.dtype)
            u = torch.randn(z.shape, generator=rng, dtype=z.dtype)
            before, after = ((u * loss.hvp(at, y, u)).sum(dim=1) for at in (z, z + v))
            seen = (before > 1e-6) & (after > 1e-6)  # cancellation leaves ten digits of these
            moved = (after[seen] / before[seen]).log().abs()
            assert (moved <= loss.drift(v)[seen] + 1e-9).all()
            assert (loss.drift(v) <= super(type(loss), loss).drift(v) * (1 + 1e-12)).all()
            assert (loss.drift(v) <= loss.drift_norm * v.norm(dim=1) * (1 + 1e-12)).all()


def test_softmax_s_factor_is_exact_where_a_class_has_next_to_no_mass():
    z = torch.tensor([[60.0, 0.0, -30.0, 50.0]], dtype=torch.float64)
    F = Softmax().factor(z, torch.tensor([0]))[0]
    with mpmath.workdps(60):
        e = [mpmath.exp(float(v)) for v in z[0]]
        p = [x / mpmath.fsum(e) for x in e]
        tails = [mpmath.fsum(p[k:]) for k in range(5)]
        for k in range(3):
            for l in range(k, 4):
                true = mpmath.sqrt(p[k] * tails[k + 1] / tails[k])
                if l > k:
                    true = -p[l] * mpmath.sqrt(p[k] / (tails[k] * tails[k + 1]))
                assert abs(float(F[l, k]) - true) <= 1e-13 * abs(true)


def test_softmax_s_factor_is_finite_when_probabilities_underflow():
    z = torch.tensor([[0.0, -800.0, -900.0], [-900.0, 0.0, -900.0], [-900.0, -900.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([0, 1, 2])
    F = Softmax().factor(z, y)
    assert torch.isfinite(F).all()
    assert torch.allclose(F @ F.transpose(1, 2), Softmax().hessian(z, y), atol=1e-300)


def test_the_heaviest_that_a_hessian_can_be_is_where_the_loss_says_its_peak_is():
    class Far(Sigmoid):
        """Steepest at z = 20."""

        def diagonal(self, z, y):
            return super().diagonal(z - 20, y)

        def peak(self, K):
            return 0.25 * math.exp(20.1)

    X = torch.ones(30, 1, dtype=torch.float64)
    problem = Problem(Far(weight=(1e4,)), Linear(), X, torch.ones(30, 1, dtype=torch.float64))
    assert problem.heaviest >= Curvature(problem, 20 * X[:1]).bare_trace


def test_no_eigenvalue_is_below_the_floor(rng):
    p, theta = make_problem(rng, ridge=0.2)
    assert Curvature(p, theta).floor == 0  # the intercept is free, and softmax leaves a direction of it flat
    held = Curvature(Problem(p.loss, p.model, p.X, p.y, 0.2), theta)
    assert held.floor == 0.2
    assert torch.linalg.eigvalsh(held.dense)[0] >= 0.2 - 1e-14


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_as_many_eigenvalues_are_above_the_ridge_as_it_holds_parameters(ridge, rng):
    p, theta = make_problem(rng, D=4, K=3, ridge=ridge)
    held = torch.tensor([[1.0], [0.0], [0.5], [1.0]], dtype=torch.float64)
    curvature = Curvature(Problem(p.loss, p.model, 1e-3 * p.X, p.y, ridge, held), theta)  # the ridge is most of H
    floors = curvature.floors(20)
    assert floors == [ridge] * 6 + [ridge / 2] * 3 + [0.0] * 3
    assert curvature.floors(2) == [ridge] * 2
    true = torch.linalg.eigvalsh(curvature.dense).flip(0)
    assert bool((true >= torch.tensor(floors, dtype=torch.float64) - 1e-15).all())
    single = Problem(p.loss, p.model, p.X.float(), p.y.float(), ridge, held.float())
    assert Curvature(single, theta.float()).floors(20) == floors  # not rounded upward


def test_another_device_gives_what_the_cpu_gives(problem_and_theta, elsewhere, rng):
    p, theta = problem_and_theta
    V = torch.randn(theta.numel(), 3, generator=rng, dtype=theta.dtype)
    here, there = Curvature(p, theta), Curvature(elsewhere(p), elsewhere(theta))
    assert torch.allclose(there(elsewhere(V)).cpu(), here(V), rtol=1e-12, atol=1e-14)
    assert torch.allclose(there.diagonal.cpu(), here.diagonal, rtol=1e-12, atol=1e-14)
    assert torch.allclose(there.dense.cpu(), here.dense, rtol=1e-12, atol=1e-14)
    assert there.trace == pytest.approx(here.trace, rel=1e-12)
    for form in (forms.frobenius, forms.dual, forms.factor):
        ours, known = form(there), form(here)
        assert torch.allclose(torch.as_tensor(ours).cpu(), torch.as_tensor(known), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("columns", [0.0, 1e-6])
def test_a_ridge_that_single_precision_rounds_is_within_the_bound(columns, rng):
    X = columns * torch.randn(9, 3, generator=rng, dtype=torch.float64)
    y, theta = torch.arange(9) % 2, torch.zeros(3, 2, dtype=torch.float64)
    exact = Curvature(Problem(Softmax(), Linear(), X.float().double(), y, ridge=0.1, outputs=2), theta)
    single = Curvature(Problem(Softmax(), Linear(), X.float(), y, ridge=0.1, outputs=2), theta.float())
    off = float(torch.linalg.matrix_norm(single.dense.double() - exact.dense, 2))
    assert 0 < off <= single.dense_rounding
    assert off <= single.rounding

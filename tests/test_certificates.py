"""An interval always holds: on random and on adversarial spectra, from good Ritz vectors and from bad ones."""

import math

import mpmath
import pytest
import torch

from lab.curvature import bounds, certificate, krylov
from lab.curvature.bounds import Band, Ceiling, Enclosure, Majorant
from lab.curvature.ritz import Ritz

F64 = torch.float64
U = torch.finfo(F64).eps


def spectra(rng, count, n):
    """Random and adversarial spectra (count, n), all PSD, largest first, scaled by 1e±7 among them."""
    kinds = [
        lambda: torch.rand(n, generator=rng, dtype=F64),
        lambda: torch.rand(n, generator=rng, dtype=F64).pow(6),
        lambda: torch.tensor([2.0] * 3 + [1.0] * (n - 3), dtype=F64),  # repeated
        lambda: 1 + 1e-12 * torch.randn(n, generator=rng, dtype=F64),  # clustered
        lambda: torch.tensor([1.0, 1 - 1e-9, 1 - 1e-8] + [1 - 1e-4] * (n - 3), dtype=F64),
        lambda: 10.0 ** -torch.linspace(0, 12, n, dtype=F64),  # graded
        lambda: torch.zeros(n, dtype=F64),
        lambda: torch.tensor([1.0] + [0.0] * (n - 1), dtype=F64),  # rank one
        lambda: torch.tensor([1.0] * 2 + [0.0] * (n - 2), dtype=F64),
        lambda: torch.tensor([3.0, 2.9999999, 2.0] + [2 - 1e-10] * (n - 3), dtype=F64),
    ]
    for i in range(count):
        values = kinds[i % len(kinds)]()
        scale = (1.0, 1e-7, 1e7)[(i // len(kinds)) % 3]
        yield (scale * values).sort(descending=True).values


def symmetric(values, rng):
    n = len(values)
    Q = torch.linalg.qr(torch.randn(n, n, generator=rng, dtype=F64)).Q
    A = (Q * values) @ Q.T
    return (A + A.T) / 2, Q


def ritz_of(A, V, images=None):
    """Ritz pairs of A on the span of V, as `search` would hand them over."""
    Q = torch.linalg.qr(V).Q
    values, S = torch.linalg.eigh(Q.T @ A @ Q)
    V = Q @ S.flip(1)
    error = len(A) * U * float(A.norm())
    return Ritz(values.flip(0), V, A @ V if images is None else images, error, V.shape[1])


def truth(A):
    """A's eigenvalues, and how far LAPACK's may be off (the bound of lab.spectrum)."""
    values = torch.linalg.eigvalsh(A).flip(0)
    return values, len(A) * U * float(values.abs().max())


def check(found: Enclosure | Band, values, slack):
    lower, upper = (torch.as_tensor(ends, dtype=F64) for ends in (found.lower, found.upper))
    k = len(lower)
    assert (lower <= values[:k] + slack).all(), (lower - values[:k], slack)
    assert (upper >= values[:k] - slack).all(), (upper - values[:k], slack)
    assert (lower <= upper).all()


@pytest.mark.parametrize("noise", [0.0, 1e-13, 1e-9, 1e-5, 1e-2, 10.0])
def test_lehmann_s_intervals_hold_on_hundreds_of_spectra_from_ritz_vectors_good_and_bad(noise, rng):
    tight = 0
    for values in spectra(rng, 400, 9):
        A, Q = symmetric(values, rng)
        true, slack = truth(A)
        ritz = ritz_of(A, Q[:, :4] + noise * torch.randn(9, 4, generator=rng, dtype=F64))
        found = certificate.enclose(ritz, bounds.exact(true, slack), 3)
        check(found, true, slack)
        tight += float((found.upper - found.lower).max()) <= 1e-8 * float(true.abs().max())
    assert tight >= (380 if noise <= 1e-9 else 0)


def test_intervals_hold_the_eigenvalues_that_mpmath_finds(rng):
    for values in spectra(rng, 60, 6):
        A, Q = symmetric(values, rng)
        with mpmath.workdps(40):
            true = sorted(mpmath.eigsy(mpmath.matrix(A.tolist()), eigvals_only=True), reverse=True)
        computed, slack = truth(A)
        V = Q[:, :3] + 1e-6 * torch.randn(6, 3, generator=rng, dtype=F64)
        found = certificate.enclose(ritz_of(A, V), bounds.exact(computed, slack), 3)
        for lower, upper, value in zip(found.lower.tolist(), found.upper.tolist(), true, strict=False):
            assert lower <= value <= upper


@pytest.mark.slow
def test_ceilings_of_trace_and_norm_hold_on_hundreds_of_spectra(rng):
    for values in spectra(rng, 600, 9):
        A, Q = symmetric(values, rng)
        true, slack = truth(A)
        ritz = ritz_of(A, Q[:, :4] + 0.1 * torch.randn(9, 4, generator=rng, dtype=F64))
        lower = certificate.enclose(ritz, Ceiling(torch.tensor([math.inf], dtype=F64)), 4).lower
        for ceiling in (
            bounds.by_trace(float(A.trace()) + slack, lower, -slack, 9),
            bounds.by_norm(float(A.norm()) + slack, lower),
        ):
            for j in range(1, 10):
                assert ceiling.at(j) >= float(true[j - 1]) - slack
            check(certificate.enclose(ritz, ceiling, 4), true, slack)


def test_cholesky_proves_a_ceiling_where_there_is_one_and_none_where_there_is_not(rng):
    proved = refuted = 0
    for values in spectra(rng, 600, 9):
        A, Q = symmetric(values, rng)
        true, slack = truth(A)
        ritz = ritz_of(A, Q[:, :4] + 1e-3 * torch.randn(9, 4, generator=rng, dtype=F64))
        for q in (2, 4):
            for sigma in (float(true[q]) * 1.01, float(true[q]) * 0.9):
                rest = certificate.by_inertia(A, ritz.vectors[:, :q], ritz.values[:q], sigma, 0.0)
                if rest is not None:
                    assert rest >= float(true[q]) - slack
                    check(certificate.enclose(ritz, bounds.beyond(q, rest), q), true, slack)
                    proved += 1
                else:
                    refuted += 1
    assert proved > 300
    assert refuted > 300


def test_a_chance_fails_no_more_often_than_stated(rng):
    failures, trials = 0, 600
    for i, values in enumerate(spectra(rng, trials, 30)):
        A, Q = symmetric(values.clamp(min=0), rng)
        true, slack = truth(A)
        ritz = ritz_of(A, Q[:, [3, 4]])  # not the first two: what is left has the largest in it
        rest = certificate.by_chance(lambda V, A=A: A @ V, ritz, 2, 0.0, i, 0.2, 0.3, slack)
        failures += rest < float(true[0]) - slack
        assert rest <= max(float(true[0]), 0.0) / 0.7 * (1 + 1e-9) + 100 * slack
    assert failures <= 0.2 * trials


def test_missing_an_eigenvalue_is_seen_by_every_ceiling(rng):
    A, Q = symmetric(torch.tensor([5.0, 3.0, 2.0, 0.1, 0.1, 0.1, 0.1, 0.0], dtype=F64), rng)
    blind = ritz_of(A, Q[:, 1:3])  # perfect residuals, and λ₁ = 5 is not there
    assert blind.residuals.max() < 1e-14
    for ceiling in (
        bounds.by_trace(float(A.trace()) + 1e-13, blind.values, 0.0, 8),
        bounds.by_norm(float(A.norm()) + 1e-13, blind.values),
        bounds.beyond(2, certificate.by_chance(lambda V: A @ V, blind, 2, 0.0, 0, 1e-6, 0.1, 1e-14)),
    ):
        assert certificate.enclose(blind, ceiling, 1).upper[0] >= 5
        assert certificate.enclose(blind, ceiling, 1, ceiling.at(3)).upper[0] >= 5
    assert certificate.by_inertia(A, blind.vectors, blind.values, 0.5, 0.0) is None


def test_a_change_of_the_hessian_moves_no_eigenvalue_out_of_its_interval(rng):
    for values in spectra(rng, 300, 8):
        A, _ = symmetric(values, rng)
        true, slack = truth(A)
        if float(true[-1]) < 0:
            continue
        delta = float(torch.rand((), generator=rng))
        t = (2 * torch.rand(8, generator=rng, dtype=F64) - 1) * delta
        root = torch.linalg.cholesky(A + slack * 4 * torch.eye(8, dtype=F64)) if slack else A
        after = truth((root * t.exp()) @ root.T + 0.3 * torch.eye(8, dtype=F64))[0]
        before = truth(root @ root.T + 0.3 * torch.eye(8, dtype=F64))[0]
        margin = 8 * U * (1 + float(before.abs().max())) * math.exp(delta)
        for ridge in (0.3, 0.0):
            check(Enclosure(before, before).band.moved(delta, ridge), after, margin)
        assert Ceiling(before).moved(delta, 0.3).at(2) >= float(after[1]) - margin


def test_a_moved_end_is_rounded_outward(rng):
    for _ in range(300):
        values = (10 * torch.randn(4, generator=rng, dtype=F64)).tolist()
        delta, ridge = 30 * float(torch.rand((), generator=rng)), float(torch.rand((), generator=rng))
        moved = Band(values, values).moved(delta, ridge)
        with mpmath.workdps(40):
            for value, lower, upper in zip(values, moved.lower, moved.upper, strict=True):
                over = mpmath.mpf(value) - mpmath.mpf(ridge)
                ends = sorted(over * mpmath.exp(side * mpmath.mpf(delta)) + mpmath.mpf(ridge) for side in (-1, 1))
                assert lower <= ends[0]
                assert upper >= ends[1]


@pytest.mark.parametrize("delta", [800.0, math.inf])
def test_a_change_too_large_for_numbers_leaves_an_interval_that_says_nothing(delta):
    values = torch.tensor([2.0, 0.5], dtype=torch.float64)
    moved = Enclosure(values, values).band.moved(delta, 0.5)
    assert Majorant(torch.eye(3, dtype=F64)[:, :2], values, 0.1).moved(delta, 0.0).rest == math.inf
    assert moved.upper[0] == math.inf
    assert moved.lower[0] <= 0.5
    assert moved.lower[1] <= 0.5 <= moved.upper[1] < 1  # what is at the ridge stays there


def test_rounding_of_the_products_is_in_the_interval(rng):
    A, Q = symmetric(torch.linspace(1, 0, 12, dtype=F64), rng)
    true, slack = truth(A)
    for size in (1e-12, 1e-8, 1e-4):
        V = Q[:, :4]
        F = torch.randn(12, 4, generator=rng, dtype=F64)
        noisy = A @ V + size * F / F.norm()
        ritz = Ritz((V * noisy).sum(0), V, noisy, 1.001 * size, 4)
        check(certificate.enclose(ritz, bounds.exact(true, slack), 3), true, slack)
        lied_to = Ritz((V * noisy).sum(0) + size, V, A @ V, 0.0, 4)
        assert certificate.enclose(lied_to, bounds.exact(true, slack), 3).width >= size / 2


def test_a_whole_space_needs_no_ceiling(rng):
    for values in spectra(rng, 60, 5):
        A, Q = symmetric(values, rng)
        true, slack = truth(A)
        found = certificate.enclose(ritz_of(A, Q), Ceiling(torch.tensor([math.inf], dtype=F64)), 5)
        check(found, true, slack)
        assert found.width <= 1e-12


@pytest.mark.slow
def test_intervals_from_a_search_hold_on_hundreds_of_spectra_and_are_narrow(rng):
    narrow = 0
    for i, values in enumerate(spectra(rng, 300, 16)):
        A, _ = symmetric(values, rng)
        true, slack = truth(A)
        size = float(true.abs().max())
        ritz = krylov.search(
            lambda V, A=A: A @ V,
            krylov.random_block(16, 5, i, A),
            lambda r, size=size: float(r.residuals.max()) <= 1e-7 * size,
            12,
            200,
            slack,
            size + slack,
        )
        lower = certificate.enclose(ritz, Ceiling(torch.tensor([math.inf], dtype=F64)), 5).lower
        ceiling = bounds.by_trace(float(A.trace()) + slack, lower, -slack, 16)
        gaps = ritz.values[:-1] - ritz.values[1:]
        q = 1 + int(gaps.argmax())
        sigma = float(ritz.values[q - 1] - gaps[q - 1] / 4)
        rest = certificate.by_inertia(A, ritz.vectors[:, :q], ritz.values[:q], sigma, 0.0)
        found = certificate.enclose(ritz, ceiling if rest is None else ceiling.meet(bounds.beyond(q, rest)), q)
        check(found, true, slack)
        narrow += found.width <= 1e-6
    assert narrow >= 200


@pytest.mark.parametrize("noise", [0.0, 1e-13, 1e-9, 1e-5, 1e-2, 10.0])
def test_intervals_by_deflation_hold_without_a_gap_between_neighbours(noise, rng):
    nothing, narrow = Ceiling(torch.tensor([math.inf], dtype=F64)), 0
    for values in spectra(rng, 400, 9):
        A, Q = symmetric(values, rng)
        true, slack = truth(A)
        ritz = ritz_of(A, Q[:, :4] + noise * torch.randn(9, 4, generator=rng, dtype=F64))
        U = torch.linalg.qr(ritz.vectors, mode="complete").Q[:, 4:]  # what is orthogonal to the block
        rest = float(torch.linalg.eigvalsh(U.T @ A @ U)[-1]) + 4 * slack
        found = certificate.enclose(ritz, nothing, 3, rest)
        check(found, true, slack)
        narrow += found.width <= 1e-8
        too_low = certificate.enclose(ritz, nothing, 3, -float(true.abs().max()) - 1)
        assert float(too_low.upper[0]) >= float(too_low.lower[0])
    assert narrow >= (380 if noise <= 1e-9 else 0)


def test_the_triangle_of_the_residuals_is_needed_for_an_upper_end(rng):
    """Without it, the upper ends would be the Ritz values themselves, which are too low."""
    A, Q = symmetric(torch.linspace(1, 0, 12, dtype=F64), rng)
    ritz = ritz_of(A, Q[:, :4] + 0.05 * torch.randn(12, 4, generator=rng, dtype=F64))
    U = torch.linalg.qr(ritz.vectors, mode="complete").Q[:, 4:]
    rest = float(torch.linalg.eigvalsh(U.T @ A @ U)[-1]) + 1e-14
    found = certificate.enclose(ritz, Ceiling(torch.tensor([math.inf], dtype=F64)), 2, rest)
    assert (found.upper >= truth(A)[0][:2]).all()
    assert (ritz.values[:2] + 1e-6 < truth(A)[0][:2]).all()


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_majorant_bounds_what_any_other_block_leaves_and_moves_with_the_matrix(dtype, rng):
    proved = 0
    for values in spectra(rng, 200, 12):
        A, Q = symmetric(values.clamp(min=0), rng)
        true, slack = truth(A)
        ritz = ritz_of(A, Q[:, :4] + 1e-3 * torch.randn(12, 4, generator=rng, dtype=F64))
        single = A.to(dtype)
        error = float(torch.linalg.matrix_norm(single.double() - A, 2))
        rest = certificate.by_inertia(single, ritz.vectors, ritz.values, float(true[4]) * 1.1, error)
        if rest is None:
            continue
        proved += 1
        majorant = Majorant(ritz.vectors, ritz.values, rest)
        delta = 0.3
        there = majorant.moved(delta, 0.0)
        for V in (ritz.vectors, torch.linalg.qr(ritz.vectors + 0.2 * torch.randn(12, 4, generator=rng, dtype=F64)).Q):
            U = torch.linalg.qr(V, mode="complete").Q[:, 4:]
            left = float(torch.linalg.eigvalsh(U.T @ A @ U)[-1])
            assert majorant.beyond(V, 1e-14) >= left - slack
            assert there.beyond(V, 1e-14) >= math.exp(delta) * left - 2 * slack
    assert proved > 90

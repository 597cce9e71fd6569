"""The block search finds what is there, as often as it is there."""

import pytest
import torch

from lab.curvature import krylov

F64 = torch.float64


def settled(tolerance):
    return lambda ritz: float(ritz.residuals.max()) <= tolerance * float(ritz.values.abs().max())


def diagonal(values):
    d = torch.tensor(values, dtype=F64)[:, None]
    return lambda V: d * V


@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e7])
def test_an_eigenvalue_is_found_as_often_as_it_occurs(scale):
    values = [scale * v for v in [9.0] * 4 + [8.0] + [float(i) / 40 for i in range(195)]]
    product = diagonal(values)
    ritz = krylov.search(product, krylov.random_block(200, 5, 0, torch.zeros(1, dtype=F64)), settled(1e-10), 20, 900)
    assert torch.allclose(ritz.values, torch.tensor(values[:5], dtype=F64), rtol=1e-13)
    assert ritz.products < 400


def test_stored_images_are_off_by_no_more_than_stated():
    product = diagonal([1 + float(i) / 100 for i in range(100)])
    start = krylov.random_block(100, 4, 0, torch.zeros(1, dtype=F64))
    ritz = krylov.search(product, start, settled(1e-12), 12, 2000, rounding=4e-16, norm=2.0)
    assert float((ritz.images - product(ritz.vectors)).norm()) <= ritz.error < 1e-10
    assert float((ritz.vectors.T @ ritz.vectors - torch.eye(4, dtype=F64)).norm()) < 1e-12


def test_a_warm_start_takes_fewer_products():
    values = [1 / (1 + i) for i in range(300)]
    cold = krylov.search(
        diagonal(values), krylov.random_block(300, 6, 0, torch.zeros(1, dtype=F64)), settled(1e-6), 24, 900
    )
    near = diagonal([v * (1 + 1e-3 * (i % 3)) for i, v in enumerate(values)])
    warm = krylov.search(near, cold.vectors, settled(1e-6), 24, 900)
    assert settled(1e-6)(warm)
    assert warm.products < cold.products / 2


def test_a_start_that_spans_an_eigenspace_is_done_at_once():
    eye = torch.eye(50, dtype=F64)
    ritz = krylov.search(diagonal([3.0, 2.0, 1.0] + [0.0] * 47), eye[:, :3], lambda r: False, 20, 100)
    assert ritz.products == 3
    assert ritz.values.tolist() == [3, 2, 1]


def test_zero_and_tiny_matrices_are_no_trouble():
    start = krylov.random_block(7, 3, 0, torch.zeros(1, dtype=F64))
    assert krylov.search(lambda V: 0 * V, start, lambda r: False, 9, 100).values.tolist() == [0, 0, 0]
    one = krylov.search(lambda V: 2 * V, start[:1, :1], lambda r: False, 9, 100)
    assert one.values.tolist() == [2]


def test_the_krylov_space_of_full_depth_holds_the_largest():
    start = krylov.random_block(20, 2, 3, torch.zeros(1, dtype=F64))
    values = [float(i) for i in range(20)]
    assert krylov.largest_within(diagonal(values), start, 12) == pytest.approx(19, rel=1e-12)
    assert krylov.largest_within(diagonal(values), start, 3) < 18.9


@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e7])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_filter_finds_the_largest_with_their_multiplicity(scale, dtype):
    u = torch.finfo(dtype).eps
    true = torch.tensor([scale * v for v in [9.0] * 4 + [8.0] + [float(i) / 40 for i in range(195)]], dtype=dtype)
    start = krylov.random_block(200, 9, 0, true)
    values, V, residuals = krylov.filtered(true.diag(), start, 5, 0.0, 1e-9)
    assert float((V.T @ V - torch.eye(9, dtype=dtype)).norm()) < 100 * u
    assert torch.allclose(values[:5], true[:5], rtol=max(1e-8, 100 * u))
    assert float(residuals[:5].max()) < max(1e-4, 100 * u) * values[0]


def test_a_filter_of_nothing_is_no_trouble():
    start, eye = krylov.random_block(7, 3, 0, torch.zeros(1, dtype=F64)), torch.eye(7, dtype=F64)
    for H in (0 * eye, 2 * eye):
        values, V, residuals = krylov.filtered(H, start, 2, 0.0, 1e-9)
        assert V.shape == (7, 3)
        assert torch.allclose(values, H.diagonal()[:3])
        assert float(residuals.norm()) < 1e-14


def test_a_filter_s_polynomial_stays_within_single_precision():
    true = torch.tensor([1e8, 1e4] + [1e-3] * 48)
    values, V, _ = krylov.filtered(true.diag(), krylov.random_block(50, 4, 0, true), 2, 0.0, 1e-8)
    assert torch.allclose(values[:2], true[:2], rtol=1e-6, atol=float(true[0]) * 1e-7 * 10)
    assert torch.isfinite(V).all()


@pytest.mark.parametrize("above", [1e3, 1e5, 1e8])
@pytest.mark.parametrize("hidden", [0.0, 1e-12, 1e-8])
def test_a_filter_finds_a_largest_that_its_start_hardly_sees(above, hidden):
    true = torch.tensor([above, *[1 + i / 1000 for i in range(60, 0, -1)]])
    start = krylov.random_block(61, 5, 0, true)
    start[0] *= hidden
    values, V, _ = krylov.filtered(true.diag(), start, 3, 0.0, 1e-9)
    assert torch.isfinite(V).all()
    if hidden:
        assert float(values[0]) == pytest.approx(above, rel=1e-5)

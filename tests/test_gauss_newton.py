"""Both ways to sum JᵀhJ, by pairs and by columns, are one einsum, whatever the shapes, strides and zero pairs."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lab import pairs
from lab.loop import Batches
from lab.losses.softmax import Softmax
from lab.model import Model
from lab.models import _columns, linear
from lab.models.linear import Linear
from lab.pairs import Pairs
from lab.problem import Problem
from lab.seeds import stream


@given(
    N=st.integers(0, 40),
    D=st.integers(0, 20),
    K=st.integers(1, 6),
    forming=st.sampled_from([0, 30, 10**9]),
    copying=st.sampled_from([0, 100]),
    adding=st.sampled_from([0, 10]),
    tile=st.sampled_from([(256, 2048), (8, 64), (1, 1), (7, 320), (16, 24)]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    kept=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    closed=st.booleans(),
    blank=st.integers(0, 3),
    cuts=st.lists(st.integers(0, 40), max_size=3),
    transposed=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_both_ways_are_the_einsum(
    N, D, K, forming, copying, adding, tile, dtype, kept, closed, blank, cuts, transposed, seed
):
    g = torch.Generator().manual_seed(seed)
    X = torch.randn((D, N) if transposed else (N, D), generator=g, dtype=torch.float64).to(dtype)
    X = X.T if transposed else X
    h = torch.randn(N, K, K, generator=g, dtype=torch.float64).to(dtype)
    seen = torch.rand(K, K, generator=g) < kept
    h = torch.where(seen | seen.T, h + h.mT, 0.0)
    ends = sorted({0, *(min(cut, N) for cut in cuts), N})
    if len(ends) > 1:  # what one block of rows has no part in, another may
        h[: ends[1], 0] = h[: ends[1], :, 0] = 0
    if closed:  # rows that sum to 0, as softmax's do, up to their own rounding
        h = -h.abs()
        h.diagonal(dim1=1, dim2=2).copy_(h.diagonal(dim1=1, dim2=2) - h.sum(dim=2))
    X[: ends[len(ends) // 2], :blank] = 0  # columns that are 0 in every row, or in every row of some blocks
    h_before = h.clone()
    rows = [(X[i:j], h[i:j]) for i, j in pairwise(ends)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "FORMING", forming)
        patch.setattr(pairs, "COPYING", copying)
        patch.setattr(pairs, "ADDING", adding)
        patch.setattr(_columns, "TILE", tile)
        made = Linear().gauss_newton(rows, X.new_zeros(D, K))
    truth = torch.einsum("nd,nkl,ne->dkel", X.double(), h.double(), X.double())
    size = torch.einsum("nd,nkl,ne->dkel", X.double().abs(), h.double().abs(), X.double().abs())
    # γ_N and the product's own; where rows are closed, what their sums may be off by and K more steps.
    slack = (N + 4 + (K + 8) + K / 2) * torch.finfo(dtype).eps
    assert bool(((made.double() - truth).abs() <= slack * size).all())
    if forming == 0:  # by columns, where each pair is added up once
        assert torch.equal(made, made.permute(2, 3, 0, 1))
    assert torch.equal(h, h_before)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("copying", [0, 100])
@pytest.mark.parametrize("K", [1, 4])
def test_a_model_that_wants_whole_logit_hessians_gets_them_from_their_pairs(closed, copying, K, rng, monkeypatch):
    monkeypatch.setattr(pairs, "COPYING", copying)
    N, D = 30, 20
    X, z = torch.randn(N, D, generator=rng, dtype=torch.float64), torch.randn(N, K, generator=rng, dtype=torch.float64)
    h = Softmax().hessian(z, torch.arange(N) % K)
    h[:, 0, 0] += 0.0 if closed else 1.0
    these, entries = Pairs.of(h, D)
    assert these.closed == (closed and K > 1)
    assert torch.allclose(these.whole(entries, K), h, rtol=1e-14, atol=1e-16)
    made = Model.gauss_newton_by_pairs(Linear(), [(X, these, entries)], X.new_zeros(D, K))
    assert torch.allclose(made, torch.einsum("nd,nkl,ne->dkel", X, h, X), rtol=1e-12, atol=1e-12)
    assert these.whole(entries[:, :0], K).shape == (0, K, K)


def test_rows_that_do_not_sum_to_zero_keep_their_own_diagonal(rng):
    N, D, K = 30, 20, 4
    X, z = torch.randn(N, D, generator=rng, dtype=torch.float64), torch.randn(N, K, generator=rng, dtype=torch.float64)
    h = Softmax().hessian(z, torch.arange(N) % K)
    assert Pairs.of(h, D)[0].closed
    h[7, 2, 2] *= 1 + 1e-13  # a slip that rounding does not explain
    assert not Pairs.of(h, D)[0].closed
    h[:, 1, 1] *= -1
    truth = torch.einsum("nd,nkl,ne->dkel", X, h, X)
    assert torch.allclose(Linear().gauss_newton([(X, h)], X.new_zeros(D, K)), truth, rtol=1e-12, atol=1e-12)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(1, 9), st.integers(0, 99))
def test_batches_are_the_same_in_whatever_order_steps_are_asked_for(steps, size, seed):
    N = 13
    X = torch.arange(N, dtype=torch.float64)[:, None]
    full = Problem(Softmax(), Linear(), X, torch.arange(N) % 3, outputs=3)
    batches, per_epoch = Batches(full, size, seed), -(-N // size)
    for t in steps:
        epoch, index = divmod(t, per_epoch)
        order = torch.as_tensor(stream(seed, "batches", epoch).permutation(N))
        rows = order[index * size : (index + 1) * size]
        for made in (batches(t), Batches(full, size, seed)(t)):
            assert torch.equal(made.X[:, 0], rows.double())
            assert torch.equal(made.y, rows % 3)
    whole = torch.cat([Batches(full, size, seed)(t).X for t in range(per_epoch)])
    assert torch.equal(whole[:, 0].sort().values, X[:, 0])

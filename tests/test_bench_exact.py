"""The exact replay says what a formula says, bounds what rounding does to it, and owns up to what it does not know."""

import mpmath
import numpy as np
import pytest
import torch
from torch.nn import functional

from lab.arithmetic import differences, exact, number
from lab.arithmetic.formula import numbers

N = number.Exact()
y = torch.tensor([0, 3, 2])


def square(z):
    return z[:, :3]


def definite(z):
    return square(z) @ square(z).mT + torch.eye(3, dtype=z.dtype)


def written_in_place(z):
    out = torch.zeros(3, 4, dtype=z.dtype)
    out[:, 0] = z[:, 1]
    out.diagonal().add_(z[0, :3]).mul_(2)
    out[1] -= z[2]
    return out.t().contiguous()


FUNCTIONS = {
    "arithmetic": lambda z: (z + 0.3) * (z - 2) / (z * z + 1) - z / 3,
    "powers": lambda z: z.abs() ** 1.5 + z**3 + 2**z + z.abs().sqrt() + (z * z + 1).rsqrt(),
    "elementary": lambda z: torch.sin(z) * torch.atan(z) + torch.tanh(z).exp() + torch.erf(z) - torch.log1p(z * z),
    "gamma": lambda z: torch.lgamma(z.abs() + 0.5) + torch.digamma(z.abs() + 0.5),
    "tetragamma": lambda z: torch.polygamma(2, z.abs() + 0.5),
    "trigamma": lambda z: torch.polygamma(1, z.abs() + 0.5),
    "scaled erfc": lambda z: torch.special.erfcx(z / 4),
    "choices": lambda z: torch.where(z > 0, z, -z) + z.clamp(min=0).clamp(-1, 0.5) + torch.relu(z) + z.maximum(-z),
    "softmax": lambda z: torch.softmax(z, 1) + torch.softmax(z.T, 0).T,
    "log softmax": lambda z: torch.log_softmax(z, 1),
    "logsumexp": lambda z: torch.logsumexp(z, 1),
    "logcumsumexp": lambda z: torch.logcumsumexp(z, 0) + torch.logcumsumexp(z, 1).flip(1),
    "padded": lambda z: functional.pad(z, (1, -1, -1, 2)) + functional.pad(z[1:], (0, 0, 1, 1), value=0.3),
    "logaddexp": lambda z: torch.logaddexp(z, z.flip(0)),
    "sigmoids": lambda z: torch.sigmoid(z) + functional.logsigmoid(z) + functional.silu(z) + functional.gelu(z),
    "softplus": lambda z: functional.softplus(4 * z),
    "means": lambda z: z.mean() + z.var(0) + z.std() + z.prod(1, keepdim=True) + z.cumsum(1),
    "extremes": lambda z: z.amax(1) + z.amin(1) + z.max(dim=1).values + z.min() + z.sort(dim=1)[0][:, 1],
    "norms": lambda z: z.norm() + torch.linalg.norm(z, dim=1) + z.norm(p=3) + functional.normalize(z, dim=1).sum(),
    "products": lambda z: z @ z.T + torch.einsum("nk,nl->kl", z, z)[:3, :3] + torch.outer(z[0, :3], z[1, 1:]),
    "linear": lambda z: functional.linear(z, z, z[:, 0]),
    "kron": lambda z: torch.kron(z, z),
    "inverse": lambda z: torch.linalg.inv(square(z)),
    "solve": lambda z: torch.linalg.solve(square(z), z[:, 3]),
    "determinant": lambda z: torch.det(square(z)),
    "log determinant": lambda z: torch.logdet(definite(z)),
    "cholesky": lambda z: torch.linalg.cholesky(definite(z)),
    "triangular": lambda z: torch.linalg.solve_triangular(definite(z).tril(), z, upper=False),
    "of a factor": lambda z: torch.cholesky_solve(z, definite(z)) + torch.cholesky_solve(z, definite(z), upper=True),
    "trace": lambda z: torch.trace(square(z)),
    "indices": lambda z: z[torch.arange(3), y] + z.gather(1, y[:, None])[:, 0] + z.index_select(1, y[:1])[:, 0],
    "scatter": lambda z: z.scatter(1, y[:, None], 0.0) + torch.zeros_like(z).index_add(0, y[[0, 2]], z[:2]),
    "diagonals": lambda z: torch.diag_embed(z) - z[:, :, None] * z[:, None, :],
    "triangles": lambda z: z.tril(-1) + z.triu(1) + z.roll(1, 0) + torch.cat([z[1:], z[:1]]),
    "in place": written_in_place,
    "cross entropy": lambda z: functional.cross_entropy(z, y, label_smoothing=0.1),
    "soft cross entropy": lambda z: functional.cross_entropy(z, torch.softmax(z, 1), reduction="none"),
    "binary cross entropy": lambda z: functional.binary_cross_entropy_with_logits(z, (z > 0).to(z.dtype)),
    "regression losses": lambda z: functional.mse_loss(z, 2 * z) + functional.huber_loss(z, 3 * z),
    "layer norm": lambda z: functional.layer_norm(z, (4,)),
    "decomposed by torch": lambda z: functional.mish(z) + functional.selu(z) + torch.special.entr(z.abs()),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_torch_is_no_further_from_the_exact_replay_than_the_running_bound(name, dtype, rng):
    for scale in (1.0, 8.0):
        z = (scale * torch.randn(3, 4, generator=rng, dtype=torch.float64)).to(dtype)
        tape, (out,) = exact.record(FUNCTIONS[name], [z])
        info = torch.finfo(dtype)
        (replayed,) = tape.replay(number.Running(info.eps / 2, info.tiny), numbers(N, z.double().numpy()))
        for ours, (v, e) in zip(out.flatten().tolist(), ((r.v, r.e) for r in replayed.flat), strict=True):
            assert abs(number.CONTEXT.mpf(ours) - v) <= e
            assert e <= 1e9 * info.eps * (abs(v) + 1), "a bound that allows anything shows nothing"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_wrong_result_is_outside_the_running_bound(name, rng):
    z = torch.randn(3, 4, generator=rng, dtype=torch.float64)
    tape, (out,) = exact.record(FUNCTIONS[name], [z])
    (replayed,) = tape.replay(number.Running(2.0**-53, 2.3e-308), numbers(N, z.numpy()))
    off = [
        abs(number.CONTEXT.mpf(v * (1 + 1e-6)) - r.v) > r.e
        for v, r in zip(out.flatten().tolist(), replayed.flat, strict=True)
    ]
    assert sum(off) >= sum(v != 0 for v in out.flatten().tolist()) / 2


UNKNOWN = {
    "a convolution": (lambda z: functional.conv1d(z[None], z[None]), "aten::convolution"),
    "eigenvalues": (lambda z: torch.linalg.eigvalsh(definite(z)), "eigh"),
    "a number taken out": (lambda z: z * z.sum().item(), "a number leaves torch"),
    "dropout": (lambda z: functional.dropout(z, 0.5), "dropout|bernoulli"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_cannot_be_replayed_is_named(case, rng):
    f, named = UNKNOWN[case]
    with pytest.raises(exact.FormulaError, match=named):
        exact.record(f, [torch.randn(3, 4, generator=rng, dtype=torch.float64)])


def test_what_torchs_trigamma_leaves_out_is_counted_where_it_is_most_and_no_more(rng):
    """It ends its series early: at 1.13 by 4e6 units of float64's rounding."""
    x = torch.tensor([1.13, 0.51, 0.49, 3.0, 40.0], dtype=torch.float64)
    tape, (out,) = exact.record(lambda x: torch.polygamma(1, x), [x])
    (replayed,) = tape.replay(number.Running(2.0**-53, 2.3e-308), numbers(N, x.numpy()))
    gaps = [abs(float(number.CONTEXT.mpf(v) - r.v)) for v, r in zip(out.tolist(), replayed, strict=True)]
    assert gaps[0] > 1e-10
    assert all(gap <= r.e for gap, r in zip(gaps, replayed, strict=True))
    assert all(r.e <= 4 * gap for gap, r in zip(gaps[:4], replayed[:4], strict=True))
    tape, _ = exact.record(lambda x: torch.polygamma(3, x), [x])
    with pytest.raises(exact.FormulaError, match="polygamma"):
        tape.replay(N, numbers(N, x.numpy()))


def test_branches_and_random_constants_are_taken_as_they_fell(rng):
    z = torch.randn(3, 4, generator=rng, dtype=torch.float64)
    tape, (out,) = exact.record(lambda z: (z if z.sum() > -1e9 else -z) * torch.rand_like(z), [z])
    (replayed,) = tape.replay(N, numbers(N, z.numpy()))
    assert np.allclose(out.numpy(), replayed.astype(float), rtol=1e-15)


def replayed(f, *inputs):
    tape, _ = exact.record(f, inputs)
    arrays = [numbers(N, x.numpy()) for x in inputs]
    at = tape.varying(N, 0, arrays)
    return (lambda x: at(x)[0]), arrays[0]


def test_difference_quotients_are_exact_to_25_digits():
    x = torch.tensor([0.3, -1.7], dtype=torch.float64)
    f, point = replayed(lambda x: (x.exp() * torch.sin(x)).sum(), x)
    slopes, kinks = differences.first(f, point, differences.units((2,)))
    bends = differences.second(f, point, differences.units((2,)), differences.units((2,)))
    with mpmath.workdps(60):
        for i, v in enumerate(x.tolist()):
            t = mpmath.mpf(v)
            assert abs(slopes[i] - mpmath.exp(t) * (mpmath.sin(t) + mpmath.cos(t))) < 1e-50
            assert abs(bends[i][i] - 2 * mpmath.exp(t) * mpmath.cos(t)) < 1e-25
    assert abs(bends[0][1]) < 1e-25
    assert not np.any(kinks)


def test_the_directions_of_many_entries_take_no_more_memory_than_there_are_entries():
    x = np.array([[N.number(1.5)] * 1000] * 300, dtype=object)
    units = differences.units(x.shape)
    assert len(units) == x.size
    assert (units[1234].moved(x, differences.H) != x).nonzero() == (1, 234)
    (slope,), _ = differences.first(lambda x: x[1:2, 234] * x[1:2, 0], x, [units[1234]])
    assert abs(slope[0] - 1.5) < 1e-50


def test_kinks_are_seen_where_they_are_and_nowhere_else():
    x = torch.tensor([0.0, 1e-9, -3.0, 0.0], dtype=torch.float64)
    f, point = replayed(lambda x: torch.stack([x[0].abs(), x[1].abs(), torch.relu(x[2]), x[3] ** 2]), x)
    _, kinks = differences.first(f, point, differences.units((4,)))
    assert np.stack(kinks).any(axis=0).tolist() == [True, False, False, False]


def test_what_does_not_depend_on_the_input_is_run_once(rng):
    calls = []
    X, theta = (torch.randn(3, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    tape, _ = exact.record(lambda theta, X: (torch.linalg.inv(X) @ theta).exp().sum(), [theta, X])
    at = tape.varying(N, 0, [numbers(N, t.numpy()) for t in (theta, X)])
    run, tape.__class__._run = tape.__class__._run, lambda self, N, memory, nodes: calls.extend(nodes)
    try:
        at(numbers(N, theta.numpy()))
    finally:
        tape.__class__._run = run
    assert not any("inv" in node.name for node in calls)
    assert any(node.name == "exp" for node in calls)


def test_constants_written_in_few_digits_are_counted_and_short_ones_are_not():
    x = torch.tensor([2.0], dtype=torch.float64)
    loose, _ = exact.record(lambda x: x * 0.3333333333333333, [x])
    short, _ = exact.record(lambda x: x * 0.375, [x])
    formula = number.Running(0.0, 0.0)
    assert 0 < loose.replay(formula, numbers(N, x.numpy()))[0][0].e < 1e-14
    assert short.replay(formula, numbers(N, x.numpy()))[0][0].e == 0

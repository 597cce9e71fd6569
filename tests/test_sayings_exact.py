"""Digits that a loss loses are told of it, and no promise is broken by them, nor by what underflows."""

import pytest
import torch
from test_sayings import examples, wrong
from torch.nn import functional

from lab.bench import judge, sayings
from lab.loss import Loss
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax


class Chain(Softmax):
    """Σ_k softplus of differences of neighbours, signed by the target: μ is a difference itself."""

    def signs(self, z, y):
        return 1 - 2 * (y[:, None] > torch.arange(z.shape[1] - 1)).to(z.dtype)

    def value(self, z, y):
        return torch.logaddexp(0 * z[:, 1:], self.signs(z, y) * z.diff(dim=1)).sum(dim=1)

    def spread(self, d):
        return functional.pad(d, (1, 0)) - functional.pad(d, (0, 1))

    def gradient(self, z, y):
        s = self.signs(z, y)
        return self.spread(s * torch.sigmoid(s * z.diff(dim=1)))

    def subtracted(self, z, y):
        return self.spread((1 - self.signs(z, y)) / 2)

    def predicted(self, z, y):
        return self.spread(torch.sigmoid(z.diff(dim=1)))

    def value_and_gradient(self, z, y):
        return self.value(z, y), self.gradient(z, y)

    def hvp(self, z, y, u):
        d = z.diff(dim=1)
        return self.spread(torch.sigmoid(d) * torch.sigmoid(-d) * u.diff(dim=1))

    def hessian(self, z, y):
        return torch.stack([self.hvp(z, y, e.expand_as(z)) for e in torch.eye(z.shape[1]).to(z)], dim=2)

    def diagonal(self, z, y):
        return self.hessian(z, y).diagonal(dim1=1, dim2=2)

    def off_diagonal(self, z, y):
        return None

    def local(self, z, y):
        return Loss.local(self, z, y)

    hessian_map = Loss.hessian_map
    factor = Loss.factor
    reference = value
    reduced_reference = Loss.reduced_reference
    self_bound = None

    def peak(self, K):
        return None

    def likelihood(self, y, K):
        return None

    def examples(self, rng):
        return ((z, y) for z, y in super().examples(rng) if y.ndim == 1 and z.shape[1] > 1)


def test_where_the_models_part_is_a_difference_the_targets_part_convicts_nobody(rng):
    assert wrong(Chain(), rng) == set()
    assert wrong(Chain(), rng, torch.float32) == set()


class Cancelled(Sigmoid):
    """p(1 − p), of which no digit is left in one of the tails."""

    def diagonal(self, z, y):
        p = torch.sigmoid(z)
        return p * (1 - p)

    def hessian(self, z, y):
        return torch.diag_embed(self.diagonal(z, y))

    def hvp(self, z, y, u):
        return self.diagonal(z, y) * u

    def hessian_map(self, z, y):
        return lambda U: self.diagonal(z, y)[:, :, None] * U


class Nothing(Sigmoid):
    """Says that targets make nothing of the gradient, so that its parts are as small as their difference."""

    def examples(self, rng):
        return ((z, y) for z, y in super().examples(rng) if y.ndim == 2)

    def gradient(self, z, y):
        return torch.sigmoid(z) - y

    def value_and_gradient(self, z, y):
        return Sigmoid().value(z, y), self.gradient(z, y)

    def value(self, z, y):
        return Sigmoid().value(z, y)

    def subtracted(self, z, y):
        return torch.zeros_like(z)

    def predicted(self, z, y):
        return self.gradient(z, y)


@pytest.mark.parametrize("loss", [Cancelled(), Nothing()], ids=["h", "gradient"])
def test_digits_that_cancel_are_told_and_convict_no_other_promise(loss, rng):
    assert wrong(loss, rng, torch.float32) == {"exact"}


class Heavy(Loss):
    """A hundred times the logistic loss."""

    self_concordance = 1.0

    def value(self, z, y):
        return 100 * Sigmoid().value(z, y)

    def gradient(self, z, y):
        return 100 * Sigmoid().gradient(z, y)

    def hvp(self, z, y, u):
        return 100 * Sigmoid().hvp(z, y, u)

    def subtracted(self, z, y):
        return 100 * y

    def reference(self, z, y):
        return 100 * Sigmoid().reference(z, y)

    encode, correct = Sigmoid.encode, Sigmoid.correct

    def _examples(self, rng, scale):
        return ((z, y) for z, y in Sigmoid()._examples(rng, scale) if y.ndim == 2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_what_underflows_in_a_loss_of_large_weights_is_no_broken_promise(dtype, rng):
    given = [*examples(Heavy(), rng, dtype), (torch.full((3, 2), -86.0, dtype=dtype), torch.zeros(3, 2, dtype=dtype))]
    assert [str(each) for each in sayings.verdicts(Heavy(), given, rng) if not each.passed] == []


class Entries(Chain):
    """The chain's Hessian by its entries beside the diagonal."""

    def off_diagonal(self, z, y):
        d, K = z.diff(dim=1), z.shape[1]
        out = z.new_zeros(len(z), K * (K - 1) // 2)
        for k in range(K - 1):
            out[:, k * K - k * (k + 1) // 2] = -torch.sigmoid(d[:, k]) * torch.sigmoid(-d[:, k])
        return out

    def hessian(self, z, y):
        return Loss.hessian(self, z, y)


def test_a_hessian_of_entries_that_are_put_into_zeros_is_replayed_exactly():
    found = {each.what: each for each in judge.check(Entries, dtypes=(torch.float64,))}
    assert found["hessian"].passed, str(found["hessian"])

"""Of inputs with more entries than can be looked at one by one, those most in doubt are."""

import torch

import lab

SLIGHT = 1 + 1e-6


class Wide(lab.Derivation):
    """More entries than are looked at one by one."""

    shapes = {"x": "24", "a": "24"}

    def value(self, x, a):
        return (a * x.square()).sum()

    def gradient(self, x, a):
        return 2 * a * x

    def hvp(self, x, a, v):
        return 2 * a * v

    def hessian(self, x, a):
        return torch.diag(2 * a)


class OneWrongEntry(Wide):
    def gradient(self, x, a):
        wrong = super().gradient(x, a)
        wrong[13] *= SLIGHT
        return wrong

    def hessian(self, x, a):
        wrong = super().hessian(x, a)
        wrong[17, 21] = 1.0
        return wrong


def test_of_many_entries_those_in_doubt_are_looked_at(monkeypatch):
    monkeypatch.setattr("lab.arithmetic.truth.QUOTIENTS", 10)
    assert [str(v) for v in lab.check(Wide, dtypes=[torch.float64]) if not v.passed] == []
    verdicts = {v.what: v for v in lab.check(OneWrongEntry, dtypes=[torch.float64])}
    assert verdicts["gradient"].where == (13,)
    assert verdicts["hessian"].where == (17, 21)
    assert verdicts["hvp"].passed
    assert "of 24 entries of x, those most in doubt were looked at" in str(verdicts["hvp"])


class Doubling(lab.Derivation):
    """A truth with a constant that has been rounded, and ours with none."""

    shapes = {"x": "40"}

    def value(self, x):
        return (0.6931471805599453 * x.square()).sum()

    def gradient(self, x):
        return 2 * torch.log(torch.full_like(x, 2)) * x


def test_what_the_truths_constants_were_rounded_by_counts_where_some_entries_are_looked_at_too(monkeypatch):
    assert all(v.passed for v in lab.check(Doubling))
    monkeypatch.setattr("lab.arithmetic.truth.QUOTIENTS", 10)
    assert [str(v) for v in lab.check(Doubling) if not v.passed] == []

"""A function of which everything is one number, its argument or its value, is judged as any other."""

import re

import pytest
import torch

import lab

DERIVED = ("gradient", "jacobian", "hessian", "hvp", "jvp", "vjp")


class Squares(lab.Derivation):
    """Σ x², a number."""

    shapes = {"x": "n"}

    def value(self, x):
        return (x**2).sum()

    def jvp(self, x, v):
        return (2 * x * v).sum()


class Weighted(Squares):
    """Another argument, a reference, and a constant of few digits."""

    shapes = {"x": "n", "w": "n positive"}

    def value(self, x, w):
        return (w * x.sin()).sum() / 3

    def reference(self, x, w):
        return (w @ x.sin()) / 3

    def jvp(self, x, w, v):
        return (w * x.cos()) @ v / 3


class Alone(lab.Derivation):
    """x e^x of a number x, with every derivative."""

    def examples(self, rng):
        yield torch.tensor(0.7)
        yield torch.tensor(-3.0)

    def value(self, x):
        return x * x.exp()

    def gradient(self, x):
        return (1 + x) * x.exp()

    def hessian(self, x):
        return (2 + x) * x.exp()

    def hvp(self, x, v):
        return self.hessian(x) * v

    def jvp(self, x, v):
        return self.gradient(x) * v

    vjp, jacobian = jvp, gradient


class Curve(lab.Derivation):
    """A vector for a number."""

    def examples(self, rng):
        yield torch.tensor(0.7)

    def value(self, x):
        return torch.stack([x.sin(), x.exp(), x * x])

    def jacobian(self, x):
        return torch.stack([x.cos(), x.exp(), 2 * x])

    def jvp(self, x, v):
        return self.jacobian(x) * v

    def vjp(self, x, g):
        return self.jacobian(x) @ g


@pytest.mark.parametrize("kind", [Squares, Weighted, Alone, Curve])
def test_derivatives_of_a_number_are_right(kind):
    assert [str(v) for v in lab.check(kind) if not v.passed] == []


@pytest.mark.parametrize("kind", [Squares, Weighted])
@pytest.mark.parametrize(
    ("spoilt", "named"),
    [
        (lambda jvp, *args: -jvp(*args), "the jvp's sign"),
        (lambda jvp, *args: 2 * jvp(*args), "a factor of 2"),
        (lambda jvp, *args: jvp(*args) * (1 + 1e-6), ""),
    ],
)
def test_a_wrong_product_of_a_number_is_wrong_and_named(kind, spoilt, named):
    class Spoilt(kind):
        def jvp(self, *args):
            return spoilt(super().jvp, *args)

    for verdict in lab.check(Spoilt):
        assert verdict.passed is (verdict.what != "jvp")
        assert verdict.passed or "raises" not in str(verdict)
        assert verdict.passed or named in verdict.diagnosis


@pytest.mark.parametrize("what", DERIVED)
def test_a_wrong_derivative_by_a_number_is_wrong_and_raises_nothing(what):
    class Doubled(Alone):
        def __getattribute__(self, name):
            found = getattr(Alone(), name) if name in DERIVED else super().__getattribute__(name)
            return (lambda *args: 2 * found(*args)) if name == what else found

    wrong = [v for v in lab.check(Doubled) if not v.passed]
    assert {v.what for v in wrong} == {what}
    assert not any("raises" in str(v) for v in wrong)


class Exponentials(lab.Derivation):
    """Σ eˣ, with a reference."""

    shapes = {"x": "n"}

    def value(self, x):
        return x.exp().sum()

    def reference(self, x):
        return x.exp().sum()

    def jvp(self, x, v):
        return x.exp() @ v


@pytest.mark.parametrize("what", ["value", "jvp"])
@pytest.mark.parametrize(("factor", "said"), [(1.5, "1.5"), (-3.0, "-3"), (torch.pi, "3.14159 = π"), (1e-3, "0.001")])
def test_a_factor_that_is_the_same_at_every_input_is_fitted_over_the_inputs(what, factor, said):
    class Scaled(Exponentials):
        pass

    setattr(Scaled, what, lambda self, *args: factor * getattr(Exponentials, what)(self, *args))
    wrong = [v for v in lab.check(Scaled) if not v.passed]
    assert [v.what for v in wrong] == [what, what]
    for verdict in wrong:
        assert re.match(rf"ours / truth = {said} at each of \d inputs \(one constant fitted: weaker", verdict.diagnosis)
        assert "a constant factor; look for a constant that was lost or kept" in verdict.diagnosis


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x.exp().sum() + 0.3,
        lambda x: x.exp().square().sum(),
        lambda x: x.exp().sum() * (2 + x[0].sin()),
        lambda x: 0 * x.sum(),
    ],
)
def test_no_factor_is_fitted_to_a_number_that_has_another_at_every_input(other):
    class Other(Exponentials):
        def value(self, x):
            return other(x)

    for verdict in lab.check(Other):
        assert verdict.passed is (verdict.what != "value")
        assert "a constant factor" not in verdict.diagnosis


def test_two_inputs_are_too_few_to_fit_a_factor_to():
    class Few(Exponentials):
        def examples(self, rng):
            yield torch.tensor([1.0, 2.0])
            yield torch.tensor([3.0, -1.0, 0.5])

        def value(self, x):
            return 1.5 * x.exp().sum()

    for verdict in lab.check(Few):
        assert "a constant factor" not in verdict.diagnosis

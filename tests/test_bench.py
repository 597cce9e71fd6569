"""The bench passes what is right at every scale and precision, sees each planted mistake, and says who is off."""

import sys
from functools import lru_cache
from types import ModuleType

import pytest
import torch
from derivations import CrossEntropy, Entropy, Huber, Linear, LogDeterminant, Quadratic, SoftmaxMap
from torch.nn import functional

import lab
from lab import catalog
from lab.bench import sayings
from lab.errors import InputError
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.referee import Verdict, Who

SLIGHT = 1 + 1e-6
RIGHT = [CrossEntropy, Quadratic, LogDeterminant, SoftmaxMap, Linear, Entropy, Huber]
LONG = (CrossEntropy, LogDeterminant, Quadratic, SoftmaxMap)


def each(*values):
    """A parameter, slow where its first value is one of those that take long."""
    return pytest.param(*values, marks=pytest.mark.slow if values[0] in LONG else ())


@pytest.mark.parametrize("kind", [each(kind) for kind in RIGHT], ids=lambda kind: kind.__name__)
def test_right_derivations_of_many_kinds_pass_in_both_precisions(kind):
    verdicts = lab.check(kind)
    assert [str(v) for v in verdicts if not v.passed] == []
    assert {v.dtype for v in verdicts} == {"float32", "float64"}
    assert all(v.who is not Who.UNTOLD for v in verdicts)


@lru_cache
def of_the_lab(name: str) -> list[Verdict]:
    return lab.check(catalog.get("losses", name))


def derived(kind: type[lab.Derivation]) -> list[str]:
    names = ["value"] * (kind.reference is not lab.Derivation.reference)
    return names + [n for n in ("gradient", "jacobian", "hessian", "hvp", "jvp", "vjp") if hasattr(kind, n)]


@pytest.mark.parametrize(
    ("kind", "what"),
    [each(kind, what) for kind in RIGHT for what in derived(kind)],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_a_part_in_a_million_is_seen_in_every_derivative(kind, what):
    class Slightly(kind):
        pass

    setattr(Slightly, what, lambda self, *args: getattr(kind, what)(self, *args) * SLIGHT)
    if what == "value":  # its own derivatives do not call it
        Slightly.reference = kind.reference
    wrong = [v for v in lab.check(Slightly) if not v.passed]
    assert {(v.what, v.dtype) for v in wrong} >= {(what, "float64"), (what, "float32")}
    assert all(v.who is Who.OURS for v in wrong)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names("losses"))
def test_the_losses_of_the_lab_are_right(name):
    verdicts = of_the_lab(name)
    assert [str(v) for v in verdicts if not v.passed] == []
    derivatives, said = {"value", "gradient", "hessian", "diagonal", "hvp"}, sayings.said(catalog.get("losses", name)())
    assert {v.what for v in verdicts} == {*derivatives, *said}


class Diagonal(Softmax):
    """Softmax with its Hessian's off-diagonal dropped."""

    def hvp(self, z, y, u):
        return self.diagonal(z, y) * u


class Lossy(lab.Derivation):
    """Right on paper, and without a digit left at saturated logits."""

    def examples(self, rng):
        yield torch.tensor([40.0, -40.0, 12.0, 1.0, 25.0]), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])

    def value(self, z, y):
        return (torch.logaddexp(z, torch.zeros_like(z)) - y * z).sum()

    def reference(self, z, y):
        return functional.binary_cross_entropy_with_logits(z, y, reduction="sum")

    def gradient(self, z, y):
        return torch.sigmoid(z) - y

    def hessian(self, z, y):
        p = torch.sigmoid(z)
        return torch.diag(p * (1 - p))


@pytest.mark.slow
def test_torch_is_named_where_it_is_the_less_exact_one():
    double, single = [v for v in of_the_lab("softmax") if v.what == "gradient"]
    for verdict in (double, single):
        assert verdict.who is Who.TORCH
        assert verdict.errors["torch.autograd"] > 1e-2
        assert verdict.errors["ours"] < 1e-5
        assert "torch.autograd is the less exact one at gradient[" in str(verdict)


def test_ours_is_named_where_it_loses_digits_that_can_be_had():
    verdicts = lab.check(Lossy)
    assert all(v.passed for v in verdicts)
    hessian = next(v for v in verdicts if v.what == "hessian")
    assert "ours is the less exact one at hessian[0, 0]: off by 100 %" in str(hessian)


class Overflows(CrossEntropy):
    def gradient(self, theta, X, y):
        e = (X @ theta).exp()
        return X.T @ (e / e.sum(1, keepdim=True) - functional.one_hot(y, theta.shape[1])) / len(X)


def test_a_formula_that_overflows_is_right_on_paper_and_fails_in_its_type():
    single = next(v for v in lab.check(Overflows, dtypes=[torch.float32]) if v.what == "gradient")
    assert not single.passed
    assert "the formula is right; in this type its evaluation overflows" in str(single)


class SinglePrecision(Quadratic):
    def hessian(self, x, A):
        return (A + A.T).float()


def test_a_result_in_another_type_is_said():
    wrong = [v for v in lab.check(SinglePrecision) if not v.passed]
    assert [(v.what, v.dtype) for v in wrong] == [("hessian", "float64")]
    assert "ours is float32 where x is float64" in str(wrong[0])


class Rectifier(lab.Derivation):
    """No derivative at 0."""

    def value(self, x):
        return torch.relu(x).sum()

    def gradient(self, x):
        return (x >= 0).to(x.dtype)

    def examples(self, rng):
        yield torch.zeros(3, dtype=torch.float64)


def test_nothing_can_be_told_at_a_kink():
    for verdict in lab.check(Rectifier):
        assert verdict.who is Who.UNTOLD
        assert verdict.passed
        assert "kink" in str(verdict)


class Eigenvalues(lab.Derivation):
    """An operation that nothing replays."""

    shapes = {"A": "d d symmetric"}

    def value(self, A):
        return torch.linalg.eigvalsh(A).square().sum()

    def gradient(self, A):
        return 2 * A


class WrongEigenvalues(Eigenvalues):
    def gradient(self, A):
        return 2 * A * SLIGHT


def test_without_an_exact_reference_the_verdict_says_so_and_sees_what_is_larger_than_rounding():
    for verdict in lab.check(Eigenvalues):
        assert verdict.passed
        assert "no reference in higher precision: aten::_linalg_eigh" in str(verdict)
    double, _ = lab.check(WrongEigenvalues)
    assert double.who is Who.OURS


class Transposed(CrossEntropy):
    def gradient(self, theta, X, y):
        return super().gradient(theta, X, y).T


class Raises(CrossEntropy):
    def gradient(self, theta, X, y):
        return theta @ torch.ones(100, dtype=theta.dtype)


def test_a_wrong_shape_and_an_exception_are_failed_checks():
    wrong = {v.dtype: v for v in lab.check(Transposed) if not v.passed}
    assert set(wrong) == {"float32", "float64"}
    assert "gradient" in str(wrong["float64"])
    assert "has shape (4, 3) where (3, 4) is due" in str(wrong["float64"])
    raised = next(v for v in lab.check(Raises) if v.what == "gradient")
    assert not raised.passed
    assert "test_bench.py:" in str(raised)
    assert "RuntimeError" in str(raised)


def test_a_claim_that_returns_no_tensor_is_told_so():
    class Number(Quadratic):
        def gradient(self, x, A):
            return 3.0

    wrong = next(v for v in lab.check(Number) if v.what == "gradient")
    assert "must return a tensor, and returned float" in str(wrong)


def test_verdicts_are_the_same_every_time():
    assert [str(v) for v in lab.check(CrossEntropy)] == [str(v) for v in lab.check(CrossEntropy())]


def test_a_derivation_with_nothing_derived_or_nothing_to_look_at_is_refused():
    class Nothing(lab.Derivation):
        shapes = {"x": "d"}

        def value(self, x):
            return x.sum()

    class Nowhere(Nothing):
        shapes = {}

        def gradient(self, x):
            return torch.ones_like(x)

    class Integers(Nowhere):
        shapes = {"x": "n labels k"}

    for kind, says in (
        (Nothing, "nothing was derived"),
        (Nowhere, "no inputs"),
        (Integers, "must be a floating tensor"),
    ):
        with pytest.raises(InputError, match=says):
            lab.check(kind)


def test_a_failed_verdict_carries_the_doctors_words(monkeypatch):
    seen = []
    doctor = ModuleType("lab.doctor")
    doctor.diagnose = lambda dispute, *others: seen.append(dispute) or "missing 1/n"
    monkeypatch.setitem(sys.modules, "lab.doctor", doctor)

    class Missing(CrossEntropy):
        def gradient(self, theta, X, y):
            return super().gradient(theta, X, y) * len(X)

    verdicts = {(v.what, v.dtype): v for v in lab.check(Missing)}
    assert verdicts["gradient", "float64"].diagnosis == "missing 1/n"
    assert verdicts["hvp", "float64"].diagnosis == ""
    dispute = seen[0]
    assert (dispute.what, list(dispute.inputs)) == ("gradient", ["theta", "X", "y"])
    n = dispute.sizes["n"]
    assert torch.allclose(dispute.ours, n * dispute.truth)
    assert len({dispute.sizes[letter] for letter in "ndk"}) == 3
    assert dispute.loss is None


@pytest.mark.slow
def test_a_wrong_gradient_of_a_value_that_is_no_number_is_said_to_be_its_sums():
    class Forgotten(lab.Derivation):
        shapes = {"z": "n k", "y": "n k"}

        def value(self, z, y):
            return (z - y).square().sum(dim=1)

        def gradient(self, z, y):
            return 2 * (z - y) / len(z)

    for verdict in lab.check(Forgotten):
        assert "1/n once too often" in verdict.diagnosis
        assert "value has shape (4,), so that this is its sum's gradient" in verdict.diagnosis


def test_a_wrong_product_of_a_loss_is_seen_its_gradient_is_not_blamed_and_the_doctor_is_told_the_loss(monkeypatch):
    seen = []
    doctor = ModuleType("lab.doctor")
    doctor.diagnose = lambda dispute, *others: seen.append(dispute) or ""
    monkeypatch.setitem(sys.modules, "lab.doctor", doctor)
    verdicts = lab.check(Diagonal(), dtypes=[torch.float64])
    assert {v.what for v in verdicts if not v.passed} == {"hvp"}
    assert isinstance(seen[0].loss, Diagonal)
    assert list(seen[0].inputs) == ["z", "y", "direction"]
    assert set(seen[0].sizes) == {"N", "K"}


def test_an_old_verdict_reads_as_before():
    verdict = Verdict("gradient", "theta", 0.5, (1, 0), 1.0, 1.0, 1e-9)
    assert verdict.passed
    assert str(verdict) == "gradient agrees with autograd: at worst, at theta[1, 0], 5.0e-01 times what rounding allows"


@pytest.mark.slow
def test_sigmoid_by_its_average_is_right_too():
    assert all(v.passed for v in lab.check(Sigmoid(average=True), dtypes=[torch.float64]))

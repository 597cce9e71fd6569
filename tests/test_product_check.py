"""What eigenvalues are made of is held against the product that steps are judged by."""

from dataclasses import replace

import pytest
import torch
from conftest import make_problem

from lab import launch
from lab.curvature.operator import Curvature
from lab.loss import Local, Loss
from lab.losses._simplex import product_by, softmax
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.probe import Step
from lab.probes._product import concave, judge
from lab.probes.spectrum import SpectrumProbe
from lab.problem import Problem


class WrongMap(Softmax):
    def hessian_map(self, z, y):
        p = softmax(z)
        return product_by(p, 2 * p)


class WrongLocal(Softmax):
    def local(self, z, y):
        return replace(super().local(z, y), product=product_by(softmax(z), 2 * softmax(z)))


class WrongMatrix(Softmax):
    def hessian(self, z, y):
        return 2 * super().hessian(z, y)


class WrongEntries(Softmax):
    def off_diagonal(self, z, y):
        return 1.001 * super().off_diagonal(z, y)


def verdict(problem, theta, method):
    value, gradient = problem.value_and_gradient(theta)
    step = Step(0, problem, problem, None, theta, value, gradient, theta, 0.1)
    readings = SpectrumProbe(method=method, top=2).measure(step)
    judged = readings["check/product"]
    assert str(readings["curvature/certainty"]).startswith("of a Hessian that failed check/product, ") != judged.passed
    return judged


class WrongTrace(Softmax):
    def local(self, z, y):
        known = super().local(z, y)
        return replace(known, trace=known.trace / 2)


class WrongSize(Softmax):
    def local(self, z, y):
        known = super().local(z, y)
        return replace(known, size=known.size / 2)


class WrongDiagonal(Softmax):
    def diagonal(self, z, y):
        return super().diagonal(z, y) / 2


class WrongFactor(Softmax):
    def factor(self, z, y):
        return super().factor(z, y) * 1.001


class WrongFlat(Softmax):
    def flat(self, K):
        return 2, "more than it is"


class WrongShift(Sigmoid):
    ignores_shift = True


EVERY = ("krylov", "dense", "dual")


class Poisson(Sigmoid):
    """Counts y with the mean e^z, μ being e^z; h is what it is."""

    def value_and_gradient(self, z, y):
        return (z.exp() - y * z).sum(dim=1), z.exp() - y

    def diagonal(self, z, y):
        return z.exp()

    def local(self, z, y):
        h = z.exp()
        return Local(lambda U: U * h[:, :, None], h.sum(dim=1), 2 * h.sum(dim=1), None)


class Unpredicted(Poisson):
    def predicted(self, z, y):
        return 0 * z


class Overpredicted(Poisson):
    def predicted(self, z, y):
        return 0 * z + 1e20


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("method", EVERY)
def test_what_cancels_in_large_counts_is_rounding_and_a_false_mean_is_not(method, dtype, rng):
    X = torch.randn(40, 3, generator=rng, dtype=torch.float64).to(dtype)
    y = torch.randint(10_000, (40, 1), generator=rng).to(dtype)
    theta = torch.randn(3, 1, generator=rng, dtype=torch.float64).to(dtype)
    for loss, right in ((Poisson(), True), (Unpredicted(), False), (Overpredicted(), False)):
        for t in range(5):
            found = judge(Curvature(Problem(loss, Linear(), X, y), theta), method, 0, t)
            assert found.passed is right


class Focal(Sigmoid):
    """A loss whose h is below 0 where logits are large, and that is made right: of one diagonal."""

    def diagonal(self, z, y):
        return super().diagonal(z, y) * (1 - z.abs() / 4)


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("size", [1.0, 200.0])
def test_eigenvalues_of_a_loss_that_is_not_convex_are_refused(size, method, rng):
    problem, theta = make_problem(rng, "sigmoid", N=9, D=17)
    focal = replace(problem, loss=Focal())
    value, gradient = focal.value_and_gradient(size * theta)
    readings = SpectrumProbe(method=method, top=2).measure(
        Step(0, focal, focal, None, size * theta, value, gradient, theta, 0.1)
    )
    assert readings.keys() == {"curvature/definiteness", "check/product"}
    assert "the loss is not convex here" in str(readings["check/product"])
    assert not readings["check/product"].passed
    assert concave(Curvature(problem, theta)) is None


class ByEigenvectors(Softmax):
    """Softmax with the factor that any loss has."""

    factor = Loss.factor


@pytest.mark.parametrize("K", [3, 10])
@pytest.mark.parametrize("size", [1.0, 5.0, 10.0])
def test_a_factor_that_is_exact_in_norm_alone_is_right(size, K, rng):
    problem, theta = make_problem(rng, N=9, D=17, K=K)
    for t in range(5):
        curvature = Curvature(replace(problem, loss=ByEigenvectors()), size * theta)
        assert judge(curvature, "dual", 0, t).passed


@pytest.mark.parametrize("size", [0.0, 1.0])
@pytest.mark.parametrize(
    ("loss", "method"),
    [(loss, method) for loss in (WrongTrace, WrongSize, WrongDiagonal) for method in EVERY] + [(WrongFactor, "dual")],
)
def test_proofs_by_a_wrong_trace_or_diagonal_are_not_to_be_believed_at_any_point(loss, method, size, rng):
    problem, theta = make_problem(rng, N=9, D=17)
    wrong = verdict(replace(problem, loss=loss()), size * theta, method)
    assert not wrong.passed
    assert "no eigenvalue of this step is to be believed" in str(wrong)
    assert verdict(problem, size * theta, method).passed


@pytest.mark.parametrize(
    ("loss", "method"),
    [(WrongMap, "krylov"), (WrongLocal, "krylov"), (WrongMatrix, "dense"), (WrongEntries, "dense")],
)
def test_eigenvalues_of_another_hessian_are_not_to_be_believed(loss, method, rng):
    problem, theta = make_problem(rng, N=60, D=7)
    wrong = verdict(replace(problem, loss=loss()), theta, method)
    assert not wrong.passed
    assert "no eigenvalue of this step is to be believed" in str(wrong)
    assert verdict(problem, theta, method).passed


def test_a_run_whose_eigenvalues_are_of_another_hessian_fails(tiny, tmp_path, monkeypatch):
    tiny |= {"steps": 3, "probes": {"spectrum": {"every": 3}}}
    assert launch.train(tiny, runs=tmp_path / "right").status == "finished"
    hessian = Problem.hessian
    monkeypatch.setattr(Problem, "hessian", lambda self, theta: 2 * hessian(self, theta))
    run = launch.train(tiny, runs=tmp_path / "wrong")
    assert run.status == "failed"
    assert "check/product/failure" in run.metrics.rows[0]


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_the_same_hessian_is_told_as_that_at_any_scale(loss, dtype, scale, rng):
    for ridge in (0.0, 0.3):
        problem, theta = make_problem(rng, loss, N=60, D=7, ridge=ridge)
        problem = Problem(problem.loss, problem.model, scale * problem.X.to(dtype), problem.y.to(dtype), ridge)
        for size in (0.0, 1.0, 20.0):
            curvature = Curvature(problem, (size / scale * theta).to(dtype))
            for method in EVERY:
                for t in range(5):
                    found = judge(curvature, method, 0, t)
                    assert found is not None
                    assert found.ratio < 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("loss", "said"), [(WrongFlat(), "the loss's flat says that no row"), (WrongShift(), "that it ignores_shift, and")]
)
@pytest.mark.parametrize("method", EVERY)
def test_directions_that_are_said_to_be_seen_by_no_row_are_looked_along(method, loss, said, dtype, rng):
    problem, theta = make_problem(rng, loss="sigmoid" if isinstance(loss, Sigmoid) else "softmax")
    X, y, held = (each.to(dtype) for each in (problem.X, problem.y, problem.held))
    problem, theta = replace(problem, X=X, y=y, held=held), theta.to(dtype)
    curvature = Curvature(replace(problem, loss=loss), theta)
    found = judge(curvature, method, 0, 0)
    assert not found.passed
    assert said in str(found)
    right = Sigmoid() if isinstance(loss, Sigmoid) else Softmax()
    assert all(judge(Curvature(replace(problem, loss=right), theta), method, 0, t).passed for t in range(20))


@pytest.mark.parametrize("method", EVERY)
def test_logits_that_overflow_are_judged_by_what_is_left_and_raise_nothing(method, rng):
    problem, theta = make_problem(rng, ridge=0.0)
    X, y = problem.X.float() * 1e30, problem.y.float()
    curvature = Curvature(replace(problem, X=X, y=y, held=None), theta.float() * 1e30)
    assert not torch.isfinite(curvature.rows[0][2]).all()
    found = judge(curvature, method, 0, 0)
    assert found is None or found.passed

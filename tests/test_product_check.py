"""What eigenvalues are made of is held against the product that steps are judged by."""

from dataclasses import replace

import pytest
import torch
from conftest import make_problem

from lab import launch
from lab.curvature.operator import Curvature
from lab.losses._simplex import product_by, softmax
from lab.losses.softmax import Softmax
from lab.probe import Step
from lab.probes._product import judge
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


EVERY = ("krylov", "dense", "dual")


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

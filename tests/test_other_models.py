"""A model that is not Xθ gets what is true of it: the right eigenvalues, none of what is proved for Xθ alone."""

from dataclasses import dataclass

import pytest
import torch

from lab import oracle
from lab.curvature import forms
from lab.curvature.operator import Curvature
from lab.losses.softmax import Softmax
from lab.model import Model
from lab.probe import Step
from lab.probes.spectrum import SpectrumProbe
from lab.problem import Problem


@dataclass(frozen=True)
class Twice(Model):
    """z = 2 Xθ, linear in θ."""

    def forward(self, X, theta):
        return 2 * X @ theta

    def pushforward(self, X, theta, V):
        return 2 * X @ V

    def pullback(self, X, theta, g):
        return 2 * X.T @ g

    def gauss_newton(self, rows, theta):
        return sum(4 * torch.einsum("nd,nkl,ne->dkel", X, h, X) for X, h in rows)


@dataclass(frozen=True)
class Squared(Model):
    """z = X θ², entry by entry: J v = 2X(θ∘v), Jᵀg = 2θ∘Xᵀg, Σ g·∇²z·v = 2 (Xᵀg)∘v."""

    def forward(self, X, theta):
        return X @ theta.square()

    def pushforward(self, X, theta, V):
        return 2 * X @ (theta * V)

    def pullback(self, X, theta, g):
        return 2 * theta * (X.T @ g)

    def gauss_newton(self, rows, theta):
        inner = sum(torch.einsum("nd,nkl,ne->dkel", X, h, X) for X, h in rows)
        return 4 * theta[:, :, None, None] * inner * theta

    def curvature(self, X, theta, g, V):
        return 2 * (X.T @ g) * V


class Unbent(Twice):
    """Linear in θ, and says so in a method of its own."""

    def curvature(self, X, theta, g, V):
        return None


class PartlyUnbent(Squared):
    """Says so where, and only where, V moves nothing that bends."""

    def curvature(self, X, theta, g, V):
        bent = super().curvature(X, theta, g, V)
        return bent if bent.any() else None


@pytest.mark.parametrize("model", [Unbent(), PartlyUnbent()], ids=lambda model: type(model).__name__)
def test_a_curvature_of_none_is_none_along_that_direction(model, rng):
    X = torch.randn(60, 5, generator=rng, dtype=torch.float64)
    X[:, 2] = 0
    problem = Problem(Softmax(), model, X, torch.arange(60) % 3, outputs=3)
    theta = torch.randn(problem.shape, generator=rng, dtype=torch.float64)
    true = oracle.hessian(problem.reference, theta)
    assert torch.allclose(problem.hessian(theta), true, atol=1e-13)
    V = torch.randn(theta.shape, generator=rng, dtype=torch.float64)
    assert torch.allclose(problem.hvp(theta, V).reshape(-1), true @ V.reshape(-1), atol=1e-13)


@pytest.fixture(params=[(Twice(), 8, 40), (Twice(), 60, 5), (Squared(), 60, 5)], ids=["dual", "twice", "squared"])
def problem(request, rng):
    model, N, D = request.param
    X = torch.randn(N, D, generator=rng, dtype=torch.float64)
    return Problem(Softmax(), model, X, torch.arange(N) % 3, outputs=3)


def steps(problem, theta):
    for t in range(7):
        value, gradient = problem.value_and_gradient(theta)
        after = theta - 0.01 * gradient
        yield Step(t, problem, problem, None, theta, value, gradient, after, 0.01)
        theta = after


@pytest.mark.parametrize("method", ["auto", "dense", "krylov"])
@pytest.mark.parametrize("every", [3, "auto"])
def test_its_eigenvalues_are_autograd_s_and_nothing_is_carried_or_called_proved(problem, every, method, rng):
    probe, memory = SpectrumProbe(every=every, method=method, top=2, tolerance=0.01), {}
    for start in (torch.zeros(problem.shape, dtype=torch.float64), torch.rand(problem.shape, generator=rng).double()):
        for step in steps(problem, start):
            step.memory.update(memory)
            readings = probe.measure(step)
            memory = dict(step.memory)
            true = torch.linalg.eigvalsh(oracle.hessian(problem.reference, step.theta).reshape(2 * [start.numel()]))
            if every == 3 and step.t % 3:
                assert readings == {}
                continue
            assert not readings["curvature/certainty"].startswith("proved")
            assert readings["curvature/trace"] == pytest.approx(float(true.sum()), abs=1e-9)
            for i in (1, 2):
                lower, upper = (readings[f"curvature/lambda_{i}/{end}"] for end in ("lower", "upper"))
                assert lower - 1e-12 <= float(true[-i]) <= upper + 1e-12
                assert readings[f"curvature/lambda_{i}"] == pytest.approx(float(true[-i]), abs=1e-12)


def test_what_is_known_of_x_theta_alone_is_not_told_of_it(problem):
    curvature = Curvature(problem, torch.ones(problem.shape, dtype=torch.float64))
    assert curvature.log_change_by_length(curvature.theta) == torch.inf
    assert curvature.dense_rounding > 0
    assert problem.products is None
    assert problem.flat_directions == []
    with pytest.raises(ValueError, match="known for models that are Xθ"):
        forms.dual(curvature)

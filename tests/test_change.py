"""How far a Hessian may have moved is bounded, by the rows or by θ alone, whatever the scale."""

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from lab.curvature.operator import Curvature
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem


@pytest.mark.parametrize("far", [0.01, 0.3, 1.0])
def test_the_hessian_stays_within_the_exponential_of_its_change(problem_and_theta, far, rng):
    p, theta = problem_and_theta
    bare = Problem(p.loss, p.model, p.X, p.y)
    here, there = Curvature(bare, theta), theta + far * torch.randn(theta.shape, generator=rng, dtype=theta.dtype)
    delta = here.log_change(there)
    before, after = (torch.linalg.eigvalsh(Curvature(bare, at).dense) for at in (theta, there))
    assert (after <= math.exp(delta) * before + 1e-12).all()
    assert (after >= math.exp(-delta) * before - 1e-12).all()
    assert delta <= here.log_change_at_most(there) < 20 * delta


@dataclass(frozen=True)
class Cold(Softmax):
    """Softmax at temperature 1/10: ℓ(10 z), whose Hessian moves ten times as fast."""

    self_concordance: ClassVar[float] = 20.0

    def hvp(self, z, y, u):
        return 100 * super().hvp(10 * z, y, u)

    def hessian(self, z, y):
        return 100 * super().hessian(10 * z, y)


def test_a_loss_that_is_another_s_child_has_its_own_pace(rng):
    X = torch.randn(30, 4, generator=rng, dtype=torch.float64)
    problem, theta = Problem(Cold(), Linear(), X, torch.arange(30) % 3, outputs=3), X[:4, :3] / 10
    here, there = Curvature(problem, theta), theta + 0.01 * X[4:8, :3]
    delta = here.log_change(there)
    assert delta <= here.log_change_at_most(there) <= here.log_change_by_length(there)
    before, after = (torch.linalg.eigvalsh(Curvature(problem, at).dense)[4:] for at in (theta, there))
    assert float((after / before).log().abs().max()) <= delta


@pytest.mark.parametrize("size", [1e-22, 1e-23, 1e-30, 1e18])
def test_a_change_is_seen_where_squares_underflow(size, rng):
    X = (size * torch.randn(30, 4, generator=rng)).float()
    theta = torch.zeros(4, 3)
    move = torch.randn(4, 3, generator=rng) * (1e-5 / size)
    problem = Problem(Softmax(), Linear(), X, torch.arange(30) % 3, outputs=3)
    true = float(Softmax().drift(X.double() @ (move.double() - theta.double())).max())
    here = Curvature(problem, theta)
    assert 0 < true * (1 - 1e-6) <= here.log_change_at_most(move) <= here.log_change_by_length(move) < 100 * true


def test_a_loss_that_moves_fast_has_more_rounding_in_its_pace(rng):
    class Fast(Softmax):
        self_concordance: ClassVar[float] = 1000.0

    for _ in range(300):
        X, move = torch.randn(1, 3, generator=rng), torch.randn(3, 3, generator=rng)
        move -= X.T @ (X @ move) / X.square().sum()  # x ⟂ Δ but for rounding
        problem = Problem(Fast(), Linear(), X, torch.tensor([0]), outputs=3)
        true = float(Fast().drift(X.double() @ move.double()).max())
        assert true <= Curvature(problem, torch.zeros(3, 3)).log_change(move)

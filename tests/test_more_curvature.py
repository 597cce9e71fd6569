"""What else the lab says of curvature: decrease within proven bounds, alignment, density, condition."""

import math
from dataclasses import dataclass, replace

import mpmath
import numpy as np
import pytest
import torch
from conftest import make_problem

from lab import launch
from lab.curvature import density
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.probe import Step
from lab.probes.density import Density
from lab.probes.descent import Descent, remainder
from lab.probes.spectrum import SpectrumProbe
from lab.problem import Problem

F64 = torch.float64


def step_from(problem, theta, after):
    value, gradient = problem.value_and_gradient(theta)
    return Step(0, problem, problem, None, theta, value, gradient, after, 0.1)


@pytest.mark.parametrize("delta", [-1e300, -1e160, -30.0, -1.0, -0.999, -1e-3, -1e-12, 0.0, 1e-9, 0.5, 1.0, 30.0])
def test_the_remainder_is_accurate_at_every_size(delta):
    with mpmath.workdps(60):
        x = mpmath.mpf(delta)
        true = (mpmath.exp(x) - x - 1) / x**2 if x else mpmath.mpf(1) / 2
        assert abs(remainder(delta) / true - 1) < 1e-13


@pytest.mark.parametrize("far", [1e-9, 1e-5, 0.01, 1.0, 30.0])
def test_every_decrease_is_within_its_envelope(problem_and_theta, far, rng):
    problem, theta = problem_and_theta
    for _ in range(10):
        after = theta + far * torch.randn(theta.shape, generator=rng, dtype=F64)
        found = Descent().measure(step_from(problem, theta, after))
        assert found["check/decrease"].passed, str(found["check/decrease"])
        foretold = found["step/predicted_decrease"]
        assert found["step/predicted_decrease/lower"] <= foretold + 1e-15 * abs(foretold)
        assert found["step/predicted_decrease/upper"] >= foretold - 1e-15 * abs(foretold)


@pytest.mark.parametrize(("dtype", "far"), [(torch.float32, 120.0), (torch.float32, 1e8), (F64, 800.0), (F64, 1e300)])
def test_a_saturated_row_that_comes_back_is_within_its_envelope(dtype, far):
    X = torch.tensor([[1.0], [1.0]], dtype=dtype)
    problem = Problem(Sigmoid(), Linear(), X, torch.tensor([[0.0], [0.0]], dtype=dtype))
    theta = torch.full((1, 1), -far, dtype=dtype)  # σ and σ(1 − σ) are 0 in this precision, the gradient is too
    found = Descent().measure(step_from(problem, theta, -theta))
    assert found["step/actual_decrease"] == -far
    assert found["step/predicted_decrease/lower"] <= -far
    assert found["check/decrease"].passed, str(found["check/decrease"])
    assert found["check/decrease"].ratio == 0


def test_where_rounding_has_no_finite_bound_nothing_is_convicted(rng):
    X = torch.tensor([[1.2041e149, 1.0], [1.4038e150, 1.0], [-8.4039e148, 1.0]], dtype=F64)
    problem = Problem(Softmax(label_smoothing=0.5), Linear(), X, torch.tensor([1, 0, 0]), outputs=3)
    theta = torch.tensor([[3.4601e148, 9.7353e147, -4.4336e148], [-1.0, -0.7, -0.6]], dtype=F64)
    for _ in range(20):
        after = theta * (1 + 0.01 * torch.randn(theta.shape, generator=rng, dtype=F64))
        found = Descent().measure(step_from(problem, theta, after))
        assert found["check/decrease"].ratio == 0, str(found["check/decrease"])


def test_a_decrease_that_is_too_much_is_convicted_however_far_the_step():
    problem = Problem(Sigmoid(), Linear(), torch.ones(1, 1, dtype=F64), torch.ones(1, 1, dtype=F64))
    theta, after = torch.full((1, 1), -1e4, dtype=F64), torch.full((1, 1), 1e4, dtype=F64)
    step = step_from(problem, theta, after)
    assert Descent().measure(step)["check/decrease"].passed
    assert not Descent().measure(replace(step, gradient=step.gradient / 4))["check/decrease"].passed


@dataclass(frozen=True)
class Flipped(Softmax):
    """Softmax with a gradient of the wrong sign."""

    def gradient(self, z, y):
        return -super().gradient(z, y)

    def value_and_gradient(self, z, y):
        value, gradient = super().value_and_gradient(z, y)
        return value, -gradient


def test_a_wrong_gradient_is_convicted_by_the_decrease_alone(rng):
    problem, theta = make_problem(rng)
    wrong = replace(problem, loss=Flipped())
    value, gradient = wrong.value_and_gradient(theta)
    step = replace(step_from(problem, theta, theta - 0.1 * gradient), problem=wrong, value=value, gradient=gradient)
    verdict = Descent().measure(step)["check/decrease"]
    assert not verdict.passed
    assert verdict.ratio > 1e3
    assert "value, gradient or Hessian is wrong" in str(verdict)


def spread_of(values, rng, depth=12, vectors=4):
    n = len(values)
    Q = torch.linalg.qr(torch.randn(n, n, generator=rng, dtype=F64)).Q
    return density.sample(lambda V: (Q * values) @ (Q.T @ V), n, values, vectors, depth, 3, 1e-3)


def test_shares_of_eigenvalues_are_in_their_intervals(rng):
    for n in (5, 40, 300):
        for values in (torch.rand(n, dtype=F64, generator=rng), 10.0 ** -torch.linspace(0, 9, n, dtype=F64)):
            found = spread_of(values, rng)
            for x in (0.9, 0.5, 0.1, 1e-3, 0.0):
                lower, upper = found.above(x)
                assert lower <= float((values > x).double().mean()) <= upper
            assert found.largest <= float(values.max()) * (1 + 1e-12)
    found = spread_of(torch.linspace(0, 1, 300, dtype=F64), rng, depth=40)
    lower, upper = found.above(0.5)
    assert upper - lower < 2 * found.spread + 0.15  # two nodes of forty, and what sampling may add


@pytest.mark.parametrize("n", [1, 2, 3])
def test_more_directions_than_parameters_narrow_what_sampling_adds(n, rng):
    values = torch.arange(1.0, n + 1, dtype=F64)
    few, many = spread_of(values, rng), spread_of(values, rng, vectors=400)
    assert few.nodes.shape == (4, n)
    assert many.spread == pytest.approx(few.spread / 10)
    for x in (0.5, 1.5, 2.5, 3.5):
        lower, upper = many.above(x)
        assert lower <= float((values > x).double().mean()) <= upper


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_shares_of_eigenvalues_are_the_same_at_every_scale(scale, tmp_path):
    X = torch.randn(20, 3, dtype=F64, generator=torch.Generator().manual_seed(0)).numpy()
    found = []
    for size in (1.0, scale):
        np.savez(tmp_path / "data.npz", X=X * size, y=np.arange(20) % 2)
        data = {"kind": "npz", "path": str(tmp_path / "data.npz"), "standardize": False, "intercept": False}
        fixed = {"loss": {"kind": "sigmoid"}, "init": 0.0, "steps": 1, "probes": {"density": {"every": 1}}}
        run = launch.train({"data": data, "optimizer": {"kind": "sgd", "lr": 0.1}, **fixed}, runs=tmp_path)
        found.append({tag: x for tag, x in run.metrics.rows[0].items() if tag.startswith("density/")})
    assert len(found[0]) == 8
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_a_decrease_that_is_no_number_is_not_logged(tiny, tmp_path):
    fixed = {"init": 1.0, "steps": 3, "probes": {"descent": {}}, "ridge": 1.0}
    run = launch.train({**tiny, **fixed, "optimizer": {"kind": "sgd", "lr": 1e308}}, runs=tmp_path)
    assert run.status == "diverged"
    assert len(run.metrics.rows) > 1
    for row in run.metrics.rows:
        assert not any(math.isnan(x) for tag, x in row.items() if tag.startswith("step/") and "decrease" in tag)


def test_the_probes_log_their_readings(tiny, tmp_path):
    probes = {"sharpness": {"every": 2}, "alignment": {"every": 2, "top": 2}, "density": {"every": 3}, "spectrum": {}}
    optimizer = {"kind": "adam", "lr": 0.05}
    run = launch.train({**tiny, "init": 0.1, "optimizer": optimizer, "probes": probes}, runs=tmp_path)
    assert run.status == "finished"
    for row in run.metrics.rows:
        measured = row["step"] % 2 == 0
        assert ("stability/share" in row) == ("alignment/gradient" in row) == measured
        if measured:
            assert row["stability/sharpness/lower"] <= row["stability/sharpness/upper"]
            assert 0 <= row["alignment/gradient"] <= 1 + 1e-12
            assert ("alignment/last" in row) == (row["step"] > 0)
        assert ("density/above_1e-1/lower" in row) == (row["step"] % 3 == 0)
        assert 1 <= row["curvature/effective_rank"] <= 15
        assert math.isfinite(row["curvature/log_determinant"])
    assert 0.9 < run.metrics.rows[-1]["alignment/last"] <= 1 + 1e-12


def test_shares_of_eigenvalues_hold_below_what_rounding_makes_of_zeros(rng):
    X = torch.randn(600, 20, generator=rng, dtype=F64)
    X[:, 10:] = X[:, :10]
    problem = Problem(Softmax(), Linear(), X.float(), torch.arange(600) % 4, outputs=4)
    theta = 0.1 * torch.randn(20, 4, generator=rng)
    readings = Density(decades=12, vectors=400).measure(step_from(problem, theta, theta))
    for j in range(1, 13):  # of 80 directions 30 are seen
        assert readings[f"density/above_1e-{j}/lower"] <= 30 / 80 <= readings["density/above_1e-12/upper"]
    assert readings["density/above_1e-4/lower"] > 0.2


@pytest.mark.parametrize("unit", [1.0, 1e9, 1.7e14])
def test_what_rounding_hides_has_no_number(unit, rng):
    """Columns that are independent, one of them in tiny units: no eigenvalue is 0, and two are lost in rounding."""
    X = torch.randn(200, 3, generator=rng, dtype=torch.float64)
    X[:, 2] = 1
    X[:, 0] *= unit
    y = (torch.rand(200, 1, generator=rng) < 0.5).double()
    problem, theta = Problem(Sigmoid(), Linear(), X, y), torch.zeros(3, 1, dtype=torch.float64)
    readings = SpectrumProbe(bottom=1).measure(step_from(problem, theta, theta))
    lost = {"curvature/condition", "curvature/log_determinant", "curvature/lambda_min", "curvature/bottom_1"}
    assert lost & readings.keys() == (lost if unit == 1 else set())
    assert "depend" not in readings["curvature/definiteness"]
    assert readings["curvature/rank"] == (3 if unit == 1 else 1)

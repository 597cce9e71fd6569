"""Intervals hold where H is tiny, or overflows, or is seen in single precision alone; what is no number is not told."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import make_problem

from lab import coefficients, rounding, spectrum, summary
from lab.curvature import bounds, certificate, plan, structure
from lab.curvature.operator import Curvature
from lab.curvature.ritz import Ritz
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.probe import Step
from lab.probes.alignment import Alignment
from lab.probes.density import Density
from lab.probes.sharpness import Sharpness, largest
from lab.probes.spectrum import SpectrumProbe
from lab.problem import Problem
from lab.stability import Stability
from lab.theorems import _separable

F64 = torch.float64


def at(problem, theta):
    value, gradient = problem.value_and_gradient(theta)
    return Step(0, problem, problem, None, theta, value, gradient, theta, 0.1, Stability(2.0))


@pytest.mark.parametrize("a", [0, 200, 270, 400, -200])
def test_sharpness_by_products_is_the_same_in_all_units(a, rng, monkeypatch):
    monkeypatch.setattr(plan, "choose", lambda *_: plan.Plan("krylov", "for the test"))
    problem, theta = make_problem(rng, N=40, D=12, K=3, ridge=0.0)
    d = torch.rand(theta.numel(), 1, generator=rng, dtype=F64) + 0.5
    H = problem.hessian(theta)
    true = float(spectrum.dense(d * H * d.T).values[0])
    scaled = replace(problem, X=problem.X * 2.0**-a)
    found = largest(Curvature(scaled, theta * 2.0**a), d, 0.05, 0)
    lower, upper = (float(end[0]) * 2.0**a * 2.0**a for end in (found.lower, found.upper))
    assert lower <= true * (1 + 1e-12)
    assert true * (1 - 1e-12) <= upper <= 1.1 * true


@pytest.mark.parametrize("way", ["dense", "krylov"])
def test_the_rounding_of_adam_s_scale_is_in_the_interval_in_single_too(way, rng, monkeypatch):
    monkeypatch.setattr(plan, "choose", lambda *_: plan.Plan(way, "for the test"))
    problem, theta = make_problem(rng, N=40, D=6, K=3, ridge=0.0)
    problem, theta = replace(problem, X=problem.X.float(), y=problem.y.float(), held=None), theta.float()
    scale = torch.rand(theta.shape, generator=rng, dtype=F64).float() + 0.1
    step = replace(at(problem, theta), stability=Stability(2.0, scale))
    readings = Sharpness().measure(step)
    d = scale.double().rsqrt().reshape(-1, 1)
    H = problem.in_double.hessian(theta.double())
    true = float(spectrum.dense(d * H * d.T).values[0])
    assert readings["stability/sharpness/lower"] <= true <= readings["stability/sharpness/upper"]


@pytest.mark.parametrize("a", [0, 399, 496])
def test_the_smallest_eigenvalues_are_looked_for_in_all_units(a, rng):
    problem, theta = make_problem(rng, N=40, D=6, K=3, ridge=0.0, loss="sigmoid")
    readings = structure.least(Curvature(replace(problem, X=problem.X * 2.0**-a), theta * 2.0**a), 3, 0)
    true = spectrum.dense(problem.hessian(theta)).values.flip(0)
    for i in range(3):
        assert readings[f"curvature/bottom_{i + 1}/upper"] * 2.0**a * 2.0**a >= float(true[i]) * (1 - 1e-9)


def test_in_single_precision_a_chance_misses_nothing_below_what_rounding_may_leave():
    """The bulk is 1 where the floor is 0, and what is new in a product is less than 100 √P u of it."""
    P = 150_000
    for seed in range(3):
        u = torch.randn(P, 1, generator=torch.Generator().manual_seed(100 + seed))
        hold = torch.ones(P, 1)
        u[0] = hold[0] = 0
        u /= u.norm()
        ritz = Ritz(torch.ones(1), torch.zeros(P, 1), torch.zeros(P, 1), 0.0, 0)
        rest = certificate.by_chance(
            lambda V, u=u, hold=hold: hold * V + u * (u.T @ V), ritz, 0, 0.0, seed, 1e-6, 0.02, 1e-4
        )
        assert rest >= 2


class Exponential(Sigmoid):
    """Counts with the mean e^z: nothing bounds its Hessian."""

    def value_and_gradient(self, z, y):
        return (z.exp() - y * z).sum(dim=1), z.exp() - y

    def gradient(self, z, y):
        return z.exp() - y

    def predicted(self, z, y):
        return z.exp()

    def hvp(self, z, y, u):
        return z.exp() * u

    def diagonal(self, z, y):
        return z.exp()

    def hessian(self, z, y):
        return torch.diag_embed(z.exp())

    def hessian_map(self, z, y):
        return lambda U: z.exp()[:, :, None] * U

    def local(self, z, y):
        return super(Sigmoid, self).local(z, y)


@pytest.mark.parametrize("reach", [300.0, 500.0, 705.0, 709.5])
@pytest.mark.parametrize("method", ["krylov", "dense"])
def test_what_overflows_has_no_number_and_stops_no_probe(reach, method, rng):
    X = torch.randn(20, 3, generator=rng, dtype=F64)
    X[0] = torch.tensor([reach, 1.0, 1.0])
    theta = torch.tensor([[1.0], [0.0], [0.0]], dtype=F64)
    problem = Problem(Exponential(), Linear(), X, torch.ones(20, 1, dtype=F64))
    step = at(problem, theta)
    for probe in (SpectrumProbe(method=method, top=2, bottom=1), Sharpness(), Density(), Alignment()):
        readings = probe.measure(step)
        numbers = {tag: each for tag, each in readings.items() if isinstance(each, float)}
        ends = {tag for tag in numbers if tag.endswith(("/lower", "/upper"))}
        assert all(math.isfinite(numbers[tag]) for tag in numbers.keys() - ends), numbers
        assert not any(math.isnan(numbers[tag]) for tag in ends), numbers


def test_a_column_that_depends_in_single_precision_alone_is_no_reason_for_a_zero():
    """Its eigenvalue is told from 0, and another one is not, which rounding hides, as its row is saturated."""
    rng = torch.Generator().manual_seed(3)
    X = torch.zeros(5, 3)
    X[:4, :1] = torch.rand(4, 1, generator=rng) + 0.5
    X[:4, 1:2] = X[:4, :1] * (1 + 12e-7 * torch.randn(4, 1, generator=rng))
    X[4, 2] = 1
    theta = torch.tensor([[0.1], [0.1], [50.0]])
    problem = Problem(Sigmoid(), Linear(), X, torch.zeros(5, 1))
    readings = SpectrumProbe(method="dense").measure(at(problem, theta))
    assert "depends" not in readings["curvature/definiteness"]
    assert not {"curvature/lambda_min", "curvature/condition", "curvature/log_determinant"} & readings.keys()


@pytest.mark.parametrize("loss", [Softmax(), Sigmoid()], ids=["softmax", "sigmoid"])
def test_value_and_gradient_are_within_their_bounds_where_logits_are_lost_in_rounding(loss, rng):
    """Logits are differences of numbers so large that several of their units are rounding."""
    for size in (1e6, 1e7, 6e7, 3e8):
        for _ in range(40):
            X = (size * (1 + 1e-6 * torch.randn(6, 2, generator=rng, dtype=F64))).float()
            theta = torch.randn(1, 3, generator=rng, dtype=F64) * torch.tensor([[1.0], [-1.0]], dtype=F64)
            problem, theta = Problem(loss, Linear(), X, torch.eye(3)[torch.arange(6) % 3]), theta.float()
            exact, there = problem.in_double, theta.double()
            off = abs(float(problem.value(theta)) - float(exact.value(there)))
            assert off <= rounding.value_bound(problem, theta)
            apart = (problem.gradient(theta).double() - exact.gradient(there)).abs()
            assert bool((apart <= rounding.gradient_bound(problem, theta).double()).all())


def test_a_table_of_coefficients_is_the_same_in_single_precision(rng):
    X = torch.randn(300, 3, generator=rng, dtype=F64)
    X = torch.cat([X[:, :2], X[:, :1] + 1e-3 * X[:, 2:], torch.ones(300, 1, dtype=F64)], dim=1).float()
    y = (torch.rand(300, 1, generator=rng, dtype=F64) < 0.5).float()
    problem, theta = Problem(Sigmoid(), Linear(), X, y), torch.zeros(4, 1, dtype=F64)
    for _ in range(12):
        exact = problem.in_double
        theta = theta - torch.linalg.solve(exact.hessian(theta), exact.gradient(theta))
    names = list("abcd")
    single = coefficients.coefficients(problem, theta.float(), names, ["y"])
    double = coefficients.coefficients(problem.in_double, theta.float().double(), names, ["y"])
    assert [each.error for each in single] == [each.error for each in double]


@pytest.mark.parametrize("small", [1.0, 1e-6])
@pytest.mark.parametrize("big", [1.0, 1e9])
def test_whether_rows_can_be_separated_does_not_hang_on_a_columns_units(small, big, rng):
    x = torch.rand(40, 1, generator=rng, dtype=F64) + 0.5
    y = torch.randint(2, (40, 1), generator=rng).to(F64)
    X = torch.cat([small * x * (2 * y - 1), big * torch.randn(40, 1, generator=rng, dtype=F64)], dim=1)
    setting = SimpleNamespace(problem=Problem(Sigmoid(), Linear(), X, y), loss="sigmoid")
    assert _separable.separable(setting).met
    assert not _separable.has_minimum(setting).met


@pytest.mark.parametrize("chance", [1e-6, 1.4e-5, 9.6e-6, 1.0000001e-6, 2e-6])
def test_a_chance_is_told_rounded_up(chance):
    assert chance <= float(bounds.upward(chance)) <= 2 * chance


@pytest.mark.parametrize(("upper", "said"), [(0.99995, "below 2:"), (1.01, "cannot be told"), (None, "below 2:")])
def test_steps_are_said_to_be_stable_where_the_upper_end_of_the_interval_is(upper, said, tmp_path):
    row = {"step": 0, "curvature/definiteness": "x", "curvature/lambda_1": 0.9999, "stability/lr_lambda_max": 1.9998}
    row |= {"curvature/lambda_1/upper": upper} if upper else {}
    lines = summary.summarize(tmp_path, {"status": "finished"}, [row])
    (line,) = [each for each in lines if each.what == "stability"]
    assert said in line.figures

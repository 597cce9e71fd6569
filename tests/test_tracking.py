"""Eigenvalues are followed from step to step, each in an interval that holds at every one of them."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import make_problem

from lab import spectrum
from lab.curvature import forms, plan, search, structure, tracking
from lab.curvature.coarse import coarse
from lab.curvature.operator import Curvature
from lab.curvature.tracking import Tracked
from lab.losses.sigmoid import Sigmoid
from lab.models.linear import Linear
from lab.probe import Step
from lab.probes.spectrum import SpectrumProbe
from lab.problem import Problem


def truth(curvature):
    found = spectrum.dense(curvature.dense, curvature.dense_rounding)
    return found.values, found.radius


def holds(found, values, radius):
    lower, upper = (torch.as_tensor(ends, dtype=torch.float64) for ends in (found.lower, found.upper))
    k = len(lower)
    return bool((lower <= values[:k] + radius).all() and (upper >= values[:k] - radius).all())


def descend(problem, theta, steps, lr):
    for _ in range(steps):
        yield theta
        theta = theta - lr * problem.gradient(theta)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
@pytest.mark.parametrize("ridge", [0.0, 0.05])
@pytest.mark.parametrize("lr", [0.02, 1.0])
def test_intervals_hold_at_every_step_of_descent_and_are_narrow(loss, ridge, lr, rng):
    problem, _ = make_problem(rng, loss, N=60, D=12, K=4, ridge=ridge)
    before = None
    for theta in descend(problem, torch.zeros(12, 4, dtype=torch.float64), 15, lr):
        curvature = Curvature(problem, theta)
        before = tracking.track(curvature, 4, 1e-8, before)
        assert before.settled
        assert before.enclosure.how == "proved"
        assert holds(before.enclosure, *truth(curvature))
        assert ((before.enclosure.lower <= before.values) & (before.values <= before.enclosure.upper)).all()
        values, radius = truth(curvature)
        assert all(before.ceiling.at(j) >= float(values[j - 1]) - radius for j in range(1, 49))


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_a_dense_spectrum_that_products_cannot_part_is_proved_by_a_matrix_and_then_at_once(loss, rng):
    problem, start = make_problem(rng, loss, N=480, D=120, K=5)
    before = None
    for theta in descend(problem, start / 3, 3, 0.2):
        curvature = Curvature(problem, theta)
        assert not search.Search(curvature, 3, 1e-8, 0).has_matrix  # it is dearer than a search is foreseen to be
        found = tracking.track(curvature, 3, 1e-8, before)
        assert (found.settled, found.enclosure.how) == (True, "proved")
        assert holds(found.enclosure, *truth(curvature))
        assert before is None or found.products <= 10
        before = Tracked.of(found.state(), theta)


def test_the_narrowest_of_what_was_found_is_kept_and_rounding_ends_a_search(rng):
    problem, theta = make_problem(rng, "sigmoid", N=480, D=120, K=5)
    curvature = Curvature(problem, theta)  # logits are so large that 1e-8 cannot be had
    found = tracking.track(curvature, 3, 1e-8)
    assert not found.settled
    assert found.enclosure.how == "proved"
    assert found.enclosure.width < 1e-7
    assert holds(found.enclosure, *truth(curvature))
    assert tracking.track(curvature, 3, 1e-8, found).products <= 60


def test_the_narrowest_of_several_that_hold_by_chance_fails_where_any_of_them_does(monkeypatch, rng):
    problem, theta = make_problem(rng, N=480, D=120, K=5)
    attempt, chances = search.Search.attempt, []

    def noted(self, *args):
        found = attempt(self, *args)
        chances.append(found.enclosure.chance)
        return found

    monkeypatch.setattr(search.Search, "attempt", noted)
    monkeypatch.setattr(search.Search, "has_matrix", False)
    found = tracking.track(Curvature(problem, theta), 3, 1e-8)
    assert len(chances) > 1
    assert min(chances) > 0
    assert found.enclosure.chance == pytest.approx(sum(chances))
    assert found.ceiling.chance == found.enclosure.chance


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_structure_says_all_at_zero(loss, ridge, rng):
    problem, _ = make_problem(rng, loss, N=90, D=12, K=5, ridge=ridge)
    curvature = Curvature(problem, torch.zeros(12, 5, dtype=torch.float64))
    found, (values, radius) = structure.shared(curvature, 7), truth(curvature)
    assert found.radius < 1e-11
    assert ((found.values - values).abs() <= found.radius + radius).all()
    residual = curvature(found.vectors) - found.vectors * found.values[:7]
    assert float(residual.norm()) <= 10 * (found.radius + radius)
    assert structure.shared(Curvature(problem, curvature.theta + 1e-3), 7) is None


def test_multiplicity_is_met_by_a_wider_block(rng, monkeypatch):
    monkeypatch.setattr(tracking, "shared", lambda *_: None)
    problem, _ = make_problem(rng, N=90, D=20, K=16, ridge=0.0)
    found = tracking.track(Curvature(problem, torch.zeros(20, 16, dtype=torch.float64)), 3, 1e-8)
    assert found.settled
    assert found.vectors.shape[1] > 3 + plan.GUARDS[0]
    assert torch.allclose(found.values, found.values[0].expand(3), rtol=1e-8)


def test_without_the_memory_for_a_proof_chance_is_taken_and_named(rng, monkeypatch):
    monkeypatch.setattr(plan, "memory", lambda device: 1e5)
    problem, theta = make_problem(rng, N=90, D=30, K=4, ridge=0.0)
    curvature = Curvature(problem, theta)
    found = tracking.track(curvature, 3, 1e-6)
    assert found.enclosure.how == "probable, failing with a probability of at most 1e-06"
    assert holds(found.enclosure, *truth(curvature))


def test_chances_of_failure_do_not_add_up_over_steps_that_reach_nothing(rng, monkeypatch):
    monkeypatch.setattr(plan, "memory", lambda device: 1e5)
    problem, theta = make_problem(rng, N=60, D=12, K=4, ridge=0.0)
    before = None
    for at in descend(problem, theta, 12, 0.1):
        before = tracking.track(Curvature(problem, at), 3, 1e-17, before)
        assert not before.settled
        assert 0 < before.enclosure.chance <= 3e-6
        assert holds(before.enclosure, *truth(Curvature(problem, at)))


def test_what_cannot_be_reached_is_a_state_and_the_intervals_hold(rng):
    problem, theta = make_problem(rng, N=60, D=12, K=4)
    found = tracking.track(Curvature(problem, theta), 4, 1e-17)
    assert not found.settled
    assert holds(found.enclosure, *truth(Curvature(problem, theta)))


def test_a_saturated_and_a_vanished_hessian_are_no_trouble(rng):
    problem, theta = make_problem(rng, N=60, D=12, K=4, ridge=0.0)
    for scale in (10.0, 1e3, 1e5):
        curvature = Curvature(problem, scale * theta)
        assert holds(tracking.track(curvature, 3, 1e-6).enclosure, *truth(curvature))


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("free", [0.0, 1.0])
def test_the_last_intervals_moved_by_the_bound_hold_at_later_steps(ridge, free, rng):
    problem, _ = make_problem(rng, N=60, D=12, K=4, ridge=ridge)
    held = problem.mask.clone()
    held[-1] = 1 - free
    problem = Problem(problem.loss, problem.model, problem.X, problem.y, ridge, held)
    thetas = list(descend(problem, torch.zeros(12, 4, dtype=torch.float64), 12, 0.3))
    first = Curvature(problem, thetas[0])
    known = tracking.track(first, 4, 1e-8)
    widths = []
    for theta in thetas:
        deltas = [bound(theta) for bound in (first.log_change, first.log_change_at_most, first.log_change_by_length)]
        assert deltas == sorted(deltas)
        for delta in deltas:
            moved = known.enclosure.band.moved(delta, structure.uniform_ridge(first))
            assert holds(moved, *truth(Curvature(problem, theta)))
        widths.append(moved.width)
    assert widths[0] <= 1e-8 < widths[1]


def test_a_state_saved_is_a_state_restored(rng):
    problem, theta = make_problem(rng, N=60, D=12, K=4)
    found = tracking.track(Curvature(problem, theta), 4, 1e-8)
    again = Tracked.of(found.state(), theta)
    assert torch.equal(again.vectors, found.vectors)
    assert torch.equal(again.enclosure.upper, found.enclosure.upper)
    assert torch.equal(again.ceiling.values, found.ceiling.values)
    assert torch.equal(again.majorant.vectors, found.majorant.vectors)
    assert again.majorant.rest == found.majorant.rest


def test_a_small_step_needs_no_new_proof_and_a_large_one_gets_one(rng, monkeypatch):
    problem, theta = make_problem(rng, N=90, D=30, K=4, ridge=0.0)
    found = tracking.track(Curvature(problem, theta), 3, 1e-8)
    made = []
    monkeypatch.setattr(search, "coarse", lambda *args: made.append(args) or coarse(*args))
    for size, proofs in ((1e-4, 0), (1.0, 1)):
        move = size * torch.randn(theta.shape, generator=rng, dtype=theta.dtype)
        there = Curvature(problem, theta + move)
        after = tracking.track(there, 3, 1e-8, found)
        assert after.settled
        assert after.enclosure.how == "proved"
        assert holds(after.enclosure, *truth(there))
        assert len(made) == proofs


def sized(rng, N, D, K):
    problem, _ = make_problem(rng, N=4, D=2, K=K, ridge=0.0)
    X, y = torch.zeros(1, 1, dtype=torch.float64).expand(N, D), problem.y[:1].expand(N, K)
    return Curvature(Problem(problem.loss, problem.model, X, y), torch.zeros(D, K, dtype=torch.float64))


@pytest.mark.parametrize(
    ("size", "method"),
    [((455, 31, 2), "dense"), ((1797, 65, 10), "dense"), ((60_000, 785, 10), "krylov"), ((20, 5000, 3), "dual")],
)
def test_the_way_is_chosen_by_price_and_says_so(size, method, rng):
    way = plan.choose(sized(rng, *size), 5)
    assert way.method == method
    assert "multiply-adds" in way.why


def test_a_matrix_that_memory_has_no_room_for_is_not_formed(rng, monkeypatch):
    there = sized(rng, 1797, 65, 10)
    monkeypatch.setattr(plan, "memory", lambda device: 2 * 3 * 8 * 649.0**2)
    assert plan.choose(there, 5).method == "krylov"


def test_memory_is_what_a_container_allows(tmp_path, monkeypatch):
    allowed = tmp_path / "memory.max"
    monkeypatch.setattr(plan, "CONTAINER", (str(tmp_path / "no such file"), str(allowed)))
    memory = plan.memory.__wrapped__  # as it is asked for the first time
    machine = memory(torch.device("cpu"))
    for words, number in (("1000000\n", 1e6), ("max\n", math.inf)):
        allowed.write_text(words)
        assert plan.number_in(str(allowed)) == number
        assert memory(torch.device("cpu")) == min(number, machine)


def test_the_dual_has_the_spectrum_of_the_matrix(rng):
    problem, theta = make_problem(rng, N=5, D=20, K=3, ridge=0.0)
    for p in (problem, Problem(problem.loss, problem.model, problem.X, problem.y, 0.4)):
        curvature = Curvature(p, theta)
        dual = structure.from_dual(curvature, spectrum.dense(forms.dual(curvature), curvature.dense_rounding))
        whole, radius = truth(curvature)
        assert ((dual.values - whole).abs() <= dual.radius + radius).all()
        assert dual.rank == spectrum.dense(curvature.dense, curvature.dense_rounding).rank


def test_the_smallest_are_at_the_floor_or_in_an_interval(rng):
    problem, theta = make_problem(
        rng, N=60, D=12, K=4, ridge=0.1
    )  # the intercept is free, and softmax blind to a shift
    values, radius = truth(Curvature(problem, theta))
    found = structure.least(Curvature(problem, theta), 3, 0)
    assert found["curvature/lambda_min"] == found["curvature/bottom_1"] == 0.0
    assert abs(float(values[-1])) <= radius
    for i in (2, 3):
        assert found[f"curvature/bottom_{i}/lower"] <= float(values[-i])
        assert found[f"curvature/bottom_{i}/upper"] >= float(values[-i]) - radius
    assert structure.definiteness(Curvature(problem, theta)).startswith("positive semi-definite")
    held = Curvature(Problem(problem.loss, problem.model, problem.X, problem.y, 0.1), theta)
    assert structure.least(held, 2, 0)["curvature/bottom_2"] == 0.1
    assert structure.definiteness(held) == "positive definite: no eigenvalue is below the ridge, 0.1"


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_no_theta_has_eigenvalues_above_what_the_data_allow(loss, rng):
    problem, theta = make_problem(rng, loss, N=60, D=12, K=4, ridge=0.05)
    limits = structure.ceilings(problem, 20)
    assert limits == sorted(limits, reverse=True)
    for size in (0.0, 0.3, 1.0, 10.0):
        values, radius = truth(Curvature(problem, size * theta))
        assert all(float(value) <= limit + radius for value, limit in zip(values, limits, strict=False))
    huge = replace(problem, X=1e200 * problem.X)
    assert structure.ceilings(huge, 2) == [math.inf] * 2


def test_all_eigenvalues_of_a_run_in_single_precision_are_found_in_double(rng):
    problem, theta = make_problem(rng, N=300, D=6, K=3, ridge=0.0)
    single = Problem(problem.loss, problem.model, problem.X.float(), problem.y.float(), outputs=3)
    theta = (5 * theta).float()
    value, gradient = single.value_and_gradient(theta)
    readings = SpectrumProbe(method="dense").measure(Step(0, single, single, None, theta, value, gradient, theta, 0.1))
    values, radius = truth(Curvature(single.in_double, theta.double()))
    assert readings["curvature/certainty"].endswith("float64")
    assert readings["curvature/rank"] == int((values > radius).sum())
    assert readings["curvature/lambda_1"] == pytest.approx(float(values[0]), rel=1e-12)
    assert readings["curvature/lambda_1/upper"] - readings["curvature/lambda_1/lower"] < 1e-9


@pytest.mark.parametrize("method", ["dense", "krylov"])
def test_what_rounding_hides_has_no_number_by_any_method(method, rng):
    problem, theta = make_problem(rng, N=60, D=4, K=3, ridge=0.0)
    theta = 1e15 * theta  # logits are nothing but rounding
    value, gradient = problem.value_and_gradient(theta)
    step = Step(0, problem, problem, None, theta, value, gradient, theta, 0.1)
    readings = SpectrumProbe(method=method, top=2).measure(step)
    assert readings["curvature/certainty"].startswith("not ")
    assert readings["curvature/lambda_1/lower"] < readings["curvature/lambda_1/upper"]
    for silent in ("lambda_1", "lambda_min", "effective_rank"):
        assert f"curvature/{silent}" not in readings or readings[f"curvature/{silent}"] == 0.0


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("held", [0.0, 1.0])
def test_more_eigenvalues_than_rows_see_are_enclosed_in_the_ridge_that_they_are(k, held, rng):
    """Of two rows all but a few eigenvalues are ρ: what parts them from one another is rounding."""
    for _ in range(10):
        X, weight = torch.randn(2, 15, generator=rng, dtype=torch.float64), (0.0, 4.0 * held + 0.1)
        m = torch.ones(15, 1, dtype=torch.float64)
        m[-1] = held
        y = torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
        problem, before = Problem(Sigmoid(weight=weight), Linear(), X, y, 1e-3, m), None
        theta = 1e-3 * torch.randn(15, 2, generator=rng, dtype=torch.float64)
        for _ in range(3):
            true = spectrum.dense(problem.hessian(theta)).values[:k]
            before = tracking.track(Curvature(problem, theta), k, 1e-6, before)
            slack, known = 1e-13 * float(true[0]), before.enclosure
            assert bool(((known.lower <= true + slack) & (true - slack <= known.upper)).all())
            theta = theta - problem.gradient(theta)

"""Corners at which an interval or a bound did not hold once, or a search broke down."""

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from lab import spectrum
from lab.curvature import bounds, coarse, structure, tracking
from lab.curvature.bounds import Band, Enclosure
from lab.curvature.operator import Curvature
from lab.loss import Loss
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.probes.spectrum import SpectrumProbe
from lab.problem import Problem


@dataclass(frozen=True)
class Poisson(Loss):
    """A loss whose Hessian has no bound: h = exp z."""

    self_concordance: ClassVar[float] = 1.0

    def value(self, z, y):
        return (z.exp() - y * z).sum(dim=1)

    def gradient(self, z, y):
        return z.exp() - y

    def hvp(self, z, y, u):
        return z.exp() * u

    reference = value

    def encode(self, labels, classes, dtype):
        return labels

    def correct(self, z, y):
        return torch.ones(len(z))

    def _examples(self, rng, scale):
        yield from ()


def true(problem: Problem, theta: torch.Tensor) -> torch.Tensor:
    """The eigenvalues in double precision, largest first, of a Hessian put together by one einsum."""
    X, y = problem.X.double(), problem.y.double() if problem.y.is_floating_point() else problem.y
    h = problem.loss.hessian(X @ theta.double(), y)
    H = torch.einsum("nd,nkl,ne->dkel", X, h, X).reshape(theta.numel(), -1) / problem.loss.divisor(y)
    ridge = problem.ridge * problem.mask.double().expand(theta.shape).reshape(-1)
    return torch.linalg.eigvalsh(H + ridge.diag()).flip(0)


def holds(enclosure: Enclosure, values: torch.Tensor) -> bool:
    k, slack = len(enclosure.lower), 1e-14 * len(values) * float(values.abs().max())
    return bool(((enclosure.lower <= values[:k] + slack) & (values[:k] <= enclosure.upper + slack)).all())


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize(
    "weight", [(5.0, 0.0, 1.0, 1.0), (0.0, 1.0, 1.0, 1.0), (3.0, 1.0, 0.0, 1.0), (1.0, 0.0, 0.0, 2.0)]
)
def test_labels_of_weight_0_are_no_common_shift(weight, ridge):
    g = torch.Generator().manual_seed(0)
    X = torch.randn(400, 12, dtype=torch.float64, generator=g)
    y = (torch.rand(400, 4, generator=g) < 0.5).double()
    problem = Problem(Sigmoid(weight=weight), Linear(), X, y, ridge)
    theta = 0.3 * torch.randn(12, 4, dtype=torch.float64, generator=g)
    curvature = Curvature(problem, theta)
    found = tracking.track(curvature, 3, 1e-3)
    assert found.settled
    assert holds(found.enclosure, true(problem, theta))
    made = coarse.coarse(curvature)
    U = torch.eye(made.coordinates.order, dtype=torch.float64)
    H = made.coordinates.lowered(curvature(made.coordinates.lifted(U)))
    assert float(torch.linalg.matrix_norm(made.matrix.double() * made.scale - H, ord=2)) <= made.error


def cancelling(seed: int, K: int, size: float, height: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A row x and θ in single precision with terms of this size in each logit, whose sum is near `height`."""
    g = torch.Generator().manual_seed(seed)
    X, theta = torch.randn(1, 6, generator=g), size * torch.randn(6, K, generator=g)
    for _ in range(4):
        z = X.double() @ theta.double() - height
        theta = (theta.double() - X.double().T @ z / X.double().square().sum()).float()
    return X, theta


@pytest.mark.parametrize("size", [1e5, 1e7, 1e8, 3e8])
@pytest.mark.parametrize("loss", [Sigmoid(), Softmax(), Poisson()], ids=lambda loss: type(loss).__name__)
def test_logits_that_are_nothing_but_rounding_leave_intervals_that_hold(loss, size):
    K = 3 if isinstance(loss, Softmax) else 1
    for seed in range(40):
        X, theta = cancelling(seed, K, size, -8.0 if isinstance(loss, Poisson) else 0.0)
        y = torch.tensor([seed % 3]) if K == 3 else torch.ones(1, 1)
        problem = Problem(loss, Linear(), X, y, outputs=K)
        curvature, values = Curvature(problem, theta), true(problem, theta)
        if float(curvature.trace) == math.inf:
            continue
        whole = spectrum.dense(curvature.dense, error=curvature.dense_rounding)
        assert holds(Enclosure(whole.lower, whole.upper), values)
        logged, _ = SpectrumProbe(top=1)._whole(curvature, "dense", {})
        if logged is not None:  # a Hessian that is not finite has none
            assert holds(logged.enclosure, values)
        assert holds(tracking.track(curvature, 1, 1e-3).enclosure, values)


def test_an_interval_without_end_is_as_wide_as_can_be():
    one = torch.ones(1, dtype=torch.float64)
    moved = Enclosure(one, 2 * one).band.moved(800.0, 0.0)
    assert moved.width == math.inf
    assert moved.below([3.0]).upper == [3.0]
    assert Band([-math.inf, 0.5], [1.0, 1.0]).above([0.1, 0.1]).lower == [0.1, 0.5]


def test_what_has_not_moved_keeps_its_bounds_to_the_bit():
    values = torch.rand(1000, dtype=torch.float64)
    for ridge in (0.0, 1e-3, 7e5):
        assert torch.equal(bounds.raised(values, 0.0, ridge), values)
    assert bounds.raised(torch.tensor([math.inf]), 0.0).tolist() == [math.inf]


CORNERS = {
    "one column": (Softmax(), torch.eye(4, dtype=torch.float64)[:1].repeat(9, 1), torch.arange(9) % 3, 3),
    "nothing in X": (Softmax(), torch.zeros(9, 4, dtype=torch.float64), torch.arange(9) % 3, 3),
    "one class": (Softmax(), torch.ones(9, 4, dtype=torch.float64), torch.zeros(9, dtype=torch.long), 1),
    "one row": (Softmax(), torch.ones(1, 4, dtype=torch.float64), torch.tensor([2]), 3),
    "no row": (Softmax(), torch.ones(0, 4, dtype=torch.float64), torch.zeros(0, dtype=torch.long), 3),
    "all ignored": (
        Softmax(ignore_index=0),
        torch.ones(9, 4, dtype=torch.float64),
        torch.zeros(9, dtype=torch.long),
        3,
    ),
}


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("corner", CORNERS)
def test_as_many_eigenvalues_are_found_as_were_asked_for(corner, ridge):
    loss, X, y, K = CORNERS[corner]
    problem = Problem(loss, Linear(), X, y, ridge, outputs=K)
    theta = torch.randn(4, K, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    first = tracking.track(Curvature(problem, theta), 4, 1e-3)
    then = tracking.track(Curvature(problem, 0.9 * theta), 4, 1e-3, first)
    for found, at in ((first, theta), (then, 0.9 * theta)):
        assert len(found.values) == 4
        if corner not in ("no row", "all ignored"):
            assert holds(found.enclosure, true(problem, at))
    told = structure.least(Curvature(problem, theta), 99, seed=0)
    assert len({tag.split("/")[1] for tag in told if "bottom" in tag}) == 4 * K


def spread(seed: int, dtype: torch.dtype, size: float) -> tuple[Problem, torch.Tensor]:
    """Columns of X of sizes up to `size`, six orders apart, and logits of about one."""
    g = torch.Generator().manual_seed(seed)
    N, D, K = 60, 25, 1 + seed % 3
    X = torch.randn(N, D, dtype=torch.float64, generator=g) * torch.logspace(-6, 0, D, dtype=torch.float64)
    theta = torch.randn(D, K, dtype=torch.float64, generator=g)
    y = (torch.rand(N, K, generator=g) < 0.5).to(dtype)
    problem = Problem(Sigmoid(), Linear(), (size * X).to(dtype), y, outputs=K)
    return problem, (0.3 * theta / size).to(dtype)


@pytest.mark.parametrize("size", [1e15, 1e17, 1e19, 1e21, 1e25])
def test_a_hessian_that_overflows_on_the_way_has_intervals_that_hold(size):
    for seed in range(6):
        problem, theta = spread(seed, torch.float32, size)
        first = tracking.track(Curvature(problem, theta), 3, 1e-3)
        then = tracking.track(Curvature(problem, 0.9 * theta), 3, 1e-3, first)
        assert holds(first.enclosure, true(problem, theta))
        assert holds(then.enclosure, true(problem, 0.9 * theta))
        plain = tracking.track(Curvature(*spread(seed, torch.float32, 1.0)), 3, 1e-3)
        assert first.enclosure.width == pytest.approx(plain.enclosure.width, rel=0.2)
        assert first.settled == plain.settled


def test_a_hessian_beyond_the_largest_number_is_bounded_from_below_by_that():
    problem, theta = spread(0, torch.float64, 1e156)
    found = tracking.track(Curvature(problem, theta), 1, 1e-3)
    assert found.enclosure.lower.tolist() == [torch.finfo(torch.float64).max]
    assert found.enclosure.upper.tolist() == [math.inf]


def test_a_step_whose_logits_overflow_moves_an_enclosure_outward():
    problem, theta = spread(0, torch.float32, 1e19)
    there = theta.clone()
    there[-2:] = torch.tensor([[1e21], [-1e21]])  # logits of ∞ − ∞
    curvature = Curvature(problem, theta)
    for bound in (curvature.log_change, curvature.log_change_at_most, curvature.log_change_by_length):
        moved = Band([1.0, 1.0], [2.0, 2.0]).moved(bound(there), 0.0)
        assert max(moved.lower) <= 0
        assert min(moved.upper) == math.inf


def test_where_nothing_is_known_no_value_is_told():
    problem, theta = spread(0, torch.float64, 1.0)
    theta[0] = math.nan
    found = tracking.track(Curvature(problem, theta), 2, 1e-3)
    assert found.values.isnan().all()
    assert found.enclosure.lower.tolist() == [0.0, 0.0]
    assert found.enclosure.upper.tolist() == [math.inf, math.inf]
    assert not found.settled


def test_where_softmax_overflows_in_its_logits_nothing_is_known():
    X, y = torch.tensor([[1e5], [-1e5]], dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    theta = torch.tensor([[1e306, -1e306]], dtype=torch.float64)
    curvature = Curvature(Problem(Softmax(), Linear(), X, y), theta)
    assert bool(torch.isinf(curvature.rows[0][2]).all())
    assert math.isnan(curvature.trace)  # ∞ − ∞, which is not 0
    found = tracking.track(curvature, 2, 1e-6)
    assert bool(torch.isnan(found.values).all())
    assert found.enclosure.upper.tolist() == [math.inf] * 2

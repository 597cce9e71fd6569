"""λ₁ stays below what the data and the loss allow, with every option; a Hessian that is too large is convicted."""

from dataclasses import replace

import pytest
import torch
from conftest import make_problem
from test_more_curvature import step_from

from lab import catalog, launch
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.probes.ceiling import CeilingProbe, of_data, of_loss
from lab.problem import Problem
from lab.spectrum import dense

F64 = torch.float64
OPTIONS = {
    "softmax": Softmax(),
    "weights": Softmax(weight=(0.5, 3.0, 1.25)),
    "smoothing": Softmax(label_smoothing=0.3, weight=(0.5, 3.0, 1.25), ignore_index=1),
    "sum": Softmax(reduction="sum"),
    "sigmoid": Sigmoid(),
    "positives": Sigmoid(pos_weight=(2.0, 0.5, 7.0), weight=(1.0, 0.25, 3.0)),
    "average": Sigmoid(average=True),
}


def drawn(loss, rng, ridge=0.0, N=40):
    X = torch.randn(N, 5, generator=rng, dtype=F64)
    labels = torch.randint(3, (N,), generator=rng)
    y = labels if isinstance(loss, Softmax) else torch.nn.functional.one_hot(labels, 3).to(F64)
    return replace(make_problem(rng)[0], loss=loss, X=X, y=y, ridge=ridge, held=None, outputs=3)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
@pytest.mark.parametrize("loss", OPTIONS.values(), ids=OPTIONS)
def test_no_eigenvalue_is_above_its_ceilings(loss, ridge, rng):
    problem = drawn(loss, rng, ridge)
    data, error = of_data(problem)
    for scale in (0.0, 0.1, 1.0, 10.0, 100.0):
        theta = scale * torch.randn(5, 3, generator=rng, dtype=F64)
        largest = float(dense(problem.hessian(theta)).values[0])
        own, own_error = of_loss(step_from(problem, theta, None))
        assert largest <= data + error + 1e-13 * data
        assert largest <= own + own_error + 1e-13 * own


@pytest.mark.parametrize(("loss", "K", "share"), [(Sigmoid(), 3, 1.0), (Softmax(), 2, 1.0), (Softmax(), 3, 2 / 3)])
def test_the_data_s_ceiling_is_met_at_zero_where_theory_says_so(loss, K, share, rng):
    problem = drawn(loss, rng)
    if K == 2:
        problem = replace(problem, y=problem.y.clamp(max=1), outputs=2)
    largest = float(dense(problem.hessian(torch.zeros(5, K, dtype=F64))).values[0])
    assert largest == pytest.approx(share * of_data(problem)[0], rel=1e-12)


@pytest.mark.parametrize("name", catalog.names("losses"))
@pytest.mark.parametrize("scale", [0.0, 1.0, 8.0, 40.0])
def test_what_a_loss_says_of_its_peak_and_of_itself_holds_at_its_examples(name, scale, rng):
    loss = catalog.get("losses", name)()
    for z, y in loss._examples(rng, scale):
        steepest = torch.linalg.eigvalsh(loss.hessian(z, y))[:, -1]
        peak = loss.peak(z.shape[1])
        if peak is not None:
            bound = peak * loss.diagonal(torch.zeros_like(z), y).amax(dim=1)
            assert (steepest <= bound * (1 + 1e-14)).all()
        if loss.self_bound is not None:
            assert (steepest <= loss.self_bound * loss.value(z, y) * (1 + 1e-12) + 1e-300).all()


def test_a_run_holds_every_step_against_the_ceiling_and_a_hessian_too_large_is_convicted(tiny, tmp_path, monkeypatch):
    tiny |= {"probes": {"spectrum": {"every": 3}, "ceiling": {}}}
    run = launch.train(tiny, runs=tmp_path / "right")
    assert run.status == "finished"
    assert [row["check/ceiling"] for row in run.metrics.rows] == [0.0] * 7
    assert all(row["curvature/lambda_1/lower"] <= row["curvature/ceiling"] for row in run.metrics.rows)
    right = Problem.hessian
    monkeypatch.setattr(Problem, "hessian", lambda self, theta: 4 * right(self, theta))
    wrong = launch.train(tiny, runs=tmp_path / "wrong")
    assert wrong.status == "failed"
    assert "no Hessian of this loss on these data has such an eigenvalue" in str(wrong.folder.status()["failures"])


def test_nothing_is_said_where_no_interval_of_lambda_1_is_there(rng):
    problem, theta = make_problem(rng)
    assert CeilingProbe().measure(step_from(problem, theta, None)) == {}


@pytest.mark.parametrize("size", [1e-20, 1e-12, 1.0])
def test_in_single_precision_a_ceiling_does_not_underflow(size, rng):
    X = size * torch.randn(40, 3, generator=rng, dtype=F64)
    problem = Problem(Softmax(), Linear(), X.float(), torch.arange(40) % 3, outputs=3)
    ceiling, error = of_data(problem)
    true = float(torch.linalg.eigvalsh(problem.X.double().T @ problem.X.double() / 40)[-1])
    assert ceiling == pytest.approx(true / 2, rel=1e-6)
    assert 0 < error < 1e-4 * ceiling

"""Standard errors are those of the textbooks' closed forms."""

import csv
import io
import math

import pytest
import torch
from conftest import make_problem

from lab import cli, launch
from lab.coefficients import coefficients, of_run
from lab.errors import InputError
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem
from lab.separation import separated

F64 = torch.float64


def fitted(problem):
    theta = torch.zeros(problem.shape, dtype=F64)
    for _ in range(30):
        step = torch.linalg.pinv(problem.hessian(theta), hermitian=True) @ problem.gradient(theta).reshape(-1)
        theta = theta - step.view(theta.shape)
    return theta


def test_a_two_by_two_table_has_the_log_odds_ratio_and_woolf_s_error():
    counts = {(0, 0): 12, (0, 1): 5, (1, 0): 7, (1, 1): 23}
    rows = [pair for pair, count in counts.items() for _ in range(count)]
    X = torch.tensor([[float(x), 1.0] for x, _ in rows], dtype=F64)
    y = torch.tensor([[float(label)] for _, label in rows], dtype=F64)
    problem = Problem(Sigmoid(), Linear(), X, y)
    slope, base = coefficients(problem, fitted(problem), ("exposed", "intercept"), ("ill",))
    assert slope.estimate == pytest.approx(math.log(12 * 23 / (5 * 7)), rel=1e-10)
    assert slope.error == pytest.approx(sum(1 / n for n in counts.values()) ** 0.5, rel=1e-10)
    assert base.error == pytest.approx((1 / 12 + 1 / 5) ** 0.5, rel=1e-10)
    assert slope.p == pytest.approx(2 * (1 - 0.5 * (1 + math.erf(slope.z / 2**0.5))), rel=1e-6)


@pytest.mark.parametrize("base", [0.0, 100.0, 2000.0, 30000.0])
@pytest.mark.parametrize("K", [1, 3])
def test_the_base_of_a_column_says_nothing_of_its_slope(base, K, rng):
    x = torch.randn(90, 1, generator=rng, dtype=F64)
    labels = torch.multinomial(torch.softmax(x * torch.arange(max(K, 2)), dim=1), 1, generator=rng)[:, 0]
    loss = Sigmoid() if K == 1 else Softmax()
    y = loss.encode(labels, max(K, 2), F64)
    near, far = (Problem(loss, Linear(), torch.cat([x + b, torch.ones_like(x)], 1), y, outputs=K) for b in (0.0, base))
    theta = fitted(near)
    there = theta.clone()
    there[1] -= base * theta[0]
    names, outputs = ("year", "intercept"), tuple("abc"[:K])
    for one, other in zip(
        coefficients(near, theta, names, outputs), coefficients(far, there, names, outputs), strict=True
    ):
        if one.feature == "year":
            assert other.estimate == pytest.approx(one.estimate, rel=1e-9)
            assert other.error == pytest.approx(one.error, rel=1e-5)


def test_what_separates_some_rows_is_refused_whatever_its_base(rng):
    x = torch.randn(60, 1, generator=rng, dtype=F64)
    labels = (torch.rand(60, generator=rng) < 0.5).long()
    apart = torch.where((labels == 1)[:, None] & (x > 0), 1.0, 0.0)  # where it is 1, so is every label
    y = Sigmoid().encode(labels, 2, F64)
    for base in (0.0, 2000.0):
        X = torch.cat([x, apart + base, torch.ones_like(x)], 1)
        problem = Problem(Sigmoid(), Linear(), X, y)
        theta = torch.tensor([[0.0], [40.0], [-1.0 - 40 * base]], dtype=F64)
        with pytest.raises(InputError, match="separable"):
            coefficients(problem, theta, ("x", "apart", "intercept"), ("yes",))


def test_softmax_shares_are_contrasts_with_the_first_class():
    labels = torch.tensor([0] * 6 + [1] * 9 + [2] * 4)
    problem = Problem(Softmax(), Linear(), torch.ones(19, 1, dtype=F64), Softmax().encode(labels, 3, F64), outputs=3)
    found = coefficients(problem, fitted(problem) + 5, ("intercept",), ("a", "b", "c"))
    assert [row.output for row in found] == ["b", "c"]
    for row, count in zip(found, (9, 4), strict=True):
        assert row.estimate == pytest.approx(math.log(count / 6), rel=1e-10)
        assert row.error == pytest.approx((1 / count + 1 / 6) ** 0.5, rel=1e-10)


def test_two_classes_of_softmax_are_sigmoid(rng):
    X = torch.randn(60, 3, generator=rng, dtype=F64)
    labels = (torch.rand(60, generator=rng) < 0.4).long()
    soft = Problem(Softmax(), Linear(), X, Softmax().encode(labels, 2, F64), outputs=2)
    sig = Problem(Sigmoid(), Linear(), X, Sigmoid().encode(labels, 2, F64))
    names = ("a", "b", "c")
    ours = coefficients(soft, fitted(soft), names, ("no", "yes"))
    for one, other in zip(ours, coefficients(sig, fitted(sig), names, ("yes",)), strict=True):
        assert (one.feature, one.output) == (other.feature, other.output)
        assert one.estimate == pytest.approx(other.estimate, rel=1e-8)
        assert one.error == pytest.approx(other.error, rel=1e-8)


def test_what_is_no_fit_is_refused_with_its_reason(rng):
    problem, theta = make_problem(rng, "sigmoid", N=80, D=4, K=1)
    names, outputs = ("a", "b", "c", "d"), ("yes",)
    with pytest.raises(InputError, match="train with ridge=0"):
        coefficients(problem, theta, names, outputs)
    free = Problem(problem.loss, problem.model, problem.X, problem.y)
    with pytest.raises(InputError, match="standard errors from the maximum"):
        coefficients(free, theta, names, outputs)
    X = problem.X.clone()
    X[:, 0] = X[:, 1] - 2 * X[:, 2]
    with pytest.raises(InputError, match="not identified"):
        coefficients(Problem(problem.loss, problem.model, X, problem.y), theta, names, outputs)


def newton(problem, steps):
    """θ after so many full Newton steps from 0."""
    theta = torch.zeros(problem.shape, dtype=F64)
    for _ in range(steps):
        H = problem.hessian(theta) + 1e-300 * torch.eye(theta.numel(), dtype=F64)
        theta = theta - (torch.linalg.pinv(H, hermitian=True) @ problem.gradient(theta).reshape(-1)).view(theta.shape)
    return theta


@pytest.mark.parametrize("of_one_kind", [5, 20, 40, 80])
@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_where_some_rows_can_be_separated_no_number_of_steps_makes_a_table(kind, of_one_kind, rng):
    """Every row with d = 1 has the same label, and no other row says how large d's coefficient is."""
    x, d = torch.randn(200, generator=rng, dtype=F64), (torch.arange(200) < of_one_kind).to(F64)
    labels = (torch.rand(200, generator=rng, dtype=F64) < torch.sigmoid(x)).long().where(d == 0, 1)
    loss = Sigmoid() if kind == "sigmoid" else Softmax()
    X, y = torch.stack([x, d, torch.ones_like(d)], dim=1), loss.encode(labels, 2, F64)
    problem, outputs = Problem(loss, Linear(), X, y, outputs=1 + (kind == "softmax")), ("no", "yes")
    for steps in range(1, 22):
        with pytest.raises(InputError, match=r"maximum of the likelihood|separable"):
            coefficients(problem, newton(problem, steps), ("x", "d", "1"), outputs[: problem.shape[1]])
    rest = Problem(loss, Linear(), X[d == 0][:, [0, 2]], y[d == 0], outputs=problem.outputs)
    assert coefficients(rest, newton(rest, 12), ("x", "1"), outputs[: rest.shape[1]])


def test_weights_of_rows_and_targets_that_are_shares_make_no_likelihood(rng):
    X = torch.randn(60, 2, generator=rng, dtype=F64)
    y, share = torch.arange(60).remainder(2).to(F64)[:, None], torch.rand(60, 1, generator=rng, dtype=F64)
    assert coefficients(Problem(Sigmoid(), Linear(), X, y), newton(Problem(Sigmoid(), Linear(), X, y), 12), "ab", "y")
    for loss, targets in (
        (Sigmoid(), Sigmoid.weighed(y, 1 + share)),
        (Sigmoid(), share),
        (Softmax(), torch.cat([share, 1 - share], dim=1)),
    ):
        problem = Problem(loss, Linear(), X, targets, outputs=1 if targets.shape[1] == 1 else 2)
        with pytest.raises(InputError, match="the loss is no likelihood"):
            coefficients(problem, newton(problem, 12), "ab", "yz")


def test_a_standardised_fit_is_told_in_the_data_s_own_units(tmp_path, capsys):
    rng = torch.Generator().manual_seed(3)
    x = 40 + 7 * torch.randn(90, 2, generator=rng, dtype=F64)
    labels = (torch.rand(90, generator=rng) < torch.sigmoid((x[:, 0] - 40) / 7)).long().tolist()
    lines = [f"{a!r},{b!r},{'yn'[1 - label]}" for (a, b), label in zip(x.tolist(), labels, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["age,dose,ill", *lines]) + "\n")
    tables = []
    for standardize in (True, False):
        data = {"kind": "csv", "path": str(tmp_path / "t.csv"), "target": "ill", "standardize": standardize}
        loss, newton = {"kind": "sigmoid"}, {"kind": "newton"}
        made = {"data": data, "loss": loss, "steps": 30, "optimizer": newton, "probes": {}}
        run = launch.train(made, runs=tmp_path / "runs")
        tables.append(of_run(run.experiment, run.theta))
        assert cli.main(["export", str(run.path), "--what", "coefficients"]) == 0
        printed = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert [row["feature"] for row in printed] == ["age", "dose", "intercept"]
        assert float(printed[0]["standard error"]) == tables[-1][0].error
    for one, other in zip(*tables, strict=True):
        assert one.estimate == pytest.approx(other.estimate, rel=1e-6)
        assert one.error == pytest.approx(other.error, rel=1e-6)


def test_without_an_intercept_slopes_are_per_unit_of_the_column_too(tmp_path):
    rng = torch.Generator().manual_seed(4)
    x = 7 * torch.randn(80, 1, generator=rng, dtype=F64)
    labels = (torch.rand(80, generator=rng) < torch.sigmoid(x[:, 0] / 7)).long()
    found = []
    for unit in (1.0, 1000.0):
        rows = [f"{unit * a!r},{'yn'[1 - label]}" for a, label in zip(x[:, 0].tolist(), labels.tolist(), strict=True)]
        (tmp_path / "t.csv").write_text("\n".join(["dose,ill", *rows]) + "\n")
        data = {"kind": "csv", "path": str(tmp_path / "t.csv"), "target": "ill", "intercept": False}
        made = {"data": data, "loss": {"kind": "sigmoid"}, "steps": 30, "optimizer": {"kind": "newton"}, "probes": {}}
        run = launch.train(made, runs=tmp_path / f"runs{unit}")
        (slope,) = of_run(run.experiment, run.theta)
        found.append((slope.estimate * unit, slope.error * unit))
    assert found[0] == pytest.approx(found[1], rel=1e-9)


@pytest.mark.parametrize("steps", [1, 5, 12, 40])
def test_of_iris_one_class_of_which_can_be_separated_it_is_said_that_there_is_no_maximum(steps, tmp_path, configs):
    newton = {"kind": "newton"}
    config = configs / "iris.yaml"
    run = launch.train(config, runs=tmp_path, optimizer=newton, steps=steps, twin=None, probes={})
    with pytest.raises(InputError, match=r"separable, at least in part: some rows .* the likelihood has no maximum"):
        of_run(run.experiment, run.theta)


def test_rows_that_can_be_separated_are_known_from_such_as_cannot(rng):
    x = torch.randn(60, 2, generator=rng, dtype=F64)
    one = torch.ones(60, 1, dtype=F64)
    mixed = torch.arange(60) % 3
    cut = torch.where(x[:, 0] > 1, 2, torch.arange(60) % 2)  # class 2 lies beyond a line, the others anywhere
    touching = torch.where(x[:, :1] > 0, 1.0, 0.0)  # at 1 one label alone, at 0 both
    for column, labels, K, apart in (
        (x, mixed, 3, False),
        (1e6 * x, cut, 3, True),
        (1e-6 * x, mixed % 2, 2, False),
        (torch.cat([x, x], dim=1), mixed, 3, False),  # columns that depend on others separate nothing
        (touching, torch.where(touching[:, 0] > 0, 1, torch.arange(60) % 2), 2, True),
    ):
        X = torch.cat([column, one], dim=1)
        assert separated(Problem(Softmax(), Linear(), X, labels, outputs=K)) is apart
        if K == 2:
            y = torch.stack([labels, mixed % 2], dim=1).to(F64)
            assert separated(Problem(Sigmoid(), Linear(), X, y)) is apart
            left_out = Problem(Softmax(ignore_index=1), Linear(), X, labels, outputs=2)
            assert separated(left_out) is True


def test_an_entry_that_is_far_larger_than_others_separates_nothing_and_a_hairs_breadth_is_not_told(rng):
    x = torch.randn(40, 1, generator=rng, dtype=F64)
    y = (torch.arange(40) % 2)[:, None].double()
    X = torch.cat([torch.ones_like(x), x], dim=1)
    for large in (1e6, 1e10, 1e14):
        X[0, 1] = large
        assert separated(Problem(Sigmoid(), Linear(), X, y)) is not True
    signs = 2 * y - 1
    for apart, told in ((1e-2, True), (1e-5, True), (1e-7, None)):
        other = x + apart * signs * (0.5 + torch.rand(40, 1, generator=rng, dtype=F64))
        found = separated(Problem(Sigmoid(), Linear(), torch.cat([torch.ones_like(x), x, other], dim=1), y))
        assert found in (told, None), apart


def test_columns_that_depend_on_others_are_hinted_at_only_where_some_do(rng):
    x = torch.randn(60, 2, generator=rng, dtype=F64)
    y = (torch.arange(60) % 2).to(F64)[:, None]
    problem = Problem(Sigmoid(), Linear(), torch.cat([x, x[:, :1]], dim=1), y)
    with pytest.raises(InputError, match=r"a column depends on others \(as a constant one on the intercept\)"):
        coefficients(problem, torch.zeros(3, 1, dtype=F64), "abc", "y")
    free = Problem(Sigmoid(), Linear(), x, y)
    with pytest.raises(InputError, match=r"not identified|in logits") as caught:
        coefficients(free, torch.full((2, 1), 1e4, dtype=F64), "ab", "y")
    assert "column depends on" not in str(caught.value)
    assert "separable" not in str(caught.value)

"""The doctor names what is wrong, says what it cannot tell, and is never sure of a wrong cause."""

from dataclasses import replace

import pytest
import torch
from conftest import make_problem

from lab import oracle
from lab.doctor import diagnose, diagnosed
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.referee import Dispute, judge_gradient, judge_hessian, judge_hvp

F64 = torch.float64


def named(verdict) -> tuple[str, ...]:
    assert not verdict.passed
    return diagnose(verdict.dispute).names


def unknown(ours, truth, what="jacobian", sizes=None, **inputs) -> Dispute:
    """A dispute about a function of which nothing is known but its inputs."""
    bound = 1e-13 * (1 + truth.abs())
    return Dispute(what, ours, truth, bound, inputs, sizes or {})


def normal(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=F64)


# Mistakes written down by hand, as somebody would make them, and not by lab/mistakes.


class FlippedSoftmax(Softmax):
    def gradient(self, z, y):
        return y - torch.softmax(z, 1)


class TwiceSoftmax(Softmax):
    def gradient(self, z, y):
        return torch.softmax(torch.softmax(z, 1), 1) - y


class DiagonalSoftmax(Softmax):
    def hvp(self, z, y, u):
        p = torch.softmax(z, 1)
        return p * (1 - p) * u


class ColumnSoftmax(Softmax):
    def gradient(self, z, y):
        return torch.softmax(z, 0) - y


class SteepSigmoid(Sigmoid):
    def gradient(self, z, y):
        p = torch.sigmoid(z)
        return (p - y) * p * (1 - p)


class TwiceSigmoid(Sigmoid):
    def gradient(self, z, y):
        return torch.sigmoid(torch.sigmoid(z)) - y


class ActivatedSigmoid(Sigmoid):
    def gradient(self, z, y):
        p = torch.sigmoid(z)
        s = torch.sigmoid(p)
        return (p - y) / (p * (1 - p)) * s * (1 - s)


class ShiftedSoftmax(Softmax):
    def gradient(self, z, y):
        return torch.softmax(z, 1) - torch.cat([y[:, -1:], y[:, :-1]], dim=1)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (FlippedSoftmax, "y − p in place of p − y"),
        (TwiceSoftmax, "softmax applied twice"),
        pytest.param(DiagonalSoftmax, "softmax's diagonal only", marks=pytest.mark.slow),
        (ColumnSoftmax, "softmax over the wrong axis"),
        (ShiftedSoftmax, "one-hot targets off by one"),
        (SteepSigmoid, "σ′ multiplied in again"),
        (TwiceSigmoid, "σ applied twice"),
        (ActivatedSigmoid, "σ′ taken of the activation"),
    ],
)
def test_a_loss_written_wrong_is_named_though_its_own_code_is_all_there_is(wrong, name, rng):
    right, theta = make_problem(rng, loss="softmax" if issubclass(wrong, Softmax) else "sigmoid")
    p = replace(right, loss=wrong())
    V = normal(rng, *theta.shape)
    verdict = judge_gradient(p, theta, p.gradient(theta))
    if verdict.passed:
        verdict = judge_hvp(p, theta, V, p.hvp(theta, V))
    assert named(verdict) == (name,)


def by_hand(p, theta):
    """N, X, and what p − y pulls back to, from the definition."""
    g = torch.softmax(p.X @ theta, 1) - p.y
    return p.N, p.X, g, p.ridge * p.mask * theta


PROBLEM_MISTAKES = {
    "the mean's 1/N is missing": lambda N, X, g, r: X.T @ g + r,
    "1/N once too often": lambda N, X, g, r: X.T @ g / N**2 + r,
    "1/(N − 1) in place of 1/N": lambda N, X, g, r: X.T @ g / (N - 1) + r,
    "1/K once too often": lambda N, X, g, r: X.T @ g / N / g.shape[1] + r,
    "the ridge with a factor 2": lambda N, X, g, r: X.T @ g / N + 2 * r,
    "the ridge also divided by N": lambda N, X, g, r: (X.T @ g + r) / N,
    "the ridge's sign": lambda N, X, g, r: X.T @ g / N - r,
    "the ridge is missing": lambda N, X, g, r: X.T @ g / N,
    "a transpose missing or extra": lambda N, X, g, r: g.T @ X / N + r.T,
    "wrong ravel order": lambda N, X, g, r: (g.T @ X / N + r.T).reshape(r.shape),
    "wrong base of the logarithm": lambda N, X, g, r: X.T @ g / N * 1.4426950408889634 + r,
    "a mean of the means of unequal mini-batches": lambda N, X, g, r: (
        (X[:5].T @ g[:5] / 5 + X[5:10].T @ g[5:10] / 5 + X[10:].T @ g[10:] / 3) / 3 + r
    ),
}


@pytest.mark.parametrize("name", PROBLEM_MISTAKES)
@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_a_gradient_written_wrong_is_named_in_either_precision(name, dtype, rng):
    p, theta = make_problem(rng)
    p, theta = replace(p, X=p.X.to(dtype), y=p.y.to(dtype), held=p.held.to(dtype)), theta.to(dtype)
    assert named(judge_gradient(p, theta, PROBLEM_MISTAKES[name](*by_hand(p, theta)))) == (name,)


def test_a_regularised_bias_is_named_with_its_row(rng):
    p, theta = make_problem(rng)
    words = str(diagnosed(judge_gradient(p, theta, replace(p, held=None).gradient(theta))))
    assert "the bias is regularised; leave row 4 of θ out of the ridge" in words


def test_bias_sums_are_named(rng):
    p, theta = make_problem(rng, ridge=0.0)
    g = torch.softmax(p.X @ theta, 1) - p.y
    right = p.X.T @ g / p.N
    for name, row in {
        "the bias's gradient is a mean, for a sum": g.mean(dim=0) / p.N,
        "the bias's sum includes the inputs": right.sum(dim=0),
    }.items():
        wrong = right.clone()
        wrong[-1] = row
        assert named(judge_gradient(p, theta, wrong)) == (name,)


def test_n_1_against_n_is_named_by_what_comes_of_it(rng):
    p, theta = make_problem(rng, loss="sigmoid", K=1, ridge=0.0)
    prob, y = torch.sigmoid(p.X @ theta), p.y[:, 0]
    assert named(judge_gradient(p, theta, p.X.T @ (prob - y) / p.N)) == ("(N, 1) against (N)",)
    assert named(judge_gradient(p, theta, (p.X.T @ (prob - y) / p.N).mean(dim=1, keepdim=True))) == (
        "(N, 1) against (N)",
    )


def test_a_hessian_written_wrong_is_named(rng):
    p, theta = make_problem(rng)
    D, K = theta.shape
    H = p.hessian(theta)
    assert named(judge_hessian(p, theta, -H)) == ("the hessian's sign",)
    assert named(judge_hessian(p, theta, H.view(D, K, D, K).permute(1, 0, 3, 2).reshape(D * K, D * K))) == (
        "wrong ravel order",
    )


def test_the_words_have_the_evidence_the_name_and_the_mend(rng):
    p, theta = make_problem(rng)
    words = str(diagnosed(judge_gradient(p, theta, 13 * p.gradient(theta))))
    assert words.endswith("ours / truth = 13 = N everywhere: the mean's 1/N is missing; divide the sum by N = 13")


def test_causes_that_fit_equally_are_all_listed(rng):
    p, theta = make_problem(rng, N=7, D=5, K=2)
    verdict = judge_gradient(p, theta, 2 * p.gradient(theta))
    assert set(named(verdict)) == {"a factor of 2", "the mean's 1/K is missing"}
    words = str(diagnosed(verdict))
    assert "2 causes explain it equally: (1) " in words
    assert "; (2) " in words


@pytest.mark.parametrize(
    ("factor", "name"), [(2.0, "a factor of 2"), (-0.5, "a factor of −1/2"), (3.7, "a constant factor")]
)
def test_a_factor_on_the_datas_part_is_named_where_a_ridge_is_added_to_it(factor, name, rng):
    p, theta = make_problem(rng, ridge=0.1)
    ridge = torch.diag(p.ridge * p.mask.expand_as(theta).reshape(-1))
    for verdict in (
        judge_gradient(p, theta, factor * (p.gradient(theta) - p.ridge * p.mask * theta) + p.ridge * p.mask * theta),
        judge_hessian(p, theta, factor * (p.hessian(theta) - ridge) + ridge),
    ):
        assert named(verdict) == (name,)
        assert "less the ridge" in str(diagnosed(verdict)) or "both without the ridge, = " in str(diagnosed(verdict))
    of_all = judge_hessian(p, theta, factor * p.hessian(theta))
    assert named(of_all) == (name,)
    assert "ridge" not in str(diagnosed(of_all))


def test_a_random_residual_is_nobodys_and_is_described(rng):
    p, theta = make_problem(rng)
    wrong = p.gradient(theta) + 1e-3 * normal(rng, *theta.shape)
    diagnosis = diagnose(judge_gradient(p, theta, wrong).dispute)
    assert diagnosis.causes == ()
    assert str(diagnosis).startswith("the doctor cannot tell which mistake this is; the residual is in all 20 entries")


def test_one_wrong_entry_is_placed(rng):
    p, theta = make_problem(rng)
    wrong = p.gradient(theta)
    wrong[2, 1] += 0.01
    assert "in 1 of 20 entries, in row 2 and column 1 alone" in str(diagnosed(judge_gradient(p, theta, wrong)))


MIXED = {
    "sign and a missing mean": lambda N, X, g, r: -(X.T @ g) + r,
    "two sizes of the ridge and the mean": lambda N, X, g, r: X.T @ g / (N - 1) + 2 * r,
    "transposed and flipped": lambda N, X, g, r: -(g.T @ X / N).reshape(r.shape) + r,
    "square of the error": lambda N, X, g, r: X.T @ g**2 / N + r,
    "a ridge on the signs": lambda N, X, g, r: X.T @ g / N + r.sign(),
}


@pytest.mark.parametrize("name", MIXED)
def test_nothing_is_sure_of_a_mistake_that_is_not_on_the_list(name, rng):
    p, theta = make_problem(rng)
    diagnosis = diagnose(judge_gradient(p, theta, MIXED[name](*by_hand(p, theta))).dispute)
    assert all(cause.fitted for cause in diagnosis.causes), diagnosis


def test_two_mistakes_that_make_one_factor_are_only_weak_evidence(rng):
    p, theta = make_problem(rng, ridge=0.0)
    diagnosis = diagnose(judge_gradient(p, theta, -13 * p.gradient(theta)).dispute)
    assert diagnosis.names == ("a constant factor",)
    assert "ours / truth = -13 = −N" in str(diagnosis)
    assert "weaker evidence" in str(diagnosis)


class Huber(Sigmoid):
    """A loss of its own, with a field that torch gives another meaning, and targets of another shape."""

    weight = "heavy"

    def reference(self, z, y):
        return torch.nn.functional.huber_loss(z[:, 0], y, reduction="none")

    def gradient(self, z, y):
        return -(z[:, 0] - y).clamp(-1, 1)[:, None]


def test_a_loss_that_is_no_cross_entropy_is_told_what_holds_of_any(rng):
    p, theta = make_problem(rng, loss="sigmoid", K=1, ridge=0.0)
    p = replace(p, loss=Huber(), y=p.y[:, 0], outputs=1)
    truth = oracle.gradient(p.reference, theta)
    bound = 1e-13 * (1 + truth.abs())
    dispute = Dispute("gradient", -truth, truth, bound, {"theta": theta}, {"N": 13, "D": 5}, p.loss, p)
    assert diagnose(dispute).names == ("the gradient's sign",)


def test_numbers_that_are_not_finite_are_placed_and_not_explained(rng):
    p, theta = make_problem(rng)
    wrong = p.gradient(theta)
    wrong[0] = float("nan")
    diagnosis = diagnose(judge_gradient(p, theta, wrong).dispute)
    assert diagnosis.causes == ()
    assert str(diagnosis).endswith("not a finite number in 4 of 20 entries, in row 0 alone")


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_what_overflows_in_the_truth_too_is_told_to_need_no_mistake(loss, rng):
    p, theta = make_problem(rng, loss=loss)
    p, theta = replace(p, X=p.X * 1e160), torch.zeros_like(theta)
    said = "nor is the truth: numbers too large for their type do that, without a mistake"
    assert str(diagnosed(judge_hessian(p, theta, p.hessian(theta)))).endswith(said)


def test_at_an_optimum_a_truth_of_rounding_explains_nothing(rng):
    p, theta = make_problem(rng)
    for _ in range(60):
        step = torch.linalg.solve(p.hessian(theta) + 1e-9 * torch.eye(20, dtype=F64), p.gradient(theta).reshape(-1))
        theta = theta - step.view_as(theta)
    wrong = p.gradient(theta) + 1e-3 * normal(rng, *theta.shape)
    assert diagnose(judge_gradient(p, theta, wrong).dispute).causes == ()


def test_a_passed_verdict_costs_nothing_and_has_no_words(rng, monkeypatch):
    p, theta = make_problem(rng)
    verdict = judge_gradient(p, theta, p.gradient(theta))
    monkeypatch.setattr("lab.doctor.diagnose", None)
    assert diagnosed(verdict) is verdict
    assert verdict.dispute is None


def test_the_truth_is_the_oracles_and_not_the_accuseds(rng):
    """A wrong loss makes wrong pieces; what the doctor makes of its mistakes must not come from them."""
    p, theta = make_problem(rng)
    p = replace(p, loss=TwiceSoftmax())
    dispute = judge_gradient(p, theta, p.gradient(theta)).dispute
    assert torch.equal(dispute.truth, oracle.gradient(p.reference, theta))
    assert diagnose(dispute).names == ("softmax applied twice",)

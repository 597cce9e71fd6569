"""The open folder of models: one contract for all, which sees each mistake that is planted here in it."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from conftest import make_problem
from test_other_models import Squared, Twice

from lab import catalog, oracle
from lab.models.linear import Linear
from lab.pairs import Pairs

# What a member that has required fields is tried with; one with none needs no entry.
TRIED: dict[str, dict] = {}
SIZES = [(7, 4, 3), (6, 3, 1), (3, 6, 4)]  # N, D, K
SLIGHT = 1 + 1e-6


def agree(what, ours, truth, share=1e-10):
    """In shape, and in numbers to a share of the largest: a thousandfold of what rounding can do at these sizes."""
    assert ours.shape == truth.shape, f"{what}: shape {tuple(ours.shape)} where {tuple(truth.shape)} is due"
    off = float((ours - truth).abs().max())
    assert off <= share * (1 + float(truth.abs().max())), f"{what} is off by {off:.2g}"


def outputs(model, X, theta, V, g, h):
    """All that a model makes of X (N, D), θ and V (D, K), g (N, K) and h (N, K, K), by name; in blocks where it may."""
    ends = list(pairwise((0, 2, len(X))))
    bent = model.curvature(X, theta, g, V)
    return {
        "forward": model.forward(X, theta),
        "forward of rows by themselves": torch.cat([model.forward(X[i:j], theta) for i, j in ends]),
        "pushforward": model.pushforward(X, theta, V),
        "pullback": model.pullback(X, theta, g),
        "curvature": torch.zeros_like(theta) if bent is None else bent,
        "gauss_newton": model.gauss_newton(((X[i:j], h[i:j].clone()) for i, j in ends), theta),
        "gauss_newton_by_pairs": model.gauss_newton_by_pairs(
            ((X[i:j], *Pairs.of(h[i:j].clone(), X.shape[1])) for i, j in ends), theta
        ),
    }


def truths(model, X, theta, V, g, h):
    """The same by automatic differentiation of `forward` alone."""
    with torch.enable_grad():
        J = torch.func.jacrev(lambda theta: model.forward(X, theta))(theta)
    z = model.forward(X, theta)
    JhJ = torch.einsum("nkde,nkl,nlfg->defg", J, h, J)
    return {
        "forward": z,
        "forward of rows by themselves": z,
        "pushforward": torch.einsum("nkde,de->nk", J, V),
        "pullback": torch.einsum("nkde,nk->de", J, g),
        "curvature": oracle.hvp(lambda theta: (g * model.forward(X, theta)).sum(), theta, V),
        "gauss_newton": JhJ,
        "gauss_newton_by_pairs": JhJ,
    }


def holds(model, rng):
    """Assert what whoever uses a model relies on, at random points."""
    for N, D, K in SIZES:
        X, theta, V, g, h = (
            torch.randn(*shape, generator=rng, dtype=torch.float64)
            for shape in ((N, D), (D, K), (D, K), (N, K), (N, K, K))
        )
        given = (X, theta, V, g, h + h.mT)
        before = [each.clone() for each in given]
        ours = outputs(model, *given)
        for name, each, kept in zip(("X", "θ", "V", "g", "h"), given, before, strict=True):
            assert torch.equal(each, kept), f"it writes into its argument {name}"
        true = truths(model, *given)
        for what, found in ours.items():
            agree(what, found, true[what])
        for what, found in outputs(model, *(each.float() for each in given)).items():
            assert found.dtype == torch.float32, f"{what} of float32 is {found.dtype}"
            agree(f"{what} in float32", found.double(), true[what], 1e-4)
        if model.is_product:
            agree("forward of a model that is Xθ", ours["forward"], X @ theta)
            wide = torch.cat([theta, V], dim=1)
            agree("pushforward of more columns", model.pushforward(X, theta, wide), X @ wide)
            agree("pullback of more columns", model.pullback(X, theta, torch.cat([g, g], dim=1)), X.T @ g.repeat(1, 2))


def made(name):
    try:
        return catalog.get("models", name)(**TRIED.get(name, {}))
    except TypeError as error:
        raise AssertionError(f"{error}: say what it is to be tried with, in TRIED of tests/test_models.py") from None


@pytest.mark.parametrize("name", catalog.names("models"))
def test_every_model_keeps_the_contract(name, rng):
    holds(made(name), rng)


@pytest.mark.parametrize("model", [Twice(), Squared()], ids=lambda model: type(model).__name__)
def test_so_do_models_that_are_not_x_theta(model, rng):
    holds(model, rng)


MISTAKES = {
    "a slope of the wrong sign": (Linear, "pushforward", lambda right, X, theta, V: -right),
    "a slope that is left out": (Squared, "pushforward", lambda right, X, theta, V: 2 * X @ V),
    "a slope off by a millionth": (Twice, "pushforward", lambda right, X, theta, V: SLIGHT * right),
    "a pullback of the wrong sign": (Squared, "pullback", lambda right, X, theta, g: -right),
    "a pullback without its slope": (Squared, "pullback", lambda right, X, theta, g: 2 * X.T @ g),
    "a pullback that is transposed": (Linear, "pullback", lambda right, X, theta, g: right.T),
    "a curvature of the wrong sign": (Squared, "curvature", lambda right, X, theta, g, V: -right),
    "a curvature without its factor": (Squared, "curvature", lambda right, X, theta, g, V: right / 2),
    "a curvature that is left out": (Squared, "curvature", lambda right, X, theta, g, V: None),
    "a curvature where there is none": (Linear, "curvature", lambda right, X, theta, g, V: X.T @ g * V),
    "one slope of two in Gauss–Newton": (Twice, "gauss_newton", lambda right, rows, theta: right / 2),
    "blocks in another order": (Twice, "gauss_newton", lambda right, rows, theta: right.permute(1, 0, 3, 2)),
    "pairs summed otherwise": (Linear, "gauss_newton_by_pairs", lambda right, rows, theta: SLIGHT * right),
    "rows that know of each other": (Linear, "forward", lambda right, X, theta: right - right.mean(dim=0)),
    "a result in double precision": (Twice, "forward", lambda right, X, theta: right.double()),
    "a writing into θ": (Twice, "forward", lambda right, X, theta: (right, theta.zero_())[0]),
    "a writing into g": (Twice, "pullback", lambda right, X, theta, g: (right, g.zero_())[0]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_model_is_seen(mistake, rng):
    base, method, spoilt = MISTAKES[mistake]

    class Wrong(base):
        pass

    setattr(Wrong, method, lambda self, *args: spoilt(getattr(base, method)(self, *args), *args))
    with pytest.raises(AssertionError):
        holds(Wrong(), rng)


@pytest.mark.parametrize("base", [Twice, Squared])
def test_a_model_that_is_not_x_theta_and_says_that_it_is_is_seen(base, rng):
    class Claimed(base):
        is_product = True

    with pytest.raises(AssertionError, match="model that is Xθ"):
        holds(Claimed(), rng)


def test_a_model_that_is_x_theta_for_one_number_of_columns_alone_is_seen(rng):
    class Narrow(Linear):
        def pushforward(self, X, theta, V):
            return X @ V[:, : theta.shape[1]]

    with pytest.raises(AssertionError, match="more columns"):
        holds(Narrow(), rng)


class Doubled(Linear):
    """z = 2Xθ, by a matrix of its own."""

    is_product = False

    def forward(self, X, theta):
        return 2 * super().forward(X, theta)

    def pushforward(self, X, theta, V):
        return 2 * super().pushforward(X, theta, V)

    def pullback(self, X, theta, g):
        return 2 * super().pullback(X, theta, g)

    def gauss_newton(self, rows, theta):
        return 4 * super().gauss_newton(rows, theta)


def test_a_model_that_writes_its_matrix_anew_is_taken_at_its_word(rng):
    problem, theta = make_problem(rng, ridge=0.0)
    mine = replace(problem, model=Doubled())
    H, V = mine.hessian(theta), torch.randn(theta.shape, generator=rng, dtype=theta.dtype)
    assert torch.allclose((H @ V.reshape(-1)).view(V.shape), mine.hvp(theta, V), rtol=1e-11, atol=1e-14)

"""Eigenvalues carry intervals that hold, and definiteness comes with its reason."""

import mpmath
import pytest
import torch

from lab import spectrum


def symmetric(rng, values):
    """A symmetric matrix with the given eigenvalues, to rounding."""
    n = len(values)
    Q, _ = torch.linalg.qr(torch.randn(n, n, generator=rng, dtype=torch.float64))
    A = Q @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ Q.T
    return (A + A.T) / 2


SPECTRA = {
    "repeated": [2.0, 2.0, 2.0, 1.0, 1.0],
    "clustered": [1.0, 1.0 + 1e-12, 1.0 - 1e-12, 0.5, 0.5 + 1e-14],
    "graded": [10.0**-k for k in range(13)],
    "tiny": [3e-7, 2e-7, 1e-7],
    "huge": [3e7, -2e7, 1e7],
    "zero": [0.0, 0.0, 0.0],
    "rank one": [1.0, 0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_intervals_hold_the_true_eigenvalues(name, dtype, rng):
    A = symmetric(rng, SPECTRA[name]).to(dtype)
    with mpmath.workdps(40):
        truth = sorted(mpmath.eigsy(mpmath.matrix(A.double().tolist()), eigvals_only=True), reverse=True)
    found = spectrum.dense(A)
    for lower, upper, true in zip(found.lower.tolist(), found.upper.tolist(), truth, strict=True):
        assert lower <= true <= upper


@pytest.mark.parametrize(
    ("values", "definiteness", "rank"),
    [
        ([3.0, 2.0, 1.0], "positive definite", 3),
        ([3e-7, 2e-7, 1e-7], "positive definite", 3),
        ([3.0, 1.0, 0.0], "positive semi-definite", 2),
        ([-3.0, -1.0, -2.0], "negative definite", 3),
        ([-3.0, -1.0, 0.0], "negative semi-definite", 2),
        ([3.0, -1.0, 0.0], "indefinite", 2),
        ([0.0, 0.0, 0.0], "positive semi-definite", 0),
    ],
)
def test_definiteness_has_five_classes(values, definiteness, rank, rng):
    found = spectrum.dense(symmetric(rng, values))
    assert found.definiteness == definiteness
    assert definiteness in spectrum.DEFINITENESS
    assert found.rank == rank


@pytest.mark.parametrize("size", [1e-15, 1e-8, 1e-3, 1.0, 1e6])
def test_matrices_of_rank_one_in_single_precision_have_eigenvalues(size, rng):
    # LAPACK's single precision gives nan for many of these.
    for n in range(2, 42):
        x = torch.randn(1 + n % 11, generator=rng, dtype=torch.float64)
        x = (size * x / x.abs().max()).float()
        A = torch.kron(torch.outer(x, x), torch.tensor([[1.0, -1, 0], [-1, 1, 0], [0, 0, 0]]))
        for found in (spectrum.dense(A), spectrum.dense(A, vectors=True)):
            assert found.lower[0] <= 2 * float(x.double().square().sum()) * (1 + 1e-6)
            assert bool((found.upper >= found.lower).all())
        assert bool(torch.isfinite(spectrum.eigh(A)[0]).all())


def test_condition_is_that_of_the_range(rng):
    assert spectrum.dense(symmetric(rng, [8.0, 2.0, 0.0])).condition == pytest.approx(4)


def test_vectors_belong_to_their_values(rng):
    A = symmetric(rng, [5.0, 3.0, -1.0, 0.5])
    found = spectrum.dense(A, vectors=True)
    assert torch.allclose(A @ found.vectors, found.vectors * found.values, atol=1e-12)


def test_the_reason_names_what_is_known_and_what_is_too_small(rng):
    found = spectrum.dense(symmetric(rng, [1.0, 0.0, 0.0, 0.0]))
    known = [(3, "softmax ignores a common shift")]
    explained = spectrum.explain_definiteness(found, known)
    assert explained == "positive semi-definite: 3 zero eigenvalues: softmax ignores a common shift"
    explained = spectrum.explain_definiteness(found, [(2, "softmax ignores a common shift")])
    assert "2 as softmax ignores a common shift, 1 too small to tell (below" in explained
    explained = spectrum.explain_definiteness(spectrum.dense(symmetric(rng, [1.0, 2.0])), [])
    assert explained.startswith("positive definite: all 2 eigenvalues are above ")
    explained = spectrum.explain_definiteness(spectrum.dense(symmetric(rng, [1.0, -2.0])), [])
    assert explained.startswith("indefinite: 1 of 2 eigenvalues are below -")


def test_a_matrix_that_is_not_finite_or_not_square_is_refused():
    with pytest.raises(ValueError, match="nan or inf"):
        spectrum.dense(torch.full((2, 2), float("nan")))
    with pytest.raises(ValueError, match="square"):
        spectrum.dense(torch.zeros(2, 3))


def test_largest_is_found_by_power_iteration(rng):
    A = symmetric(rng, [5.0, 3.0, -1.0, 0.5])
    assert spectrum.largest(lambda v: A @ v, A[0]) == pytest.approx(5, rel=1e-6)
    assert spectrum.largest(lambda v: 0 * v, A[0]) == 0

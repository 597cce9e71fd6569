"""The three kinds of evidence: what is right passes, what is wrong is seen, and what cannot be told is said."""

import math

import pytest
import torch

from lab.evidence import (
    Evidence,
    Role,
    derivative,
    equality,
    gamma,
    hessian,
    jacobian,
    remainder,
    second_derivative,
    untold,
)
from lab.identity import Judgement, normal, symmetric, weigh


def quiet(h):
    return 1e-16


def cubic(x):
    return (x**3).sum()


def test_a_right_derivative_is_within_rounding_of_the_oracle(rng):
    for _ in range(20):
        x = normal(rng, 5)
        found = derivative("", cubic, x, 3 * x**2, gamma(8) * 3 * x**2)
        assert found.holds
        assert 0 <= found.figure <= 1


@pytest.mark.parametrize("factor", [-1, 0, 2, 1 + 1e-9])
def test_a_wrong_derivative_is_seen_however_small_it_is(factor, rng):
    for scale in (1e-8, 1, 1e8):
        x = scale * normal(rng, 5)
        assert derivative("", cubic, x, factor * 3 * x**2, gamma(8) * 3 * x**2).holds is False


def test_a_jacobian_has_a_row_for_each_output(rng):
    A, x = normal(rng, 2, 3), normal(rng, 3)
    assert torch.equal(jacobian(lambda x: A @ x, x), A)
    assert derivative("", lambda x: A @ x, x, A, 0).holds
    wrong = derivative("", lambda x: A @ x, x, A.T, 0)
    assert wrong.holds is False
    assert "shape (3, 2) where (2, 3) is due" in str(wrong)


def test_the_jacobian_of_a_matrix_is_flattened_row_by_row(rng):
    A, X = normal(rng, 2, 3), normal(rng, 3, 4)
    assert torch.equal(jacobian(lambda X: A @ X, X), torch.kron(A, torch.eye(4, dtype=A.dtype)))


def test_a_second_derivative_is_held_against_the_oracles_hessian(rng):
    A, x = symmetric(rng, 4), normal(rng, 4)
    assert torch.equal(hessian(lambda x: x @ A @ x, x), 2 * A)
    assert second_derivative("", lambda x: x @ A @ x, x, 2 * A, 0).holds
    assert second_derivative("", lambda x: x @ A @ x, x, A, gamma(4) * A.abs()).holds is False


def test_an_equality_allows_its_bound_and_no_more():
    one = torch.tensor(1.0, dtype=torch.float64)
    assert equality("", one + 1e-10, one, 1.1e-10).holds
    assert equality("", one + 1e-10, one, 0.9e-10).holds is False
    assert equality("", one, one, 0).holds
    assert "rounding allows none" in str(equality("", one + 1, one, 0))
    assert equality("", one * math.nan, one, 1).holds is False


@pytest.mark.parametrize("order", [0.5, 1, 1.5, 2, 3])
def test_a_remainder_has_its_order_and_no_other(order):
    def error(h):
        return 3 * h**order * (1 + h + h * h)

    for stated in (0.5, 1, 1.5, 2, 3):
        assert remainder("", error, stated, quiet).holds is (stated == order)


def test_a_thousandth_of_a_linear_term_is_seen_in_a_remainder_of_order_two():
    assert remainder("", lambda h: h * h + 1e-3 * h, 2, quiet).holds is False


def test_a_remainder_that_turns_over_within_the_window_is_not_taken_for_either_order():
    turning = remainder("", lambda h: h * h + 1e-6 * h, 2, quiet)
    assert turning.holds is None
    assert "nothing can be told: order 1." in str(turning)


def test_nothing_can_be_told_of_a_remainder_below_the_noise():
    for error in (lambda h: 0.0, lambda h: 1e-14, lambda h: math.nan, lambda h: 1e-9 * h * h):
        assert remainder("", error, 2, quiet).holds is None


@pytest.mark.parametrize("seed", range(20))
def test_noise_up_to_its_bound_does_not_move_an_order_out_of_its_band(seed):
    noise = torch.Generator().manual_seed(seed)

    def error(h):
        return h * h * (1 - h) + 1e-16 * float(2 * torch.rand(1, generator=noise) - 1)

    assert remainder("", error, 2, quiet).holds


def test_the_verdict_follows_from_the_evidence():
    def found(figure, role=Role.CLAIM):
        return Evidence("", figure, 0, 1, "", role)

    claim, wrong, dark = found(0.5), found(7.0), untold("", "")
    assert weigh([claim]) is Judgement.HOLDS
    assert weigh([claim, found(7.0, Role.OUTSIDE)]) is Judgement.CONDITION
    assert weigh([claim, found(0.5, Role.OUTSIDE)]) is Judgement.HOLDS  # the condition is not needed
    assert weigh([claim, wrong]) is Judgement.WRONG
    assert weigh([wrong, dark]) is Judgement.WRONG
    assert weigh([claim, dark]) is Judgement.UNTOLD
    assert weigh([claim, untold("", "", Role.OUTSIDE)]) is Judgement.UNTOLD
    assert weigh([]) is Judgement.UNTOLD


def test_a_mend_must_hold_and_a_counterexample_must_not():
    for holds, figure in ((True, 0.5), (False, 7.0), (None, math.nan)):
        assert Evidence("", figure, 0, 1, "", Role.MEND).as_it_should is (holds is True)
        assert Evidence("", figure, 0, 1, "", Role.OUTSIDE).as_it_should is (holds is False)
        assert Evidence("", figure, 0, 1, "", Role.CLAIM).as_it_should

"""Of a function of unknown form the doctor reads off the residual what can be read off, and says no more."""

import pytest
import torch
from test_doctor import F64, normal, unknown

from lab.doctor import diagnose


def test_a_jacobian_summed_over_its_outputs_is_named_with_the_shape_that_is_due(rng):
    X, w = normal(rng, 7, 3), normal(rng, 3)
    s = torch.sigmoid(X @ w)
    truth = (s * (1 - s))[:, None] * X  # ∂σ(Xw)/∂w, b×d
    diagnosis = diagnose(unknown(X.T @ (s * (1 - s)), truth, w=w, X=X, sizes={"b": 7, "d": 3}))
    assert diagnosis.names == ("a sum over axis 0",)
    assert "the shape (7, 3) is due" in str(diagnosis)


def test_shapes_with_no_cause_are_said_in_letters(rng):
    truth = normal(rng, 3)
    diagnosis = diagnose(unknown(normal(rng, 7), truth, "gradient", {"n": 7, "d": 3}))
    assert "ours has the shape (7,) = (n) where (3,) = (d) is due" in str(diagnosis)
    diagnosis = diagnose(unknown(normal(rng, 3, 3), truth, "gradient", {"d": 3}))
    assert "(3, 1) against (3,) makes (3, 3)" in str(diagnosis)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("a transpose missing or extra", lambda J, x, v: J.T),
        ("wrong ravel order", lambda J, x, v: J[:, [0, 2, 4, 1, 3, 5]]),
        ("the jacobian's sign", lambda J, x, v: -J),
        ("a factor of 2", lambda J, x, v: 2 * J),
        ("the mean's 1/m is missing", lambda J, x, v: 5 * J),
        ("wrong base of the logarithm", lambda J, x, v: J * 2.302585092994046),
        ("multiplied by v once too often", lambda J, x, v: v[:, None] * J),
        ("a product with v is missing", lambda J, x, v: J / v[:, None]),
        ("a term proportional to 1", lambda J, x, v: J + 0.7),
        ("a constant factor", lambda J, x, v: 1.7 * J),
        ("the right numbers in another shape", lambda J, x, v: J.reshape(-1)),
    ],
)
def test_what_can_be_read_off_is_read_off(name, wrong, rng):
    J, x, v = normal(rng, 5, 6), normal(rng, 2, 3), normal(rng, 5)
    assert diagnose(unknown(wrong(J, x, v), J, x=x, v=v, sizes={"m": 5})).names == (name,)


def test_a_matrix_taken_for_symmetric_is_named(rng):
    A, x = normal(rng, 4, 4), normal(rng, 4)
    name = ("right for symmetric A alone",)
    assert diagnose(unknown(2 * A @ x, (A + A.T) @ x, "gradient", x=x, A=A)).names == name
    assert diagnose(unknown(2 * A, A + A.T, "hessian", x=x, A=A)).names == name


def test_other_inputs_narrow_the_causes_down(rng):
    """A factor of 2 at n = 2 may be n; at n = 5 it is not."""
    small, large = normal(rng, 2, 3), normal(rng, 5, 3)
    twice = [unknown(2 * truth, truth, sizes={"n": len(truth)}) for truth in (small, large)]
    also = {"the mean's 1/n is missing", "1/(n − 1) in place of 1/n"}
    assert set(diagnose(twice[0]).names) == {"a factor of 2"} | also
    assert diagnose(*twice).names == ("a factor of 2",)


def test_a_cause_that_fits_at_some_inputs_only_is_said_to(rng):
    small, large = normal(rng, 2, 3), normal(rng, 5, 3)
    disputes = [unknown(2 * small, small, sizes={"n": 2}), unknown(-large, large, sizes={"n": 5})]
    assert "no one mistake explains all of the inputs tried: at some, ours / truth = 2" in str(diagnose(*disputes))


def test_a_coincidence_at_some_inputs_is_no_cause(rng):
    """1/σ′(0) = 4 may be d; and what is 0 at one point is no constant factor."""
    small, large = normal(rng, 4, 3), normal(rng, 5, 3)
    unknown_there = unknown(large.exp(), large, sizes={"d": 5})
    assert not diagnose(unknown(4 * small, small, sizes={"d": 4}), unknown_there).causes
    assert not diagnose(unknown(0 * small, small, sizes={"d": 4})).causes


def test_a_factor_that_differs_from_input_to_input_is_no_constant(rng):
    """One over a sum where one over its square is due; at one input the sum is 2, which would be a name alone."""
    truths = [normal(rng, n) for n in (4, 5, 6)]
    sums = (5.00194, 2.0, 3.7)
    disputes = [unknown(c * t, t, "gradient", sizes={"n": len(t)}) for c, t in zip(sums, truths, strict=True)]
    (cause,) = diagnose(*disputes).causes
    assert cause.name == "a factor that differs from input to input"
    assert "5.00194, 2, 3.7" in cause.evidence
    same = [unknown(5.00194 * t, t, "gradient") for t in truths]
    assert diagnose(*same).names == ("a constant factor",)
    assert not diagnose(disputes[0], unknown(truths[1].exp(), truths[1], "gradient")).causes
    sizes = [{"n": len(t), "d": 9 - len(t)} for t in truths[1:]]
    sized = [unknown(s["n"] * s["d"] * t, t, "gradient", sizes=s) for s, t in zip(sizes, truths[1:], strict=True)]
    assert "perhaps n · d" in str(diagnose(*sized))


def test_what_came_back_as_nothing_is_told_as_that_and_as_no_term(rng):
    direction = normal(rng, 4)
    found = diagnose(unknown(0 * direction, 2 * direction, "vjp", direction=direction))
    assert not found.causes
    assert "ours is 0 in all 4 entries: nothing came back (None, where" in str(found)


def test_inputs_at_which_a_mistake_drowns_in_rounding_do_not_speak_against_it(rng):
    small, large = normal(rng, 4, 4), 1e12 * normal(rng, 4, 4)
    shifted = [unknown(truth + torch.eye(4, dtype=truth.dtype), truth) for truth in (small, large)]
    (cause,) = diagnose(*shifted).causes
    assert "the unit matrix" in cause.name


def test_the_diagonal_alone_is_named(rng):
    J = normal(rng, 5, 5)
    assert diagnose(unknown(torch.diag(J.diagonal()), J)).names == ("the diagonal only",)
    assert diagnose(unknown(J.diagonal(), J)).names == ("the diagonal only",)


def test_a_term_in_an_input_is_fitted_and_said_to_be(rng):
    truth, x = normal(rng, 6), normal(rng, 6)
    diagnosis = diagnose(unknown(truth - 0.5 * x, truth, "gradient", x=x))
    assert diagnosis.names == ("a term proportional to x",)
    assert "ours − truth = -0.5 = −1/2 · x in all 6 entries (one constant fitted: weaker evidence)" in str(diagnosis)


def test_what_the_residual_grows_with_is_said(rng):
    truth, x = normal(rng, 9), torch.linspace(1, 9, 9, dtype=F64)
    words = str(diagnose(unknown(truth + x**3 * 1e-3, truth, "gradient", x=x, other=normal(rng, 9))))
    assert "cannot tell" in words
    assert "it grows with |x| entry by entry (rank correlation 1.00)" in words


def test_a_hessian_that_is_not_symmetric_is_said_to_be_so(rng):
    A = normal(rng, 4, 4)
    words = str(diagnose(unknown(2 * A, A + A.T, "hessian")))
    assert "the truth is symmetric and ours is not, though its symmetric part is the truth" in words


def test_one_number_is_weak_evidence(rng):
    truth = normal(rng, 1).squeeze()
    assert "(one number: weak evidence)" in str(diagnose(unknown(2 * truth, truth, "value")))


@pytest.mark.parametrize(
    ("c", "name"),
    [
        (7.0, "the mean's 1/n is missing"),
        (1 / 7, "1/n once too often"),
        (-1.0, "the gradient's sign"),
        (2.0, "a factor of 2"),
        (0.6931471805599453, "wrong base of the logarithm"),
    ],
)
def test_a_factor_on_all_but_a_penalty_is_told_with_the_penalty(c, name, rng):
    a, x = normal(rng, 5), normal(rng, 5)
    diagnosis = diagnose(unknown(c * a + 2 * x, a + 2 * x, "gradient", x=x, sizes={"n": 7, "d": 5}))
    assert diagnosis.names == (f"{name}, but for a term in x",)
    assert "(one constant fitted: weaker evidence)" in str(diagnosis)


def test_a_factor_on_all_but_the_unit_matrix_is_told_of_a_hessian(rng):
    A, unit = normal(rng, 4, 4), torch.eye(4, dtype=F64)
    A = A @ A.T
    diagnosis = diagnose(unknown(7 * A + 2 * unit, A + 2 * unit, "hessian", sizes={"n": 7}))
    assert diagnosis.names == ("the mean's 1/n is missing, but for a term in the unit matrix",)
    assert "ours − (n) truth = -12 · the unit matrix in all 16 entries" in str(diagnosis)


def test_where_the_truth_is_a_multiple_of_an_input_a_factor_is_not_split(rng):
    x = normal(rng, 5)
    assert diagnose(unknown(3.4 * x, 2 * x, "gradient", x=x, sizes={"n": 7})).names == (
        "a constant factor",
        "a term proportional to x",
    )


def test_an_outer_product_that_is_missing_is_seen_by_its_rank(rng):
    p = torch.softmax(normal(rng, 5), 0)
    truth = torch.diag(p) - torch.outer(p, p)
    assert "it has rank 1: an outer product" in str(diagnose(unknown(torch.diag(p), truth, "hessian")))
    wrong = truth + 1e-3 * normal(rng, 5, 5)
    assert "rank" not in str(diagnose(unknown(wrong, truth, "hessian")))
    wrong = truth.clone()
    wrong[2] += 1.0  # one row alone is an outer product too, and its place says more
    assert "rank" not in str(diagnose(unknown(wrong, truth, "hessian")))


def test_a_sum_over_the_other_axis_is_seen_by_its_total(rng):
    M = normal(rng, 7, 3) + 1
    for how, wrong, truth in (("sum", M.sum(1), M.sum(0)), ("mean", M.mean(1), M.mean(0))):
        words = str(diagnose(unknown(wrong, truth, "gradient", sizes={"n": 7, "d": 3})))
        assert f"its {how} is the truth's, so that it may be the same terms' {how} over another axis" in words
    assert "another axis" not in str(diagnose(unknown(normal(rng, 7), M.sum(0), "gradient")))


def test_an_axis_of_rows_too_many_may_be_n_1_against_n(rng):
    X, p, y = normal(rng, 7, 3), normal(rng, 7), normal(rng, 7)
    words = str(diagnose(unknown(X.T @ (p[:, None] - y), X.T @ (p - y), "gradient", sizes={"n": 7, "d": 3})))
    assert "(7, 1) against (7,) makes (7, 7), which may be how it came about" in words


def test_a_penalty_that_is_zero_at_some_inputs_does_not_hide_a_factor_on_the_rest(rng):
    a, x = normal(rng, 5), normal(rng, 5)
    sizes = {"n": 7, "d": 5}
    zero, other = (unknown(7 * a + 2 * t, a + 2 * t, "gradient", x=t, sizes=sizes) for t in (0 * x, x))
    plain = "the mean's 1/n is missing"
    assert diagnose(zero).names == diagnose(zero, zero).names == (plain,)
    assert diagnose(zero, other).names == (f"{plain}, but for a term in x",)
    whole = (unknown(7 * (a + 2 * t), a + 2 * t, "gradient", x=t, sizes=sizes) for t in (0 * x, x))
    assert diagnose(*whole).names == (plain,)

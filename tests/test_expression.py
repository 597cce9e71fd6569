"""Conditions on runs mean what they say, and a wrong one is told by its column."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.study.expression import parse

RUN = {
    "status": "finished",
    "seed": 3,
    "optimizer.lr": 0.1,
    "twin": None,
    "data.standardize": True,
    "loss.weight": [1, 2],
    "curvature/lambda_1": 0.5,
    "loss/train": float("nan"),
}


def look(name):
    if name not in RUN:
        raise KeyError(f"no run has {name!r}")
    return RUN[name]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("optimizer.lr < 0.5 and status == 'finished'", True),
        ("optimizer.lr < 1e-2 or curvature/lambda_1 >= .5", True),
        ("0 < optimizer.lr <= 0.1 < 1", True),
        ("0 < optimizer.lr < 0.1", False),
        ("not status == 'failed'", True),
        ("not (seed == 3 and status == 'finished')", False),
        ("seed in [1, 2, 3]", True),
        ("seed not in [1, 2, 3]", False),
        ("seed in []", False),
        ("'fin' in status", True),
        ("2 in loss.weight", True),
        ("loss.weight == [1, 2]", True),
        ("seed > -1", True),
        ("seed == 3 or seed == 4 and status == 'failed'", True),  # `and` binds tighter
        ("(seed == 3 or seed == 4) and status == 'failed'", False),
        ("twin == null", True),
        ("twin != null", False),
        ("twin < 3", False),
        ("twin >= 3", False),
        ("twin != 3", True),
        ("data.standardize", True),
        ("not data.standardize", False),
        ("data.standardize == true", True),
        ("twin", False),
        ("loss/train < 1", False),
        ("loss/train == loss/train", False),  # nan is no number, itself included
        ('status == "finished"', True),
    ],
)
def test_a_condition_means_what_it_says(text, holds):
    assert parse(text).holds(look) is holds


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "column 1: it ends where"),
        ("seed ==", "column 8: it ends where"),
        ("seed = 3", "column 6: unexpected '='; write =="),
        ("seed == 3 && twin", "column 11: unexpected '&'; write and"),
        ("seed == 3 twin == null", "column 11: unexpected 'twin'; join conditions by and, or"),
        ("status == 'finished", "column 11: a text begins here and does not end; close it with '"),
        ("(seed == 3", "column 11: ')' is missing here, for the bracket opened in column 1"),
        ("seed in [1, 2", "column 14: ']' is missing here"),
        ("seed", "column 1: a number is neither true nor false; compare it, as in `… == 3`"),
        ("seed == '3'", "column 6: 3 is a number and '3' is a text; compare like with like"),
        ("status == finished", "column 11: no run has 'finished'"),
        ("seed in 3", "column 6: in needs a list"),
        ("seed not 3", "column 10: `in` is missing"),
        ("seed == 0..4", "column 9: not a number"),
        ("- seed < 3", "column 1: - stands before a number alone"),
        ("data.standardize < true", "column 18: a truth value is neither above nor below"),
        ("seed == 3 or __import__('os')", "column 24: unexpected '('"),
        ("(" * 60 + "seed == 3" + ")" * 60, "nested more than 50 deep"),
        ("not " * 60 + "twin", "nested more than 50 deep"),
        ("-" * 60 + "3 < seed", "stands before a number alone"),
    ],
)
def test_a_wrong_condition_is_told_by_its_column(text, complaint):
    with pytest.raises(InputError) as error:
        parse(text).holds(look)
    assert complaint in str(error.value)
    assert str(error.value).startswith("--where, column ")


WORDS = [
    *RUN,
    "and",
    "or",
    "not",
    "in",
    "<",
    "==",
    "(",
    ")",
    "[",
    "]",
    ",",
    "1",
    "0.5",
    "'a'",
    "null",
    "-",
    "∂",
    "'",
    "\n",
]


@given(st.one_of(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), st.text(max_size=30)))
@example("1e999 < seed")
@example("9" * 5000 + " > seed")
@example("\x00")
def test_any_condition_is_judged_or_refused_in_one_line(text):
    try:
        judged = parse(text).holds(look)
    except InputError as error:
        judged = str(error)
    assert judged in (True, False) or len(judged.splitlines()) == 1


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_to_the_last_bit(number):
    assert parse(f"seed == {number!r}").holds(lambda name: number)


def test_nothing_is_evaluated_that_is_not_in_the_grammar():
    for text in ("seed.__class__ == 3", "lambda: 3", "seed ** 9**9", "[x for x in status]", "f'{seed}'", "seed; seed"):
        with pytest.raises(InputError):
            parse(text).holds(look)

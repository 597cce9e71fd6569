"""Gaps filled, levels made one-hot, and all of it fitted on the training rows alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from lab.dataset import Table
from lab.errors import InputError
from lab.preparation import data as preparing
from lab.preparation.data import Data, prepare
from lab.preparation.recipe import Column, Recipe
from lab.record import plain
from lab.sheet import Matrix

NAN = float("nan")
COLOURS = ("red", "blue", "green")


def table(X, levels=None, **changes) -> Table:
    """A table of columns x0, x1, …, its classes a and b in turn."""
    X = np.array(X, dtype=np.float64)
    features = tuple(f"x{column}" for column in range(X.shape[1]))
    missing = "t.csv:9: column 'x': missing value" if np.isnan(X).any() else ""
    made = Table(X, np.arange(len(X)) % 2, features, ("a", "b"), "", levels or {}, missing)
    return replace(made, **changes)


def prepared(raw: Table, **options) -> Data:
    plainly = {"standardize": False, "intercept": False, "validation": 0.0, "seed": 0}
    return prepare(raw, **{**plainly, "dtype": torch.float64, "device": torch.device("cpu"), **options})


@pytest.fixture
def gaps() -> Table:
    """40 rows: a number with gaps, a number without, and a colour with gaps whose reference level is red."""
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.normal(50, 10, 40), rng.normal(size=40), rng.integers(3, size=40)])
    X[rng.permutation(40)[:8], 0] = NAN
    X[rng.permutation(40)[:5], 2] = NAN
    return table(X, {"x2": COLOURS})


def test_a_gap_is_refused_at_its_place_unless_something_is_said_of_it(gaps):
    with pytest.raises(InputError, match=r"^t\.csv:9: column 'x': missing value; fill it in, .* set data\.impute to"):
        prepared(gaps)


@pytest.mark.parametrize(("how", "centre"), [("mean", np.nanmean), ("median", np.nanmedian)])
def test_gaps_are_filled_and_levels_one_hot_and_both_then_scaled(gaps, how, centre):
    data = prepared(gaps, impute=how, validation=0.3, standardize=True)
    training, held_out, _ = preparing.split(gaps, np.arange(40), 0.3, 0)
    fitted_on = gaps.X[training]
    counts = [(fitted_on[:, 2] == level).sum() for level in range(3)]

    def unscaled(rows):
        number, other, colour = gaps.X[rows].T
        colour = np.where(np.isnan(colour), np.argmax(counts), colour)
        number = np.where(np.isnan(number), centre(fitted_on[:, 0]), number)
        return np.column_stack([number, other, colour == 1, colour == 2])

    mean, deviation = unscaled(training).mean(axis=0), unscaled(training).std(axis=0)
    np.testing.assert_allclose(data.train.X, (unscaled(training) - mean) / deviation, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(data.validation.X, (unscaled(held_out) - mean) / deviation, rtol=1e-12, atol=1e-14)
    assert data.features == ("x0", "x1", "x2=blue", "x2=green")
    assert f"'x0', 'x2' are the {how} of the training rows (of levels: the most frequent)" in data.notes[1]


def knows_nothing_of_validation_rows(raw: Table) -> bool:
    """Whether the recipe stays the same, whatever the numbers of the validation rows."""
    held_out = preparing.split(raw, np.arange(len(raw.X)), 0.3, 0)[1]
    X = raw.X.copy()
    X[held_out, 0] = 1e6
    recipes = [
        prepared(one, impute="mean", validation=0.3, standardize=True).recipe for one in (raw, replace(raw, X=X))
    ]
    return recipes[0] == recipes[1]


def test_what_is_fitted_knows_nothing_of_the_validation_rows(gaps, monkeypatch):
    assert knows_nothing_of_validation_rows(gaps)
    honest = preparing.fit
    monkeypatch.setattr(
        preparing, "fit", lambda raw, training, **options: honest(raw, np.arange(len(raw.X)), **options)
    )
    assert not knows_nothing_of_validation_rows(gaps)  # the mistake that this test is there to see


def test_drop_leaves_out_rows_before_the_split_and_says_how_many(gaps):
    data = prepared(gaps, impute="drop", validation=0.25)
    whole = int((~np.isnan(gaps.X).any(axis=1)).sum())
    assert len(data.train.X) + len(data.validation.X) == whole
    assert data.notes[0] == f"{40 - whole} rows with a missing value left out"
    assert all(column.fill is None for column in data.recipe.columns)


def test_impute_changes_nothing_where_nothing_is_missing():
    whole = table(np.random.default_rng(0).normal(size=(12, 2)))
    plainly = prepared(whole, validation=0.25, standardize=True)
    for how in ("mean", "median", "drop"):
        data = prepared(whole, validation=0.25, standardize=True, impute=how)
        assert torch.equal(data.train.X, plainly.train.X)
        assert data.notes == plainly.notes


def test_a_column_without_a_value_is_refused():
    with pytest.raises(InputError, match="column 'x1' has no value in any training row"):
        prepared(table([[1, NAN], [2, NAN]]), impute="mean")
    with pytest.raises(InputError, match="every row has a missing value"):
        prepared(table([[1, NAN], [2, NAN]]), impute="drop")


def test_a_class_that_dropping_leaves_without_a_row_is_told():
    assert "class 'b' has no training row" in prepared(table([[1], [NAN], [2]]), impute="drop").notes


@pytest.mark.parametrize("size", [1e308, 1e-320, 1.0])
@pytest.mark.parametrize("how", ["mean", "median"])
def test_a_mean_of_the_largest_numbers_does_not_overflow(how, size):
    data = prepared(table([[size], [size], [NAN], [size]]), impute=how)
    assert data.train.X.tolist() == [[size]] * 4


def test_the_reference_level_is_zero_in_every_column_and_told():
    data = prepared(table([[0], [1], [2], [0]], {"x0": COLOURS}))
    assert data.train.X.tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]
    assert data.features == ("x0=blue", "x0=green")
    assert data.notes == ("column 'x0' is one-hot against its reference level 'red'",)


def test_with_an_intercept_no_one_hot_column_depends_on_the_others():
    data = prepared(table([[0], [1], [2], [0]], {"x0": COLOURS}), intercept=True, standardize=True)
    assert torch.linalg.matrix_rank(data.train.X) == 3


def test_a_validation_row_with_a_level_that_no_training_row_has_is_left_out():
    rows = [[i % 2] for i in range(20)]
    held_out = preparing.split(table(rows), np.arange(20), 0.2, 0)[1]
    rows[held_out[1]] = [2]
    data = prepared(table(rows, {"x0": COLOURS}), validation=0.2)
    assert data.features == ("x0=blue",)
    assert len(data.validation.X) == 3
    assert data.notes[-1] == "1 validation row is left out, with a level that no training row has"
    assert data.validation.y.tolist() == [row % 2 for i, row in enumerate(held_out) if i != 1]


def test_training_rows_without_the_reference_level_are_refused():
    with pytest.raises(InputError, match="no training row has 'red', the reference level of column 'x0'"):
        prepared(table([[1], [2]], {"x0": COLOURS}))


def test_columns_that_would_have_one_name_are_refused():
    raw = replace(table([[0, 1], [1, 2]]), features=("colour", "colour=blue"), levels={"colour": ("red", "blue")})
    with pytest.raises(InputError, match="two columns are called 'colour=blue'"):
        prepared(raw)


def test_a_column_of_one_level_leaves_nothing_but_the_intercept():
    one = table([[0], [0]], {"x0": ("red",)})
    assert prepared(one, intercept=True).train.X.tolist() == [[1], [1]]
    with pytest.raises(InputError, match="every column has one level only"):
        prepared(one)


@pytest.mark.parametrize(
    ("X", "levels"), [([[0.5]], {"x0": COLOURS}), ([[3.0]], {"x0": COLOURS}), ([[0.0]], {"x1": COLOURS})]
)
def test_a_table_whose_levels_do_not_fit_is_refused(X, levels):
    with pytest.raises(InputError, match="is not of indices within 0 … 2"):
        table(X, levels)


def saved_and_read(recipe: Recipe) -> Recipe:
    text = json.dumps(plain(recipe.saved()), allow_nan=False)
    return TypeAdapter(Recipe).validate_json(text)


CODES = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
ROWS = st.lists(st.tuples(CODES, st.sampled_from([None, 0, 1, 2])), min_size=2, max_size=8)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, impute=st.sampled_from(["mean", "median", "drop", None]), scaled=st.booleans())
@example(rows=[(1.0, 0), (1.0, 1)], impute="mean", scaled=True)
def test_any_recipe_is_read_back_as_it_was_and_makes_the_same_rows(rows, impute, scaled):
    raw = table([[NAN if cell is None else cell for cell in row] for row in rows], {"x1": COLOURS})
    try:
        data = prepared(raw, impute=impute, standardize=scaled, intercept=True)
    except InputError:
        return
    assert torch.isfinite(data.train.X).all()
    read = saved_and_read(data.recipe)
    assert read == data.recipe
    if impute != "drop":
        assert np.array_equal(read.rows(preparing.recoded(read.columns, raw)), data.train.X.numpy())


def test_a_recipe_that_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="cannot be filled"):
        Column("colour", fill="violet", levels=COLOURS)
    with pytest.raises(ValueError, match="cannot be filled"):
        Column("age", fill="red")
    with pytest.raises(ValueError, match="1 means and 1 scales"):
        Recipe((Column("a"), Column("b")), (0.0,), (1.0,), True, "y", ("p", "q"), False)


def test_a_sheet_is_matched_by_name_and_its_other_columns_are_left_alone():
    recipe = prepared(table([[1.0, 10.0], [2.0, 20.0]]), impute="mean", intercept=True).recipe
    sheet = Matrix("new", "", ("other", "x1", "x0"), np.array([[9.0, 30.0, NAN]]))
    assert recipe.read(sheet).tolist() == [[1.5, 30.0, 1.0]]


def test_a_gap_in_new_rows_is_refused_where_the_run_fills_none():
    recipe = prepared(table([[1.0], [2.0]])).recipe
    with pytest.raises(InputError, match="new: row 1: column 'x0': missing value, and the run was trained without"):
        recipe.read(Matrix("new", "", ("x0",), np.array([[1.0], [NAN]])))

"""From a table to tensors: the split, the scaling, the intercept."""

import hashlib
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lab.dataset import Table, digest, encode
from lab.errors import InputError
from lab.preparation.data import Data, prepare


def table(X, y, classes=("a", "b")):
    X, y = np.array(X, dtype=np.float64), np.array(y, dtype=np.int64)
    features = tuple(f"x{column}" for column in range(X.shape[1]))
    return Table(X, y, features, tuple(classes), digest(X, y, features, classes))


def prepared(raw: Table, **options) -> Data:
    defaults = {"standardize": True, "intercept": True, "validation": 0.0, "seed": 0}
    return prepare(raw, **{**defaults, "dtype": torch.float64, "device": torch.device("cpu"), **options})


@pytest.fixture
def raw():
    """60 rows, 3 columns on different scales, the second constant; 40 rows of class a, 20 of class b."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) * [1, 0, 1000] + [0, 0.1, 5000]
    return table(X, [0] * 40 + [1] * 20)


def test_validation_zero_trains_on_every_row_in_the_tables_order(raw):
    data = prepared(raw, standardize=False, intercept=False)
    assert data.validation is None
    assert data.notes == ()
    assert np.array_equal(data.train.X.numpy(), raw.X)
    assert np.array_equal(data.train.y.numpy(), raw.y)
    assert data.train.y.dtype == torch.int64


def test_the_intercept_is_a_last_column_of_ones_that_is_not_scaled(raw):
    data = prepared(raw, validation=0.25)
    assert data.features == ("x0", "x1", "x2", "intercept")
    assert (data.train.X[:, -1] == 1).all()
    assert (data.validation.X[:, -1] == 1).all()
    assert prepared(raw, intercept=False).features == raw.features


def test_a_column_called_intercept_beside_the_intercept_is_refused(raw):
    twice = Table(raw.X, raw.y, ("x0", "intercept", "x2"), raw.classes, raw.sha256)
    with pytest.raises(InputError, match=r"data\.intercept"):
        prepared(twice)
    assert prepared(twice, intercept=False).features == twice.features


def test_scaling_divides_by_the_population_standard_deviation_of_the_training_rows_alone(raw):
    data = prepared(raw, validation=0.25)
    rows = prepared(raw, validation=0.25, standardize=False).train.X[:, :3].numpy()
    np.testing.assert_allclose(data.mean, rows.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(data.scale[[0, 2]], rows.std(axis=0)[[0, 2]], rtol=1e-13)
    np.testing.assert_allclose(data.train.X[:, [0, 2]].std(dim=0, correction=0).numpy(), 1, rtol=1e-13)
    assert abs(data.validation.X[:, 0].mean()) > 1e-3  # the validation rows are not centred by themselves


def test_scaling_agrees_with_scikit_learn(raw):
    from sklearn.preprocessing import StandardScaler

    ours = prepared(raw, intercept=False).train.X.numpy()
    np.testing.assert_allclose(ours, StandardScaler().fit_transform(raw.X), rtol=1e-12, atol=1e-12)


def test_mean_and_scale_are_0_and_1_when_nothing_was_scaled(raw):
    data = prepared(raw, standardize=False)
    assert data.mean.tolist() == [0, 0, 0]
    assert data.scale.tolist() == [1, 1, 1]


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e300, 1e-300, 1 / 3])
def test_a_constant_column_is_left_at_zero(constant):
    data = prepared(table([[constant, row] for row in range(1000)], [0, 1] * 500), validation=0.1)
    assert (data.train.X[:, 0] == 0).all()
    assert (data.validation.X[:, 0] == 0).all()
    assert data.scale[0] == np.inf


def test_a_column_whose_spread_is_rounding_is_left_at_zero():
    sums = np.full((1000, 1), 0.1 + 0.2)
    sums[::2] = 0.3  # one unit in the last place below
    assert (prepared(table(sums, [0, 1] * 500), intercept=False).train.X == 0).all()


def test_a_column_constant_in_training_is_zero_in_validation_too():
    X = [[0.0, row] for row in range(20)]
    unlucky = prepared(table(X, [0, 1] * 10), validation=0.1, standardize=False).validation.X[0, 1].item()
    X[int(unlucky)][0] = 7.0
    data = prepared(table(X, [0, 1] * 10), validation=0.1)
    assert (data.train.X[:, 0] == 0).all()
    assert (data.validation.X[:, 0] == 0).all()


@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e160, 1e300])
def test_a_columns_unit_does_not_change_what_it_becomes(unit):
    metres = np.arange(10.0)[:, None]
    ours = prepared(table(metres * unit, [0, 1] * 5), intercept=False).train.X
    np.testing.assert_allclose(ours.numpy(), prepared(table(metres, [0, 1] * 5), intercept=False).train.X, rtol=1e-12)


def test_a_number_too_large_for_float32_is_refused_by_its_columns_name():
    huge = table([[0.0, 1e300], [1.0, 0.0]], [0, 1])
    with pytest.raises(InputError, match=r"column 'x1' does not fit in float32"):
        prepared(huge, standardize=False, dtype=torch.float32)
    assert prepared(huge, dtype=torch.float32).train.X.dtype == torch.float32


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, (4, 2), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_any_finite_table_is_prepared_to_finite_tensors_or_refused_without_a_warning(X):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            data = prepared(table(X, [0, 1, 0, 1]), validation=0.5)
        except InputError:
            return
    assert torch.isfinite(data.validation.X).all()
    assert data.train.X.abs().max() <= 1.5  # √n at most


@pytest.mark.parametrize(("share", "held_out"), [(0.3, 18), (0.12, 8), (0.9, 54)])
def test_a_stratified_split_keeps_each_classs_share_to_within_a_row(raw, share, held_out):
    for seed in range(10):
        data = prepared(raw, validation=share, seed=seed)
        a, b = np.bincount(data.validation.y)
        assert a + b == held_out
        assert abs(a - held_out * 40 / 60) < 1
        assert "are stratified by class" in data.notes[0]


def test_the_split_is_a_partition_that_its_seed_alone_decides(raw):
    def held_out(seed):
        data = prepared(raw, validation=0.25, seed=seed, standardize=False)
        values = torch.cat([data.train.X[:, 0], data.validation.X[:, 0]])
        assert sorted(values.tolist()) == sorted(raw.X[:, 0].tolist())
        return data.validation.X[:, 0].tolist()

    assert held_out(1) == held_out(1)
    assert held_out(1) != held_out(2)


@pytest.mark.parametrize("seed", [-1, 2**64 + 1, 2**40])
def test_any_whole_number_is_a_seed(raw, seed):
    assert len(prepared(raw, validation=0.25, seed=seed).validation.X) == 15


def test_every_row_is_held_out_by_some_seed(raw):
    held_out = {
        value
        for seed in range(40)
        for value in prepared(raw, validation=0.25, seed=seed, standardize=False).validation.X[:, 0].tolist()
    }
    assert held_out == set(raw.X[:, 0].tolist())


@pytest.mark.parametrize(
    ("y", "classes", "why"),
    [
        ([0] * 9 + [1], "ab", "class 'b' has fewer than two rows"),
        ([0, 0, 1, 1, 2, 2, 3, 3, 0, 1], "abcd", "fewer rows than there are classes"),
        ([[0, 1]] * 5 + [[1, 0]] * 5, "ab", "several labels"),
    ],
)
def test_a_split_that_cannot_be_stratified_says_why(y, classes, why):
    data = prepared(table(np.arange(10.0)[:, None], y, classes), validation=0.2)
    assert "not stratified" in data.notes[0]
    assert why in data.notes[0]
    assert len(data.validation.X) == 2


def test_a_class_without_a_training_row_is_told():
    raw = table(np.arange(10.0)[:, None], [0] * 9 + [1])
    notes = [prepared(raw, validation=0.5, seed=seed).notes[1:] for seed in range(10)]
    assert ("class 'b' has no training row",) in notes
    assert () in notes


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, float("nan"), 0.99])
def test_a_share_that_leaves_no_training_row_is_refused(share):
    with pytest.raises(InputError, match=r"data\.validation"):
        prepared(table([[0.0], [1.0]], [0, 1]), validation=share)


def test_tensors_do_not_share_memory_with_the_table(raw):
    data = prepared(raw, standardize=False, intercept=False)
    data.train.X.zero_()
    data.train.y.fill_(1)
    assert raw.X.any()
    assert not raw.y.all()
    assert data.train.X.data_ptr() % 64 == 0


@pytest.mark.parametrize(
    ("X", "y", "what"),
    [
        (np.zeros((2, 1), dtype=np.float32), np.array([0, 1]), "float32"),
        (np.zeros(2), np.array([0, 1]), "float64"),
        (np.zeros((2, 2)), np.array([0, 1]), "float64"),
        (np.zeros((2, 1)), np.array([0.0, 1.0]), "y is float64"),
        (np.zeros((2, 1)), np.array([[0], [1]]), "y is int64"),
        (np.zeros((2, 1)), np.array([0, 1, 1]), "y is int64"),
        (np.zeros((0, 1)), np.zeros(0, dtype=np.int64), "no rows"),
        (np.array([[0.0], [np.nan]]), np.array([0, 1]), "row 1 of column 'age' is nan"),
        (np.zeros((2, 1)), np.array([0, 2]), "not within 0 … 1"),
        (np.zeros((2, 1)), np.array([-1, 1]), "not within 0 … 1"),
        (np.zeros((2, 1)), np.array([[0, 1], [2, 1]]), "not within 0 … 1"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(X, y, what):
    with pytest.raises(InputError, match=what):
        Table(X, y, ("age",), ("a", "b"), "")


def test_classes_are_in_the_order_of_numbers_if_all_are_numbers_and_else_of_text():
    assert encode(["10", "9", "-1", "9"], "here")[1] == ("-1", "9", "10")
    assert encode(["10", "9", "b"], "here")[1] == ("10", "9", "b")
    assert encode(["b", "a", "b"], "here")[0].tolist() == [1, 0, 1]


def test_rows_that_are_all_their_own_class_are_refused():
    with pytest.raises(InputError, match="here: 30 rows have as many classes"):
        encode([str(price) for price in range(30)], "here")


def test_the_digest_knows_values_labels_names_and_shape(raw):
    original = digest(raw.X, raw.y, raw.features, raw.classes)
    assert original == digest(np.asfortranarray(raw.X), raw.y.astype(">i8"), raw.features, raw.classes)
    others = {
        digest(raw.X + 1, raw.y, raw.features, raw.classes),
        digest(raw.X, 1 - raw.y, raw.features, raw.classes),
        digest(raw.X, raw.y, raw.features[::-1], raw.classes),
        digest(raw.X.reshape(30, 6), raw.y, raw.features, raw.classes),
    }
    assert len(others - {original}) == 4
    assert len(original) == hashlib.sha256().digest_size * 2


def test_datasets_are_read_without_importing_torch_or_scikit_learn():
    program = (
        "import sys; from lab.datasets import csv, libsvm, npz, parquet, sklearn, synthetic; "
        "sklearn.Sklearn('digits').load(); "
        "sys.exit(bool({'torch', 'sklearn', 'pandas', 'scipy', 'pyarrow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0

"""Tables from Parquet files, and what is said of files that are none."""

import datetime
import decimal
import io
import sys

import numpy as np
import pytest
from conftest import assert_valid_or_refused
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.datasets.csv import Csv
from lab.datasets.parquet import Parquet
from lab.errors import InputError

pyarrow = pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")


@pytest.fixture
def parquet(folder):
    """Write columns to t.parquet, and give its name."""

    def to(**columns) -> str:
        return stored(folder / "t.parquet", columns)

    return to


def stored(path, columns) -> str:
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return path.name


def test_numbers_of_any_type_are_features_and_a_gap_is_missing(parquet):
    path = parquet(
        whole=pyarrow.array([1, None], pyarrow.int8()),
        half=pyarrow.array([1.5, 2.5], pyarrow.float32()),
        exact=[decimal.Decimal("0.1"), decimal.Decimal("2.25")],
        yes=[True, False],
        nan=[float("nan"), 3.0],
        y=["p", "q"],
    )
    table = Parquet(path, "y").load()
    assert table.features == ("whole", "half", "exact", "yes", "nan")
    np.testing.assert_array_equal(table.X, [[1, 1.5, 0.1, 1, np.nan], [np.nan, 2.5, 2.25, 0, 3]])
    assert table.missing == "t.parquet: row 1: column 'nan': missing value"
    assert table.target == "y"


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a"], ("a", "b")),
        ([10, 9], ("9", "10")),
        ([10.0, 0.5], ("0.5", "10")),
        ([True, False], ("false", "true")),
        (pyarrow.array(["b", "a"]).dictionary_encode(), ("a", "b")),
        ([decimal.Decimal("2.0"), decimal.Decimal("1.0")], ("1", "2")),
    ],
)
def test_labels_are_text_or_numbers_of_any_type(parquet, labels, classes):
    table = Parquet(parquet(x=[1, 2], y=labels), "y").load()
    assert table.classes == classes
    assert table.y.tolist() == [1, 0]


def test_the_same_columns_as_csv_and_as_parquet_are_one_table(parquet, write):
    one = Parquet(
        parquet(colour=["red", "blue", None], x=[1.5, None, 3.0], a=[1, 0, 1], b=[False, True, True]),
        ["a", "b"],
        categorical={"colour": "red"},
    ).load()
    other = Csv(
        write("colour,x,a,b\nred,1.5,1,false\nblue,,0,true\n,3.0,1,true\n"), ["a", "b"], categorical={"colour": "red"}
    ).load()
    np.testing.assert_array_equal(one.X, other.X)
    assert np.array_equal(one.y, other.y)
    assert (one.features, one.classes, one.levels) == (other.features, other.classes, other.levels)


def test_the_rows_labels_that_pandas_stores_are_no_feature(parquet):
    assert Parquet(parquet(x=[1, 2], y=["p", "q"], __index_level_0__=[7, 8]), "y").load().features == ("x",)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"x": ["1", "2"], "y": [0, 1]}, {}, "t.parquet: column 'x' holds string, and a numeric column must hold"),
        ({"x": [[1], [2]], "y": [0, 1]}, {}, "t.parquet: column 'x' holds list"),
        ({"x": [1.0, float("inf")], "y": [0, 1]}, {}, "t.parquet: row 2: column 'x': is not finite"),
        ({"x": [1, 2], "y": [0, None]}, {}, "t.parquet: row 2: column 'y': missing value in the target"),
        ({"x": [1, 2], "y": ["", "a"]}, {}, "t.parquet: row 1: column 'y': missing value in the target"),
        ({"x": [1, 2], "Y": [0, 1]}, {}, "t.parquet: data.target: no column 'y'; did you mean 'Y'?"),
        ({"x": [1, 2], "y": [1, 1]}, {}, "t.parquet: column 'y': one class only, '1'"),
        ({"x": [1, 2], "y": [[1], [2]]}, {}, "t.parquet: row 1: column 'y': list is neither text nor number"),
        ({"x": [1, 2], "y": [datetime.date(2026, 1, 1)] * 2}, {}, "t.parquet: row 1: column 'y': date is neither"),
        ({"x": [], "y": []}, {}, "t.parquet: there are columns and no rows"),
        ({"x": ["a", "b"], "y": [0, 1]}, {"categorical": {"x": "c"}}, "t.parquet: column 'x': data.categorical: no"),
        ({"x": ["a", "b"], "y": [0, 1]}, {"categorical": {"y": None}}, "t.parquet: data.categorical: 'y' is no feat"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_row_and_column(parquet, columns, options, message):
    with pytest.raises(InputError) as refused:
        Parquet(parquet(**columns), "y", **options).load()
    assert str(refused.value).startswith(message)


def test_without_pyarrow_the_extra_is_named(parquet, monkeypatch):
    path = parquet(x=[1, 2], y=[0, 1])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"^t\.parquet: .* install the lab with its extra 'parquet', or pip install"):
        Parquet(path, "y").load()


def written(columns) -> bytes:
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()


WHOLE = written({"x": [1.0, 2.0, 3.0], "y": ["a", "b", "a"]})
TORN = st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 9), st.binary(max_size=4)).map(
    lambda cut: WHOLE[: cut[0]] + cut[2] + WHOLE[cut[0] + cut[1] :]
)


@settings(max_examples=50, deadline=None)
@given(content=TORN | st.binary(max_size=40))
def test_any_bytes_as_parquet_are_a_valid_table_or_an_input_error_on_one_line(scratch, content):
    scratch.write_bytes(content)
    assert_valid_or_refused(Parquet(str(scratch), "y"))

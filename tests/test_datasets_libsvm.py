"""Tables from LIBSVM files, and what is said of files that are none."""

import io

import numpy as np
import pytest
from conftest import assert_valid_or_refused
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.datasets.libsvm import Libsvm
from lab.errors import InputError


def test_a_row_holds_its_label_and_what_is_not_zero(write):
    table = Libsvm(write("# made up\n+1 1:0.5 3:-2e1 # first\n\n-1 2:1\r\n1.0\n")).load()
    assert table.X.tolist() == [[0.5, 0, -20], [0, 1, 0], [0, 0, 0]]
    assert table.features == ("x1", "x2", "x3")
    assert table.classes == ("-1", "1")
    assert table.y.tolist() == [1, 0, 1]


def test_columns_may_count_from_zero(write):
    table = Libsvm(write("1 0:2 2:3\n2 1:4\n"), zero_based=True).load()
    assert table.features == ("x0", "x1", "x2")
    assert table.X.tolist() == [[2, 0, 3], [0, 4, 0]]


def test_several_labels_a_row_are_multi_label_and_a_row_may_have_none(write):
    table = Libsvm(write("2,10 1:1\n 1:2\n10\n"), multilabel=True).load()
    assert table.classes == ("2", "10")
    assert table.y.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert table.X.tolist() == [[1], [2], [0]]


def test_a_missing_number_is_told_with_its_line(write):
    table = Libsvm(write("1 1:1\n2 1:nan\n")).load()
    assert np.isnan(table.X[1, 0])
    assert table.missing == "t.csv:2: column 'x1': missing value"


def test_new_rows_have_every_column_whatever_the_largest_index_is(write):
    sheet = Libsvm("unread").sheet(write("0 2:5\n0 9:1\n"))
    sheet.require(["x1", "x12"], "why")
    assert sheet.read(["x12", "x2"], []).numbers.tolist() == [[0, 5], [0, 0]]
    with pytest.raises(InputError, match=r"t\.csv: why: no column 'age'"):
        sheet.require(["age"], "why")


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "t.csv: there are no rows"),
        ("# nothing\n", {}, "t.csv: there are no rows"),
        ("1\n2\n", {}, "t.csv: no row has a feature"),
        ("cat 1:1\n", {}, "t.csv:1: label 'cat' is no number"),
        ("1 1:1\nnan 1:1\n", {}, "t.csv:2: label 'nan' is no number"),
        (" 1:1\n", {}, "t.csv:1: label '1:1' is no number"),
        ("1,2 1:1\n", {}, "t.csv:1: several labels, '1,2'; set data.multilabel: true"),
        ("1, 1:1\n", {"multilabel": True}, "t.csv:1: label '' is no number"),
        ("1 0:1\n", {}, "t.csv:1: index 0, where columns count from 1; set data.zero_based: true"),
        ("1 1:1\n2 2:1 2:1\n", {}, "t.csv:2: index 2 is there twice"),
        ("1 a:1\n", {}, "t.csv:1: 'a:1' is no feature; write index:value"),
        ("1 -1:1\n", {}, "t.csv:1: '-1:1' is no feature; write index:value"),
        ("1 7\n", {}, "t.csv:1: '7' is no feature; write index:value"),
        ("1 qid:3 1:1\n", {}, "t.csv:1: 'qid:3' is no feature; leave it out"),
        ("1 1:x\n", {}, "t.csv:1: feature 1: 'x' is no finite number"),
        ("1 1:1_0\n", {}, "t.csv:1: feature 1: '1_0' is no finite number"),
        ("1 1:-inf\n", {}, "t.csv:1: feature 1: '-inf' is no finite number"),
        ("1 1:1\n2 1:2\n3 99999999999999:1\n", {}, "t.csv:3: index 99999999999999 makes the matrix 3 × 99999999999999"),
        ("1 1:1\n1 1:2\n", {}, "t.csv: one class only, '1'"),
        ("1 1:1\n1,2 1:2\n", {"multilabel": True}, "t.csv: label '1' is 1 in every row"),
        (" 1:1\n", {"multilabel": True}, "t.csv: no row has a label"),
        (b"1 1:1\n\xff\n", {}, "t.csv:2: not a line of numbers"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_its_line(write, content, options, message):
    with pytest.raises(InputError) as refused:
        Libsvm(write(content), **options).load()
    assert str(refused.value).startswith(message)
    assert "; " in str(refused.value)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.lists(
    st.tuples(st.integers(-2, 2), st.dictionaries(st.integers(1, 6), NUMBERS, max_size=4)), min_size=2, max_size=6
)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS)
def test_what_is_read_is_what_scikit_learn_reads_to_the_bit(scratch, rows):
    from sklearn.datasets import load_svmlight_file

    def line(label, features):
        return " ".join([str(label), *(f"{index}:{value!r}" for index, value in sorted(features.items()))])

    text = "".join(line(*row) + "\n" for row in rows)
    scratch.write_text(text)
    try:
        ours = Libsvm(str(scratch)).load()
    except InputError:  # one class, or no feature
        assert len({label for label, _ in rows}) == 1 or not any(features for _, features in rows)
        return
    X, y = load_svmlight_file(io.BytesIO(text.encode()), zero_based=False)
    assert np.array_equal(ours.X, X.toarray())
    assert [float(ours.classes[c]) for c in ours.y] == y.tolist()


WORDS = st.one_of(
    st.sampled_from(["1", "-1", "1:1", "2:0.5", "0:1", "1:nan", ":", "1:", "1,2", "#", " ", "\t", "qid:1", "9" * 30]),
    st.text(max_size=3),
)
LINES = st.lists(st.lists(WORDS, max_size=4).map(" ".join), max_size=4).map("\n".join).map(str.encode)


@settings(max_examples=80, deadline=None)
@given(content=LINES | st.binary(max_size=30), multilabel=st.booleans(), zero_based=st.booleans())
@example(content=b"1 1:1\n2 1:2", multilabel=False, zero_based=False)
def test_any_bytes_are_a_valid_table_or_an_input_error_on_one_line(scratch, content, multilabel, zero_based):
    scratch.write_bytes(content)
    assert_valid_or_refused(Libsvm(str(scratch), multilabel=multilabel, zero_based=zero_based))

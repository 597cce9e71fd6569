"""Tables from CSV files, and what is said of files that are none."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_valid_or_refused, same
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.datasets.csv import Csv
from lab.datasets.npz import Npz
from lab.errors import InputError

FLOWERS = Path(__file__).parents[1] / "configs" / "data" / "flowers.csv"


def test_a_csv_has_its_columns_labels_and_the_files_hash(write):
    content = "\ufeffa, b ,kind\n1,2.5,dog\n\n3,-4e-1,'cat'\r\n5,6,dog\n"
    table = Csv(write(content), "kind").load()
    assert table.features == ("a", "b")
    assert table.X.tolist() == [[1, 2.5], [3, -0.4], [5, 6]]
    assert table.classes == ("'cat'", "dog")
    assert table.y.tolist() == [1, 0, 1]
    assert table.sha256 == hashlib.sha256(content.encode()).hexdigest()


def test_features_chooses_and_orders_columns_and_the_others_may_hold_anything(write):
    table = Csv(write("a;note;b;y\n1;;2;0\n3;text;4;1\n"), "y", delimiter=";", features=["b", "a"]).load()
    assert table.features == ("b", "a")
    assert table.X.tolist() == [[2, 1], [4, 3]]


def test_several_targets_are_labels_of_0_and_1(write):
    table = Csv(write("red,x,round\n1,0.5,true\n0,1.5,False\n"), ["round", "red"]).load()
    assert table.classes == ("round", "red")
    assert table.y.tolist() == [[1, 1], [0, 0]]
    assert table.features == ("x",)


def test_one_target_in_a_list_is_one_target(write):
    path = write("x,y\n1,a\n2,b\n")
    assert same(Csv(path, ["y"]).load(), Csv(path, "y").load())


def test_a_quoted_cell_may_hold_the_delimiter_and_a_line_break_and_lines_are_still_counted(write):
    path = write('x,y\n1,"a\nb"\n2,"c,d"\n')
    assert Csv(path, "y").load().classes == ("a\nb", "c,d")
    with pytest.raises(InputError, match=r"^t\.csv:4: column 'x': text 'two'"):
        Csv(write('x,y\n1,"a\nb"\ntwo,c\n'), "y").load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t.csv:1: the file is empty"),
        (" \n\n", "t.csv:1: the file is empty"),
        ("a,y\n", "t.csv: a header and no rows"),
        ("a,y\n1,p\n2,\n", "t.csv:3: column 'y': missing value in the target"),
        ("a,y\n\n1,p\nred,q\n", "t.csv:4: column 'a': text 'red' in a numeric column"),
        ('a,y\n"1,5",p\n2,q\n', "t.csv:2: column 'a': '1,5' has a comma; write decimals with a point, as 1.5"),
        ("a,y\n1_000,p\n2,q\n", "t.csv:2: column 'a': text '1_000' in a numeric column"),
        ("a,y\n٣,p\n2,q\n", "t.csv:2: column 'a': text '٣' in a numeric column"),
        ("a,y\n1,p\n-inf,q\n", "t.csv:3: column 'a': '-inf' is not finite"),
        ("a,y\n1,p\n1e999,q\n", "t.csv:3: column 'a': '1e999' is not finite"),
        ("a,Y\n1,p\n2,q\n", "t.csv: data.target: no column 'y'; did you mean 'Y'? (allowed: Y, a)"),
        ("a,y\n1,p\n2,p\n", "t.csv: column 'y': one class only, 'p'"),
        ("a,b,y\n1,2,p\n1,q\n", "t.csv:3: column 'y': the row ends before it"),
        ("a,y\n1,p\n2,q,3\n", "t.csv:3: 3 cells, 1 after the last column 'y'"),
        ("a,y,a\n1,p,2\n", "t.csv:1: columns 1 and 3 are both 'a'"),
        (",a,y\n1,2,p\n", "t.csv:1: column 1 has no name"),
        ("a;y\n1;p\n", "t.csv:1: one column only, 'a;y'; is data.delimiter ',' right?"),
        ('a,y\n1,p\n2,"q\n', "t.csv:3: not CSV (unexpected end of data)"),
        (b"a,y\n1,p\n2,\xff\n", "t.csv:3: byte 3 of the line is not UTF-8"),
        ("a,y\n1,p\n2,q\n".encode("utf-16"), "t.csv:1: byte 1 of the line is not UTF-8"),
        (b"\xef\xbb\xbfa,\xe9\n", "t.csv:1: byte 3 of the line is not UTF-8"),
        ("y\n1\n", "t.csv:1: one column only, 'y'"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_by_file_line_and_column(write, content, message):
    with pytest.raises(InputError) as refused:
        Csv(write(content), "y").load()
    assert str(refused.value).startswith(message)
    assert "; " in str(refused.value) or "(allowed: " in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "y", "features": ["a", "y"]}, "t.csv: column 'y' is named twice"),
        ({"target": ["y", "y"]}, "t.csv: column 'y' is named twice"),
        ({"target": "y", "features": ["a", "a"]}, "t.csv: column 'a' is named twice"),
        ({"target": []}, "t.csv: data.target names no column"),
        ({"target": "y", "features": []}, "t.csv: data.features names no column"),
        ({"target": ["y", "a", "b"]}, "t.csv: data.features names no column"),
        ({"target": "y", "features": ["A"]}, "t.csv: data.features: no column 'A'; did you mean 'a'?"),
        ({"target": ["y", "a"]}, "t.csv:3: column 'a': '2' in one of several targets"),
        ({"target": ["y", "b"]}, "t.csv: label 'b' is 1 in every row"),
        ({"target": "y", "delimiter": ""}, "t.csv: data.delimiter is ''"),
        ({"target": "y", "delimiter": ",,"}, "t.csv: data.delimiter is ',,'"),
    ],
)
def test_fields_that_do_not_fit_the_file_are_refused(write, options, message):
    with pytest.raises(InputError) as refused:
        Csv(write("a,b,y\n1,1,0\n2,1,1\n"), **options).load()
    assert str(refused.value).startswith(message)


def test_a_gap_is_missing_and_the_first_one_is_told_by_line_and_column(write):
    table = Csv(write("a,b,y\n1,2,p\n3,NA,q\n,4,q\n"), "y").load()
    assert np.isnan(table.X).tolist() == [[False, False], [False, True], [True, False]]
    assert table.missing == "t.csv:3: column 'b': missing value"


def test_a_categorical_column_holds_indices_into_its_levels_the_reference_first(write):
    path = write("rooms,colour,y\n10,red,p\n9,,q\n,blue,q\n10,red,p\n")
    table = Csv(path, "y", categorical={"colour": "red", "rooms": 10}).load()
    assert table.levels == {"colour": ("red", "blue"), "rooms": ("10", "9")}
    np.testing.assert_array_equal(table.X, [[0, 0], [1, np.nan], [np.nan, 1], [0, 0]])
    assert Csv(path, "y", categorical={"colour": None, "rooms": None}).load().levels == {
        "colour": ("blue", "red"),
        "rooms": ("9", "10"),
    }


@pytest.mark.parametrize(
    ("categorical", "message"),
    [
        ({"a": "c"}, "t.csv: column 'a': data.categorical: no level 'c' (allowed: p, q)"),
        ({"A": None}, "t.csv: data.categorical: 'A' is no feature; did you mean 'a'?"),
        ({"y": None}, "t.csv: data.categorical: 'y' is no feature (allowed: a, b, c)"),
        ({"a": None, "b": None}, "t.csv: column 'b': every value is missing; leave it out of data.features"),
        ({"a": None, "c": None}, "t.csv: column 'c': 21 rows have as many levels; leave it out of data.features"),
    ],
)
def test_a_categorical_column_that_cannot_be_is_refused(write, categorical, message):
    rows = "".join(f"{'pq'[i % 2]},,{i},{i % 3}\n" for i in range(21))
    with pytest.raises(InputError) as refused:
        Csv(write(f"a,b,c,y\n{rows}"), "y", categorical=categorical).load()
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("member", [lambda path: Csv(path, "y"), Npz])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent", "absent: no such file"),
        (".", ".: is a directory"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot"),
    ],
)
def test_a_path_that_is_no_file_is_refused(folder, member, path, message):
    with pytest.raises(InputError, match=message):
        member(path).load()


CELLS = st.one_of(
    st.sampled_from(["x", "y", "1", "-2.5", "nan", "", '"', "'", " ", "1e999", "\0", "\r", "a\u2028b", "0", "true"]),
    st.text(max_size=3),
)
LINES = st.lists(st.lists(CELLS, max_size=4).map(",".join), max_size=5)
MALFORMED = st.one_of(
    st.binary(max_size=40),
    st.tuples(st.sampled_from(["x,y\n", "x,y,z\r\n", "y,x\r", "\ufeffy,x,\n"]), LINES, st.sampled_from("\n\r")).map(
        lambda parts: (parts[0] + parts[2].join(parts[1])).encode("utf-8")
    ),
    st.tuples(st.just(FLOWERS.read_bytes()[:200]), st.integers(0, 199), st.binary(min_size=1, max_size=2)).map(
        lambda parts: (parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]).replace(b"species", b"y")
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    content=MALFORMED,
    delimiter=st.one_of(st.just(","), st.characters()),
    several=st.booleans(),
    categorical=st.sampled_from([{}, {"x": None}, {"x": "1"}]),
)
@example(content=b"x,y\n1,0\n2,1\n", delimiter=",", several=False, categorical={"x": 1})
def test_any_bytes_as_csv_are_a_valid_table_or_an_input_error_on_one_line(
    scratch, content, delimiter, several, categorical
):
    scratch.write_bytes(content)
    assert_valid_or_refused(
        Csv(str(scratch), ["y", "z"] if several else "y", delimiter=delimiter, categorical=categorical)
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=6))
def test_a_number_written_by_repr_is_read_back_to_the_bit(scratch, numbers):
    scratch.write_text("x,y\n" + "".join(f"{number!r},{'ab'[i % 2]}\n" for i, number in enumerate(numbers)))
    assert Csv(str(scratch), "y").load().X.ravel().tobytes() == np.array(numbers).tobytes()

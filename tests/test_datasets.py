"""The open folder of data sets: one contract for all of them, then what is each one's own."""

import hashlib
import io
import zipfile
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab import catalog
from lab.dataset import Table
from lab.datasets.csv import Csv
from lab.datasets.npz import Npz
from lab.datasets.sklearn import BUNDLED, Sklearn
from lab.datasets.synthetic import Synthetic
from lab.errors import InputError

FLOWERS = Path(__file__).parents[1] / "configs" / "data" / "flowers.csv"

# What a member that has required fields is tried with; one with none needs no entry.
TRIED = {
    "csv": [{"path": str(FLOWERS), "target": "species"}],
    "npz": [{"path": "small.npz"}],
    "sklearn": [{"name": name} for name in BUNDLED],
    "synthetic": [
        {"task": task, "separable": separable, "n": 60}
        for task in ("binary", "multiclass", "multilabel")
        for separable in (False, True)
    ],
}
MEMBERS = [(kind, options) for kind in catalog.names("datasets") for options in TRIED.get(kind, [{}])]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder, with a small.npz in it."""
    monkeypatch.chdir(tmp_path)
    np.savez("small.npz", X=np.arange(8.0).reshape(4, 2), y=np.array([0, 1, 1, 0]))
    return tmp_path


@pytest.fixture
def write(folder):
    """Write a file, and give its name."""

    def to(content: str | bytes, name: str = "t.csv") -> str:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return to


def assert_valid(table: Table) -> None:
    """What `Table` itself does not check."""
    assert len(table.sha256) == 64
    assert len(set(table.features)) == len(table.features) == table.X.shape[1]
    assert len(set(table.classes)) == len(table.classes) >= 2
    assert all(isinstance(name, str) and name for name in (*table.features, *table.classes))
    if table.multilabel:
        assert (table.y.min(axis=0) == 0).all()
        assert (table.y.max(axis=0) == 1).all()
    else:
        assert set(table.y.tolist()) == set(range(len(table.classes)))


def assert_valid_or_refused(member: Csv | Npz) -> None:
    """Any other exception than InputError, which names the file on one line, fails the test."""
    try:
        table, refusal = member.load(), ""
    except InputError as refused:
        table, refusal = None, str(refused)
    if table is None:
        assert refusal.startswith(f"{member.path}:")
        assert len(refusal.splitlines()) == 1
    else:
        assert_valid(table)


def same(a: Table, b: Table) -> bool:
    return (
        np.array_equal(a.X, b.X)
        and np.array_equal(a.y, b.y)
        and (a.features, a.classes, a.sha256) == (b.features, b.classes, b.sha256)
    )


@pytest.mark.parametrize(("kind", "options"), MEMBERS)
def test_every_dataset_loads_a_valid_table_and_the_same_one_again(folder, kind, options):
    member = catalog.get("datasets", kind)
    assert is_dataclass(member)
    assert member.__doc__
    assert fields(member) or not options
    table = member(**options).load()
    assert_valid(table)
    assert same(table, member(**options).load())


# scikit-learn's


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_table_is_what_scikit_learn_loads(name):
    from sklearn import datasets

    theirs, ours = getattr(datasets, f"load_{name}")(), Sklearn(name).load()
    assert np.array_equal(ours.X, theirs.data)
    assert np.array_equal(ours.y, theirs.target)
    assert ours.features == tuple(theirs.feature_names)
    assert ours.classes == tuple(map(str, theirs.target_names))


def test_a_name_that_is_not_bundled_is_refused():
    with pytest.raises(InputError, match="choose one of breast_cancer, iris"):
        Sklearn("boston").load()


# CSV


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
        ("a,y\n1,p\n,q\n", "t.csv:3: column 'a': missing value ''"),
        ("a,y\n1,p\nNaN,q\n", "t.csv:3: column 'a': missing value 'NaN'"),
        ("a,y\n1,p\n2,\n", "t.csv:3: column 'y': missing value '' in the target"),
        ("a,y\n\n1,p\nred,q\n", "t.csv:4: column 'a': text 'red' in a numeric column"),
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


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("malformed") / "file"


@settings(max_examples=150, deadline=None)
@given(content=MALFORMED, delimiter=st.one_of(st.just(","), st.characters()), several=st.booleans())
@example(content=b"x,y\n1,0\n2,1\n", delimiter=",", several=False)
def test_any_bytes_as_csv_are_a_valid_table_or_an_input_error_on_one_line(scratch, content, delimiter, several):
    scratch.write_bytes(content)
    assert_valid_or_refused(Csv(str(scratch), ["y", "z"] if several else "y", delimiter=delimiter))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=6))
def test_a_number_written_by_repr_is_read_back_to_the_bit(scratch, numbers):
    scratch.write_text("x,y\n" + "".join(f"{number!r},{'ab'[i % 2]}\n" for i, number in enumerate(numbers)))
    assert Csv(str(scratch), "y").load().X.ravel().tobytes() == np.array(numbers).tobytes()


# npz


def test_an_npz_has_its_arrays_classes_and_the_files_hash(folder):
    np.savez("t.npz", data=np.array([[1, 2], [3, 4], [5, 6]]), kind=np.array([10.0, 9.0, 10.0]))
    table = Npz("t.npz", X="data", y="kind").load()
    assert table.X.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert table.features == ("data0", "data1")
    assert table.classes == ("9", "10")
    assert table.y.tolist() == [1, 0, 1]
    assert table.sha256 == hashlib.sha256((folder / "t.npz").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.array([False, True, True]), ("False", "True")),
        (np.array(["dog", "cat", "dog"]), ("cat", "dog")),
        (np.array([b"dog", b"cat\xff", b"dog"]), ("cat\\xff", "dog")),
        (np.array([2**63, 3, 3], dtype=np.uint64), ("3", str(2**63))),
        (np.array([[0, 1], [1, 0], [1, 1]]), ("y0", "y1")),
        (np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), ("y0", "y1")),
    ],
)
def test_labels_of_an_npz_may_be_numbers_text_or_flags(folder, y, classes):
    np.savez("t.npz", X=np.zeros((3, 1)), y=y)
    table = Npz("t.npz").load()
    assert_valid(table)
    assert table.classes == classes


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": [[1.0]], "y": [0]}, "no array 'X'; did you mean 'x'?"),
        ({"X": [[1.0]]}, "no array 'y'"),
        ({"X": [1.0, 2.0], "y": [0, 1]}, "array 'X' has shape (2,)"),
        ({"X": np.zeros((0, 2)), "y": []}, "array 'X' has shape (0, 2)"),
        ({"X": [[1.0], [np.inf]], "y": [0, 1]}, "X[1, 0] is inf"),
        ({"X": [["a"], ["b"]], "y": [0, 1]}, "array 'X' holds <U1"),
        ({"X": [[1j], [2j]], "y": [0, 1]}, "array 'X' holds complex128"),
        ({"X": np.array([[1], ["a"]], dtype=object), "y": [0, 1]}, "array 'X' cannot be read"),
        ({"X": [[1.0], [2.0]], "y": [0, 1, 1]}, "array 'y' has shape (3,)"),
        ({"X": [[1.0], [2.0]], "y": [[0], [1]]}, "array 'y' has shape (2, 1)"),
        ({"X": [[1.0], [2.0]], "y": 0}, "array 'y' has shape ()"),
        ({"X": [[1.0], [2.0]], "y": [0, 0]}, "array 'y': one class only, '0'"),
        ({"X": [[1.0], [2.0]], "y": [0, 0.5]}, "y[1] is 0.5"),
        ({"X": [[1.0], [2.0]], "y": [0, np.nan]}, "y[1] is nan"),
        ({"X": [[1.0], [2.0]], "y": ["a", ""]}, "y[1] is ''"),
        ({"X": [[1.0], [2.0]], "y": [1j, 2j]}, "array 'y' holds complex128"),
        ({"X": [[1.0], [2.0]], "y": [[0, 1], [2, 0]]}, "y[1, 0] is 2"),
        ({"X": [[1.0], [2.0]], "y": [["a", "b"], ["b", "a"]]}, "array 'y' holds <U1"),
        ({"X": [[1.0], [2.0]], "y": [[0, 1], [1, 1]]}, "label 'y1' is 1 in every row"),
    ],
)
def test_an_npz_that_cannot_be_used_is_refused_by_file_and_place(folder, arrays, message):
    np.savez("t.npz", **arrays)
    with pytest.raises(InputError) as refused:
        Npz("t.npz").load()
    assert str(refused.value).startswith(f"t.npz: {message}")
    assert "; " in str(refused.value) or "(allowed: " in str(refused.value)


def test_what_is_not_an_npz_is_refused(folder, write):
    np.save("array.npy", np.zeros(3))
    with zipfile.ZipFile("members.zip", "w") as archive:
        archive.writestr("X", b"not an array")
    for path in "array.npy", write(""), write("x,y\n1,2\n"):
        with pytest.raises(InputError, match="not an npz file"):
            Npz(path).load()
    with pytest.raises(InputError, match="array 'X' has shape"):
        Npz("members.zip").load()


def small_npz(compress: bool) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, X=np.arange(4.0).reshape(2, 2), y=np.array([0, 1]))
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore")  # numpy warns of headers that were tampered with
@settings(max_examples=150, deadline=None)
@given(compress=st.booleans(), place=st.integers(0, 799), byte=st.integers(0, 255), cut=st.booleans())
def test_any_bytes_as_npz_are_a_valid_table_or_an_input_error(scratch, compress, place, byte, cut):
    content = small_npz(compress)
    place %= len(content)
    scratch.write_bytes(content[:place] if cut else content[:place] + bytes([byte]) + content[place + 1 :])
    assert_valid_or_refused(Npz(str(scratch)))


# Synthetic


@pytest.mark.parametrize(
    ("task", "k", "outputs"),
    [("binary", None, 2), ("binary", 2, 2), ("multiclass", None, 3), ("multiclass", 7, 7), ("multilabel", 4, 4)],
)
@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_synthetic_rows_hold_every_class_in_one_dimension_and_in_many(task, k, outputs, separable, seed):
    for d in 1, 9:
        table = Synthetic(task, n=80, d=d, k=k, separable=separable, seed=seed).load()
        assert_valid(table)
        assert table.X.shape == (80, d)
        assert len(table.classes) == outputs


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("separable", [False, True])
def test_synthetic_classes_have_a_margin_between_them_if_they_were_meant_to(task, separable):
    from scipy.optimize import linprog

    table = Synthetic(task, n=120, d=3, separable=separable, seed=1).load()
    X = np.hstack([table.X, np.ones((120, 1))])
    if table.multilabel:  # weights |w| ≤ 20 with s·xᵀw ≥ 1, s = ±1 the label, for each label by itself
        constraints = [-(2 * y[:, None] - 1) * X for y in table.y.T]
    else:  # weights W with xᵀ(W_y − W_c) ≥ 1 for every other class c
        k = len(table.classes)
        signs = np.eye(k)[:, None, :] - np.eye(k)[None, :, :]
        constraints = [
            -np.vstack([np.kron(signs[y, c], x) for x, y in zip(X, table.y, strict=True) for c in range(k) if c != y])
        ]
    solved = [linprog(np.zeros(A.shape[1]), A, -np.ones(len(A)), bounds=(-20, 20)).status == 0 for A in constraints]
    assert all(solved) == separable


def test_another_seed_draws_another_table():
    one, other = Synthetic("binary", seed=1).load(), Synthetic("binary", seed=2).load()
    assert one.sha256 != other.sha256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "binary", "k": 3}, r"data\.k: 3 for task binary"),
        ({"task": "multiclass", "n": 4, "k": 5}, r"data\.n: 4 rows never held all of 5 classes"),
    ],
)
def test_synthetic_fields_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Synthetic(**options).load()

"""Tables from npz files, and what is said of files that are none."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from conftest import assert_valid, assert_valid_or_refused
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.datasets.npz import Npz
from lab.errors import InputError


def test_an_npz_has_its_arrays_classes_and_the_files_hash(folder):
    np.savez("t.npz", data=np.array([[1, 2], [3, 4], [5, 6]]), kind=np.array([10.0, 9.0, 10.0]))
    table = Npz("t.npz", X="data", y="kind").load()
    assert table.X.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert table.features == ("data0", "data1")
    assert table.classes == ("9", "10")
    assert table.y.tolist() == [1, 0, 1]
    assert table.sha256 == hashlib.sha256((folder / "t.npz").read_bytes()).hexdigest()


def test_nan_is_missing_and_told_by_its_index(folder):
    np.savez("t.npz", X=np.array([[1.0, 2.0], [3.0, np.nan]]), y=np.array([0, 1]))
    table = Npz("t.npz").load()
    assert np.isnan(table.X).tolist() == [[False, False], [False, True]]
    assert table.missing == "t.npz: X[1, 1] is nan, which is missing"


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

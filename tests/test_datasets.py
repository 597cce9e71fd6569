"""The open folder of data sets: one contract for all of them, then what is each one's own."""

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_valid, same

from lab import catalog
from lab.datasets.sklearn import BUNDLED, Sklearn
from lab.datasets.synthetic import Synthetic
from lab.errors import InputError

FLOWERS = Path(__file__).parents[1] / "configs" / "data" / "flowers.csv"

# What a member that has required fields is tried with; one with none needs no entry.
TRIED = {
    "csv": [{"path": str(FLOWERS), "target": "species"}],
    "libsvm": [{"path": "small.libsvm"}, {"path": "labels.libsvm", "multilabel": True}],
    "npz": [{"path": "small.npz"}],
    "parquet": [{"path": "small.parquet", "target": "y"}],
    "sklearn": [{"name": name} for name in BUNDLED],
    "synthetic": [
        {"task": task, "separable": separable, "n": 60}
        for task in ("binary", "multiclass", "multilabel")
        for separable in (False, True)
    ],
}
MEMBERS = [(kind, options) for kind in catalog.names("datasets") for options in TRIED.get(kind, [{}])]


@pytest.mark.parametrize(("kind", "options"), MEMBERS)
def test_every_dataset_loads_a_valid_table_and_the_same_one_again(folder, kind, options):
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    member = catalog.get("datasets", kind)
    assert is_dataclass(member)
    assert member.__doc__
    assert fields(member) or not options
    lacks = [f.name for f in fields(member) if f.default is MISSING is f.default_factory and f.name not in options]
    assert not lacks, f"{kind} needs {', '.join(lacks)}: say what it is tried with, in TRIED of tests/test_datasets.py"
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

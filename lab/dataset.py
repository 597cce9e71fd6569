"""Where rows come from: a Dataset loads a Table; `prepare` splits, scales and hands it to torch as Data.

    Table     raw: X (N, D0) float64, y int64, names, SHA-256      load()
    split     validation rows drawn with a seed, stratified where the classes allow it
    scale     (x − mean) / std, both of the training rows alone, population std
    intercept a column of ones, last
    Data      two Batches of torch tensors and the names of what is in them

torch is imported where tensors are made, so that a config can be read and its schema printed without it.
"""

import hashlib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)

DataPath = Annotated[str, "path"]
"""A config field's type for a file of data: the config loader makes it relative to the config file's folder."""


@dataclass(frozen=True, eq=False)
class Table:
    """What a Dataset loads, before it is split and scaled.

    X (N, D0) float64, finite. y int64: (N,) class indices, or (N, L) of 0 and 1 for multi-label.
    `features` names X's columns; `classes` the classes, or for multi-label the label columns.
    `sha256` is of the file's bytes where there is a file, else of `digest`.
    Raises InputError if these do not fit together: a Dataset that someone adds is checked here.
    """

    X: Floats
    y: Integers
    features: tuple[str, ...]
    classes: tuple[str, ...]
    sha256: str

    def __post_init__(self) -> None:
        if wrong := self._wrong():
            raise InputError(f"data: {wrong}; see lab.dataset.Table for what a Dataset must load")

    def _wrong(self) -> str | None:
        """What does not fit together, or None."""
        X, y, classes = self.X, self.y, len(self.classes)
        if X.dtype != np.float64 or X.ndim != 2 or X.shape[1] != len(self.features):
            return f"X is {X.dtype} {X.shape}, not float64 (N, {len(self.features)})"
        if y.dtype != np.int64 or y.shape not in {(len(X),), (len(X), classes)}:
            return f"y is {y.dtype} {y.shape}, not int64 ({len(X)},) or ({len(X)}, {classes})"
        if X.size == 0 or y.size == 0:
            return "there are no rows or no columns"
        if not np.isfinite(X).all():
            row, column = np.argwhere(~np.isfinite(X))[0]
            return f"row {row} of column {self.features[column]!r} is {X[row, column]}"
        top = 1 if self.multilabel else classes - 1
        return None if set(np.unique(y)) <= set(range(top + 1)) else f"y is not within 0 … {top}"

    @property
    def multilabel(self) -> bool:
        return self.y.ndim == 2


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows as a problem reads them: X (N, D), with the intercept's ones last if it is on; y int64 (N,) or (N, L)."""

    X: "torch.Tensor"
    y: "torch.Tensor"


@dataclass(frozen=True, eq=False)
class Data:
    """A prepared data set.

    `features` names the D columns of X, "intercept" last if it is on. `mean` and `scale` (D0,) are what was
    subtracted and divided by, fitted on the training rows: 0 and 1 if nothing was. A column that is constant in
    the training rows has scale inf, so (x − mean) / scale is 0 for it in every row, and a weight / scale is too.
    `notes` are sentences for the user: how the split was made, and what is unusual about it.
    """

    train: Batch
    validation: Batch | None
    features: tuple[str, ...]
    classes: tuple[str, ...]
    multilabel: bool
    intercept: bool
    mean: Floats
    scale: Floats
    sha256: str
    notes: tuple[str, ...] = ()


class Dataset(ABC):
    """A source of rows. A member of lab/datasets is a frozen dataclass whose fields are its config."""

    @abstractmethod
    def load(self) -> Table:
        """Load every row, the same each time. Raises InputError where the user's data or fields are wrong."""


def prepare(
    table: Table,
    *,
    standardize: bool,
    intercept: bool,
    validation: float,
    seed: int,
    dtype: "torch.dtype",
    device: "torch.device",
) -> Data:
    """Split, scale, add the intercept, and copy to `device` as `dtype`.

    `validation` in [0, 1) is the share of rows held out; 0 trains on every row. Rows keep the table's order.
    Raises InputError if no row is left to train on, or a number does not fit in `dtype`.
    """
    if intercept and "intercept" in table.features:
        raise InputError("data.intercept: a column has that name already; set it to false or rename the column")
    training, held_out, notes = _split(table, validation, seed)
    columns = len(table.features)
    mean, scale = _fit(table.X[training]) if standardize else (np.zeros(columns), np.ones(columns))

    def batch(rows: Integers) -> Batch:
        with np.errstate(all="ignore"):  # _tensors tells, with the column's name
            X = (table.X[rows] - mean) / scale
        return Batch(*_tensors(X, table.y[rows], table.features, intercept, dtype, device))

    return Data(
        train=batch(training),
        validation=batch(held_out) if held_out.size else None,
        features=(*table.features, "intercept") if intercept else table.features,
        classes=table.classes,
        multilabel=table.multilabel,
        intercept=intercept,
        mean=mean,
        scale=scale,
        sha256=table.sha256,
        notes=notes,
    )


def _split(table: Table, validation: float, seed: int) -> tuple[Integers, Integers, tuple[str, ...]]:
    """Training rows, validation rows (sorted), and notes."""
    rows = np.arange(len(table.X))
    if validation == 0:
        return rows, rows[:0], ()
    if not 0 < validation < 1:
        raise InputError(f"data.validation: {validation} is no share of the rows; give a number in [0, 1)")
    held_out = math.ceil(validation * len(rows))
    if held_out == len(rows):
        raise InputError(f"data.validation: {validation} of {len(rows)} rows leaves none to train on; give less")
    why_not = _why_not_stratified(table, held_out)
    order = np.random.default_rng(seed % 2**64).permutation(len(rows))  # a seed here is not negative
    if not why_not:
        order = order[np.argsort(table.y[order], kind="stable")]
    # At equal steps along rows in the order of their classes, each class gives its share to within one row.
    taken = (np.arange(held_out) * 2 + 1) * len(rows) // (2 * held_out)
    validating, training = order[taken], np.delete(order, taken)
    notes = [f"validation rows are not stratified: {why_not}" if why_not else "validation rows are stratified by class"]
    if not table.multilabel:
        absent = sorted(set(range(len(table.classes))) - set(table.y[training].tolist()))
        notes += [f"class {table.classes[c]!r} has no training row" for c in absent]
    return np.sort(training), np.sort(validating), tuple(notes)


def _why_not_stratified(table: Table, held_out: int) -> str | None:
    """What forbids a stratified split, or None."""
    if table.multilabel:
        return "there are several labels a row"
    counts = np.bincount(table.y, minlength=len(table.classes))
    if counts.min() < 2:
        rare = table.classes[int(counts.argmin())]
        return f"class {rare!r} has fewer than two rows"
    if min(held_out, len(table.y) - held_out) < len(table.classes):
        return f"a part has fewer rows than there are classes ({len(table.classes)})"
    return None


def _fit(X: Floats) -> tuple[Floats, Floats]:
    """Column means and population standard deviations of X (N, D0), with inf for a constant column.

    A column is scaled by a power of two first, which is exact, so that squares neither overflow nor underflow.
    """
    exponent = np.frexp(np.abs(X).max(axis=0))[1]
    X = np.ldexp(X, -exponent)
    mean, variance = X.mean(axis=0), X.var(axis=0)
    # The mean of n equal numbers is off by up to n·ε·mean, and its variance by that squared: scikit-learn's
    # bound (after Chan, Golub and LeVeque 1983). Below it the column is constant, and its spread is rounding.
    eps = np.finfo(np.float64).eps
    constant = variance <= len(X) * eps * variance + (len(X) * mean * eps) ** 2
    mean = np.where(np.ptp(X, axis=0) == 0, X[0], mean)
    scale = np.where(constant, np.inf, np.sqrt(variance))
    return np.ldexp(mean, exponent), np.ldexp(scale, exponent)


def _tensors(
    X: Floats, y: Integers, features: tuple[str, ...], intercept: bool, dtype: "torch.dtype", device: "torch.device"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """X with its intercept, and y, in torch's own memory.

    torch aligns what it allocates to 64 bytes, numpy to 16: with from_numpy, BLAS would pick its kernels by where the
    array happened to lie, and a run would not repeat to the bit.
    """
    import torch

    if intercept:
        X = np.hstack([X, np.ones((len(X), 1))])
    tensor = torch.tensor(X, dtype=dtype, device=device)
    if not torch.isfinite(tensor).all():
        column = int((~torch.isfinite(tensor)).any(dim=0).int().argmax())
        name = str(dtype).removeprefix("torch.")
        raise InputError(f"data: column {features[column]!r} does not fit in {name}; give it in another unit")
    return tensor, torch.tensor(y, dtype=torch.int64, device=device)


# For the members of lab/datasets.


def read_bytes(path: str) -> bytes:
    """The file's bytes. Raises InputError if it is missing, a directory, or cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; data.path is relative to the config file's folder") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory; give the path of one file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InputError(f"{path}: cannot be read ({error}); check the path and its permissions") from None


def digest(X: Floats, y: Integers, features: Sequence[str], classes: Sequence[str]) -> str:
    """SHA-256 of a table that has no file: names and shapes as JSON, then X and y little-endian in C order."""
    names = json.dumps([X.shape, y.shape, list(features), list(classes)])
    return hashlib.sha256(names.encode() + X.astype("<f8").tobytes() + y.astype("<i8").tobytes()).hexdigest()


def encode(labels: Sequence[str], where: str) -> tuple[Integers, tuple[str, ...]]:
    """Class indices (N,) and class names, in the order of numbers if every label is one, else of text.

    Raises InputError, at `where`, for one class only, and where no two of many rows share a class.
    """
    distinct = set(labels)
    if len(distinct) == 1:
        raise InputError(f"{where}: one class only, {labels[0]!r}; a classifier needs rows of at least two")
    if len(distinct) == len(labels) > 20:
        raise InputError(f"{where}: {len(labels)} rows have as many classes; give a target whose values repeat")
    numeric = all(NUMBER.fullmatch(label) for label in distinct)
    classes = sorted(distinct, key=lambda label: (float(label) if numeric else 0.0, label))
    index = {label: i for i, label in enumerate(classes)}
    return np.array([index[label] for label in labels], dtype=np.int64), tuple(classes)


def require_both(y: Integers, names: Sequence[str], where: str) -> None:
    """Raise InputError, at `where`, if a label column of y (N, L) is all 0 or all 1."""
    for column, name in zip(y.T, names, strict=True):
        if column.min() == column.max():
            raise InputError(f"{where}: label {name!r} is {column[0]} in every row; leave it out of the target")

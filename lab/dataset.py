"""Where rows come from: a Dataset loads a Table, which `lab.preparation` then splits, fills in and scales.

    Table     raw: X (N, C) float64, y int64, names, SHA-256      load()
    Sheet     the named columns of another file of the kind       sheet(path)

Nothing here imports torch, so that a config can be read and its schema printed without it.
"""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from lab.csvfile import CsvFile
from lab.errors import InputError, suggest
from lab.sheet import Cells, Floats, Sheet

if TYPE_CHECKING:
    import torch

Integers = NDArray[np.int64]

NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1}

DataPath = Annotated[str, "path"]
"""A config field's type for a file of data: the config loader makes it relative to the config file's folder."""

Categorical = dict[str, str | int | None]
"""A config field's type for columns of levels, each with its reference level; null takes the first one in order."""


@dataclass(frozen=True, eq=False)
class Table:
    """What a Dataset loads, before it is split, filled in and scaled.

    X (N, C) float64, finite, or nan where a value is missing. y int64: (N,) class indices, or (N, L) of 0 and 1 for
    multi-label. `features` names X's columns; `classes` the classes, or for multi-label the label columns.
    `sha256` is of the file's bytes where there is a file, else of `digest`.
    `levels` are those of each categorical column, whose entries in X are indices into them; the reference is first.
    `missing`, where something is, says where the first is and of which column, for who did not ask for imputation.
    `target` names what the classes are classes of. `weight`, where rows or labels have one each, is (N, 1) or (N, L),
    finite and at least 0. Raises InputError if these do not fit together: a Dataset that
    someone adds is checked here.
    """

    X: Floats
    y: Integers
    features: tuple[str, ...]
    classes: tuple[str, ...]
    sha256: str
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: str = ""
    target: str = "class"
    weight: Floats | None = None

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
        wrong = np.isinf(X) if self.missing else ~np.isfinite(X)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            return f"row {row} of column {self.features[column]!r} is {X[row, column]}"
        for name, levels in self.levels.items():
            if name not in self.features or not set(self._present(name)) <= set(range(len(levels))):
                return f"column {name!r} is not of indices within 0 … {len(levels) - 1}"
        top = 1 if self.multilabel else classes - 1
        if not set(np.unique(y)) <= set(range(top + 1)):
            return f"y is not within 0 … {top}"
        return None if self.weight is None else self._wrong_weight(self.weight)

    def _wrong_weight(self, weight: Floats) -> str | None:
        shapes = {(len(self.X), 1), (len(self.X), self.y.shape[1] if self.multilabel else 1)}
        if weight.dtype != np.float64 or weight.shape not in shapes:
            return f"weight is {weight.dtype} {weight.shape}, not float64 {' or '.join(map(str, sorted(shapes)))}"
        bad = ~(np.isfinite(weight) & (weight >= 0))
        return f"the weight of row {np.argwhere(bad)[0][0]} is no finite number of at least 0" if bad.any() else None

    def _present(self, name: str) -> list[float]:
        column = self.X[:, self.features.index(name)]
        present: list[float] = np.unique(column[~np.isnan(column)]).tolist()
        return present

    @property
    def multilabel(self) -> bool:
        return self.y.ndim == 2


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows as a problem reads them: X (N, D), with the intercept's ones last if it is on; y int64 (N,) or (N, L).

    `weight` (N, 1) or (N, L), where rows or labels have one each.
    """

    X: "torch.Tensor"
    y: "torch.Tensor"
    weight: "torch.Tensor | None" = None


class Dataset(ABC):
    """A source of rows. A member of lab/datasets is a frozen dataclass whose fields are its config."""

    @abstractmethod
    def load(self) -> Table:
        """Load every row, the same each time. Raises InputError where the user's data or fields are wrong."""

    def sheet(self, path: str) -> Sheet:
        """Open a file of new rows, whose columns are named as this data set's; CSV where it has no files of its own.

        Raises InputError where there is no such file.
        """
        return CsvFile(path)


# For the members of lab/datasets.


def tabulate(
    sheet: Sheet,
    target: str | Sequence[str],
    features: Sequence[str] | None,
    categorical: Categorical,
    weight: str | Sequence[str] | None = None,
) -> Table:
    """The table of a sheet: one target of classes, or several of 0 and 1; `features`, or all columns but those.

    `weight` is a column of the rows' weights, or one for each target. Raises InputError where a name is no column or is
    there twice, and for a cell that cannot be used.
    """
    targets, weights = _names(target), _names(weight)
    chosen = [name for name in sheet.names if name not in (*targets, *weights)] if features is None else list(features)
    _check_choice(sheet, targets, chosen, categorical)
    numeric = [name for name in chosen if name not in categorical]
    given = _weights(sheet, weights, targets, chosen)
    cells = sheet.read(numeric, [*targets, *categorical])
    texts = dict(zip([*targets, *categorical], cells.texts, strict=True))
    y, classes = _targets(sheet.source, cells, {name: texts[name] for name in targets})
    X, levels = np.empty((len(y), len(chosen))), {}
    X[:, [chosen.index(name) for name in numeric]] = cells.numbers
    for name, reference in categorical.items():
        where = f"{sheet.source}: column {name!r}"
        X[:, chosen.index(name)], levels[name] = _encode_levels(texts[name], reference, where)
    missing = first_missing(Cells(X, [], cells.place), chosen)
    of = targets[0] if len(targets) == 1 else "class"
    return Table(X, y, tuple(chosen), classes, sheet.sha256, levels, missing, of, given)


def _names(given: str | Sequence[str] | None) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def _weights(sheet: Sheet, names: list[str], targets: list[str], features: list[str]) -> Floats | None:
    """The rows' weights (N, 1), or the labels' (N, L), of the columns of those names."""
    if not names:
        return None
    sheet.require(names, "data.weight")
    if len(names) not in (1, len(targets)):
        raise InputError(f"{sheet.source}: data.weight names {len(names)} columns; name one, or one for each target")
    for name in names:
        if name in (*targets, *features):
            raise InputError(f"{sheet.source}: column {name!r} is a weight, and a target or feature too; name it once")
    cells = sheet.read(names, [])
    bad = np.argwhere(~(cells.numbers >= 0))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        number = cells.numbers[row, column]
        said = "missing value in the weight" if np.isnan(number) else f"{number:g} is no weight"
        raise InputError(f"{cells.place(row)}: column {names[column]!r}: {said}; give a number of at least 0")
    return cells.numbers


def _check_choice(sheet: Sheet, targets: list[str], features: list[str], categorical: Categorical) -> None:
    for key, names in ("data.target", targets), ("data.features", features):
        if not names:
            raise InputError(f"{sheet.source}: {key} names no column; name one (there are: {', '.join(sheet.names)})")
        sheet.require(names, key)
    chosen = [*targets, *features]
    for name in chosen:
        if chosen.count(name) > 1:
            raise InputError(
                f"{sheet.source}: column {name!r} is named twice in data.target and data.features; name it once"
            )
    for name in categorical:
        if name not in features:
            raise InputError(f"{sheet.source}: data.categorical: {name!r} is no feature{suggest(name, features)}")


def _targets(source: str, cells: Cells, targets: Mapping[str, list[str | None]]) -> tuple[Integers, tuple[str, ...]]:
    """Class indices (N,) and classes of one target column; 0 and 1 (N, L) and the columns of several."""
    for name, column in targets.items():
        for row, cell in enumerate(column):
            where = f"{cells.place(row)}: column {name!r}"
            if cell is None:
                raise InputError(f"{where}: missing value in the target; fill it in, or leave the row out")
            if len(targets) > 1 and cell.casefold() not in FLAGS:
                raise InputError(f"{where}: {cell!r} in one of several targets; write 0 or 1 (or false, true)")
    texts = {name: [str(cell) for cell in column] for name, column in targets.items()}
    if len(texts) == 1:
        ((name, labels),) = texts.items()
        return encode(labels, f"{source}: column {name!r}")
    y = np.array([[FLAGS[cell.casefold()] for cell in column] for column in texts.values()], dtype=np.int64).T
    require_both(y, tuple(texts), source)
    return y, tuple(texts)


def _encode_levels(
    texts: Sequence[str | None], reference: str | int | None, where: str
) -> tuple[Floats, tuple[str, ...]]:
    """Level indices (N,), nan where missing, and the levels, in order but for the reference, which is first."""
    levels = ordered({text for text in texts if text is not None})
    if not levels:
        raise InputError(f"{where}: every value is missing; leave it out of data.features")
    if len(levels) == len(texts) > 20:
        raise InputError(f"{where}: {len(levels)} rows have as many levels; leave it out of data.features")
    if reference is not None and str(reference) not in levels:
        raise InputError(f"{where}: data.categorical: no level {str(reference)!r}{suggest(str(reference), levels)}")
    first = levels[0] if reference is None else str(reference)
    levels = [first, *(level for level in levels if level != first)]
    index = {level: float(i) for i, level in enumerate(levels)}
    return np.array([np.nan if text is None else index[text] for text in texts]), tuple(levels)


def first_missing(cells: Cells, names: Sequence[str]) -> str:
    """Where the first missing number is and of which column, as Table.missing has it; nothing where none is."""
    missing = np.isnan(cells.numbers)
    if not missing.any():
        return ""
    row, column = np.argwhere(missing)[0]
    return f"{cells.place(int(row))}: column {names[column]!r}: missing value"


def ordered(distinct: set[str]) -> list[str]:
    """Labels or levels in the order of numbers if every one is a number, else of text."""
    numeric = all(NUMBER.fullmatch(label) for label in distinct)
    return sorted(distinct, key=lambda label: (float(label) if numeric else 0.0, label))


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
    classes = ordered(distinct)
    index = {label: i for i, label in enumerate(classes)}
    return np.array([index[label] for label in labels], dtype=np.int64), tuple(classes)


def require_both(y: Integers, names: Sequence[str], where: str) -> None:
    """Raise InputError, at `where`, if a label column of y (N, L) is all 0 or all 1."""
    for column, name in zip(y.T, names, strict=True):
        if column.min() == column.max():
            raise InputError(f"{where}: label {name!r} is {column[0]} in every row; leave it out of the target")

"""Recipe: what was fitted on the training rows, so that any row can be made into one of X in the same way.

    fill       a missing number is the column's mean (or median) over the training rows, a missing level their most
               frequent one; without imputation there is no value to fill in, and a gap is refused
    one-hot    a column of levels l_0 (the reference), l_1, …, l_m becomes m columns, 1 where the row has l_j, else 0;
               a row of the reference level is 0 in all of them, so that with an intercept none depends on the others
    scale      (x − mean) / scale, both of the training rows alone, after filling in and one-hot columns included
    intercept  a column of ones, last

Levels are those of the training rows: of any other the model has learned nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from lab.dataset import Integers, Table
from lab.errors import InputError, suggest
from lab.sheet import Floats, Sheet

Impute = Literal["mean", "median", "drop"]

UNSEEN = -1.0  # in place of a level's index


@dataclass(frozen=True)
class Column:
    """A column of the data: what fills a gap in it, None where nothing does; its levels, None where it is a number."""

    name: str
    fill: float | str | None = None
    levels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        fits = isinstance(self.fill, float | int) if self.levels is None else self.fill in self.levels
        if not (fits or self.fill is None):
            raise ValueError(f"column {self.name!r} cannot be filled with {self.fill!r}")

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns of X that it becomes."""
        return (self.name,) if self.levels is None else tuple(f"{self.name}={level}" for level in self.levels[1:])

    def index(self, level: str) -> float:
        """The level as an entry of codes: its index, or UNSEEN."""
        levels = self.levels or ()
        return float(levels.index(level)) if level in levels else UNSEEN


@dataclass(frozen=True)
class Recipe:
    """How rows become rows of X, and what the outputs are called: everything fitted but θ.

    `mean` and `scale` have an entry for each column of X but the intercept: 0 and 1 if nothing is scaled. A column
    that is constant in the training rows has scale inf, so that (x − mean) / scale is 0 for it in every row.
    Rows come as codes (N, C): a number as it is, a level as its index, nan where missing.
    Raises ValueError where the parts do not fit together.
    """

    columns: tuple[Column, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    intercept: bool
    target: str
    classes: tuple[str, ...]
    multilabel: bool

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.scale) == len(self.features) - self.intercept:
            raise ValueError(f"{len(self.mean)} means and {len(self.scale)} scales for other columns")

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The names of X's D columns, "intercept" last if it is on."""
        names = [name for column in self.columns for name in column.features]
        return (*names, "intercept") if self.intercept else tuple(names)

    def rows(self, codes: Floats) -> Floats:
        """X (N, D) of codes (N, C), of which none is UNSEEN, nor missing where nothing fills it."""
        with np.errstate(all="ignore"):  # whoever makes tensors of it tells, with the column's name
            X = (expanded(self.columns, codes) - np.array(self.mean)) / np.array(self.scale)
        return np.hstack([X, np.ones((len(X), 1))]) if self.intercept else X

    def read(self, sheet: Sheet) -> Floats:
        """X (N, D) of a sheet's rows, its columns matched by name; others may be there.

        Raises InputError, naming row and column, for a column that lacks, a level that no training row has, and a
        gap that nothing fills.
        """
        sheet.require((column.name for column in self.columns), "the run needs every feature it was trained on")
        numeric = [i for i, column in enumerate(self.columns) if column.levels is None]
        textual = [i for i, column in enumerate(self.columns) if column.levels is not None]
        cells = sheet.read(*([self.columns[i].name for i in chosen] for chosen in (numeric, textual)))
        codes = np.empty((len(cells.numbers), len(self.columns)))
        codes[:, numeric] = cells.numbers
        for i, texts in zip(textual, cells.texts, strict=True):
            codes[:, i] = [np.nan if text is None else self.columns[i].index(text) for text in texts]
            if (unseen := codes[:, i] == UNSEEN).any():
                row = int(unseen.argmax())
                level, known = str(texts[row]), self.columns[i].levels or ()
                where = f"{cells.place(row)}: column {self.columns[i].name!r}"
                raise InputError(f"{where}: no training row has level {level!r}{suggest(level, known)}")
        self._refuse_gaps(codes, cells.place)
        return self.rows(codes)

    def _refuse_gaps(self, codes: Floats, place: Callable[[int], str]) -> None:
        gaps = np.isnan(codes) & np.array([column.fill is None for column in self.columns])
        if gaps.any():
            row, column = np.argwhere(gaps)[0]
            raise InputError(
                f"{place(int(row))}: column {self.columns[column].name!r}: missing value, and the run was trained "
                "without data.impute of mean or median; fill it in, or leave the row out"
            )

    def saved(self) -> dict[str, Any]:
        """The recipe in plain values, for JSON."""
        return asdict(self)


def recoded(columns: Sequence[Column], table: Table) -> Floats:
    """The table's rows as codes (N, C) of those columns, UNSEEN where a level is none of a column's."""
    if not table.levels:
        return table.X
    codes = table.X.copy()
    for i, column in enumerate(columns):
        if column.levels is not None:
            own = np.array([*map(column.index, table.levels[column.name]), np.nan])  # nan, last, is taken for a gap
            codes[:, i] = own[np.nan_to_num(table.X[:, i], nan=-1).astype(np.int64)]
    return codes


def expanded(columns: Sequence[Column], codes: Floats) -> Floats:
    """Codes (N, C) with their gaps filled and their levels one-hot, (N, D) without the intercept."""
    if (gaps := np.isnan(codes)).any():
        fills = [column.index(column.fill) if isinstance(column.fill, str) else column.fill for column in columns]
        codes = np.where(gaps, np.array(fills, dtype=np.float64), codes)
    if all(column.levels is None for column in columns):
        return codes
    parts = [
        codes[:, [i]] if column.levels is None else codes[:, [i]] == np.arange(1, len(column.levels))
        for i, column in enumerate(columns)
    ]
    return np.hstack([part.astype(np.float64) for part in parts])


def fit(table: Table, training: Integers, *, impute: Impute | None, standardize: bool, intercept: bool) -> Recipe:
    """Fit a recipe on a table's training rows.

    Raises InputError where a column has nothing to be filled with, the training rows lack a reference level, no
    column is left, or two would have one name.
    """
    columns = tuple(_column(table, i, table.X[training, i], impute) for i in range(len(table.features)))
    X = expanded(columns, recoded(columns, table)[training])
    mean, scale = scaling(X) if standardize else (np.zeros(X.shape[1]), np.ones(X.shape[1]))
    recipe = Recipe(
        columns, tuple(mean.tolist()), tuple(scale.tolist()), intercept, table.target, table.classes, table.multilabel
    )
    names = recipe.features
    if not names:
        raise InputError("data: every column has one level only, and there is no intercept; give other data.features")
    if twice := next((name for name in names if names.count(name) > 1), None):
        advice = "set data.intercept to false or rename the column" if twice == "intercept" else "rename one"
        raise InputError(f"data{'.intercept' * (twice == 'intercept')}: two columns are called {twice!r}; {advice}")
    return recipe


def _column(table: Table, i: int, codes: Floats, impute: Impute | None) -> Column:
    """Column i, fitted on its codes (n,) in the training rows."""
    name = table.features[i]
    present = codes[~np.isnan(codes)]
    if not len(present):
        raise InputError(f"data: column {name!r} has no value in any training row; leave it out of data.features")
    fills = impute in ("mean", "median")
    if name not in table.levels:
        return Column(name, float(_centre(present, impute)) if fills else None)
    levels, counts = table.levels[name], np.bincount(present.astype(np.int64), minlength=len(table.levels[name]))
    if not counts[0]:
        raise InputError(
            f"data.categorical: no training row has {levels[0]!r}, the reference level of column {name!r}; "
            "state another one"
        )
    kept = tuple(level for level, count in zip(levels, counts, strict=True) if count)
    return Column(name, levels[int(counts.argmax())] if fills else None, kept)


def _centre(values: Floats, how: Impute | None) -> np.float64:
    """The mean or the median, scaled by a power of two first, which is exact, so that no sum overflows."""
    exponent = np.frexp(np.abs(values).max())[1]
    scaled = np.ldexp(values, -exponent)
    centre: np.float64 = np.ldexp(np.median(scaled) if how == "median" else scaled.mean(), exponent)
    return centre


def scaling(X: Floats) -> tuple[Floats, Floats]:
    """Column means and population standard deviations of X (N, D), with inf for a constant column.

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

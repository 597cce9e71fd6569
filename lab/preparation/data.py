"""`prepare`: a table split, filled in and scaled, as torch's own tensors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lab.dataset import Batch, Integers, Table
from lab.errors import InputError
from lab.preparation.recipe import UNSEEN, Impute, Recipe, fit, recoded
from lab.preparation.split import split
from lab.sheet import Floats

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Data:
    """A prepared data set.

    `recipe` is how its rows were made, and makes others in the same way. `notes` are sentences for the user: how the
    split was made, what was filled in, and what is unusual about it.
    """

    train: Batch
    validation: Batch | None
    recipe: Recipe
    sha256: str
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """The names of X's D columns, "intercept" last if it is on."""
        return self.recipe.features

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, or for multi-label the labels."""
        return self.recipe.classes

    @property
    def multilabel(self) -> bool:
        """Whether each of `classes` is there or not for itself."""
        return self.recipe.multilabel

    @property
    def intercept(self) -> bool:
        """Whether X's last column is of ones."""
        return self.recipe.intercept

    @property
    def mean(self) -> Floats:
        """What was subtracted from X's columns but the intercept."""
        return np.array(self.recipe.mean)

    @property
    def scale(self) -> Floats:
        """What X's columns but the intercept were divided by, inf for one that is constant in the training rows."""
        return np.array(self.recipe.scale)


def prepare(
    table: Table,
    *,
    standardize: bool,
    intercept: bool,
    validation: float,
    seed: int,
    dtype: "torch.dtype",
    device: "torch.device",
    impute: Impute | None = None,
) -> Data:
    """Split, fill in, scale, add the intercept, and copy to `device` as `dtype`.

    `validation` in [0, 1) is the share of rows held out; 0 trains on every row. `impute` says what becomes of a
    missing value: mean or median of the training rows, or drop, which leaves out the row before the split.
    Rows keep the table's order. Raises InputError if a value is missing and nothing is said of that, if no row is
    left to train on, or a number does not fit in `dtype`.
    """
    rows, notes = _complete(table, impute)
    training, held_out, on_split = split(table, rows, validation, seed)
    recipe = fit(table, training, impute=impute, standardize=standardize, intercept=intercept)
    codes = recoded(recipe.columns, table)
    known = ~(codes[held_out] == UNSEEN).any(axis=1)
    notes += on_split + _on_columns(table, recipe, impute, len(held_out) - int(known.sum()))
    held_out = held_out[known]

    def batch(rows: Integers) -> Batch:
        import torch

        X = to_tensor(recipe.rows(codes[rows]), recipe.features, dtype, device)
        weight = None if table.weight is None else torch.tensor(table.weight[rows], dtype=dtype, device=device)
        return Batch(X, torch.tensor(table.y[rows], dtype=torch.int64, device=device), weight)

    return Data(batch(training), batch(held_out) if held_out.size else None, recipe, table.sha256, tuple(notes))


def to_tensor(X: Floats, features: tuple[str, ...], dtype: "torch.dtype", device: "torch.device") -> "torch.Tensor":
    """X (N, D) in torch's own memory. Raises InputError where a number does not fit in `dtype`.

    torch aligns what it allocates to 64 bytes, numpy to 16: with from_numpy, BLAS would pick its kernels by where the
    array happened to lie, and a run would not repeat to the bit.
    """
    import torch

    tensor = torch.tensor(X, dtype=dtype, device=device)
    if not torch.isfinite(tensor).all():
        column = int((~torch.isfinite(tensor)).any(dim=0).int().argmax())
        name = str(dtype).removeprefix("torch.")
        raise InputError(f"data: column {features[column]!r} does not fit in {name}; give it in another unit")
    return tensor


def _complete(table: Table, impute: Impute | None) -> tuple[Integers, list[str]]:
    """The rows to work with, and a note where some are left out."""
    rows = np.arange(len(table.X))
    if not table.missing:
        return rows, []
    if impute is None:
        raise InputError(f"{table.missing}; fill it in, leave the row out, or set data.impute to mean, median or drop")
    if impute != "drop":
        return rows, []
    rows = rows[~np.isnan(table.X).any(axis=1)]
    if not len(rows):
        raise InputError("data.impute: every row has a missing value, and drop leaves none; use mean or median")
    count = len(table.X) - len(rows)
    return rows, [f"{count} row{'s' * (count > 1)} with a missing value left out"] if count else []


def _on_columns(table: Table, recipe: Recipe, impute: Impute | None, left_out: int) -> list[str]:
    """What was filled in, each reference level, and how many validation rows have a level that is not known."""
    notes = []
    gaps = [name for name, column in zip(table.features, table.X.T, strict=True) if np.isnan(column).any()]
    if gaps and impute in ("mean", "median"):
        levels = " (of levels: the most frequent)" if any(name in table.levels for name in gaps) else ""
        names = ", ".join(map(repr, gaps))
        notes.append(f"missing values of {names} are the {impute} of the training rows{levels}")
    notes += [
        f"column {column.name!r} is one-hot against its reference level {column.levels[0]!r}"
        for column in recipe.columns
        if column.levels
    ]
    if left_out:
        rows = "1 validation row is" if left_out == 1 else f"{left_out} validation rows are"
        notes.append(f"{rows} left out, with a level that no training row has")
    return notes

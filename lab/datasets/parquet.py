"""A Parquet file, read by pyarrow (the extra `parquet`): features and targets by name, as of a CSV file.

Numbers of any type, decimals and booleans are features as they are; null, and nan, is missing. Text, and whatever is
named in `categorical`, has levels: text as it stands, whole numbers without a point, booleans as true and false.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from lab.dataset import Categorical, DataPath, Dataset, Table, tabulate
from lab.errors import InputError
from lab.sheet import Cells, Floats, Sheet, Texts, read_bytes, shown

PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # the rows' labels, which pandas stores as a column


@dataclass(frozen=True)
class Parquet(Dataset):
    """A Parquet file: features are numbers or `categorical`, labels text or numbers; several are multi-label.

    `categorical` maps columns to their reference levels, null for the first; such a column is one-hot but for that.
    `weight` is a column of the rows' weights in the loss, or, for a loss of several labels, a list of one for each.
    """

    path: DataPath
    """The file; a relative path starts from the config's folder."""
    target: str | list[str]
    """The column of classes, or several columns of 0 and 1 for multi-label rows."""
    features: list[str] | None = None
    """The columns of X; null takes all but target and weight."""
    categorical: Categorical = field(default_factory=dict)
    """Columns of levels, each with its reference level; null takes the first in order."""
    weight: str | list[str] | None = None
    """The column of the rows' weights, or one for each target."""

    def load(self) -> Table:
        return tabulate(ParquetFile(self.path), self.target, self.features, self.categorical, self.weight)

    def sheet(self, path: str) -> Sheet:
        return ParquetFile(path)


class ParquetFile(Sheet):
    """The columns of a Parquet file, of which those are read that are asked for. Rows are counted from 1."""

    def __init__(self, path: str) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise InputError(
                f"{path}: a Parquet file is read by pyarrow, which is not installed; install the lab with its extra "
                "'parquet', or pip install pyarrow"
            ) from None
        content = read_bytes(path)
        self.source, self.sha256 = path, hashlib.sha256(content).hexdigest()
        try:
            self._file = parquet.ParquetFile(pyarrow.BufferReader(content))
            self.names = tuple(name for name in self._file.schema_arrow.names if not PANDAS_INDEX.fullmatch(name))
            self._rows = self._file.metadata.num_rows
        except Exception as error:  # a torn file raises a dozen kinds
            raise InputError(f"{path}: not a Parquet file ({_said(error)}); was it written to the end?") from None
        for name in self.names:
            if not name or self.names.count(name) > 1:
                raise InputError(f"{path}: {self.names.count(name)} columns are named {shown(name)}; rename them")

    def read(self, numbers: Sequence[str], texts: Sequence[str]) -> Cells:
        if self._rows == 0:
            raise InputError(f"{self.source}: there are columns and no rows; add some")
        try:
            table = self._file.read(columns=[*numbers, *texts])
        except Exception as error:
            raise InputError(f"{self.source}: cannot be read ({_said(error)}); write it anew") from None
        X = np.empty((self._rows, len(numbers)))
        for column, name in enumerate(numbers):
            X[:, column] = self._numbers(name, table.column(name))
        return Cells(X, [self._texts(name, table.column(name)) for name in texts], self._place)

    def _place(self, row: int) -> str:
        return f"{self.source}: row {row + 1}"

    def _numbers(self, name: str, column: Any) -> Floats:
        """A column as float64, nan where it is null."""
        import pyarrow
        from pyarrow import types

        kind = column.type
        tests = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
        if not any(test(kind) for test in tests):
            raise InputError(
                f"{self.source}: column {shown(name)} holds {kind}, and a numeric column must hold numbers; convert "
                "it, or train with the column named in data.categorical, or without it"
            )
        try:
            values = np.asarray(column.cast(pyarrow.float64(), safe=False).to_numpy(), dtype=np.float64)
        except Exception as error:
            raise InputError(f"{self.source}: column {shown(name)} is no column of numbers ({_said(error)})") from None
        if (wrong := np.isinf(values)).any():
            where = self._place(int(wrong.argmax()))
            raise InputError(f"{where}: column {shown(name)}: is not finite; write a finite number, or leave it out")
        return values

    def _texts(self, name: str, column: Any) -> Texts:
        """A column as text, None where it is null, nan or empty."""
        try:
            values = column.to_pylist()
        except Exception as error:
            raise InputError(f"{self.source}: column {shown(name)} cannot be read ({_said(error)})") from None
        return [self._text(name, row, value) for row, value in enumerate(values)]

    def _text(self, name: str, row: int, value: Any) -> str | None:
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, float | Decimal) and value % 1 == 0:
            return str(int(value))
        if isinstance(value, str | int | float | Decimal):
            return str(value)
        what = type(value).__name__
        raise InputError(
            f"{self._place(row)}: column {shown(name)}: {what} is neither text nor number; convert the column to text"
        )


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

"""A CSV file: UTF-8, one header line, numeric features, and targets by name.

One target column holds class labels, text or number. Several hold 0 or 1 (or true, false) each: multi-label.
Nothing is guessed or filled in: a cell that cannot be used is an error that names file, line and column.
"""

import csv
import hashlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import numpy as np
from annotated_types import Len

from lab.dataset import DataPath, Dataset, Table, encode, read_bytes, require_both
from lab.errors import InputError, suggest

MISSING = {"", "na", "n/a", "nan", "null", "?"}
FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1}

Value = TypeVar("Value")
Record = tuple[int, list[str]]  # the line it starts on, and its cells


@dataclass(frozen=True)
class Csv(Dataset):
    """A CSV file with a header: numeric features, string or numeric labels; several targets are multi-label."""

    path: DataPath
    target: str | list[str]
    delimiter: Annotated[str, Len(1, 1)] = ","
    features: list[str] | None = None

    def load(self) -> Table:
        content = read_bytes(self.path)
        records = _records(self.path, _decode(self.path, content), self.delimiter)
        header_line, header = next(records, (1, []))
        _check_header(f"{self.path}:{header_line}", header, self.delimiter)
        targets, features = self._select(header)
        X, cells = self._rows(records, header, features, targets)
        if len(targets) == 1:
            y, classes = encode([row[0] for row in cells], f"{self.path}: column {targets[0]!r}")
        else:
            y, classes = np.array([[FLAGS[cell.casefold()] for cell in row] for row in cells]), tuple(targets)
            require_both(y, classes, self.path)
        return Table(np.array(X), y.astype(np.int64), tuple(features), classes, hashlib.sha256(content).hexdigest())

    def _select(self, header: list[str]) -> tuple[list[str], list[str]]:
        """The names of the target columns and of the feature columns."""
        targets = [self.target] if isinstance(self.target, str) else list(self.target)
        features = [name for name in header if name not in targets] if self.features is None else list(self.features)
        for key, names in ("data.target", targets), ("data.features", features):
            if not names:
                raise InputError(f"{self.path}: {key} names no column; name one (there are: {', '.join(header)})")
            for name in names:
                if name not in header:
                    raise InputError(f"{self.path}: {key}: no column {name!r}{suggest(name, header)}")
        chosen = [*targets, *features]
        for name in chosen:
            if chosen.count(name) > 1:
                raise InputError(
                    f"{self.path}: column {name!r} is named twice in data.target and data.features; name it once"
                )
        return targets, features

    def _rows(
        self, records: Iterator[Record], header: list[str], features: list[str], targets: list[str]
    ) -> tuple[list[list[float]], list[list[str]]]:
        """The features of every row as numbers, and its targets as text."""
        numeric = [header.index(name) for name in features]
        label = [header.index(name) for name in targets]
        X, cells = [], []
        for line, row in records:
            where = f"{self.path}:{line}"
            _check_length(where, row, header)
            X.append(_parse(_number, where, row, header, numeric))
            cells.append(_parse(_flag if len(label) > 1 else _label, where, row, header, label))
        if not X:
            raise InputError(f"{self.path}: a header and no rows; add a line for each row")
        return X, cells


def _decode(path: str, content: bytes) -> str:
    """The text, without a byte-order mark."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder counts without the mark that it took off.
        before = content.removeprefix(b"\xef\xbb\xbf")[: error.start]
        line, byte = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise InputError(f"{path}:{line}: byte {byte} of the line is not UTF-8; save the file as UTF-8") from None


def _records(path: str, text: str, delimiter: str) -> Iterator[Record]:
    """Every record that is not blank, its cells stripped, with the line it starts on."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except (TypeError, ValueError):
        raise InputError(f"{path}: data.delimiter is {delimiter!r}; give one character, as ',' or ';'") from None
    line = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if cells not in ([], [""]):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}:{line}: not CSV ({error}); check the quotes from this line on") from None


def _check_header(where: str, header: list[str], delimiter: str) -> None:
    if not header:
        raise InputError(f"{where}: the file is empty; the first line must name the columns")
    if len(header) == 1:
        raise InputError(f"{where}: one column only, {_shown(header[0])}; is data.delimiter {delimiter!r} right?")
    for position, name in enumerate(header):
        if not name:
            raise InputError(f"{where}: column {position + 1} has no name; name it in the header")
        if name in header[:position]:
            first = header.index(name) + 1
            raise InputError(f"{where}: columns {first} and {position + 1} are both {_shown(name)}; rename one")


def _check_length(where: str, row: list[str], header: list[str]) -> None:
    if len(row) < len(header):
        raise InputError(f"{where}: column {_shown(header[len(row)])}: the row ends before it; add the missing cells")
    if len(row) > len(header):
        raise InputError(
            f"{where}: {len(row)} cells, {len(row) - len(header)} after the last column {_shown(header[-1])}; "
            "quote the cells that hold the delimiter"
        )


def _parse(
    parse: Callable[[str], Value], where: str, row: list[str], header: list[str], columns: Sequence[int]
) -> list[Value]:
    values = []
    for column in columns:
        try:
            values.append(parse(row[column]))
        except ValueError as error:
            raise InputError(f"{where}: column {_shown(header[column])}: {error}") from None
    return values


def _number(cell: str) -> float:
    """The cell as a finite number. Raises ValueError, with what is wrong; what to do."""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    # Python also reads 1_000 and digits of other scripts as numbers; a spreadsheet does not.
    if math.isfinite(value) and cell.isascii() and "_" not in cell:
        return value
    if cell.casefold() in MISSING:
        raise ValueError(f"missing value {_shown(cell)}; fill it in, or leave the row out")
    if math.isinf(value):
        raise ValueError(f"{_shown(cell)} is not finite; write a finite number, or leave the row out")
    raise ValueError(f"text {_shown(cell)} in a numeric column; write a number, or list data.features without it")


def _label(cell: str) -> str:
    if cell.casefold() in MISSING:
        raise ValueError(f"missing value {_shown(cell)} in the target; fill it in, or leave the row out")
    return cell


def _flag(cell: str) -> str:
    if cell.casefold() not in FLAGS:
        raise ValueError(f"{_shown(cell)} in one of several targets; write 0 or 1 (or false, true)")
    return _label(cell)


def _shown(text: str) -> str:
    """The text in quotes and on one line, cut if it is long."""
    return repr(text if len(text) <= 40 else text[:39] + "…")

"""CSV as a sheet: UTF-8, one header line, cells stripped of blanks.

Nothing is guessed: a cell that cannot be used is an error that names file, line and column. A cell that is empty, or
one of the words in MISSING, is missing.
"""

import csv
import hashlib
import io
import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from lab.errors import InputError
from lab.sheet import Cells, Sheet, Texts, read_bytes, shown

MISSING = {"", "na", "n/a", "nan", "null", "?"}

Record = tuple[int, list[str]]  # the line it starts on, and its cells


class CsvFile(Sheet):
    """The columns of a CSV file, whose header is read and checked at once, and whose rows when they are asked for."""

    def __init__(self, path: str, delimiter: str = ",") -> None:
        content = read_bytes(path)
        self.source, self.sha256 = path, hashlib.sha256(content).hexdigest()
        self._text, self._delimiter = _decode(path, content), delimiter
        self.header_line, header = next(self._records(), (1, []))
        self._check_header(header)
        self.names = tuple(header)

    def read(self, numbers: Sequence[str], texts: Sequence[str]) -> Cells:
        numeric, textual = ([self.names.index(name) for name in names] for names in (numbers, texts))
        lines: list[int] = []
        X: list[list[float]] = []
        found: list[Texts] = [[] for _ in textual]
        for line, row in self._records():
            if line == self.header_line:
                continue
            self._check_length(line, row)
            lines.append(line)
            X.append([self._number(line, column, row[column]) for column in numeric])
            for cells, column in zip(found, textual, strict=True):
                cells.append(None if row[column].casefold() in MISSING else row[column])
        if not lines:
            raise InputError(f"{self.source}: a header and no rows; add a line for each row")
        values = np.array(X, dtype=np.float64).reshape(len(lines), len(numeric))
        return Cells(values, found, lambda row: f"{self.source}:{lines[row]}")

    def _records(self) -> Iterator[Record]:
        """Every record that is not blank, its cells stripped, with the line it starts on."""
        try:
            reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._delimiter, strict=True)
        except (TypeError, ValueError):
            raise InputError(
                f"{self.source}: data.delimiter is {self._delimiter!r}; give one character, as ',' or ';'"
            ) from None
        line = 1
        try:
            for row in reader:
                cells = [cell.strip() for cell in row]
                if cells not in ([], [""]):
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise InputError(f"{self.source}:{line}: not CSV ({error}); check the quotes from this line on") from None

    def _check_header(self, header: list[str]) -> None:
        where = f"{self.source}:{self.header_line}"
        if not header:
            raise InputError(f"{where}: the file is empty; the first line must name the columns")
        for position, name in enumerate(header):
            if not name and len(header) > 1:
                raise InputError(f"{where}: column {position + 1} has no name; name it in the header")
            if name in header[:position]:
                first = header.index(name) + 1
                raise InputError(f"{where}: columns {first} and {position + 1} are both {shown(name)}; rename one")

    def _check_length(self, line: int, row: list[str]) -> None:
        where, header = f"{self.source}:{line}", self.names
        if len(row) < len(header):
            raise InputError(
                f"{where}: column {shown(header[len(row)])}: the row ends before it; add the missing cells"
            )
        if len(row) > len(header):
            raise InputError(
                f"{where}: {len(row)} cells, {len(row) - len(header)} after the last column {shown(header[-1])}; "
                "quote the cells that hold the delimiter"
            )

    def _number(self, line: int, column: int, cell: str) -> float:
        """The cell as a finite number, or nan where it is missing. Raises: InputError where it is neither."""
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        # Python also reads 1_000 and digits of other scripts as numbers; a spreadsheet does not.
        if math.isfinite(value) and cell.isascii() and "_" not in cell:
            return value
        if cell.casefold() in MISSING:
            return math.nan
        where = f"{self.source}:{line}: column {shown(self.names[column])}"
        if math.isinf(value):
            raise InputError(f"{where}: {shown(cell)} is not finite; write a finite number, or leave the row out")
        if re.fullmatch(r"[+-]?\d+,\d+(e[+-]?\d+)?", cell, re.IGNORECASE | re.ASCII):
            raise InputError(
                f"{where}: {shown(cell)} has a comma; write decimals with a point, as {cell.replace(',', '.')}, and "
                "thousands without a mark"
            )
        raise InputError(
            f"{where}: text {shown(cell)} in a numeric column; write a number, or train with the column named in "
            "data.categorical, or without it"
        )


def _decode(path: str, content: bytes) -> str:
    """The text, without a byte-order mark."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder counts without the mark that it took off.
        before = content.removeprefix(b"\xef\xbb\xbf")[: error.start]
        line, byte = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise InputError(f"{path}:{line}: byte {byte} of the line is not UTF-8; save the file as UTF-8") from None

"""A file in LIBSVM's format (SVMlight's): a row a line, a label and the features that are not 0.

    +1 1:0.5 3:-2.25   # a comment
    2,5 1:1 7:3        with `multilabel`: the labels that the row has

What a row leaves out is 0; `nan` is missing. Columns are named x1, x2, … after their index, which counts from 1, or
from 0 with `zero_based`. The lab's problems are dense: the whole matrix is held.

Source  Chang & Lin, LIBSVM: A library for support vector machines, ACM TIST 2 (2011); the format is in its README.
"""

import hashlib
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lab.dataset import DataPath, Dataset, Table, encode, first_missing, require_both
from lab.errors import InputError
from lab.sheet import Cells, Sheet, read_bytes, shown

INDEX = re.compile(r"\d{1,18}", re.ASCII)
NAME = re.compile(r"x\d{1,18}", re.ASCII)


class Line(NamedTuple):
    """A row of the file: the line it is on, its labels, and its features by index."""

    number: int
    labels: tuple[str, ...]
    features: dict[int, float]


@dataclass(frozen=True)
class Libsvm(Dataset):
    """A file in LIBSVM's format; `multilabel` reads the labels of a row as 1,3; `zero_based` counts columns from 0."""

    path: DataPath
    """The file; a relative path starts from the config's folder."""
    multilabel: bool = False
    """Lines begin with any number of labels, with commas between them."""
    zero_based: bool = False
    """Columns are counted from 0."""

    def load(self) -> Table:
        sheet = self.sheet(self.path)
        cells = sheet.read(sheet.names, [])
        rows = [line.labels for line in sheet.lines]
        if self.multilabel:
            classes = tuple(sorted({label for labels in rows for label in labels}, key=float))
            if not classes:
                raise InputError(f"{self.path}: no row has a label; write them before the features, as 1,3 1:0.5")
            y = np.array([[label in labels for label in classes] for labels in rows], dtype=np.int64)
            require_both(y, classes, self.path)
        else:
            y, classes = encode([labels[0] for labels in rows], self.path)
        missing = first_missing(cells, sheet.names)
        return Table(cells.numbers, y, sheet.names, classes, sheet.sha256, missing=missing)

    def sheet(self, path: str) -> "LibsvmFile":
        return LibsvmFile(path, multilabel=self.multilabel, first=0 if self.zero_based else 1)


class LibsvmFile(Sheet):
    """The rows of a LIBSVM file. Every index has a column, which is 0 wherever the file is silent."""

    def __init__(self, path: str, *, multilabel: bool, first: int) -> None:
        content = read_bytes(path)
        self.source, self.sha256, self._first = path, hashlib.sha256(content).hexdigest(), first
        self.lines = [self._line(number, text, multilabel) for number, text in _rows(path, content)]
        if not self.lines:
            raise InputError(f"{path}: there are no rows; write one on each line, as +1 1:0.5 3:2")
        last = max(self.lines, key=lambda line: max(line.features, default=-1))
        width = max(last.features, default=-1) + 1 - first
        if width < 1:
            raise InputError(f"{path}: no row has a feature; write index:value after the label, as +1 1:0.5")
        self._check_size(last.number, width)
        self.names = tuple(f"x{first + column}" for column in range(width))

    def read(self, numbers: Sequence[str], texts: Sequence[str]) -> Cells:
        if texts:
            raise InputError(f"{self.source}: column {texts[0]!r} is text, and this file holds numbers alone")
        position = {int(name[1:]): column for column, name in enumerate(numbers)}
        X = np.zeros((len(self.lines), len(numbers)))
        for row, line in enumerate(self.lines):
            for index, value in line.features.items():
                if index in position:
                    X[row, position[index]] = value
        return Cells(X, [], lambda row: f"{self.source}:{self.lines[row].number}")

    def require(self, names: Iterable[str], why: str) -> None:
        """Every index has a column, past the largest in the file too."""
        super().require((name for name in names if not NAME.fullmatch(name)), why)

    def _line(self, number: int, text: str, multilabel: bool) -> Line:
        where = f"{self.source}:{number}"
        words = text.split()
        # A row without labels begins with its features, or with a blank.
        labelled = not multilabel or (":" not in words[0] and not text[0].isspace())
        labels = words[0].split(",") if labelled else []
        if not multilabel and len(labels) > 1:
            raise InputError(f"{where}: several labels, {shown(words[0])}; set data.multilabel: true")
        features: dict[int, float] = {}
        for word in words[labelled:]:
            index, value = self._feature(where, word)
            if index in features:
                raise InputError(f"{where}: index {index} is there twice; leave one out")
            features[index] = value
        return Line(number, tuple(_label(where, label) for label in labels), features)

    def _feature(self, where: str, word: str) -> tuple[int, float]:
        index, colon, cell = word.partition(":")
        if not colon or not INDEX.fullmatch(index):
            advice = "leave it out" if index == "qid" else "write index:value, as 3:0.5"
            raise InputError(f"{where}: {shown(word)} is no feature; {advice}")
        if int(index) < self._first:
            raise InputError(f"{where}: index 0, where columns count from 1; set data.zero_based: true")
        value = _float(cell)
        if value is None or math.isinf(value):
            raise InputError(f"{where}: feature {index}: {shown(cell)} is no finite number; write one, or leave it out")
        return int(index), value

    def _check_size(self, number: int, width: int) -> None:
        """Raise InputError, at the line of the largest index, where the matrix and its names are more than memory."""
        room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 34
        if width * (8 * len(self.lines) + 100) > room:
            raise InputError(
                f"{self.source}:{number}: index {width - 1 + self._first} makes the matrix {len(self.lines)} × "
                f"{width}, which is more than this machine's memory; leave the column out"
            )


def _rows(path: str, content: bytes) -> list[tuple[int, str]]:
    """Lines that are neither empty nor a comment alone, with their numbers; what follows a # may hold anything."""
    found = []
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            text = raw.partition(b"#")[0].decode("ascii")
        except UnicodeDecodeError:
            raise InputError(f"{path}:{number}: not a line of numbers; is it a file in LIBSVM's format?") from None
        if text.strip():
            found.append((number, text))
    return found


def _label(where: str, text: str) -> str:
    """A label as text, a whole number without sign + and point: +1, 1 and 1.0 are one class."""
    value = _float(text)
    if value is None or not math.isfinite(value):
        raise InputError(f"{where}: label {shown(text)} is no number; write one for each class")
    return str(int(value)) if value == int(value) else repr(value)


def _float(cell: str) -> float | None:
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None

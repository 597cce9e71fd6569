"""Sheet: named columns of a file, read as numbers or as text: what data sets and `lab predict` are made of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError, suggest

Floats = NDArray[np.float64]
Texts = list[str | None]


@dataclass(frozen=True, eq=False)
class Cells:
    """What was asked of a sheet.

    `numbers` (N, n) float64, each finite, or nan where it is missing. `texts` a list of N for each column, None where
    one is missing. `place(row)` says where a row is, as "flowers.csv:3".
    """

    numbers: Floats
    texts: list[Texts]
    place: Callable[[int], str]


class Sheet(ABC):
    """The rows of one file, whose columns have names. `sha256` is of its bytes."""

    source: str
    sha256: str
    names: tuple[str, ...]

    @abstractmethod
    def read(self, numbers: Sequence[str], texts: Sequence[str]) -> Cells:
        """Read the columns of those names, one row or more. Raises: InputError, where, for a cell that is no number."""

    def require(self, names: Iterable[str], why: str) -> None:
        """Raise InputError, saying `why`, for the first of `names` that is no column."""
        for name in names:
            if name not in self.names:
                raise InputError(f"{self.source}: {why}: no column {name!r}{suggest(name, self.names)}")


@dataclass(frozen=True, eq=False)
class Matrix(Sheet):
    """The columns of an array X (N, D), finite or nan. Rows are told by their index, as numpy has it."""

    source: str
    sha256: str
    names: tuple[str, ...]
    X: Floats

    def read(self, numbers: Sequence[str], texts: Sequence[str]) -> Cells:
        if texts:
            raise InputError(f"{self.source}: column {texts[0]!r} is text, and this file holds numbers alone")
        columns = [self.names.index(name) for name in numbers]
        return Cells(self.X[:, columns], [], lambda row: f"{self.source}: row {row}")


def read_bytes(path: str) -> bytes:
    """The file's bytes. Raises InputError if it is missing, a directory, or cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; data.path is relative to the config's folder, on the command line to yours"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory; give the path of one file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InputError(f"{path}: cannot be read ({error}); check the path and its permissions") from None


def shown(text: str) -> str:
    """The text in quotes and on one line, cut if it is long."""
    return repr(text if len(text) <= 40 else text[:39] + "…")

"""A CSV file: UTF-8, one header line, features and targets by name.

One target column holds class labels, text or number. Several hold 0 or 1 (or true, false) each: multi-label.
Features are numbers, apart from those named in `categorical`, each with its reference level:

    categorical: {colour: red, shape: null}    # null: the first level, in the order of numbers or of text
"""

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Len

from lab.csvfile import CsvFile
from lab.dataset import Categorical, DataPath, Dataset, Table, tabulate
from lab.errors import InputError
from lab.sheet import Sheet, shown


@dataclass(frozen=True)
class Csv(Dataset):
    """A CSV file with a header: features are numbers or `categorical`, labels text or numbers; several are multi-label.

    `categorical` maps columns to their reference levels, null for the first; such a column is one-hot but for that.
    `weight` is a column of the rows' weights in the loss, or, for a loss of several labels, a list of one for each.
    """

    path: DataPath
    """The file; a relative path starts from the config's folder."""
    target: str | list[str]
    """The column of classes, or several columns of 0 and 1 for multi-label rows."""
    delimiter: Annotated[str, Len(1, 1)] = ","
    """What stands between two cells."""
    features: list[str] | None = None
    """The columns of X; null takes all but target and weight."""
    categorical: Categorical = field(default_factory=dict)
    """Columns of levels, each with its reference level; null takes the first in order."""
    weight: str | list[str] | None = None
    """The column of the rows' weights, or one for each target."""

    def load(self) -> Table:
        sheet = CsvFile(self.path, self.delimiter)
        if len(sheet.names) == 1:
            raise InputError(
                f"{self.path}:{sheet.header_line}: one column only, {shown(sheet.names[0])}; "
                f"is data.delimiter {self.delimiter!r} right?"
            )
        return tabulate(sheet, self.target, self.features, self.categorical, self.weight)

    def sheet(self, path: str) -> Sheet:
        return CsvFile(path, self.delimiter)

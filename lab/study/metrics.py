"""What a run logged, tag by tag, as arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lab.record import Row


@dataclass(frozen=True, eq=False)
class Metrics(Mapping[str, np.ndarray]):
    """Arrays by tag, one entry for each step recorded, `"step"` among them: nan, or None for a text, where a step lacks
    the tag. Floats are exact. `rows` has the same step by step, without gaps filled.
    """

    rows: Sequence[Row]

    @cached_property
    def _tags(self) -> dict[str, None]:
        return dict.fromkeys(["step", *(tag for row in self.rows for tag in row)])

    def __getitem__(self, tag: str) -> np.ndarray:
        """All steps' values, (steps,): int64 or float64, or objects for texts."""
        if tag not in self._tags:
            from lab.errors import guess

            raise KeyError(f"{tag}{guess(str(tag), self._tags)}")
        return _array([row.get(tag) for row in self.rows])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tags)

    def __len__(self) -> int:
        return len(self._tags)

    def series(self, tag: str) -> tuple[np.ndarray, np.ndarray]:
        """The steps that have the tag, and their values: what to draw of a probe that does not measure every step."""
        found = [(row["step"], row[tag]) for row in self.rows if tag in row]
        if not found:
            self[tag]  # says which tag was meant
        steps, values = zip(*found, strict=True)
        return _array(steps), _array(values)

    def to_pandas(self) -> Any:
        """A pandas.DataFrame with a row for each step, its index, and a column for each tag.

        Raises: ImportError, which says what to do, where pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas needs pandas, which the lab itself does not: pip install pandas") from error

        columns = {tag: self[tag] for tag in self if tag != "step"}
        return pandas.DataFrame(columns, index=pandas.Index(self["step"], name="step"))

    def __repr__(self) -> str:
        return f"Metrics({len(self.rows)} steps: {', '.join(self)})"


def _array(values: Sequence[Any]) -> np.ndarray:
    kinds = {type(value) for value in values}
    if kinds <= {int, bool}:
        return np.array(values, dtype=np.int64)
    if kinds <= {int, float, bool, type(None)}:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made

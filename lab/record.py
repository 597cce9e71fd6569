"""Sinks: where the readings of a step go.

A reading is a number or a text under a tag, or, for the eye alone, a histogram or a picture; a sink takes a step's
readings at once.  `JsonLines` keeps numbers exact to the bit, `Memory` holds readings for tests and for Python, and
`lab.events.writer.TensorBoard` shows them.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many numbers lie between each two neighbouring `edges` (n + 1,), ascending: `counts` (n,)."""

    edges: "NDArray[np.float64]"
    counts: "NDArray[np.float64]"


@dataclass(frozen=True)
class Picture:
    """A PNG file's bytes, its size in pixels, and what is to be seen in it, in a sentence."""

    png: bytes
    width: int
    height: int
    says: str = ""


Shown = Histogram | Picture
Reading = float | int | str | Shown
NUMBERS, SHOWN = (float, int), (Histogram, Picture)  # for isinstance, which a union takes three times as long
Readings = Mapping[str, Reading]
Row = dict[str, Any]  # {"step": int, tag: Reading, …}

_NOTHING: tuple[Any, str] = (object(), "")  # of a tag that was not there yet
_KINDS = (*NUMBERS, str, *SHOWN)
_LINE = json.JSONEncoder(allow_nan=False, ensure_ascii=False)
_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Sink(Protocol):
    """Takes the readings of each step.  What `write` was given survives `kill -9`; after `flush`, a power cut too."""

    def write(self, step: int, readings: Readings) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Memory:
    """Keeps every row, `{"step": t, tag: value, …}`, in `rows`."""

    rows: list[Row] = field(default_factory=list)

    def write(self, step: int, readings: Readings) -> None:
        self.rows.append(row_of(step, readings))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


class AppendedFile:
    """A file whose every `put` reaches the operating system at once, and whose `flush` reaches the disk."""

    def __init__(self, path: Path, mode: str) -> None:
        self._file = open(path, mode)  # noqa: SIM115 - open for as long as the run lasts

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()

    def flush(self) -> None:
        if not self._file.closed:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self.flush()
        self._file.close()


class JsonLines(AppendedFile):
    """Appends one JSON object a step to `path`.  A float is written by its repr, so it is read back bit for bit.

    A float that is not finite becomes the text NaN, Infinity or -Infinity, which JSON has no number for. Histograms and
    pictures are left out: they are made of the numbers, to be looked at.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "ab")
        self._made: dict[str, tuple[Reading, str]] = {}

    def write(self, step: int, readings: Readings) -> None:
        """Append the row.  Raises TypeError for what is no reading, ValueError for a text that is a number's name."""
        cells = [f'{{"step": {step}']
        # A cell is made once of what stays the same object step after step, as a carried interval does.
        for tag, reading in readings.items():
            last, cell = self._made.get(tag, _NOTHING)
            if last is not reading:
                if isinstance(reading, SHOWN):
                    continue
                cell = f"{_name(tag)}: {_value(tag, reading)}"
                self._made[tag] = reading, cell
            cells.append(cell)
        self._put(f"{', '.join(cells)}}}\n".encode())


@cache
def _name(tag: str) -> str:
    """A tag in JSON. There are few, and each comes at every step."""
    checked(tag, 0)
    return _LINE.encode(tag)


def _value(tag: str, reading: Reading) -> str:
    """A number or a text in JSON."""
    if isinstance(reading, float) and math.isfinite(reading):
        return float.__repr__(reading)
    checked(tag, reading)
    if isinstance(reading, str) and reading in _NAMED:
        raise ValueError(f"{tag}: the text {reading!r} would be read back as a number")
    return _LINE.encode(plain(reading))


def read_jsonl(path: Path) -> list[Row]:
    """Read what `JsonLines` wrote; a last line without its line end was torn by a kill, and is left out.

    Raises ValueError, naming file and line, for a line that is no row.
    """
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            rows.append(readings(line))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: not a row of metrics: {error}") from None
    return rows


def readings(line: bytes) -> Row:
    """The row that a line of metrics.jsonl holds. Raises ValueError where it is no row."""
    row = json.loads(line)
    if not isinstance(row, dict) or type(row.get("step")) is not int:
        raise ValueError("no object with a step")
    if wrong := [tag for tag, value in row.items() if not isinstance(value, int | float | str)]:
        raise ValueError(f"{wrong[0]} is neither a number nor a text")
    return {tag: _NAMED.get(value, value) if isinstance(value, str) else value for tag, value in row.items()}


def plain(value: Any) -> Any:
    """`value`, of dicts, lists and scalars, as JSON can hold it: a float that is not finite becomes its name."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def inside(lower: float, upper: float, value: float | None) -> float:
    """`value`, which was known at an earlier step, as far as the interval lets it; its middle where none was known."""
    return lower + (upper - lower) / 2 if value is None else min(max(value, lower), upper)


def row_of(step: int, readings: Readings) -> Row:
    """The readings with their step.  Raises as `checked` does."""
    return {"step": step, **{tag: checked(tag, reading) for tag, reading in readings.items()}}


def checked(tag: str, reading: Reading) -> Reading:
    """The reading.  Raises TypeError for what is none, ValueError where its tag is `step`."""
    if not isinstance(tag, str):
        raise TypeError(f"{tag!r}: a tag is a str, not {type(tag).__name__}")
    if not isinstance(reading, _KINDS):
        raise TypeError(f"{tag}: a reading is a float, an int or a str, not {type(reading).__name__}")
    if not tag or not tag.isprintable() or tag != tag.strip():
        raise ValueError(f"{tag!r}: a tag is of characters that can be seen; leave out line ends, and blanks around it")
    if tag == "step":
        raise ValueError("step: a reading cannot have this tag; it is the row's own")
    return reading

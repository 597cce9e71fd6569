"""What runs logged as one tidy table, a row for each run and step, exact to the bit, for other programs.

Columns: `run`; for several runs the keys of the config that tell them apart; `step`; every tag. Floats are written by
their repr in CSV and JSON lines, which reads back to the same 64 bits, and as doubles in Parquet.
"""

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lab.errors import InputError
from lab.files import replacing
from lab.record import plain
from lab.runs import RunFolder
from lab.study.facts import Facts, differing


@dataclass(frozen=True)
class Tidy:
    """A table: `names` of the columns, and rows as long as them; None where a run has no such value at a step."""

    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def columns(self) -> Mapping[str, list[Any]]:
        """The values by column."""
        return {name: [row[i] for row in self.rows] for i, name in enumerate(self.names)}


def tidy(runs: Sequence[Facts]) -> Tidy:
    """The table of what `runs` logged. Raises: InputError where a metrics.jsonl cannot be read."""
    metrics = [RunFolder(run.run.path).metrics() for run in runs]
    apart = differing(runs)
    tags = dict.fromkeys(tag for rows in metrics for row in rows for tag in row if tag != "step")
    made = []
    for run, rows in zip(runs, metrics, strict=True):
        about = [f"{run.run.name}/{run.run.path.name}", *(_scalar(run.config.get(key)) for key in apart)]
        made += [(*about, row["step"], *(row.get(tag) for tag in tags)) for row in rows]
    return Tidy(("run", *apart, "step", *tags), tuple(made))


def export(table: Tidy, form: str, out: str | None) -> None:
    """Write the table to the file `out`, whole or not at all, or to standard output.

    Raises: InputError where it cannot be written, where Parquet has no file to go to, or its package is not there.
    """
    write = FORMATS[form]
    if out is not None and Path(out).is_dir():
        raise InputError(f"--out: {out} is a folder; name a file, as {Path(out) / f'metrics.{form}'}")
    if form == "parquet":
        _arrow()
    if out is not None:
        try:
            with replacing(Path(out)) as file:
                write(table, file)
        except OSError as error:
            raise InputError(f"--out: {out} cannot be written ({error.strerror}); choose another place") from None
        return
    if form == "parquet":
        raise InputError("--format parquet: it is no text; name a file to write, as --out metrics.parquet")
    buffer = io.BytesIO()
    write(table, buffer)
    sys.stdout.write(buffer.getvalue().decode())


def _csv(table: Tidy, file: BinaryIO) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.names)
    for row in table.rows:
        writer.writerow([str(value).lower() if isinstance(value, bool) else value for value in row])
    file.write(text.getvalue().encode())


def _jsonl(table: Tidy, file: BinaryIO) -> None:
    for row in table.rows:
        named = plain(dict(zip(table.names, row, strict=True)))
        file.write(json.dumps(named, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def _parquet(table: Tidy, file: BinaryIO) -> None:
    pyarrow, parquet = _arrow()
    arrays = {name: pyarrow.array(*_typed(pyarrow, values)) for name, values in table.columns().items()}
    parquet.write_table(pyarrow.table(arrays), file)


def _typed(pyarrow: Any, values: Sequence[Any]) -> tuple[list[Any], Any]:
    """A column's values and its type: of one kind throughout, as Parquet asks."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} and kinds:
        return list(values), pyarrow.bool_()
    if kinds <= {int} and all(value is None or -(2**63) <= value < 2**63 for value in values) and kinds:
        return list(values), pyarrow.int64()
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values], pyarrow.float64()
    return [None if value is None else str(value) for value in values], pyarrow.string()


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            "--format parquet: it needs pyarrow, which is not installed; pip install 'lab[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet


def _scalar(value: Any) -> Any:
    """A config's value in a cell: lists and blocks as JSON."""
    return json.dumps(value) if isinstance(value, list | dict) else value


FORMATS: Mapping[str, Callable[[Tidy, BinaryIO], None]] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}

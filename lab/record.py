"""Sinks: where the readings of a step go.  The one file that names tensorboard.

A reading is a number or a text under a tag; a sink takes a step's readings at once.  `JsonLines` keeps numbers exact to
the bit, `TensorBoard` shows them (as float32), `Memory` holds them for tests and for Python.

Event files are framed here and TensorBoard's own writer is not imported: with it come a stub of tensorflow, absl and
fsspec (0.3 to 1 s at start-up, where this takes 0.05 s), a queue that `kill -9` loses, and an event for every scalar.
The format is TFRecord's: length (u64), masked CRC-32C of the length, the event, masked CRC-32C of the event.
"""

import json
import math
import os
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

Reading = float | int | str
Readings = Mapping[str, Reading]
Row = dict[str, Any]  # {"step": int, tag: Reading, …}

_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_ENDS = ("/lower", "/upper")  # of an interval
_SPAN_DECADES = ("curvature/", "loss/", "step/")


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
        self.rows.append(_row(step, readings))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


class _File:
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


class JsonLines(_File):
    """Appends one JSON object a step to `path`.  A float is written by its repr, so it is read back bit for bit.

    A float that is not finite becomes the text NaN, Infinity or -Infinity, which JSON has no number for.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "ab")

    def write(self, step: int, readings: Readings) -> None:
        """Append the row.  Raises TypeError for what is no reading, ValueError for a text that is a number's name."""
        clash = [tag for tag, value in readings.items() if isinstance(value, str) and value in _NAMED]
        if clash:
            raise ValueError(f"{clash[0]}: the text {readings[clash[0]]!r} would be read back as a number")
        self._put(json.dumps(plain(_row(step, readings)), allow_nan=False, ensure_ascii=False).encode() + b"\n")


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


class TensorBoard(_File):
    """Writes a new event file into `folder`, and takes the steps from `purge_step` on out of the older ones there.

    Numbers are plain scalars.  A positive float under curvature/, loss/ or step/ is shown as `log10/<tag>` too: those
    span decades, and a linear axis shows only the largest.  A text is written when it is not the last one of its tag.
    A tag with an interval, in <tag>/lower and <tag>/upper, is a band in a chart of the custom scalars.
    """

    def __init__(self, folder: Path, purge_step: int = 0) -> None:
        from tensorboard.compat.proto import event_pb2

        older = sorted(folder.glob("events.out.tfevents.*"))
        super().__init__(_path_after(older, folder), "xb")
        self._events = event_pb2
        self._texts: dict[str, str] = {}
        self._bands: list[str] = []
        for path in older:
            os.truncate(path, _size_before(path.read_bytes(), purge_step))
        # A TensorBoard that is open has read them already.  This tells its loader in Python, if the run began with such
        # an event too; its data server drops a tag's later steps when it meets an earlier one.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(step=purge_step, file_version="brain.Event:2")
        self._add(step=purge_step, session_log=start)

    def write(self, step: int, readings: Readings) -> None:
        """Write the readings as one event.  Raises TypeError for what is no reading."""
        from tensorboard.compat.proto import summary_pb2

        values = []
        for tag, value in _row(step, readings).items():
            if isinstance(value, str):
                if self._texts.get(tag) != value:
                    self._texts[tag] = value
                    values.append(_text(tag, value))
            elif tag != "step":
                values.append(summary_pb2.Summary.Value(tag=tag, simple_value=value))
                if tag.startswith(_SPAN_DECADES) and not tag.endswith(_ENDS) and isinstance(value, float) and value > 0:
                    values.append(summary_pb2.Summary.Value(tag=f"log10/{tag}", simple_value=math.log10(value)))
        bands = [tag.removesuffix(_ENDS[0]) for tag in readings if tag.endswith(_ENDS[0])]
        if not set(bands) <= set(self._bands):
            self._bands = list(dict.fromkeys([*self._bands, *bands]))
            values.append(_layout(self._bands))
        if values:
            self._add(step=step, summary=summary_pb2.Summary(value=values))

    def _add(self, **fields: Any) -> None:
        self._put(_framed(self._events.Event(wall_time=time.time(), **fields).SerializeToString()))


def serve(flags: Sequence[str]) -> str:
    """Start TensorBoard in threads of this process with command-line `flags`, and return its URL once it listens.

    It ends with the process, and its data server, which reads this process's pipe, with it.  Raises OSError when it
    cannot listen.
    """
    import contextlib
    import logging
    import mimetypes

    from tensorboard import program

    mimetypes.add_type(
        "text/javascript", ".js"
    )  # some Windows registries say text/plain, and then the page stays blank
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    server = program.TensorBoard()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # its notes on how it loads data
        server.configure(["lab board", *flags])
        try:
            return str(server.launch())
        except program.TensorBoardServerException as error:
            raise OSError(error.msg) from None


def _row(step: int, readings: Readings) -> Row:
    for tag, value in readings.items():
        if not isinstance(value, float | int | str):
            raise TypeError(f"{tag}: a reading is a float, an int or a str, not {type(value).__name__}")
        if tag == "step":
            raise ValueError("step: a reading cannot have this tag; it is the row's own")
    return {"step": step, **readings}


def _text(tag: str, text: str) -> Any:
    return _tensor(tag, text.encode(), "text")


def _layout(bands: Sequence[str]) -> Any:
    """A chart for each group of tags whose every tag is drawn as the band between its ends.

    The line in the band is its upper end: a step that only carries an interval over has no value of its own.
    """
    from tensorboard.plugins.custom_scalar import layout_pb2

    charts: dict[str, list[Any]] = {}
    for tag in bands:
        lower, upper = (tag + end for end in _ENDS)
        series = layout_pb2.MarginChartContent.Series(value=upper, lower=lower, upper=upper)
        charts.setdefault(tag.partition("/")[0], []).append(series)
    made = [
        layout_pb2.Chart(title=f"{group}: intervals", margin=layout_pb2.MarginChartContent(series=series))
        for group, series in charts.items()
    ]
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title="intervals", chart=made)])
    return _tensor("custom_scalars__config__", layout.SerializeToString(), "custom_scalars")


def _tensor(tag: str, data: bytes, plugin: str) -> Any:
    from tensorboard.compat.proto import summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2

    return summary_pb2.Summary.Value(
        tag=tag,
        metadata=summary_pb2.SummaryMetadata(
            plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin),
            data_class=summary_pb2.DATA_CLASS_TENSOR,
        ),
        tensor=tensor_pb2.TensorProto(
            dtype=types_pb2.DT_STRING,
            string_val=[data],
            tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)]),
        ),
    )


def _path_after(older: Sequence[Path], folder: Path) -> Path:
    """A new event file's path, after `older` in order of names, which is the order that loaders read and purge in."""
    stamps = [path.name.split(".")[3] for path in older]
    stamp = max([int(time.time()), *(int(stamp) + 1 for stamp in stamps if stamp.isdigit())])
    return folder / f"events.out.tfevents.{stamp:010d}.lab"


def _size_before(events: bytes, step: int) -> int:
    """How many bytes of an event file come before `step`, or before the record that a kill tore."""
    from tensorboard.compat.proto import event_pb2

    start = 0
    while start + 12 <= len(events) and events[start + 8 : start + 12] == _masked_crc(events[start : start + 8]):
        end = start + 12 + struct.unpack_from("<Q", events, start)[0]
        if end + 4 > len(events) or event_pb2.Event.FromString(events[start + 12 : end]).step >= step:
            break
        start = end + 4
    return start


def _framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked_crc(length) + data + _masked_crc(data)


def _masked_crc(data: bytes) -> bytes:
    """CRC-32C (Castagnoli) of `data`, rotated and shifted as TFRecord does, since it may hold CRCs itself."""
    table = _crc_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (0x82F63B78 if entry & 1 else 0)
        table.append(entry)
    return tuple(table)

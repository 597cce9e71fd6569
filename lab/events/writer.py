"""TensorBoard: the sink that shows a run while it goes.

Event files are framed here and TensorBoard's own writer is not imported: with it come a stub of tensorflow, absl and
fsspec (0.3 to 1 s at start-up, where this takes 0.05 s), a queue that `kill -9` loses, and an event for every scalar.
"""

import math
import os
import struct
import time
from collections.abc import Iterable, Sequence
from functools import cache
from operator import is_
from pathlib import Path
from typing import Any

from lab.events import summary
from lab.events.frame import framed, size_before
from lab.events.summary import Opening
from lab.record import NUMBERS, AppendedFile, Histogram, Picture, Readings, checked, inside

_LOWER, _UPPER = "/lower", "/upper"  # the ends of an interval
_FLOAT32 = struct.Struct("<f")  # as protobuf has it
_BEYOND = 3.4028235677973366e38  # what is rounded to no number that it holds
_SPAN_DECADES = ("curvature/", "loss/", "step/", "check/")
_LIMITS = {"check/": 1.0, "stability/": 2.0}  # what the numbers below these are to be read against


class TensorBoard(AppendedFile):
    """Writes a new event file into `folder`, and takes the steps from `purge_step` on out of the older ones there.

    Numbers are plain scalars. Beside them, for the eye:
    log10/<tag>    of a positive float under curvature/, loss/, step/ or check/: those span decades
    <tag>/middle   of what an opening's chart shows as a band: the value or, where there is none, the last one that
                   there was, as far as the band lets it; `rows` are those written before, of a run that goes on
    <group>/limit  the line that verdicts (1) and stability (2) are to be read against
    A text is written when it is not the last one of its tag. A fresh run begins with its `opening`.
    """

    def __init__(
        self, folder: Path, purge_step: int = 0, opening: Opening | None = None, rows: Iterable[Readings] = ()
    ) -> None:
        from tensorboard.compat.proto import event_pb2

        older = sorted(folder.glob("events.out.tfevents.*"))
        super().__init__(_path_after(older, folder), "xb")
        self._events = event_pb2
        self._texts: dict[str, str] = {}
        charts = [] if opening is None else [chart for category in opening.charts.values() for chart in category]
        self._banded = {tag + _LOWER: tag for chart in charts for tag in chart.bands}
        self._known: dict[str, Any] = {}
        self._made: dict[str, tuple[tuple[Any, ...], bytes]] = {}
        for row in rows:
            self._remember(row)
        for path in older:
            os.truncate(path, size_before(path.read_bytes(), purge_step))
        # A TensorBoard that is open has read them already.  This tells its loader in Python, if the run began with such
        # an event too; its data server drops a tag's later steps when it meets an earlier one.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(step=purge_step, file_version="brain.Event:2")
        self._add(step=purge_step, session_log=start)
        if opening is not None and purge_step == 0:
            self._show(0, summary.opened(opening, time.time()))

    def write(self, step: int, readings: Readings) -> None:
        """Write the readings as one event.  Raises TypeError for what is no reading."""
        self._remember(readings)
        scalars, others = list[bytes](), list[Any]()
        for tag, reading in readings.items():
            if isinstance(reading, NUMBERS):
                scalars.append(self._scalars(tag, reading, readings))
            elif isinstance(reading, Histogram):
                others.append(summary.histogram(tag, reading))
            elif isinstance(reading, Picture):
                others.append(summary.picture(tag, reading))
            elif not isinstance(reading, str) or self._texts.get(tag) != reading:
                self._texts[tag] = str(checked(tag, reading))
                others.append(summary.text(tag, self._texts[tag]))
        groups = dict.fromkeys(_limited(tag) for tag, reading in readings.items() if isinstance(reading, NUMBERS))
        scalars += [_scalar(f"{group}limit", _LIMITS[group]) for group in groups if group]
        if scalars or others:
            event = self._events.Event(wall_time=time.time(), step=step)
            event.summary.MergeFromString(b"".join(scalars))
            event.summary.value.extend(others)
            self._put(framed(event.SerializeToString()))

    def _scalars(self, tag: str, number: float, row: Readings) -> bytes:
        """A number's scalars; made once of what stays the same object step after step, as a carried interval does."""
        whole = self._banded.get(tag)
        of = (number,) if whole is None else (number, row.get(whole + _UPPER), self._known.get(whole))
        last, made = self._made.get(tag, ((None, None, None), b""))
        if not all(map(is_, last, of)):
            own, beside = _scalar(tag, number), _for_the_eye(tag, number) if whole is None else _middle(whole, *of)
            made = own + b"".join([_scalar(name, other) for name, other in beside])
            self._made[tag] = of, made
        return made

    def _remember(self, row: Readings) -> None:
        self._known.update((tag, row[tag]) for tag in self._banded.values() if tag in row)

    def end(self, step: int, well: bool) -> None:
        """Say how the run ended, at its last step: whoever goes on from there purges it."""
        self._show(step, [summary.session_end(well, time.time())])

    def _show(self, step: int, values: Sequence[Any]) -> None:
        event = self._events.Event(wall_time=time.time(), step=step)
        event.summary.value.extend(values)
        self._put(framed(event.SerializeToString()))

    def _add(self, **fields: Any) -> None:
        self._put(framed(self._events.Event(wall_time=time.time(), **fields).SerializeToString()))


@cache
def _limited(tag: str) -> str:
    """The tag's group, where its numbers are to be read against a limit; else nothing. There are few tags."""
    group = tag.partition("/")[0] + "/"
    return group if group in _LIMITS else ""


@cache
def _before(tag: str) -> bytes:
    """A summary of one scalar up to the number, which are its last four bytes."""
    from tensorboard.compat.proto import summary_pb2

    checked(tag, 1.0)
    value = summary_pb2.Summary.Value(tag=tag, simple_value=1.0)
    whole: bytes = summary_pb2.Summary(value=[value]).SerializeToString()
    return whole[:-4]


def _scalar(tag: str, number: float) -> bytes:
    """A summary of one scalar, as a float32. Summaries one after another are the summary of them all (protobuf)."""
    large = abs(number) >= _BEYOND and number not in (math.inf, -math.inf)
    return _before(tag) + _FLOAT32.pack((math.inf if number > 0 else -math.inf) if large else number)


def _middle(whole: str, lower: float, upper: float | None, known: float | None) -> list[tuple[str, float]]:
    """The line in a band, which goes on where the value itself has no number."""
    return [] if upper is None else [(f"{whole}/middle", inside(lower, upper, known))]


def _for_the_eye(tag: str, number: float) -> list[tuple[str, float]]:
    """The logarithm, where the tag asks for one; the ends of an interval have none."""
    shown = tag.startswith(_SPAN_DECADES) and not tag.endswith((_LOWER, _UPPER))
    return [(f"log10/{tag}", math.log10(number))] if shown and isinstance(number, float) and number > 0 else []


def _path_after(older: Sequence[Path], folder: Path) -> Path:
    """A new event file's path, after `older` in order of names, which is the order that loaders read and purge in."""
    stamps = [path.name.split(".")[3] for path in older]
    stamp = max([int(time.time()), *(int(stamp) + 1 for stamp in stamps if stamp.isdigit())])
    return folder / f"events.out.tfevents.{stamp:010d}.lab"

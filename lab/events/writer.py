"""TensorBoard: the sink that shows a run while it goes.

Event files are framed here and TensorBoard's own writer is not imported: with it come a stub of tensorflow, absl and
fsspec (0.3 to 1 s at start-up, where this takes 0.05 s), a queue that `kill -9` loses, and an event for every scalar.
"""

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lab.events import summary
from lab.events.frame import framed, size_before
from lab.events.summary import Opening
from lab.record import NUMBERS, AppendedFile, Histogram, Picture, Readings, checked, inside

_LOWER, _UPPER = "/lower", "/upper"  # the ends of an interval
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
        checked(readings)
        self._remember(readings)
        event = self._events.Event(wall_time=time.time(), step=step)
        values = event.summary.value
        for tag, reading in readings.items():
            if isinstance(reading, NUMBERS):
                values.add(tag=tag, simple_value=reading)  # which becomes a float32
                if tag in self._banded or not _is_end(tag):
                    for name, number in self._beside(tag, reading, readings):
                        values.add(tag=name, simple_value=number)
            elif isinstance(reading, Histogram):
                values.append(summary.histogram(tag, reading))
            elif isinstance(reading, Picture):
                values.append(summary.picture(tag, reading))
            elif self._texts.get(tag) != reading:
                self._texts[tag] = reading
                values.append(summary.text(tag, reading))
        if values:
            self._put(framed(event.SerializeToString()))

    def _remember(self, row: Readings) -> None:
        self._known.update((tag, row[tag]) for tag in self._banded.values() if tag in row)

    def end(self, step: int, well: bool) -> None:
        """Say how the run ended, at its last step: whoever goes on from there purges it."""
        self._show(step, [summary.session_end(well, time.time())])

    def _beside(self, tag: str, number: float, row: Readings) -> Iterable[tuple[str, float]]:
        """The numbers that are shown beside one: beside a band's lower end, the line in it."""
        whole = self._banded.get(tag)
        return _for_the_eye(tag, number, row) if whole is None else _middle(whole, number, row, self._known)

    def _show(self, step: int, values: Sequence[Any]) -> None:
        event = self._events.Event(wall_time=time.time(), step=step)
        event.summary.value.extend(values)
        self._put(framed(event.SerializeToString()))

    def _add(self, **fields: Any) -> None:
        self._put(framed(self._events.Event(wall_time=time.time(), **fields).SerializeToString()))


@cache
def _is_end(tag: str) -> bool:
    """Whether a tag is that of an end of an interval; there are few tags, and each comes at every step."""
    return tag.endswith((_LOWER, _UPPER))


def _middle(whole: str, lower: float, row: Mapping[str, Any], known: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The line in a band, which goes on where the value itself has no number."""
    upper = row.get(whole + _UPPER)
    return [] if upper is None else [(f"{whole}/middle", inside(lower, upper, known.get(whole)))]


def _for_the_eye(tag: str, value: float, row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The further scalars that a number's tag asks for."""
    if tag.startswith(_SPAN_DECADES) and isinstance(value, float) and value > 0:
        yield f"log10/{tag}", math.log10(value)
    group = tag.partition("/")[0] + "/"
    if group in _LIMITS and tag == next(other for other in row if other.startswith(group)):
        yield f"{group}limit", _LIMITS[group]


def _path_after(older: Sequence[Path], folder: Path) -> Path:
    """A new event file's path, after `older` in order of names, which is the order that loaders read and purge in."""
    stamps = [path.name.split(".")[3] for path in older]
    stamp = max([int(time.time()), *(int(stamp) + 1 for stamp in stamps if stamp.isdigit())])
    return folder / f"events.out.tfevents.{stamp:010d}.lab"

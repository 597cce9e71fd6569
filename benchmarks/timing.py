"""How the benchmarks time: in turn with the peer, in one process, medians; and what machine it was."""

import ctypes
import os
import platform
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lab.console import Silent

PAUSE = 0.25


@dataclass(frozen=True)
class Seconds:
    """How long something took: on the wall, and in processor time, which a busy neighbour does not add to."""

    wall: float
    cpu: float


def now() -> Seconds:
    """Both clocks; processor time is that of this process and of its children that have ended."""
    spent = os.times()
    return Seconds(time.perf_counter(), time.process_time() + spent.children_user + spent.children_system)


def since(start: Seconds) -> Seconds:
    """What has gone by on both clocks."""
    end = now()
    return Seconds(end.wall - start.wall, end.cpu - start.cpu)


def median(times: Sequence[Seconds]) -> Seconds:
    """The median of each clock."""
    return Seconds(statistics.median(t.wall for t in times), statistics.median(t.cpu for t in times))


def mean(times: Sequence[Seconds]) -> Seconds:
    """The mean of each clock."""
    return Seconds(statistics.fmean(t.wall for t in times), statistics.fmean(t.cpu for t in times))


def pair(ours: Callable[[], Any], peer: Callable[[], Any], runs: int, each: int = 1) -> tuple[Seconds, Seconds]:
    """Medians of each, run in turn after one warm-up of both, so that a drifting machine hits both.

    `each` is how often ours runs for every run of the peer: more than once where it is so short that a single
    interruption would be all that is seen. A round counts the mean of these: where a machine is paused from without,
    long work is stretched by every pause and a median of short work by none. Short rounds still differ widely there.
    """
    ours(), peer()
    times: dict[str, list[Seconds]] = {"ours": [], "peer": []}
    for _ in range(runs):
        for name, call, often in (("ours", ours, each), ("peer", peer, 1)):
            start = now()
            for _ in range(often):
                call()
            spent = since(start)
            times[name].append(Seconds(spent.wall / often, spent.cpu / often))
    return median(times["ours"]), median(times["peer"])


def turns(calls: dict[str, Callable[[], Any]], runs: int, each: dict[str, int] | None = None) -> dict[str, Seconds]:
    """Medians of several calls, each run in turn after a warm-up of all, so that a drifting machine hits all.

    Before each there is a pause, as threads that have nothing more to do wait busily for a while. On a virtual machine
    the first operations after it take milliseconds, of however few numbers they are: what is short runs several times.
    `each` is as in `pair`: how often a short call runs at its turn, which then counts their mean.
    """
    times: dict[str, list[Seconds]] = {name: [] for name in calls}
    for turn in range(runs + 1):
        for name, call in calls.items():
            often = 1 if each is None else each.get(name, 1)
            time.sleep(PAUSE)
            start = now()
            for _ in range(often):
                call()
            spent = since(start)
            if turn:
                times[name].append(Seconds(spent.wall / often, spent.cpu / often))
    return {name: median(spent) for name, spent in times.items()}


class Clock(Silent):
    """Notes how long each step took."""

    def __init__(self) -> None:
        self.lasted: list[Seconds] = []
        self._last = now()

    def step(self, t: int, readings: Any) -> None:
        self.lasted.append(since(self._last))
        self._last = now()


class Stint(Clock):
    """A clock that lets a run take so many steps, and then interrupts it as Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def step(self, t: int, readings: Any) -> None:
        super().step(t, readings)
        if len(self.lasted) == self._steps:
            os.kill(os.getpid(), signal.SIGINT)


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its ratios, times as plain numbers; printed on the way."""
    if "ours" in row:
        ours, theirs = row["ours"], row["theirs"]
        row |= {"ratio": theirs.wall / ours.wall, "cpu_ratio": theirs.cpu / ours.cpu}
        row |= {"ours": asdict(ours), "theirs": asdict(theirs)}
    print({key: f"{x:.4g}" if isinstance(x, float) else x for key, x in row.items()}, flush=True)
    return row


def peak_bytes(call: Callable[[], Any], warm: bool = True) -> int | None:
    """How much the process's resident memory rises above where it starts while `call` runs; None where not Linux.

    It is called once before, to be `warm`, unless that is too dear.
    """
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None

    def read(key: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(key))
        return int(line.split()[1]) * 1024

    if warm:
        call()
    ctypes.CDLL(None).malloc_trim(0)  # what the first call freed is not to be had again for nothing
    before = read("VmRSS")
    reset.write_text("5")
    kept = call()
    rise = read("VmHWM") - before
    del kept
    return rise


def machine() -> dict[str, Any]:
    """The machine and the versions, for the record."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in ("torch", "numpy", "tensorboard", "lab")},
    }

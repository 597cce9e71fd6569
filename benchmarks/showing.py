"""What showing a run costs: `python benchmarks/showing.py`, on digits at full batch with everything at its default.

Two ratios, each taken within one run, medians over several runs:
    in all    seconds spent on histograms, pictures and writing, over the seconds of all other work
    a step    of the step in the middle: of most steps, that neither draw nor write a picture
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lab import config
from lab.config import SHOWN
from lab.console import Silent
from lab.events.writer import TensorBoard
from lab.experiment import assemble
from lab.launch import launch
from lab.record import JsonLines

DIGITS = Path(__file__).parent.parent / "configs" / "digits.yaml"


class Meter(Silent):
    """Seconds of each step, and how many of them went into showing it."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float]] = []
        self._shown, self._last = 0.0, time.perf_counter()

    def step(self, t: int, readings: Any) -> None:
        now = time.perf_counter()
        self.steps.append((now - self._last, self._shown))
        self._shown, self._last = 0.0, time.perf_counter()

    def metered(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                self._shown += time.perf_counter() - start

        return timed


def once(steps: int) -> tuple[float, float]:
    """Both ratios of one run, the first step, which warms up, left out."""
    overrides = [f"steps={steps}", *(f"probes.{name}={{}}" for name in SHOWN)]
    experiment = assemble(config.load(DIGITS, overrides))
    meter = Meter()
    for name in SHOWN:
        probe = experiment.probes[name]
        object.__setattr__(probe, "measure", meter.metered(probe.measure))
    writes = {sink: sink.write for sink in (TensorBoard, JsonLines)}
    for sink, write in writes.items():
        sink.write = meter.metered(write)
    try:
        with tempfile.TemporaryDirectory() as root:
            launch(experiment, root, meter, [])
    finally:
        for sink, write in writes.items():
            sink.write = write
    steps_after = meter.steps[1:]
    whole, shown = (sum(column) for column in zip(*steps_after, strict=True))
    return shown / (whole - shown), statistics.median(s / (w - s) for w, s in steps_after)


def main(runs: int, steps: int) -> None:
    torch.set_num_threads(1)
    found = [once(steps) for _ in range(runs)]
    for name, column in zip(("in all", "a step"), zip(*found, strict=True), strict=True):
        figures = ", ".join(f"{ratio:.1%}" for ratio in column)
        print(f"{name}: {statistics.median(column):.1%} of the other work (of {runs} runs: {figures})", flush=True)


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], *("3", "50")[len(sys.argv) - 1 :]]))

"""What a person sees of a sweep while it goes: bars on a terminal, a line for each run elsewhere, or nothing."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.launcher import Listener, Outcome, Task

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Quiet:
    """Says nothing."""

    def began(self, task: Task) -> None:
        return

    def step(self, task: Task, t: int, figures: str) -> None:
        return

    def say(self, task: Task, message: str) -> None:
        return

    def ended(self, task: Task, outcome: Outcome) -> None:
        return


class Lines:
    """A line for each run that ends, and every message at once, for logs and pipes."""

    def __init__(self, count: int) -> None:
        self._count, self._ended = count, 0
        self._began: dict[int, float] = {}
        self._latest: dict[int, str] = {}

    def began(self, task: Task) -> None:
        self._began[task.number] = time.monotonic()

    def step(self, task: Task, t: int, figures: str) -> None:
        self._latest[task.number] = f"  {figures}"

    def say(self, task: Task, message: str) -> None:
        print(f"{task.label}: {message}", file=sys.stderr, flush=True)

    def ended(self, task: Task, outcome: Outcome) -> None:
        self._ended += 1
        began = self._began.get(task.number)
        if began is None or outcome.status == "running":  # in another process, as was found on beginning
            told = f"  {outcome.words}"
        else:
            told = f" in {time.monotonic() - began:.3g} s"
        told = "" if outcome.status == "not begun" else told
        print(f"[{self._ended}/{self._count}] {task.label}: {outcome.status}{told}", flush=True)


class Bars:
    """A bar for the sweep and one for each run under way; messages stand above. Colours respect NO_COLOR."""

    def __init__(self, progress: "Progress", count: int) -> None:
        self._progress = progress
        self._all = progress.add_task("runs", total=count, figures="")
        self._bars: dict[int, TaskID] = {}

    def began(self, task: Task) -> None:
        self._bars[task.number] = self._progress.add_task(task.label, total=task.steps, figures="")

    def step(self, task: Task, t: int, figures: str) -> None:
        self._progress.update(self._bars[task.number], completed=t, figures=figures)

    def say(self, task: Task, message: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text(f"{task.label}: {message}", style="bold red"))

    def ended(self, task: Task, outcome: Outcome) -> None:
        if task.number in self._bars:
            self._progress.remove_task(self._bars.pop(task.number))
        self._progress.advance(self._all)


@contextmanager
def displayed(count: int) -> Iterator[Listener]:
    """Yield the listener that suits where standard output goes."""
    if not sys.stdout.isatty():
        yield Lines(count)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        MofNCompleteColumn(),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    with Progress(*columns, console=Console(highlight=False)) as progress:
        yield Bars(progress, count)

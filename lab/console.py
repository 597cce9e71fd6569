"""What a person sees of a run while it goes: a progress bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.summary import Line, figures
from lab.trainer import Watcher

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, float | int | str]
LINES = 10  # how many lines a run gets where there is no terminal,
SILENCE = 30.0  # and after how many seconds without one it gets another


class Silent:
    """Watches and says nothing."""

    def step(self, t: int, readings: Row) -> None:
        return

    def say(self, message: str) -> None:
        return


class PlainLines:
    """A line every so often with what that step measured, and every message at once, for logs and pipes."""

    def __init__(self, steps: int) -> None:
        self._steps, self._said = steps, time.monotonic()

    def step(self, t: int, readings: Row) -> None:
        silent_for = time.monotonic() - self._said
        if t % max(1, self._steps // LINES) == 0 or t == self._steps or silent_for > SILENCE:
            self._said = time.monotonic()
            print(f"step {t}/{self._steps}  {figures(readings)}", flush=True)

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


@contextmanager
def watching(steps: int) -> Iterator[Watcher]:
    """Yield the watcher that suits where standard output goes."""
    if not sys.stdout.isatty():
        yield PlainLines(steps)
        return
    from lab.progress import Bar

    with Bar(steps) as bar:
        yield bar


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """Yield what says, on a terminal alone, what is being done: a line that is gone when it is done."""
    if not sys.stderr.isatty():
        yield lambda what: None
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False).status("") as status:
        yield status.update


def show(lines: Sequence[Line]) -> None:
    """Print a summary: in colour on a terminal that wants it, in plain lines elsewhere."""
    width = max(len(line.what) for line in lines)
    if not sys.stdout.isatty():
        for line in lines:
            print(f"{line.what:<{width}}  {line.figures}")
        return
    from rich.text import Text

    console = _console()
    for line in lines:
        colour = {True: "green", False: "bold red", None: ""}[line.good]
        text = Text.assemble((f"{line.what:<{width}}  ", "bold"), (line.figures, colour))
        console.print(text, soft_wrap=True)


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False)

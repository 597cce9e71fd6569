"""The progress bar of a terminal."""

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from lab.summary import figures

BAR = 12  # columns


class Bar:
    """Shows steps, time left and a few figures; messages stand above it. Colours respect NO_COLOR."""

    def __init__(self, steps: int) -> None:
        self._console = Console(highlight=False)
        self._progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=BAR),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self._console,
        )
        taken = len("step ") + 2 * len(str(steps)) + len("/ ") + BAR + len(" --:-- ")
        self._room = self._console.width - taken - 1
        self._task = self._progress.add_task("", total=steps, figures="")
        self._latest: dict[str, float | int | str] = {}

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, t: int, readings: Mapping[str, float | int | str]) -> None:
        self._latest |= readings
        told = figures(self._latest)
        if len(told) > self._room:  # cut off where it would push the step out of a narrow terminal
            told = f"{told[: max(self._room - 1, 0)]}…"
        self._progress.update(self._task, completed=t, figures=told)

    def say(self, message: str) -> None:
        self._progress.console.print(Text(message, style="bold red"))

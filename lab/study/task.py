"""Carrying out one run of a sweep, in this process, so that doing it twice does it once."""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lab import config as configs
from lab import launch
from lab.errors import InputError
from lab.experiment import assemble
from lab.launcher import Outcome, Task
from lab.runs import RunSummary, summary
from lab.summary import figures

EVERY = 0.25  # seconds between two reports of a step
DONE = ("finished", "diverged")  # what the same config would only do again; a failed check may have been mended
OPEN = ("interrupted", "killed")

Standing = Literal["new", "open", "busy", "done"]


@dataclass
class Reporter:
    """Watches a run, and passes on a step now and then, and every message."""

    tell_step: Callable[[int, str], None]
    tell: Callable[[str], None]
    _latest: dict[str, float | int | str] = field(default_factory=dict)
    _told: float = 0.0

    def step(self, t: int, readings: Mapping[str, float | int | str]) -> None:
        self._latest |= readings
        if time.monotonic() - self._told > EVERY:
            self._told = time.monotonic()
            self.tell_step(t, figures(self._latest))

    def say(self, message: str) -> None:
        self.tell(message)


def standing(task: Task) -> tuple[Standing, RunSummary | None]:
    """How far a task has come: by the runs of this name, config and seed, of which a finished one or the newest counts.

    What the data hold is not looked at: a run that is done stays done when its data file has changed since.
    """
    places = Path(task.root, task.name).glob(f"*-{task.digest}-s{task.seed}*")
    runs = [summary(place) for place in sorted(places, reverse=True) if (place / "status.json").is_file()]
    runs = [run for run in runs if (run.digest, run.seed) == (task.digest, task.seed)]
    for run in runs:
        if run.status in DONE:
            return "done", run
    if runs and runs[0].status in OPEN:
        return "open", runs[0]
    return ("busy", runs[0]) if runs and runs[0].status == "running" else ("new", None)


def carry_out(task: Task, reporter: Reporter) -> Outcome:
    """See to it that the task's run is there: leave it, go on with it, or make it."""
    stands, found = standing(task)
    place = None if found is None else str(found.path)
    if found is not None and stands in ("done", "busy"):
        return Outcome(found.status, place, "another process is at it" if stands == "busy" else "")
    try:
        if found is not None:
            folder, config = launch.reopen(found.path)
            run = launch.resume(folder, assemble(config), reporter)
        else:
            experiment = assemble(configs.from_mapping(task.config))
            run = launch.launch(experiment, task.root, reporter, task.argv)
    except InputError as error:
        return Outcome("error", place, str(error))
    except Exception as error:  # the other runs go on, whatever this one met
        reporter.say(traceback.format_exc())
        return Outcome("error", place, f"{type(error).__name__}: {error}")
    failures = run.folder.status().get("failures") or {}
    return Outcome(run.status, str(run.path), next(iter(failures.values()), ""))

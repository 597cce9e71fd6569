"""A sweep: many runs of one config, of which those that are done are left, and those that stopped go on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import catalog
from lab import config as configs
from lab.board import short
from lab.errors import InputError
from lab.launch import Run
from lab.launcher import Launcher, Listener, Outcome, Task
from lab.launchers.processes import cores
from lab.runs import place_for_runs, summary
from lab.spread import write_spread
from lab.study import grid
from lab.study.display import Quiet
from lab.study.facts import Facts
from lab.study.grid import Point
from lab.study.table import table
from lab.study.task import standing
from lab.yamlfile import Place, from_python

FIGURES = ("loss/train", "loss/validation", "accuracy/train", "accuracy/validation", "curvature/lambda_1",
           "stability/lr_lambda_max")  # fmt: skip


def sweep(
    config: str | Path | Mapping[str, Any],
    over: Mapping[str, Iterable[Any]],
    *,
    pairs: bool = False,
    runs: str | Path = "runs",
    jobs: int | None = None,
    launcher: str | None = None,
    options: Mapping[str, str] | None = None,
) -> list[Run]:
    """Train a config with every combination of values of some keys, as `lab sweep` does, and return the runs.

    Args: config a YAML file's path, or a mapping; over values by dotted key, as {"optimizer.lr": [0.1, 1], "seed":
    range(5)}, paired in place of crossed if `pairs`; jobs how many at a time (default: as many as processors); launcher
    and its options as `--launcher`.
    Raises: InputError where the config or a value is wrong, before anything is run; RuntimeError where a run failed to
    start or its process died, after all others.
    """
    place = Place("config")
    axes = {key: [from_python(value, place) for value in values] for key, values in over.items()}
    found = tasks(grid.expand(configs.tree(config), axes, pairs), runs)
    swept = carry_out(found, engine(launcher, jobs, len(found), options or {}), Quiet())
    if swept.interrupted:
        raise KeyboardInterrupt
    outcomes = [swept.outcomes[task.number] for task in found]
    broken = [
        f"{task.label}: {outcome.words}" for task, outcome in zip(found, outcomes, strict=True) if outcome.path is None
    ]
    if broken:
        raise RuntimeError(f"{len(broken)} of {len(found)} runs were not made: {broken[0]}")
    return [Run.open(str(outcome.path)) for outcome in outcomes]


def tasks(points: Sequence[Point], root: str | Path, argv: Sequence[str] = ()) -> list[Task]:
    """The tasks of a sweep's runs."""
    place = str(Path(root).absolute())
    return [
        Task(
            number,
            point.label or point.config.name,
            point.config.name,
            point.config.digest(),
            point.config.seed,
            point.config.steps,
            point.config.resolved(),
            place,
            tuple(argv),
        )
        for number, point in enumerate(points, start=1)
    ]


def engine(name: str | None, jobs: int | None, count: int, options: Mapping[str, str]) -> Launcher:
    """The launcher `name`: by default this process for one job at a time, else processes.

    Raises: InputError where there is no such launcher, or less than one job.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: at least one run at a time")
    at_once = min(jobs or cores(), max(1, count))
    kind = name or ("here" if at_once == 1 else "processes")
    made: Launcher = catalog.get("launchers", kind)(at_once, dict(options))
    return made


@dataclass(frozen=True)
class Swept:
    """How a sweep's tasks ended, by number; those that Ctrl-C left out have no outcome."""

    tasks: tuple[Task, ...]
    outcomes: Mapping[int, Outcome]
    interrupted: bool

    @property
    def code(self) -> int:
        """The exit code: 0 all finished, 1 some did not, 130 Ctrl-C."""
        if self.interrupted:
            return 130
        return 0 if all(outcome.status == "finished" for outcome in self.outcomes.values()) else 1


def carry_out(found: Sequence[Task], launcher: Launcher, listener: Listener) -> Swept:
    """Carry out the tasks that are not done. After Ctrl-C whatever was under way can be resumed.

    Where runs of one setting differ by their seed, TensorBoard gets their mean and spread too, in a folder beside them.
    Raises: InputError, with nothing begun, where no run can be made.
    """
    ledger, ahead = _Ledger(listener), []
    for task in found:
        stands, run = standing(task)
        if run is not None and stands in ("done", "busy"):
            words = "done before" if stands == "done" else "another process is at it"
            ledger.ended(task, Outcome(run.status, str(run.path), words))
        else:
            ahead.append(task)
    for root, name in {(task.root, task.name) for task in ahead}:
        place_for_runs(root, name)
    interrupted = False
    try:
        if ahead:
            launcher.run(ahead, ledger)
        if ahead:
            _show_seeds(found, ledger.outcomes)
    except KeyboardInterrupt:
        interrupted = True
    return Swept(tuple(found), ledger.outcomes, interrupted)


def _show_seeds(found: Sequence[Task], outcomes: Mapping[int, Outcome]) -> None:
    """Write mean and spread over the seeds of each setting that has finished runs of two."""
    settings: dict[Path, list[Path]] = {}
    for task in found:
        outcome = outcomes[task.number]
        if outcome.path is not None and outcome.status == "finished":
            settings.setdefault(Path(task.root, task.name, f"seeds-{task.digest}"), []).append(Path(outcome.path))
    for folder, runs in settings.items():
        if len(runs) > 1:
            write_spread(folder, runs)


def lines(swept: Swept) -> Iterator[str]:
    """The table at the end: each run's setting, how it ended, its last figures, and what went wrong."""
    rows, wrong = [], []
    outcomes = {task.number: swept.outcomes.get(task.number) or _left(task) for task in swept.tasks}
    ends: dict[str, list[Mapping[str, Any]]] = {}  # of the seeds of each setting
    for task in swept.tasks:
        outcome = outcomes[task.number]
        facts = None if outcome.path is None else Facts(summary(Path(outcome.path)))
        if outcome.status == "finished":
            ends.setdefault(task.digest, []).append({} if facts is None else facts.latest(FIGURES))
        place = None if outcome.path is None else short(Path(outcome.path))
        rows.append([task.label, outcome.status, *(facts and facts.shown(tag) for tag in FIGURES), place])
        if outcome.words and outcome.status != "finished":
            wrong.append(f"{task.label}: {' '.join(outcome.words.split())}")
    kept = [i for i in range(len(rows[0])) if i < 2 or any(row[i] is not None for row in rows)]
    header = ["run", "status", *FIGURES, "folder"]
    yield from table([header[i] for i in kept], [[row[i] for i in kept] for row in rows])
    yield from wrong
    seeds = [found for found in ends.values() if len(found) > 1]
    if seeds and all(last == found[0] for found in seeds for last in found):
        yield "all seeds ended the same to the bit: nothing is drawn at random in what this config trains on"
    ended = Counter(outcome.status for outcome in outcomes.values())
    how = ", ".join(f"{count} {status}" for status, count in ended.items())
    yield f"{len(rows)} run{'s' * (len(rows) != 1)}: {how}"
    if swept.interrupted:
        yield "go on: call the same command again"


def _left(task: Task) -> Outcome:
    """How Ctrl-C left a task that was not training: interrupted only where there is a run to go on with."""
    stands, run = standing(task)
    if run is None:
        return Outcome("not begun")
    return Outcome(run.status if stands == "done" else "interrupted", str(run.path))


class _Ledger:
    """Keeps the outcomes on their way to a listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.outcomes: dict[int, Outcome] = {}

    def began(self, task: Task) -> None:
        self._listener.began(task)

    def step(self, task: Task, t: int, figures: str) -> None:
        self._listener.step(task, t, figures)

    def say(self, task: Task, message: str) -> None:
        self._listener.say(task, message)

    def ended(self, task: Task, outcome: Outcome) -> None:
        if outcome.status == "interrupted" and outcome.path is None:
            outcome = _left(task)
        self.outcomes[task.number] = outcome
        self._listener.ended(task, outcome)

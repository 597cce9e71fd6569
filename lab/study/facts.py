"""What is known of a run, by name: how it stands, its config's keys, and the last value of each of its tags."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.errors import InputError, guess
from lab.record import Row, readings
from lab.runs import RunSummary, list_runs
from lab.study import expression
from lab.study.table import cell
from lab.yamlfile import dotted, read

OWN = ("status", "step", "name", "seed", "started", "updated", "digest", "path")
ON_THE_WAY = ("step/", "check/decrease")  # to the next step: of the last, where no step is taken, there is none


class Facts:
    """A run's facts; config and metrics are read when they are first asked for.

    `damage` says what could not be read of the metrics, `unread` of the config, once that has come up: the run is
    listed without it.
    """

    def __init__(self, run: RunSummary) -> None:
        self.run = run
        self.damage: str | None = None
        self.unread: str | None = None
        self._latest: dict[str, tuple[Any, int, int] | None] = {}  # value, its step, the last row's

    def has(self, name: str) -> bool:
        """Whether the run knows of `name`, be it null."""
        return name in OWN or name in self.config or name in self.latest([name])

    def get(self, name: str) -> Any:
        """The value of `name`, None where the run has none."""
        if name in OWN:
            return self._own(name)
        return self.config[name] if name in self.config else self.latest([name]).get(name)

    def shown(self, name: str) -> Any:
        """The value of `name` as a table has it: that of a tag with its step, where that is not the run's last one."""
        if name in OWN or name in self.config or name not in self.latest([name]):
            return self.get(name)
        found = self._latest[name]
        assert found is not None
        value, step, end = found
        newest = step == end or (step == end - 1 and name.startswith(ON_THE_WAY))
        return value if newest else f"{cell(value)} (step {step})"

    def setting(self, key: str) -> Any:
        """What the config has at `key`, for a table: null is a word there, and None where the run has no such key."""
        value = self.config.get(key)
        return "null" if value is None and key in self.config else value

    def _own(self, name: str) -> Any:
        if name == "step" and self.run.status in ("running", "killed"):  # status.json has where it began
            last = next(self._backwards(), None)
            return self.run.facts.get(name) if last is None else last["step"]
        if name in ("step", "updated"):
            return self.run.facts.get(name)
        return str(self.run.path) if name == "path" else getattr(self.run, name)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The resolved config by dotted keys; nothing where it cannot be read, as others are listed all the same."""
        try:
            return dict(dotted(read(self.run.path / "config.yaml").plain()))
        except InputError as error:
            self.unread = str(error)
            return {}

    def latest(self, tags: Collection[str]) -> Mapping[str, Any]:
        """The last value of each of `tags` that was recorded, read from the end of metrics.jsonl."""
        missing, end = set(tags) - self._latest.keys(), None
        if missing:
            for row in self._backwards():
                end = row["step"] if end is None else end
                for tag in missing & row.keys():
                    self._latest[tag] = (row[tag], row["step"], end)
                missing -= row.keys()
                if not missing:
                    break
        self._latest |= dict.fromkeys(missing)
        return {tag: found[0] for tag in tags if (found := self._latest[tag]) is not None}

    def names(self) -> set[str]:
        """Everything that the run can be asked for."""
        return {*OWN, *self.config, *(tag for row in self._backwards() for tag in row)}

    def _backwards(self) -> Iterator[Row]:
        """The rows from the last one to the first, or to one that cannot be read."""
        try:
            yield from backwards(self.run.path / "metrics.jsonl")
        except InputError as error:
            self.damage = str(error)


def backwards(metrics: Path) -> Iterator[Row]:
    """The rows of a metrics.jsonl from the last one to the first. Raises: InputError for what cannot be read."""
    try:
        lines = metrics.read_bytes().split(b"\n")[:-1] if metrics.is_file() else []  # a torn last line is no row
    except OSError as error:
        raise InputError(f"{metrics}: cannot be read: {error.strerror}.") from None
    for number in range(len(lines), 0, -1):
        try:
            yield readings(lines[number - 1])
        except ValueError as error:
            raise InputError(f"{metrics}:{number}: not a row of metrics: {error}; was the file edited?") from None


def gather(root: str | Path) -> list[Facts]:
    """The runs at or below `root`, oldest first."""
    return [Facts(run) for run in list_runs(root)]


def select(
    runs: Sequence[Facts], where: str | None = None, sort: str | None = None, reverse: bool = False
) -> list[Facts]:
    """The runs for which the condition `where` holds, in order of the name `sort`; those without a value come last.

    Raises: InputError where the condition cannot be read, or asks for what no run has.
    """
    condition = None if where is None else expression.parse(where)
    kept = [run for run in runs if condition is None or condition.holds(_look(run, runs))]
    if sort is None:
        return kept[::-1] if reverse else kept
    known(sort, runs, "--sort")
    valued = [(run.get(sort), run) for run in kept]
    ordered = sorted(
        ((_rank(value), run) for value, run in valued if value is not None), key=lambda pair: pair[0], reverse=reverse
    )
    return [run for _, run in ordered] + [run for value, run in valued if value is None]


def known(name: str, runs: Sequence[Facts], who: str) -> None:
    """See to it that some run has `name`, where there are runs. Raises: InputError with the nearest name."""
    if runs and not any(run.has(name) for run in runs):
        raise InputError(f"{who}: {unknown(name, runs)}")


def unknown(name: str, runs: Iterable[Facts]) -> str:
    """The words for a name that no run has."""
    names = {known for run in runs for known in run.names()}
    meant = guess(name, names) or "; a name is a key of the config or a tag, and a text is in quotes"
    return f"no run has {name!r}{meant}"


def differing(runs: Sequence[Facts]) -> list[str]:
    """The keys of the configs in which the runs differ, in the order of the first; a key that one lacks differs."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    return [key for key in keys if len({json.dumps(run.config.get(key, "absent")) for run in runs}) > 1]


def _look(run: Facts, runs: Sequence[Facts]) -> expression.Look:
    def look(name: str) -> Any:
        if not run.has(name) and not any(other.has(name) for other in runs):
            raise KeyError(unknown(name, runs))
        return run.get(name)

    return look


def _rank(value: Any) -> tuple[str, Any]:
    """What to sort by: like with like, since a number and a text have no order."""
    if isinstance(value, bool | int | float):
        return ("", value)
    return (type(value).__name__, value if isinstance(value, str) else json.dumps(value))

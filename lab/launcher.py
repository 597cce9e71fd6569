"""Launcher: where the runs of a sweep are computed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Task:
    """One run that is to be there in the end: what names it, its resolved config, and the folder that runs are made in.

    Carrying it out a second time does nothing where it is finished, and goes on where it stopped.
    """

    number: int
    label: str
    name: str
    digest: str
    seed: int
    steps: int
    config: Mapping[str, Any]
    root: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a task ended: a run's status, or `error`, and its folder, None where none was made; what went wrong."""

    status: str
    path: str | None = None
    words: str = ""


class Listener(Protocol):
    """Whoever looks on while a sweep goes."""

    def began(self, task: Task) -> None: ...

    def step(self, task: Task, t: int, figures: str) -> None: ...

    def say(self, task: Task, message: str) -> None: ...

    def ended(self, task: Task, outcome: Outcome) -> None: ...


@dataclass(frozen=True)
class Launcher(ABC):
    """`jobs` runs at a time; `options` are what this launcher alone understands."""

    jobs: int = 1
    options: Mapping[str, str] = field(default_factory=dict)

    @abstractmethod
    def run(self, tasks: Sequence[Task], listener: Listener) -> None:
        """Carry out the tasks, telling `listener` of each that it began and that it ended.

        Raises: KeyboardInterrupt after Ctrl-C, once every run under way can be resumed; InputError for wrong options.
        """

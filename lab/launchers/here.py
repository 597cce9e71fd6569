"""One run after the other, in this process."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import InputError
from lab.launcher import Launcher, Listener, Task


@dataclass(frozen=True)
class Here(Launcher):
    """One run after the other, in this process, with all of its threads."""

    def run(self, tasks: Sequence[Task], listener: Listener) -> None:
        if self.options:
            raise InputError(f"--launcher here takes no options; leave {', '.join(self.options)} out")
        from functools import partial

        from lab.study.task import Reporter, carry_out

        for task in tasks:
            listener.began(task)
            reporter = Reporter(partial(listener.step, task), partial(listener.say, task))
            outcome = carry_out(task, reporter)
            listener.ended(task, outcome)
            if outcome.status == "interrupted":
                raise KeyboardInterrupt

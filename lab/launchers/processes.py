"""Several runs at a time on this machine, in processes that share its threads."""

import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from lab.errors import InputError
from lab.launcher import Launcher, Listener, Outcome, Task

if TYPE_CHECKING:
    from lab.study.crew import Worker

Event = tuple[Task, dict[str, Any]]


@dataclass(frozen=True)
class Processes(Launcher):
    """`jobs` processes, each with its share of the machine's threads, that take one run after the other."""

    def run(self, tasks: Sequence[Task], listener: Listener) -> None:
        if self.options:
            raise InputError(f"--launcher processes takes no options; leave {', '.join(self.options)} out")
        crew = _Crew(tasks, self.jobs)
        with _passed_on(crew):
            for task, event in crew.events():
                if "began" in event:
                    listener.began(task)
                elif "step" in event:
                    listener.step(task, event["step"], event["figures"])
                elif "say" in event:
                    listener.say(task, event["say"])
                else:
                    listener.ended(task, Outcome(**event["outcome"]))
        if crew.stopped:
            raise KeyboardInterrupt


class _Crew:
    """Threads that each keep a worker busy; what the workers tell comes together in one queue."""

    def __init__(self, tasks: Sequence[Task], jobs: int) -> None:
        self._waiting = deque(tasks)
        self._told: SimpleQueue[Event | None] = SimpleQueue()
        self._workers: dict[int, Worker] = {}
        self._jobs = min(jobs, len(tasks))
        self._threads = max(1, cores() // max(1, jobs))
        self.stopped = False

    def events(self) -> Iterator[Event]:
        """What happens, until every task has ended or the crew is stopped."""
        for slot in range(self._jobs):
            threading.Thread(target=self._keep_busy, args=(slot,), daemon=True).start()
        idle = 0
        while idle < self._jobs:
            event = self._told.get()
            if event is None:
                idle += 1
            else:
                yield event

    def stop(self) -> None:
        """Begin no further task, and ask those under way to stop; a second time, at once."""
        self.stopped = True
        self._waiting.clear()
        for worker in list(self._workers.values()):
            worker.interrupt()

    def _keep_busy(self, slot: int) -> None:
        from lab.study.crew import Worker

        try:
            while self._waiting:
                try:
                    task = self._waiting.popleft()
                except IndexError:
                    break
                worker = self._workers.get(slot)
                if worker is None or worker.dead:
                    worker = self._workers[slot] = Worker(self._threads)
                self._told.put((task, {"began": True}))
                for answer in worker.carry_out(task):
                    self._told.put((task, answer))
        finally:
            if slot in self._workers:
                self._workers[slot].close()
            self._told.put(None)


@contextmanager
def _passed_on(crew: _Crew) -> Iterator[None]:
    """Make Ctrl-C a wish to stop; workers have sessions of their own, so that it reaches them once, from here."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(signum: int, frame: object) -> None:
        crew.stop()
        os.write(2, b"stopping every run after its step, with a checkpoint (Ctrl-C again: at once)\n")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

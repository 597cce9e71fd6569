"""A worker process of a sweep, as its parent sees it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from lab.launcher import Outcome, Task

PROGRAM = ("-m", "lab.study.worker")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

STOPPED = (130, -signal.SIGINT)  # the code of a process that Ctrl-C met before its task had begun


class Worker:
    """A process with `threads` threads that carries out one task at a time; `dead` once it has gone."""

    def __init__(self, threads: int) -> None:
        self.dead = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as the process lives
        self._process = subprocess.Popen(
            [sys.executable, *PROGRAM, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **dict.fromkeys(THREADS, str(threads))},
            start_new_session=True,  # Ctrl-C in a terminal goes to whole groups
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self._answers = self._process.stdin, self._process.stdout

    def carry_out(self, task: Task) -> Iterator[dict[str, Any]]:
        """What the worker tells of the task, its outcome last; the outcome is `killed` where the process died."""
        with suppress(OSError):  # it died: then there is no answer either
            self._tasks.write(json.dumps(dataclasses.asdict(task)).encode() + b"\n")
            self._tasks.flush()
        for line in self._answers:
            if not line.endswith(b"\n"):
                break
            answer: dict[str, Any] = json.loads(line)
            yield answer
            if "outcome" in answer:
                return
        self.dead = True
        stopped = self._process.wait() in STOPPED
        outcome = Outcome("interrupted") if stopped else Outcome("killed", None, self._last_words())
        yield {"outcome": dataclasses.asdict(outcome)}

    def interrupt(self) -> None:
        """Ask it to stop, as Ctrl-C does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """End the process, which waits for a task."""
        with suppress(OSError):
            self._tasks.close()
        self._process.wait()
        self._answers.close()
        self._errors.close()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"its process {how}{': ' + last if last else ''}"

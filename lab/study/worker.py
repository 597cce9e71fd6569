"""A process that carries out one task after the other: `python -m lab.study.worker THREADS`.

A task is a line of JSON on standard input; its answers are lines on standard output, the last one its outcome. What
else is printed goes to standard error, so that no answer is torn. Ctrl-C, which the parent passes on, ends the run
with a checkpoint; where the parent is gone, writing to it fails, and the run is left as a kill leaves it.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO


def main(threads: int) -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    tasks = sys.stdin.buffer
    try:
        import torch

        torch.set_num_threads(threads)
        while line := tasks.readline():
            _serve(json.loads(line), answers)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(130)  # nothing that Python would clean up is left: the run's files are closed


def _serve(asked: Mapping[str, Any], answers: BinaryIO) -> None:
    import dataclasses

    from lab.launcher import Outcome, Task
    from lab.study.task import Reporter, carry_out

    def tell(**answer: Any) -> None:
        answers.write(json.dumps(answer).encode() + b"\n")

    reporter = Reporter(lambda t, figures: tell(step=t, figures=figures), lambda message: tell(say=message))
    try:
        outcome = carry_out(Task(**{**asked, "argv": tuple(asked["argv"])}), reporter)
    except KeyboardInterrupt:  # outside of training, where there is nothing to save
        outcome = Outcome("interrupted")
    tell(outcome=dataclasses.asdict(outcome))


if __name__ == "__main__":
    main(int(sys.argv[1]))

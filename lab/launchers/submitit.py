"""Runs on a Slurm cluster, by submitit; without Slurm, or with `--option cluster=local`, in jobs on this machine.

Every job makes one run. It finds for itself how far that run has come, so that a job which Slurm stops for its time,
or for a more urgent one, is put back into the queue and goes on where it was. The folder of the runs must be on a disk
that the nodes see. Options are submitit's: timeout_min, cpus_per_task, slurm_partition, slurm_account, …
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import InputError
from lab.launcher import Launcher, Listener, Outcome, Task

POLL = 0.5  # seconds between two looks at the jobs


@dataclass(frozen=True)
class Submitit(Launcher):
    """`jobs` jobs at a time, each one run; options are submitit's parameters, and `cluster`."""

    def run(self, tasks: Sequence[Task], listener: Listener) -> None:
        executor = self._executor(Path(tasks[0].root) / ".submitit")
        jobs = dict(zip([task.number for task in tasks], executor.map_array(OneRun(), tasks), strict=True))
        waiting = {task.number: task for task in tasks}
        try:
            while waiting:
                for task in list(waiting.values()):
                    if jobs[task.number].done():
                        del waiting[task.number]
                        listener.ended(task, _outcome(jobs[task.number]))
                time.sleep(POLL)
        except KeyboardInterrupt:
            for number in waiting:
                jobs[number].cancel(check=False)
            raise

    def _executor(self, folder: Path) -> Any:
        try:
            import submitit
        except ImportError:
            raise InputError(
                "--launcher submitit: it needs submitit, which is not installed; pip install 'lab[submitit]'"
            ) from None
        options: dict[str, Any] = {key: _typed(value) for key, value in self.options.items()}
        cluster = options.pop("cluster", None)
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
            parallel = {"slurm_array_parallelism": self.jobs} if executor.cluster == "slurm" else {}
            executor.update_parameters(name="lab", **parallel, **options)
        except (ValueError, TypeError, NameError, RuntimeError) as error:
            raise InputError(f"--launcher submitit: {error}") from None
        return executor


class OneRun:
    """What a job does; submitit asks `checkpoint` what is to be put back into the queue when the job is stopped."""

    def __call__(self, task: Task) -> Outcome:
        from lab.study.task import Reporter, carry_out

        return carry_out(task, Reporter(lambda t, figures: None, print))

    def checkpoint(self, task: Task) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self, task)


def _outcome(job: Any) -> Outcome:
    error = job.exception()
    if error is None:
        outcome: Outcome = job.result()
        return outcome
    lines = [line for line in str(error).splitlines() if line.strip()]
    return Outcome("killed", None, f"job {job.job_id}: {lines[-1].strip() if lines else type(error).__name__}")


def _typed(value: str) -> int | str:
    return int(value) if value.lstrip("-").isdigit() else value

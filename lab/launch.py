"""From a config to a finished run: make the folder, train, and hand back what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab import config as configs
from lab import spectrum as spectra
from lab.config import Config
from lab.console import Silent
from lab.curvature.operator import Curvature
from lab.errors import InputError
from lab.experiment import Experiment, assemble
from lab.loop import walk
from lab.problem import Problem
from lab.provenance import provenance
from lab.runs import RunFolder, summary
from lab.spectrum import Spectrum
from lab.study.metrics import Metrics
from lab.trainer import Watcher, initial_state
from lab.trainer import train as train_in

EXIT = {"finished": 0, "failed": 1, "diverged": 1, "interrupted": 130}


@dataclass(frozen=True, repr=False)
class Run:
    """A run: its folder, and what came of it. `Run.open(path)` gives one that is on the disk."""

    folder: RunFolder
    _made_of: Experiment | None = field(default=None, compare=False)

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """The run in the folder `path`. Raises: InputError where there is none."""
        return cls(RunFolder.open(path))

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @property
    def status(self) -> str:
        """finished, failed, diverged, interrupted, running, or killed."""
        return summary(self.path).status

    @cached_property
    def experiment(self) -> Experiment:
        """What it was made of, data and all. Raises: InputError where config or data cannot be had any more."""
        return self._made_of or assemble(configs.load(self.folder.config))

    @property
    def config(self) -> Config:
        """The resolved config."""
        return self._made_of.config if self._made_of else configs.load(self.folder.config)

    @property
    def metrics(self) -> Metrics:
        """What was logged: arrays by tag, `run.metrics["loss/train"]`, and `.to_pandas()`; floats exact."""
        return Metrics(self.folder.metrics())

    @property
    def theta(self) -> Tensor:
        """θ (D, K) of the newest checkpoint: where training ended."""
        theta: Tensor = self.folder.load_checkpoint()[1]["theta"]
        return theta

    def theta_at(self, step: int) -> Tensor:
        """θ (D, K) from which a step started.

        A step before the last checkpoint is walked to again from the start, which gives the very θ that the run had
        there, if the machine computes as it did then. Raises: InputError for a step that the run did not reach.
        """
        newest = self.folder.load_checkpoint()[0]
        if step == newest:
            return self.theta
        if not 0 <= step < newest:
            raise InputError(f"{self.path}: no step {step}; the last checkpoint is at step {newest}")
        experiment = self.experiment
        theta = experiment.theta.clone()
        with torch.no_grad():
            for visit in walk(experiment.batches, experiment.stepper(theta), theta, 0, step):
                theta = visit.theta
        return theta

    @property
    def problem(self) -> Problem:
        """The loss on the whole training set, with its hand-derived gradient and Hessian."""
        return self.experiment.full

    def spectrum(self, step: int | None = None) -> Spectrum:
        """All eigenvalues and eigenvectors of the training loss's Hessian at θ of a step, or where training ended.

        Raises: InputError for a step that the run did not reach.
        """
        problem = self.problem
        theta = (self.theta if step is None else self.theta_at(step)).to(problem.X)
        curvature = Curvature(problem, theta)
        return spectra.dense(curvature.dense, error=curvature.dense_rounding, vectors=True)

    def __repr__(self) -> str:
        return f"<Run {self.path}: {self.status}>"

    def _repr_html_(self) -> str:
        """The run as a notebook shows it: its summary and its loss."""
        from lab.report.run import notebook

        return notebook(self.path, self.folder.status(), self.metrics.rows)


def train(config: str | Path | Mapping[str, Any], *, runs: str | Path = "runs", **overrides: Any) -> Run:
    """Train what a config says, as `lab train` does, and return the run.

    Args: config a YAML file's path, or the same as a mapping; runs the folder that run folders are made in; overrides
    replace keys of the config, nested ones merged: `lab.train("configs/iris.yaml", optimizer={"lr": 0.1})`.
    Raises: InputError where config or data are wrong.
    """
    return launch(assemble(configs.made_of(config, overrides)), runs, Silent(), argv=[])


def launch(experiment: Experiment, root: str | Path, watcher: Watcher, argv: Sequence[str]) -> Run:
    """Make a new run folder below `root` and train in it."""
    config = experiment.config
    origin = provenance(data_sha256=experiment.data.sha256, argv=argv, seed=config.seed)
    folder = RunFolder.create(
        root,
        config.name,
        config.digest(),
        config.seed,
        config.dump(),
        origin,
        initial_state(experiment),
        experiment.data.recipe.saved(),
    )
    train_in(experiment, folder, watcher)
    return Run(folder, experiment)


def reopen(path: str | Path) -> tuple[RunFolder, Config]:
    """Return the run at `path` and its config, to go on with. Raises: InputError where there is none."""
    folder = RunFolder.open(path)
    return folder, configs.load(folder.config)


def resume(folder: RunFolder, experiment: Experiment, watcher: Watcher) -> Run:
    """Go on from the run's newest checkpoint. Raises: InputError where the data have changed since it began."""
    then = str(folder.provenance().get("data_sha256"))
    if experiment.data.sha256 != then:
        raise InputError(
            f"{folder.path}: the data have changed since this run began (SHA-256 was {then[:12]}…, "
            f"is {experiment.data.sha256[:12]}…); restore them, or start a new run"
        )
    train_in(experiment, folder, watcher)
    return Run(folder, experiment)

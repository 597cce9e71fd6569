"""From a config to a finished run: make the folder, train, and hand back what came of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lab import config as configs
from lab.config import Config
from lab.console import Silent
from lab.errors import InputError
from lab.experiment import Experiment, assemble
from lab.problem import Problem
from lab.provenance import provenance
from lab.runs import RunFolder
from lab.trainer import Watcher, initial_state
from lab.trainer import train as train_in

EXIT = {"finished": 0, "failed": 1, "diverged": 1, "interrupted": 130}


@dataclass(frozen=True)
class Run:
    """A run that has ended: its folder, how it ended, and what it was made of."""

    folder: RunFolder
    status: str
    experiment: Experiment

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """What was logged, a mapping for each step, floats exact."""
        return self.folder.metrics()

    @property
    def theta(self) -> Tensor:
        """θ (D, K) of the newest checkpoint: where training ended."""
        theta: Tensor = self.folder.load_checkpoint()[1]["theta"]
        return theta

    @property
    def problem(self) -> Problem:
        """The loss on the whole training set, with its hand-derived gradient and Hessian."""
        return self.experiment.full


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
    return Run(folder, train_in(experiment, folder, watcher), experiment)


def reopen(path: str | Path) -> tuple[RunFolder, Config]:
    """Return the run at `path` and its config, to go on with. Raises: InputError where there is none."""
    folder = RunFolder.open(path)
    return folder, configs.load(folder.config)


def resume(folder: RunFolder, experiment: Experiment, watcher: Watcher) -> Run:
    """Go on from the run's newest checkpoint. Raises: InputError where the data have changed since it began."""
    then = json.loads((folder.path / "provenance.json").read_text(encoding="utf-8"))["data_sha256"]
    if experiment.data.sha256 != then:
        raise InputError(
            f"{folder.path}: the data have changed since this run began (SHA-256 was {then[:12]}…, "
            f"is {experiment.data.sha256[:12]}…); restore them, or start a new run"
        )
    return Run(folder, train_in(experiment, folder, watcher), experiment)

"""Kill a training run and a sweep at random moments, and see that nothing is lost and nothing doubled.

    python benchmarks/kills.py [--kills 100] [--seed 0]

A process trains (or sweeps) and is killed by SIGKILL after a random time; the next one goes on where it stopped; and so
on until it is done, then it begins anew, until there were so many kills of each. What is then there is held, bit for
bit, against what was made without a kill: metrics.jsonl, the weights, the number of runs. tests/test_trainer.py and
tests/test_sweep.py do a few of these. Unix only, as it forks.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lab import config, launch
from lab.console import Silent
from lab.experiment import assemble
from lab.launchers.here import Here
from lab.runs import RunFolder, list_runs
from lab.study import grid, sweep
from lab.study.display import Quiet

CONFIG: dict[str, Any] = {
    "name": "killed",
    "data": {"kind": "sklearn", "name": "iris"},
    "loss": {"kind": "softmax"},
    "steps": 30,
    "batch_size": 50,
    "init": 0.1,
    "checkpoint_every": 3,
    "optimizer": {"kind": "adam", "lr": 0.05},
}
AXES = ("optimizer.lr=0.01,0.1", "seed=0..1", "steps=10")


def train(root: Path) -> None:
    """Train, or go on with the run that is there."""
    found = list_runs(root)
    if not found:
        launch.launch(assemble(config.from_mapping(CONFIG)), root, Silent(), ["kills"])
    elif found[0].status != "finished":
        folder, made = launch.reopen(found[0].path)
        launch.resume(folder, assemble(made), Silent())


def sweep_(root: Path) -> None:
    """Sweep, or go on with the sweep that is there."""
    tasks = sweep.tasks(grid.points(config.tree(CONFIG), AXES), root)
    sweep.carry_out(tasks, Here(), Quiet())


def contents(root: Path) -> dict[tuple[str, int | None], tuple[bytes, torch.Tensor]]:
    """Rows and weights of every run, by config and seed. Exits where a run is there twice, or has not ended."""
    found: dict[tuple[str, int | None], tuple[bytes, torch.Tensor]] = {}
    for run in list_runs(root):
        key = (run.digest, run.seed)
        if key in found or run.status != "finished" or list(run.path.rglob("*.part")):
            sys.exit(f"{run.path}: doubled, {run.status}, or with parts left over")
        theta = RunFolder(run.path).load_checkpoint()[1]["theta"]
        found[key] = ((run.path / "metrics.jsonl").read_bytes(), theta)
    return found


def compare(whole: Path, killed: Path) -> None:
    """Exit with a message where the two are not the same to the bit."""
    one, other = contents(whole), contents(killed)
    if one.keys() != other.keys():
        sys.exit(f"{killed}: other runs than without a kill")
    for key, (rows, theta) in one.items():
        if rows != other[key][0] or not torch.equal(theta, other[key][1]):
            sys.exit(f"{killed}: run {key} is not what it is without a kill")


def torment(what: Callable[[Path], None], root: Path, kills: int, chance: random.Random) -> int:
    """Kill `what` so often, from its start to its end again and again; return how often it came to its end."""
    began = time.monotonic()
    what(root / "whole")
    lasts, ends, done = time.monotonic() - began, 0, 0
    while done < kills:
        place = root / f"killed{ends}"
        child = os.fork()
        if child == 0:
            try:
                what(place)
            finally:
                os._exit(0)
        time.sleep(chance.uniform(0, lasts / 2))
        os.kill(child, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            done += 1
        else:
            compare(root / "whole", place)
            ends += 1
    what(root / f"killed{ends}")
    compare(root / "whole", root / f"killed{ends}")
    return ends + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="of each: of the run, and of the sweep")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    torch.set_num_threads(1)  # a forked child may use torch only where the parent has started no threads
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        for name, what in (("run", train), ("sweep", sweep_)):
            ends = torment(what, Path(scratch, name), options.kills, random.Random(options.seed))
            print(f"{name}: killed {options.kills} times, {ends} times to the end, the same to the bit", flush=True)


if __name__ == "__main__":
    main()

"""`lab sweep`: many runs of one config."""

import argparse
from collections.abc import Sequence

from lab.errors import InputError
from lab.verb import KEYS, Verb


class Sweep(Verb):
    """Train a config with every combination of values; what is finished is left, what stopped goes on."""

    example = "lab sweep configs/digits.yaml optimizer.lr=0.01,0.1,1 seed=0..4 --jobs 2"
    usage = (
        "lab sweep [-h] CONFIG [key=a,b,c …] [key=0..4] [--zip] [--jobs N] [--runs DIR] [--dry-run]\n"
        "                 [--launcher NAME] [--option KEY=VALUE …]"
    )
    also = KEYS
    instead = "; a key of the config is set without dashes, as optimizer.lr=0.5"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "words",
            nargs="*",
            metavar="CONFIG",
            help="a YAML file, then keys with values: optimizer.lr=0.1,1",
        )
        parser.add_argument("--zip", action="store_true", help="pair the values in place of crossing them")
        parser.add_argument("--jobs", type=int, metavar="N", help="runs at a time (default: one for each processor)")
        parser.add_argument("--runs", default="runs", metavar="DIR", help="where run folders are made (default: runs)")
        parser.add_argument("--launcher", metavar="NAME", help="here, processes or submitit (Slurm)")
        parser.add_argument(
            "--option", action="append", default=[], metavar="KEY=VALUE", help="of the launcher, as slurm_partition=gpu"
        )
        parser.add_argument("--dry-run", action="store_true", help="check every config, list the runs, and stop")

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        if not options.words:
            from lab.board import lab_command

            shown = lab_command("sweep", "configs/iris.yaml", "seed=0..4")
            raise InputError(f"lab sweep: no config given; name one, as in `{shown}`")
        for option in options.option:
            if "=" not in option:
                raise InputError(f"--option {option}: write KEY=VALUE, as slurm_partition=gpu")
        from lab import config as configs
        from lab.study import display, grid, sweep
        from lab.study.task import standing

        root = configs.tree(options.words[0])
        tasks = sweep.tasks(grid.points(root, options.words[1:], options.zip), options.runs, ["lab", *argv])
        given = dict(option.split("=", 1) for option in options.option)
        launcher = sweep.engine(options.launcher, options.jobs, len(tasks), given)
        if options.dry_run:
            for task in tasks:
                print(f"{task.label}  {standing(task)[0]}")
            return 0
        with display.displayed(len(tasks)) as listener:
            swept = sweep.carry_out(tasks, launcher, listener)
        for line in sweep.lines(swept):
            print(line)
        return swept.code

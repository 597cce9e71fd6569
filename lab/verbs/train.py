"""`lab train`: train what a config says, or go on with a run."""

import argparse
from collections.abc import Sequence

from lab.errors import InputError
from lab.verb import KEYS, Verb


class Train(Verb):
    """Train what a config says."""

    example = "lab train configs/iris.yaml optimizer.lr=0.5 steps=200"
    usage = "lab train [-h] CONFIG [key=value …] [--runs DIR] [--dry-run]\n       lab train --resume RUN"
    also = KEYS
    instead = "; a key of the config is set without dashes, as optimizer.lr=0.5"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "words",
            nargs="*",
            metavar="CONFIG",
            help="a YAML file, then keys to replace: optimizer.lr=0.5, or a whole block: 'optimizer={kind: newton}'",
        )
        parser.add_argument("--runs", default="runs", metavar="DIR", help="where run folders are made (default: runs)")
        parser.add_argument("--resume", metavar="RUN", help="go on with a run that was interrupted or killed")
        parser.add_argument(
            "--dry-run", action="store_true", help="check the config, load the data, print sizes, and stop"
        )

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        if options.resume is not None and (options.words or options.dry_run):
            raise InputError("lab train: --resume RUN goes on with the run's own config; leave CONFIG and the rest out")
        if options.resume is None and not options.words:
            from lab.board import lab_command

            raise InputError(
                f"lab train: no config given; name one, as in `{lab_command('train', 'configs/iris.yaml')}`"
            )
        from lab import config as configs
        from lab import launch
        from lab.console import show, watching
        from lab.experiment import assemble, describe
        from lab.summary import Line, summarize

        if options.resume is not None:
            folder, config = launch.reopen(options.resume)
            ended = folder.status()["status"] == "finished"
            experiment = assemble(config)
            with watching(config.steps) as watcher:
                run = launch.resume(folder, experiment, watcher)
        else:
            ended = False
            config = configs.load(options.words[0], options.words[1:])
            experiment = assemble(config)
            if options.dry_run:
                show([Line(what, figures) for what, figures in describe(experiment).items()])
                return 0
            with watching(config.steps) as watcher:
                run = launch.launch(experiment, options.runs, watcher, ["lab", *argv])
        sizes = describe(experiment)
        about = [Line(what, sizes[what]) for what in ("data", "notes") if what in sizes]
        if ended:
            about.append(Line("resumed", "this run had come to its end before, and nothing was left to do"))
        show([*about, *summarize(run.path, run.folder.status(), run.metrics.rows)])
        return launch.EXIT[run.status]

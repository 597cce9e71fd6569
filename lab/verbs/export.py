"""`lab export`: what a run found, for other programs."""

import argparse
import sys
from collections.abc import Sequence

from lab.errors import InputError
from lab.verb import Verb


class Export(Verb):
    """Print what a run found, as CSV."""

    example = "lab export RUN --what coefficients"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="*", metavar="RUN", help="the run")
        parser.add_argument(
            "--what", choices=["coefficients"], default="coefficients", help="estimates, errors, z and p"
        )

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        if len(options.words) != 1:
            raise InputError("lab export: name one run, as in `lab export runs/iris/…`; `lab runs` lists them")
        import csv

        from lab import coefficients, launch
        from lab.experiment import assemble

        folder, config = launch.reopen(options.words[0])
        experiment = assemble(config)
        theta = folder.load_checkpoint()[1]["theta"].to(experiment.theta)
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(["output", "feature", "estimate", "standard error", "z", "p"])
        for row in coefficients.of_run(experiment, theta):
            table.writerow([row.output, row.feature, row.estimate, row.error, row.z, row.p])
        return 0

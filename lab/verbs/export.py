"""`lab export`: what runs found, for other programs."""

import argparse
import sys
from collections.abc import Sequence

from lab.errors import InputError
from lab.verb import Verb


class Export(Verb):
    """Print what runs logged, or one run's coefficients, for other programs."""

    example = "lab export runs/iris --format csv --out iris.csv"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="*", metavar="RUN", help="runs, or folders of runs")
        parser.add_argument(
            "--what",
            choices=["metrics", "coefficients"],
            default="metrics",
            help="metrics: a row for each run and step; coefficients: one run's estimates, errors, z and p, as CSV",
        )
        parser.add_argument("--format", choices=["csv", "jsonl", "parquet"], default="csv", help="default: csv")
        parser.add_argument("--where", metavar="EXPR", help="only runs that meet a condition, as for `lab runs`")
        parser.add_argument("--out", metavar="FILE", help="write a file (default: standard output)")

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        if not options.words:
            raise InputError("lab export: name runs, as in `lab export runs/iris/…`; `lab runs` lists them")
        if options.what == "coefficients":
            return _coefficients(options)
        from lab.study.export import export, tidy
        from lab.study.listing import chosen

        export(tidy(chosen(options.words, "runs", options.where)), options.format, options.out)
        if options.out is not None:
            print(options.out)
        return 0


def _coefficients(options: argparse.Namespace) -> int:
    if len(options.words) != 1 or options.format != "csv" or options.out or options.where:
        raise InputError("lab export: --what coefficients prints one run's as CSV; name one run and leave the rest out")
    import csv

    from lab import coefficients, launch
    from lab.experiment import assemble

    folder, config = launch.reopen(options.words[0])
    experiment = assemble(config)
    theta = folder.load_checkpoint()[1]["theta"].to(experiment.theta)
    rows = coefficients.of_run(experiment, theta)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["output", "feature", "estimate", "standard error", "z", "p"])
    for row in rows:
        table.writerow([row.output, row.feature, row.estimate, row.error, row.z, row.p])
    return 0

"""`lab runs`: what has been run."""

import argparse
from collections.abc import Sequence

from lab.verb import Verb


class Runs(Verb):
    """List runs."""

    example = "lab runs --runs runs"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--runs", default="runs", metavar="DIR", help="where run folders are (default: runs)")

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        from lab.runs import list_runs

        for run in list_runs(options.runs):
            print(f"{run.status:<12} {run.path}  step {run.facts.get('step', '?')}")
        return 0

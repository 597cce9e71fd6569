"""`lab runs`: what has been run."""

import argparse
import sys
from collections.abc import Sequence

from lab.verb import Verb


class Runs(Verb):
    """List runs, all of them or those that meet a condition, with what tells them apart."""

    example = "lab runs --where \"optimizer.lr < 0.5 and status == 'finished'\" --sort curvature/lambda_1"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="*", metavar="FOLDER", help="runs, or folders of runs (default: all)")
        parser.add_argument("--runs", default="runs", metavar="DIR", help="where run folders are (default: runs)")
        parser.add_argument(
            "--where", metavar="EXPR", help="a condition on status, step, keys of the config, and last values of tags"
        )
        parser.add_argument("--sort", metavar="KEY", help="order by a key of the config or a tag, smallest first")
        parser.add_argument("--reverse", action="store_true", help="in the opposite order")
        parser.add_argument("--columns", metavar="A,B", help="show these keys and tags too")
        parser.add_argument("--paths", action="store_true", help="print the folders alone, for other commands")

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        from lab.study.listing import chosen, listing

        found = chosen(options.words, options.runs, options.where, options.sort, options.reverse)
        if not found:
            print("no run is there, or none that meets the condition", file=sys.stderr)
        for line in listing(found, options.where, options.sort, options.columns, options.paths):
            print(line)
        return 0

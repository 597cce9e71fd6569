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
        from lab.runs import EMPTY
        from lab.study.facts import select
        from lab.study.listing import broken, found, listing

        runs = found(options.words, options.runs)
        kept = select(runs, options.where, options.sort, options.reverse)
        if not runs:
            print(f"{options.runs}: {EMPTY}", file=sys.stderr)
        elif not kept:
            print("--where: no run meets the condition; without it `lab runs` lists what is there", file=sys.stderr)
        for line in listing(kept, options.where, options.sort, options.columns, options.paths):
            print(line)
        for place in options.words or [options.runs]:
            for lost in broken(place):
                print(lost, file=sys.stderr)
        for unread in (facts.unread for facts in runs if facts.unread is not None):
            print(f"{unread}; the run is listed without its config", file=sys.stderr)
        for damage in (facts.damage for facts in runs if facts.damage is not None):
            print(f"{damage} What comes before that is left out here.", file=sys.stderr)
        return 0

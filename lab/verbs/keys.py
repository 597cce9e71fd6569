"""`lab keys`: what the keys of a config mean."""

import argparse
from collections.abc import Sequence

from lab.verb import Verb


class Keys(Verb):
    """Explain the keys of a config: all of them, a block's or a probe's."""

    example = "lab keys probes.spectrum"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="?", default="", metavar="PATH", help="a key, in dots (default: all)")

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        from lab.report.keys import show

        return show(options.words)

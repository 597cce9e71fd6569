"""`lab derive`: a derivation as it stands on paper."""

import argparse
from collections.abc import Sequence

from lab.verb import Verb


class Derive(Verb):
    """Print a derivation's page."""

    example = "lab derive softmax"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "words", nargs="*", metavar="NAME", help="a loss, a model, a statement, or FILE.py (default: list)"
        )

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        from lab.report.derive import derive

        return derive(options.words)

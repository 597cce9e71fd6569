"""`lab theorems`: what a run can be held against."""

import argparse
from collections.abc import Sequence

from lab.errors import InputError, guess
from lab.verb import Verb


class Theorems(Verb):
    """List the theorems that a run can be held against, or print their pages."""

    example = "lab theorems bohning_bound"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="*", metavar="NAME", help="theorems whose pages to print (default: list)")

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        from lab import catalog
        from lab.report.derive import derive, show_list

        known = catalog.names("theorems")
        for word in options.words:
            if word not in known:
                raise InputError(
                    f"lab theorems: no theorem {word!r}{guess(word, known) or ';'} `lab theorems` lists them"
                )
        if options.words:
            return derive(options.words)
        show_list("theorems")
        print("\n`lab theorems NAME` prints its page; `theorems: [NAME]` in a config holds a run against it")
        return 0

"""`lab check`: judge derivations."""

import argparse
from collections.abc import Sequence

from lab.errors import InputError
from lab.verb import Verb


class Check(Verb):
    """Judge derivations: your own file's, the lab's losses, the ledger."""

    example = "lab check my_loss.py"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "words",
            nargs="*",
            metavar="NAME | FILE.py",
            help="your files, losses in lab/losses, statements in lab/identities (default: all statements)",
        )
        parser.add_argument("--new", metavar="FILE.py", help="write a commented file to start from")
        parser.add_argument(
            "--report", metavar="FILE.html", help="write a page with formulas, code, verdicts and pictures"
        )

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        if options.new is not None:
            if options.words:
                raise InputError("lab check: --new FILE.py writes one file; leave the rest out")
            from lab.bench.template import write
            from lab.board import lab_command

            path = write(options.new)
            print(f"wrote {path}; judge it with: {lab_command('check', str(path))}")
            return 0
        from lab.checking import check

        return check(options.words, options.report)

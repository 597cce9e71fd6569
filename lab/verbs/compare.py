"""`lab compare`: runs side by side."""

import argparse
from collections.abc import Sequence

from lab.errors import InputError
from lab.verb import Verb


class Compare(Verb):
    """Show what tells runs apart: their configs, last and best figures, and the first step at which they part."""

    example = "lab compare runs/iris/A runs/iris/B --html comparison.html"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "words", nargs="*", metavar="RUN", help="runs, or folders of runs; the first is the measure"
        )
        parser.add_argument("--where", metavar="EXPR", help="only those that meet a condition, as for `lab runs`")
        parser.add_argument("--html", metavar="FILE", help="write a page with plots in place of text")

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        from lab.study.compare import compare, lines
        from lab.study.listing import chosen

        found = chosen(options.words, "runs", options.where) if options.words else []
        if len(found) < 2:
            raise InputError(
                f"lab compare: it takes two runs or more, and here {'is one' if found else 'are none'}; "
                "name them, as in `lab compare RUN RUN`; `lab runs` lists them"
            )
        comparison = compare([run.run.path for run in found])
        if options.html is not None:
            from lab.report import sheet
            from lab.report.run import comparison_page

            path = sheet.writable(options.html, "--html")
            sheet.write(path, comparison_page(comparison), "--html")
            print(options.html)
            return 0
        for line in lines(comparison):
            print(line)
        return 0

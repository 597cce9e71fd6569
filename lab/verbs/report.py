"""`lab report`: a page of a run, or of a sweep."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lab.errors import InputError
from lab.verb import Verb


class Report(Verb):
    """Write one self-contained HTML page of a run, or of a folder of runs: plots, config, provenance."""

    example = "lab report runs/digits --where \"status == 'finished'\""

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="*", metavar="RUN | FOLDER", help="a run, or folders of runs, as of a sweep")
        parser.add_argument("--where", metavar="EXPR", help="only runs that meet a condition, as for `lab runs`")
        parser.add_argument("--out", metavar="FILE", help="default: report.html in the run's or the runs' folder")

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        if not options.words:
            from lab.board import lab_command

            raise InputError(
                f"lab report: name a run or a folder of runs, as in `{lab_command('report', 'runs/iris')}`"
            )
        if options.out is None and len(options.words) > 1:
            raise InputError("lab report: of several folders, say where the page goes with --out FILE")
        from lab.report import sheet
        from lab.report.run import run_page, runs_page
        from lab.study.listing import chosen

        found = chosen(options.words, "runs", options.where)
        if not found:
            raise InputError("--where: no run meets the condition; `lab runs` lists what is there")
        path = sheet.writable(options.out or str(Path(options.words[0]) / "report.html"), "--out")
        alone = len(found) == 1
        page = run_page(found[0].run.path) if alone else runs_page(found, f"{found[0].run.name}: {len(found)} runs")
        sheet.write(path, page, "--out")
        print(path)
        return 0

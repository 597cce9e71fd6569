"""`lab board`: TensorBoard."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from lab.verb import Verb


class Board(Verb):
    """Open TensorBoard on runs."""

    example = "lab board runs/iris"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="*", metavar="RUN", help="runs, or folders of runs (default: all of them)")
        parser.add_argument("--runs", default="runs", metavar="DIR", help="where run folders are (default: runs)")
        parser.add_argument("--port", type=int, help="the port on 127.0.0.1 (default: the first free one from 6006)")
        parser.add_argument("--no-browser", action="store_true", help="only print the URL")

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        import signal

        from lab.board import board

        signal.signal(signal.SIGTERM, _end)
        board(options.words, root=options.runs, port=options.port, browser=not options.no_browser)
        return 0


def _end(number: int, _: object) -> NoReturn:
    """End as an exception does, so that what was made for TensorBoard is taken away again."""
    raise SystemExit(128 + number)

"""`lab predict`: what a trained model says of new rows."""

import argparse
import os
import sys
from collections.abc import Sequence

from lab.errors import InputError
from lab.verb import Verb


class Predict(Verb):
    """Predict the classes of new rows by a run, as CSV."""

    example = "lab predict RUN new.csv --out predicted.csv"
    usage = "lab predict [-h] RUN FILE [--out FILE.csv]"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "words",
            nargs="*",
            metavar="RUN FILE",
            help="the run, and a file of rows of the same kind as its data, columns matched by name",
        )
        parser.add_argument("--out", metavar="FILE.csv", help="where the table is written (default: it is printed)")

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        if len(options.words) != 2:
            raise InputError("lab predict: name a run and a file of rows, as in `lab predict runs/iris/… new.csv`")
        from lab.prediction import predict, write

        if options.out is not None and os.path.realpath(options.out) == os.path.realpath(options.words[1]):
            raise InputError(f"--out: {options.out} is the file of rows itself; choose another place")
        prediction = predict(*options.words)
        status = prediction.run.status()["status"]
        if status != "finished":
            print(f"{prediction.run.path}: {status} at step {prediction.step}, predicting from there", file=sys.stderr)
        if options.out is None:
            print(prediction.csv(), end="")
        else:
            write(options.out, prediction)
            print(options.out)
        return 0

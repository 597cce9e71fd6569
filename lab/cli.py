"""The command line: `lab VERB`. Each verb imports what it needs when it runs, so that none waits for another's."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from lab.errors import InputError

INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError in place of printing the usage and leaving."""
        raise InputError(f"{self.prog}: {message}; see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 well, 1 a check failed, 2 wrong input, 130 Ctrl-C."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parsed(argv)
        verb: Callable[[argparse.Namespace, Sequence[str]], int] = options.verb
        return verb(options, argv)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # as when piped into `head`: nobody reads on, so nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `argv`, in which words and options may stand in any order; argparse alone stops at an option."""
    options, rest = parser().parse_known_args(argv)
    if rest and (not hasattr(options, "words") or any(word.startswith("-") for word in rest)):
        raise InputError(f"lab: unrecognized arguments: {' '.join(rest)}; see `lab --help`")
    if rest:
        options.words += rest
    return options


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    top = Parser(prog="lab", description="Trust a derivative made by hand, and watch curvature while a model trains.")
    verbs = top.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=Parser)

    train = _verb(
        verbs, "train", _train, "train what a config says", "lab train configs/iris.yaml optimizer.lr=0.5 steps=200"
    )
    train.usage = "lab train CONFIG [key=value …] [--runs DIR] [--dry-run]\n       lab train --resume RUN"
    train.add_argument("words", nargs="*", metavar="CONFIG", help="a YAML file, then keys to replace: optimizer.lr=0.5")
    train.add_argument("--runs", default="runs", metavar="DIR", help="where run folders are made (default: runs)")
    train.add_argument("--resume", metavar="RUN", help="go on with a run that was interrupted or killed")
    train.add_argument("--dry-run", action="store_true", help="check the config, load the data, print sizes, and stop")

    check = _verb(
        verbs,
        "check",
        _check,
        "judge derivations: your own file's, the lab's losses, the ledger",
        "lab check my_loss.py",
    )
    check.add_argument(
        "words",
        nargs="*",
        metavar="NAME | FILE.py",
        help="your files, losses in lab/losses, statements in lab/identities (default: all statements)",
    )
    check.add_argument("--new", metavar="FILE.py", help="write a commented file to start from")
    check.add_argument("--report", metavar="FILE.html", help="write a page with formulas, code, verdicts and pictures")

    derive = _verb(verbs, "derive", _derive, "print a derivation's page", "lab derive softmax")
    derive.add_argument(
        "words", nargs="*", metavar="NAME", help="a loss, a model, a statement, or FILE.py (default: list)"
    )

    board = _verb(verbs, "board", _board, "open TensorBoard on runs", "lab board runs/iris")
    board.add_argument("words", nargs="*", metavar="RUN", help="runs, or folders of runs (default: all of them)")
    board.add_argument("--runs", default="runs", metavar="DIR", help="where run folders are (default: runs)")
    board.add_argument("--port", type=int, help="the port on 127.0.0.1 (default: the first free one from 6006)")
    board.add_argument("--no-browser", action="store_true", help="only print the URL")

    runs = _verb(verbs, "runs", _runs, "list runs", "lab runs --runs runs")
    runs.add_argument("--runs", default="runs", metavar="DIR", help="where run folders are (default: runs)")

    export = _verb(verbs, "export", _export, "print what a run found, as CSV", "lab export RUN --what coefficients")
    export.add_argument("words", nargs="*", metavar="RUN", help="the run")
    export.add_argument("--what", choices=["coefficients"], default="coefficients", help="estimates, errors, z and p")

    _verb(verbs, "schema", _schema, "print the JSON schema of a config", "lab schema > configs/schema.json")
    return top


def _verb(
    verbs: "argparse._SubParsersAction[Parser]",
    name: str,
    run: Callable[[argparse.Namespace, Sequence[str]], int],
    what: str,
    example: str,
) -> argparse.ArgumentParser:
    made = verbs.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=f"example: {example}")
    made.set_defaults(verb=run)
    return made


def _train(options: argparse.Namespace, argv: Sequence[str]) -> int:
    if options.resume is not None and (options.words or options.dry_run):
        raise InputError("lab train: --resume RUN goes on with the run's own config; leave CONFIG and the rest out")
    if options.resume is None and not options.words:
        raise InputError("lab train: no config given; name one, as in `lab train configs/iris.yaml`")
    from lab import config as configs
    from lab import launch
    from lab.console import show, watching
    from lab.experiment import assemble, describe
    from lab.summary import Line, summarize

    if options.resume is not None:
        folder, config = launch.reopen(options.resume)
        experiment = assemble(config)
        with watching(config.steps) as watcher:
            run = launch.resume(folder, experiment, watcher)
    else:
        config = configs.load(options.words[0], options.words[1:])
        experiment = assemble(config)
        if options.dry_run:
            show([Line(what, figures) for what, figures in describe(experiment).items()])
            return 0
        with watching(config.steps) as watcher:
            run = launch.launch(experiment, options.runs, watcher, ["lab", *argv])
    sizes = describe(experiment)
    about = [Line(what, sizes[what]) for what in ("data", "notes") if what in sizes]
    show([*about, *summarize(run.path, run.folder.status(), run.metrics)])
    return launch.EXIT[run.status]


def _check(options: argparse.Namespace, argv: Sequence[str]) -> int:
    if options.new is not None:
        if options.words:
            raise InputError("lab check: --new FILE.py writes one file; leave the rest out")
        from lab.bench.template import write

        print(write(options.new))
        return 0
    from lab.checking import check

    return check(options.words, options.report)


def _derive(options: argparse.Namespace, argv: Sequence[str]) -> int:
    from lab.report.derive import derive

    return derive(options.words)


def _board(options: argparse.Namespace, argv: Sequence[str]) -> int:
    from lab.board import board

    board(options.words, root=options.runs, port=options.port, browser=not options.no_browser)
    return 0


def _runs(options: argparse.Namespace, argv: Sequence[str]) -> int:
    from lab.runs import list_runs

    for run in list_runs(options.runs):
        print(f"{run.status:<12} {run.path}  step {run.facts.get('step', '?')}")
    return 0


def _export(options: argparse.Namespace, argv: Sequence[str]) -> int:
    if len(options.words) != 1:
        raise InputError("lab export: name one run, as in `lab export runs/iris/…`; `lab runs` lists them")
    import csv

    from lab import coefficients, launch
    from lab.experiment import assemble

    folder, config = launch.reopen(options.words[0])
    experiment = assemble(config)
    theta = folder.load_checkpoint()[1]["theta"].to(experiment.theta)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["output", "feature", "estimate", "standard error", "z", "p"])
    for row in coefficients.of_run(experiment, theta):
        table.writerow([row.output, row.feature, row.estimate, row.error, row.z, row.p])
    return 0


def _schema(options: argparse.Namespace, argv: Sequence[str]) -> int:
    import json

    from lab.config import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0

"""The runs that a command speaks of, and `lab runs`, their table."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lab.errors import InputError
from lab.runs import find_runs, is_run, none_here
from lab.study.expression import parse
from lab.study.facts import Facts, differing, gather, known, select
from lab.study.table import table

ALWAYS = ("status", "step", "loss/train", "curvature/lambda_1")
MOST = 6  # keys that tell the runs apart: with more the table would be too wide to read


def found(words: Sequence[str], root: str) -> list[Facts]:
    """The runs at or below each of `words`, or below `root` where there are none.

    Raises: InputError where a word leads to no run.
    """
    for word in words:
        if not Path(word).is_dir():
            raise InputError(f"{word}: no such run or folder of runs; `lab runs` lists what is there")
        if not find_runs(word):
            raise none_here(word)
    return list({facts.run.path.resolve(): facts for word in words or [root] for facts in gather(word)}.values())


def broken(root: str | Path) -> Iterator[str]:
    """A line for each folder at or below `root` that has a run's metrics, and has lost what a run is known by."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if "metrics.jsonl" in files and not is_run(Path(folder)):
            lost = [name for name in ("config.yaml", "status.json") if name not in files]
            yield f"{folder}: left out, it has no {' and no '.join(lost)}"


def chosen(words: Sequence[str], root: str, where: str | None = None) -> list[Facts]:
    """Those that are `found` and meet the condition `where`.

    Raises: InputError where the condition cannot be read, or what it asks of some run cannot.
    """
    runs = found(words, root)
    kept = select(runs, where)
    for facts in runs:
        if facts.damage is not None:
            raise InputError(facts.damage)
    return kept


def listing(
    runs: Sequence[Facts], where: str | None, sort: str | None, columns: str | None, paths: bool
) -> Iterator[str]:
    """The lines of `lab runs`: a table of what was asked for, what tells the runs apart, and where they are."""
    if paths:
        yield from (str(run.run.path) for run in runs)
        return
    asked = [*(columns.split(",") if columns else ()), *([sort] if sort else ())]
    for name in asked:
        known(name, runs, "--columns")
    if not runs:
        return
    apart = differing(runs) if len({run.run.name for run in runs}) == 1 else []
    wanted = [*(parse(where).names() if where else ()), *asked, *(apart if len(apart) <= MOST else ())]
    names = list(dict.fromkeys([*ALWAYS, *wanted]))
    for run in runs:
        run.latest([name for name in names if name not in run.config])
    shown = [name for name in names if any(run.get(name) is not None for run in runs)]
    yield from table([*shown, "folder"], [[*(run.shown(name) for name in shown), str(run.run.path)] for run in runs])

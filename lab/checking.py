"""`lab check`: what its words mean, and the table of verdicts.

A word that ends in .py is a file of the user's; any other is a statement of the ledger, or one of the lab's losses.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab import catalog, console
from lab.errors import InputError, guess
from lab.referee import Verdict, Who

if TYPE_CHECKING:
    from lab.bench.judge import Subject
    from lab.identity import Finding

Row = tuple[str, Verdict]
Judged = tuple[str, "Subject", list[Verdict]]
COLUMNS = ("derivation", "what", "type", "verdict", "in units of rounding", "where", "what was seen")
WORDS = {
    Who.NOBODY: ("right", "green"),
    Who.TORCH: ("right", "green"),
    Who.OURS: ("WRONG", "bold red"),
    Who.UNTOLD: ("cannot be told", "magenta"),
}


def check(words: Sequence[str], report: str | None = None) -> int:
    """Judge what the words name, print it, and return 0 where all is right, 1 where something is not.

    Args: report the file of a page that is written too.
    Raises: InputError for a word that names nothing, a file with nothing to judge, a page that cannot be written.
    """
    losses, statements = catalog.names("losses"), catalog.names("identities")
    for word in words:
        if not word.endswith(".py") and word not in (*losses, *statements):
            raise InputError(f"lab check: {_unknown(word, (*losses, *statements))}")
    from lab.report import html, sheet

    place = None if report is None else sheet.writable(report, "--report")
    named = [word for word in words if word in statements]
    seen, judged = _judged(_subjects([word for word in words if word not in statements]))
    findings: dict[str, Finding] = {}
    codes, tallies = [0], list[str]()
    if named or not words:
        from lab import ledger

        findings = ledger.judge(named)
        codes.append(ledger.show(findings))
        tallies.append(ledger.tally(findings))
    if judged:
        rows = [(name, verdict) for name, _, verdicts in judged for verdict in verdicts]
        if sys.stdout.isatty():
            _table(rows)
        print(tally(rows))
        codes.append(1 if any(not verdict.passed for _, verdict in rows) else 0)
        tallies += [*seen, tally(rows)]
    if place is not None:
        page = html.page([*html.of_ledger(findings), *html.of_subjects(judged)], tallies)
        sheet.write(place, page, "--report")
    return max(codes)


def _unknown(word: str, known: Sequence[str]) -> str:
    if Path(word).is_dir():
        return f"{word} is a folder; name its files, as {Path(word) / '*.py'}"
    if Path(word).is_file():
        return f"{word} is no Python file; a file's name ends in .py"
    return f"unknown name {word!r}{guess(word, known)} (a file that ends in .py, a loss, or a statement)"


def _subjects(words: Sequence[str]) -> list[tuple[str, "Subject"]]:
    """What the files and losses of these names hold that can be judged."""
    if not words:
        return []
    from lab.bench import judge, userfile

    found: list[tuple[str, Subject]] = []
    for word in words:
        if word.endswith(".py"):
            found += userfile.subjects(Path(word))
        else:
            found.append((word, judge.subject(catalog.get("losses", word)())))
    return found


def _judged(found: Sequence[tuple[str, "Subject"]]) -> tuple[list[str], list[Judged]]:
    """What the inputs show of mistakes, proved before they are used; and the verdicts at them.

    Both are printed as they come, but for the verdicts on a terminal, which make a table in the end.
    """
    if not found:
        return [], []
    from lab.bench import judge, sighting

    seen, judged = list[str](), list[Judged]()
    with console.working() as say:
        for name, subject in found:
            say(f"{name}: which mistakes its inputs show")
            lines = list(sighting.lines(name, subject))
            print(*lines, sep="\n", end="\n" * bool(lines), flush=True)
            say(f"{name}: judging what was derived")
            verdicts = list(judge.verdicts(subject))
            if not sys.stdout.isatty():
                _lines(name, verdicts)
            seen += lines
            judged.append((name, subject, verdicts))
    return seen, judged


def _lines(name: str, verdicts: Sequence[Verdict]) -> None:
    """Print the verdicts in plain lines."""
    for verdict in verdicts:
        print(line(name, verdict))
        for more in verdict.diagnosis.splitlines():
            print(f"    {more}")
    sys.stdout.flush()


def tally(rows: Sequence[Row]) -> str:
    """The table's last line: how many of each verdict."""
    wrong = sum(not verdict.passed for _, verdict in rows)
    untold = sum(verdict.who is Who.UNTOLD for _, verdict in rows)
    parts = [f"{len(rows) - wrong - untold} right", f"{wrong} wrong"] + [f"{untold} cannot be told"] * bool(untold)
    return f"{len(rows)} judged: {', '.join(parts)}"


def line(name: str, verdict: Verdict) -> str:
    """A verdict in one plain line."""
    seen = verdict.what_was_seen()
    place = f" at {where(verdict)}" if where(verdict) else ""
    size = f", {figure(verdict)}" * bool(figure(verdict))
    return f"{name} {verdict.what}, {verdict.dtype}: {WORDS[verdict.who][0]}{size}{place}" + f"; {seen}" * bool(seen)


def figure(verdict: Verdict) -> str:
    """The verdict's figure in words; empty where there is none, as of a derivative that raises."""
    if not math.isfinite(verdict.ratio):
        return ""
    return f"{verdict.ratio:.2g} × rounding"


def where(verdict: Verdict) -> str:
    """The entry it was found at; empty where no entry is the one, as of a derivative that raises."""
    if verdict.where:
        return f"{verdict.tensor}[{', '.join(map(str, verdict.where))}]"
    return verdict.tensor * math.isfinite(verdict.ratio)


def _table(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*COLUMNS)
    for name, v in rows:
        word, colour = WORDS[v.who]
        seen = "\n".join(part for part in (v.what_was_seen(), v.diagnosis) if part)
        cells = (name, v.what, v.dtype, Text(word, colour), figure(v).removesuffix(" × rounding"), where(v), Text(seen))
        table.add_row(*cells)
    Console(highlight=False).print(table)

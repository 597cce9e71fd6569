"""`lab check`: what its words mean, and the table of verdicts.

A word that ends in .py is a file of the user's; any other is a statement of the ledger, or one of the lab's losses.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab import catalog
from lab.errors import InputError, suggest
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
            known = suggest(word, (*losses, *statements))
            raise InputError(f"lab check: unknown name {word!r}{known}; a file's name ends in .py")
    from lab.report import html

    if report is not None:
        html.writable(report)
    named = [word for word in words if word in statements]
    seen, judged = _judged([word for word in words if word not in statements])
    findings: dict[str, Finding] = {}
    codes, tallies = [0], list[str]()
    if named or not words:
        from lab import ledger

        findings = ledger.judge(named)
        codes.append(ledger.show(findings))
        tallies.append(ledger.tally(findings))
    if judged:
        rows = [(name, verdict) for name, _, verdicts in judged for verdict in verdicts]
        print(*seen, sep="\n")
        codes.append(show(rows))
        tallies += [*seen, tally(rows)]
    if report is not None:
        html.write(Path(report), [*html.of_ledger(findings), *html.of_subjects(judged)], tallies)
    return max(codes)


def _judged(words: Sequence[str]) -> tuple[list[str], list[Judged]]:
    """What the inputs show of mistakes, proved before they are used; and the verdicts at them."""
    if not words:
        return [], []
    from lab.bench import judge, sighting, userfile

    found: list[tuple[str, judge.Subject]] = []
    for word in words:
        if word.endswith(".py"):
            found += userfile.subjects(Path(word))
        else:
            found.append((word, judge.subject(catalog.get("losses", word)())))
    seen = [said for name, subject in found for said in sighting.lines(name, subject)]
    return seen, [(name, subject, list(judge.verdicts(subject))) for name, subject in found]


def show(rows: Sequence[Row]) -> int:
    """Print the verdicts, in a table on a terminal and in plain lines elsewhere; return the exit code."""
    if sys.stdout.isatty():
        _table(rows)
    else:
        for name, verdict in rows:
            print(line(name, verdict))
            for more in verdict.diagnosis.splitlines():
                print(f"    {more}")
    print(tally(rows))
    return 1 if any(not verdict.passed for _, verdict in rows) else 0


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
    return (
        f"{name} {verdict.what}, {verdict.dtype}: {WORDS[verdict.who][0]}, {figure(verdict)}{place}"
        + f"; {seen}" * bool(seen)
    )


def figure(verdict: Verdict) -> str:
    """The verdict's figure in words."""
    if not math.isfinite(verdict.ratio):
        return "no figure"
    return f"{verdict.ratio:.2g} × rounding"


def where(verdict: Verdict) -> str:
    """The entry it was found at."""
    return f"{verdict.tensor}[{', '.join(map(str, verdict.where))}]" if verdict.where else verdict.tensor


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

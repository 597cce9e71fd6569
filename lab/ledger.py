"""The ledger: every statement in lab/identities judged, and printed as a table."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping

import torch

from lab import catalog
from lab.identity import Finding, Identity, Judgement

SEED = 0  # every statement draws from a stream of its own, so that none moves another's figures
COLOURS = {
    Judgement.HOLDS: "green",
    Judgement.CONDITION: "cyan",
    Judgement.WRONG: "yellow",
    Judgement.UNTOLD: "magenta",
}
COLUMNS = ("statement", "source", "verdict", "evidence")


def judge(names: Iterable[str] = ()) -> dict[str, Finding]:
    """Judge the statements of these names, all of them by default, by source, heading and number.

    Raises: InputError for a name that lab/identities lacks.
    """
    known = list(names) or catalog.names("identities")
    statements: dict[str, Identity] = {name: catalog.get("identities", name)() for name in known}
    found = {name: each.judge(torch.Generator().manual_seed(SEED)) for name, each in statements.items()}
    return dict(sorted(found.items(), key=lambda item: _place(item[1])))


def check_ledger(names: Iterable[str] = ()) -> int:
    """Judge these statements and print their table; return as `show`."""
    return show(judge(names))


def show(findings: Mapping[str, Finding]) -> int:
    """Print the table of these statements; return 0 where every verdict is the expected one, 1 where one is not."""
    if sys.stdout.isatty():
        _show(findings)
    else:
        for name, finding in findings.items():
            print(*record(name, finding), sep="\n", end="\n\n")
    print(tally(findings))
    return 0 if all(finding.sound for finding in findings.values()) else 1


def record(name: str, finding: Finding) -> Iterator[str]:
    """Yield a statement's lines of the table in plain text."""
    yield f"{name}: {finding.statement}"
    yield f"  source    {finding.source}, {finding.heading}"
    yield f"  verdict   {verdict(finding)}"
    for each in finding.evidence:
        yield f"  evidence  {each}"
    if finding.remark:
        yield f"  remark    {finding.remark}"


def verdict(finding: Finding) -> str:
    """Return the verdict in words, and what is amiss where something is."""
    if finding.verdict is not finding.expected:
        return f"{finding.verdict}; EXPECTED: {finding.expected}"
    amiss = [each.what for each in finding.evidence if not each.as_it_should]
    return f"{finding.verdict}; BUT NOT SHOWN: {'; '.join(amiss)}" if amiss else str(finding.verdict)


def tally(findings: Mapping[str, Finding]) -> str:
    """Return the ledger's last line: how many statements of each verdict, and which are not as expected."""
    of = {each: [name for name, finding in findings.items() if finding.verdict is each] for each in Judgement}
    named = (Judgement.WRONG, Judgement.UNTOLD)
    words = ", ".join(
        _counted(len(names), each) + f" ({', '.join(names)})" * (each in named) for each, names in of.items() if names
    )
    amiss = [name for name, finding in findings.items() if not finding.sound]
    end = f"NOT AS EXPECTED: {', '.join(amiss)}" if amiss else "all as expected"
    return f"{len(findings)} statement{'s' * (len(findings) != 1)}: {words}; {end}"


def _counted(count: int, verdict: Judgement) -> str:
    if verdict is Judgement.UNTOLD:
        return f"of {count} {verdict}"
    return f"{count} {verdict if count == 1 else verdict.replace('holds', 'hold', 1)}"


def _place(finding: Finding) -> tuple[str, str]:
    """Where a statement stands, with numbers padded so that rule 10 comes after rule 9."""
    return finding.source, re.sub(r"\d+", lambda number: number[0].zfill(3), finding.heading)


def _show(findings: Mapping[str, Finding]) -> None:
    """Print the table on a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*COLUMNS, show_lines=True)
    for name, finding in findings.items():
        colour = COLOURS[finding.verdict] if finding.sound else "bold red"
        lines = [str(each) for each in finding.evidence] + [finding.remark] * bool(finding.remark)
        table.add_row(
            Text.assemble((name, "bold"), "\n", finding.statement),
            Text(f"{finding.source}, {finding.heading}"),
            Text(verdict(finding), colour),
            Text("\n".join(lines)),
        )
    Console(highlight=False).print(table)

"""`lab derive NAME`: a derivation's page in the terminal, headings and colours there, plain text elsewhere.

A page is laid out as the files of the open folders are: a first line that says what it is, and sections whose heading
stands at the margin, two spaces or more before its text, or on a line of its own above indented lines.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from lab.report.page import HEADING, Page, find, pages, source

if TYPE_CHECKING:
    from rich.console import Console

WIDEST = 120  # columns: what the pages are written for


@dataclass(frozen=True)
class Part:
    """A heading and lines below it; `style` is what a terminal makes of the lines, "python" a listing."""

    heading: str
    lines: tuple[str, ...]
    style: str = ""


def derive(words: Sequence[str]) -> int:
    """Print the pages of these names, or without one a list of all pages. Raises: InputError for an unknown name."""
    if not words:
        show_list()
    for page in [page for word in words for page in find(word)]:
        facts = list(_judged(page.name)) if page.kind == "identities" else []
        if sys.stdout.isatty():
            _show(page, facts)
        else:
            _print(page, facts)
    return 0


def _judged(name: str) -> Iterator[Part]:
    """What an identity's page has beyond its text: statement, source, code, and the verdict it gets here and now."""
    from lab import catalog, ledger

    finding, member = ledger.judge([name])[name], catalog.get("identities", name)
    yield Part("Statement", (finding.statement,), "bold")
    yield Part("From", (f"{finding.source}, {finding.heading}",))
    for method in ("claim", "mend"):
        if code := source(member, method):
            yield Part(method.capitalize(), tuple(code.splitlines()), "python")
    colour = ledger.COLOURS[finding.verdict] if finding.sound else "bold red"
    yield Part("Verdict", (ledger.verdict(finding),), colour)
    yield Part("Evidence", tuple(str(each) for each in finding.evidence))
    if finding.remark:
        yield Part("Remark", (finding.remark,))


def show_list(*kinds: str) -> None:
    """Print a line for each page of these open folders, of all of them by default."""
    width = min(shutil.get_terminal_size().columns, WIDEST) if sys.stdout.isatty() else sys.maxsize
    found = [page for page in pages() if not kinds or page.kind in kinds]
    column = max(len(page.name) for page in found)
    for kind, group in groupby(found, key=lambda page: page.kind):
        print(kind)
        for page in group:
            line = f"  {page.name:<{column}}  {page.title}"
            print(line if len(line) <= width else line[: width - 1] + "…")


def _print(page: Page, parts: list[Part]) -> None:
    print(page.text)
    for part in parts:
        print(f"\n{part.heading}", *(f"    {line}".rstrip() for line in part.lines), sep="\n")


def _show(page: Page, parts: list[Part]) -> None:
    from rich.console import Console
    from rich.syntax import Syntax
    from rich.text import Text

    console = Console(highlight=False, width=min(shutil.get_terminal_size().columns, WIDEST))
    first, *rest = page.text.splitlines()
    console.print(Text(first, "bold cyan"))
    for line in rest:
        _show_line(console, line)
    for part in parts:
        console.print(Text(f"\n{part.heading}", "bold"))
        if part.style == "python":
            console.print(Syntax("\n".join(part.lines), "python", theme="ansi_dark", background_color="default"))
            continue
        for line in part.lines:
            for piece in _wrapped(f"    {line}", 4, console.width):
                console.print(Text(piece, part.style))


def _show_line(console: "Console", line: str) -> None:
    from rich.text import Text

    matched = HEADING.fullmatch(line)
    lone = bool(re.fullmatch(r"[A-Z][\w –-]{2,18}", line))
    hang = len(line) - len(matched["rest"]) if matched else len(line) - len(line.lstrip())
    head = len(matched["heading"]) if matched else len(line) if lone else 0
    for number, piece in enumerate(_wrapped(line, hang, console.width)):
        text = Text(piece)
        if number == 0 and head:
            text.stylize("bold", 0, head)
        console.print(text)


def _wrapped(line: str, hang: int, width: int) -> list[str]:
    """The line in pieces no wider than `width`, all but the first indented by `hang`; spaces within are kept."""
    if len(line) <= width:
        return [line]
    indent = " " * min(hang, width // 2)
    return textwrap.wrap(line, width, subsequent_indent=indent, replace_whitespace=False, break_on_hyphens=False)

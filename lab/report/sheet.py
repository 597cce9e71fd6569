"""Pages of one file that ask nothing of the network: headings, tables, plots."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from lab.errors import InputError
from lab.files import write_text
from lab.report.plot import STYLE as PLOTS
from lab.study.table import ABSENT, cell

# Nothing is fetched, whatever a config or a message may hold; pictures are in the page itself.
POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2126;--soft:#5b6670;--line:#d9dfe5;--wash:#f5f7f9;
--good:#1b6ca8;--bad:#b3001b}
@media(prefers-color-scheme:dark){:root{--paper:#15191e;--ink:#e4e8ec;--soft:#97a3ae;--line:#313941;--wash:#1d2329;
--good:#6bb3e8;--bad:#ff7b86}}
*{box-sizing:border-box}
body{background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:76rem;
padding:1.5rem}
h1{margin:0;font-size:1.6rem}
h2{font-size:1.15rem;margin:1.6rem 0 .4rem;border-top:1px solid var(--line);padding-top:.8rem}
.made{color:var(--soft);font-size:.85rem}.good{color:var(--good)}.bad{color:var(--bad);font-weight:600}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(32rem,100%),1fr));gap:1rem 1.5rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem}
th,td{text-align:left;padding:.15rem .8rem .15rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.long td:not(:first-child){overflow-wrap:anywhere}
th{vertical-align:bottom}td.number:nth-child(2):last-child{text-align:left}
pre{background:var(--wash);border-radius:.4rem;padding:.6rem .8rem;overflow-x:auto;font-size:.8rem}
summary{cursor:pointer}
"""


def sheet(title: str, body: Sequence[str], made: str) -> str:
    """The page: a title, its parts, and a line that says what made it."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>{POLICY}'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{PLOTS}</style></head>\n<body>'
        f"<h1>{escape(title)}</h1><p class='made'>{escape(made)}</p>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading with what stands below it; nothing where nothing does."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>" if any(parts) else ""


def plots(*made: str) -> str:
    """Plots side by side."""
    return f'<div class="plots">{"".join(made)}</div>' if any(made) else ""


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; nothing where it has no rows. Numbers show six digits, and all of theirs when pointed at."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name).replace('/', '/<wbr>')}</th>" for name in header)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def folded(title: str, text: str) -> str:
    """Text that is shown when asked for."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def writable(place: str, option: str) -> Path:
    """Where a page is to go, before the work begins. Raises: InputError where it cannot."""
    path = Path(place)
    if place == "-":
        raise InputError(f"{option} -: a page is not printed; name a file, as in {option} report.html")
    if path.is_dir():
        raise InputError(f"{option}: {path} is a folder; name a file, as in {path / 'report.html'}")
    if not path.parent.is_dir():
        raise InputError(f"{option}: there is no folder {path.parent}; make it first")
    return path


def write(path: Path, page: str, option: str) -> None:
    """Write the page, whole or not at all. Raises: InputError where it cannot be written."""
    try:
        write_text(path, page)
    except OSError as error:
        raise InputError(f"{option}: {path} cannot be written ({error.strerror}); choose another place") from None


def _cell(value: Any) -> str:
    if value is None:
        return f"<td>{ABSENT}</td>"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="number" title="{escape(repr(value))}">{escape(cell(value))}</td>'
    return f"<td>{escape(cell(value))}</td>"

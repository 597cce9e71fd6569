"""`lab check --report out.html`: one page with everything in it, that asks nothing of the network.

An entry for each statement or derivation: its formula typeset, the verdict with its evidence and a picture of each
piece, the remark, and the code that was judged.
"""

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from lab import catalog, ledger
from lab.bench.judge import Subject
from lab.derivation import Derivation
from lab.evidence import Evidence, Role
from lab.identity import Finding, Judgement
from lab.provenance import versions
from lab.referee import Verdict, Who
from lab.report import heatmap
from lab.report.mathml import mathml
from lab.report.page import HEADING, source

MARKS = {Judgement.HOLDS: "✓", Judgement.CONDITION: "(✓)", Judgement.WRONG: "✗", Judgement.UNTOLD: "?"}
COUNTEREXAMPLE = "off as it should be: the condition is needed"
FAILED = "!"  # of what is not as it should be
FORMULAS = {"value", "gradient", "jacobian", "hessian", "product", "hvp", "jvp", "vjp", "diagonal", "backward"}


@dataclass(frozen=True)
class Entry:
    """What the page says of one statement or derivation; texts are plain, `formula` and the evidence's second MathML
    and SVG."""

    name: str
    mark: str
    verdict: str
    place: str
    formula: str
    remark: str
    evidence: tuple[tuple[str, str], ...]
    code: tuple[str, ...]


def of_ledger(findings: Mapping[str, Finding]) -> list[Entry]:
    """Make the entries of judged statements."""
    return [_entry(name, finding) for name, finding in findings.items()]


def of_subjects(judged: Iterable[tuple[str, Subject, Sequence[Verdict]]]) -> list[Entry]:
    """Make the entries of judged derivations: the claims of one class together."""
    groups: dict[str, tuple[Subject, list[Verdict]]] = {}
    for name, subject, verdicts in judged:
        groups.setdefault(name, (subject, []))[1].extend(verdicts)
    return [_derivation(name, subject, verdicts) for name, (subject, verdicts) in groups.items()]


def page(entries: Sequence[Entry], tallies: Sequence[str]) -> str:
    """Return the whole page as HTML."""
    said = "".join(f"<p>{escape(tally)}</p>" for tally in tallies)
    index = "".join(
        f'<li><a href="#{escape(each.name)}"><b class="mark {_colour(each)}">{each.mark}</b> '
        f"{escape(each.name)}</a></li>"
        for each in entries
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>lab check</title>{POLICY}'
        f'<meta name="viewport" content="width=device-width"><style>{_style()}</style></head>\n<body>'
        f"<header><h1>lab check</h1>{said}<p class='made'>{escape(versions())}</p>"
        f"{heatmap.legend()}</header>\n<nav><ul>{index}</ul></nav>\n"
        + "\n".join(map(_article, entries))
        + "\n</body></html>\n"
    )


def _entry(name: str, finding: Finding) -> Entry:
    member = catalog.get("identities", name)
    return Entry(
        name,
        MARKS[finding.verdict] if finding.sound else FAILED,
        ledger.verdict(finding),
        f"{finding.source}, {finding.heading}",
        mathml(finding.statement),
        finding.remark,
        tuple((str(each), _picture(each)) for each in finding.evidence),
        tuple(code for method in ("claim", "mend") if (code := source(member, method))),
    )


def _derivation(name: str, subject: Subject, verdicts: Sequence[Verdict]) -> Entry:
    wrong = sum(not verdict.passed for verdict in verdicts)
    untold = sum(verdict.who is Who.UNTOLD for verdict in verdicts)
    owner = subject.owner
    module = None if owner is None else sys.modules.get(owner.__module__)
    pages = [inspect.cleandoc(each.__doc__ or "") if each else "" for each in (owner, module)]
    found = [list(_formulas(text)) for text in pages]
    # The class's own page where it has one; a file of one derivation has it at its top.
    text, formulas = (pages[0], found[0]) if found[0] or not pages[1] else (pages[1], found[1])
    words = f"{wrong} of {len(verdicts)} wrong" if wrong else "right" + f", {untold} cannot be told" * bool(untold)
    return Entry(
        name,
        FAILED if wrong else MARKS[Judgement.UNTOLD if untold else Judgement.HOLDS],
        words,
        "" if module is None else Path(module.__file__ or "").name,
        "".join(f"<h3>{escape(heading)}</h3>{formula}" for heading, formula in formulas),
        "",
        tuple((str(each), "" if each.ratios is None else heatmap.heat_map(each.ratios)) for each in verdicts),
        () if owner is None else (text, _code(owner, subject.claims)),
    )


def _formulas(text: str) -> Iterator[tuple[str, str]]:
    """The headings of a page that stand before a formula, each with it typeset."""
    for line in text.splitlines():
        if (matched := HEADING.fullmatch(line)) and matched["heading"].lower() in FORMULAS:
            yield matched["heading"], mathml(matched["rest"])


def _code(owner: type, claims: Iterable[str]) -> str:
    """What was judged: a derivation's claims; all of a Function or a module."""
    if not issubclass(owner, Derivation):
        return inspect.getsource(owner).rstrip()
    return "\n\n".join(source(owner, method) for method in dict.fromkeys(("value", *claims)))


def _picture(evidence: Evidence) -> str:
    if evidence.ratios is not None:
        wanted = evidence.role is Role.OUTSIDE and evidence.as_it_should
        return heatmap.heat_map(evidence.ratios, COUNTEREXAMPLE if wanted else "")
    return "" if evidence.curve is None else heatmap.falling(evidence.curve)


def _article(entry: Entry) -> str:
    evidence = "".join(f"<li><span>{escape(text)}</span>{picture}</li>" for text, picture in entry.evidence)
    code = "".join(f"<pre><code>{escape(text)}</code></pre>" for text in entry.code)
    remark = f"<p class='remark'>{escape(entry.remark)}</p>" if entry.remark else ""
    return (
        f'<article id="{escape(entry.name)}"><h2>{escape(entry.name)} '
        f'<span class="verdict {_colour(entry)}">{entry.mark} {escape(entry.verdict)}</span></h2>'
        f'<div class="formula">{entry.formula}</div>'
        f"{remark}<ul class='evidence'>{evidence}</ul>{code}<p class='place'>{escape(entry.place)}</p></article>"
    )


def _colour(entry: Entry) -> str:
    names = {**dict(zip(MARKS.values(), ("holds", "condition", "wrong", "untold"), strict=True)), FAILED: "failed"}
    return names[entry.mark]


def _style() -> str:
    def palette(colours: Iterable[str]) -> str:
        return "".join(f".q{number}{{fill:{colour}}}" for number, colour in enumerate(colours))

    return f"{STYLE}{palette(heatmap.LIGHT)}@media(prefers-color-scheme:dark){{{NIGHT}{palette(heatmap.DARK)}}}"


# Nothing is fetched, whatever a docstring may hold.
POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2126;--soft:#5b6670;--line:#d9dfe5;--wash:#f5f7f9;
--holds:#1b6ca8;--condition:#0b7a75;--wrong:#a34700;--untold:#6b5b95;--failed:#b3001b}
*{box-sizing:border-box}
body{background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;
padding:1.5rem}
h1{margin:0;font-size:1.6rem}header p{margin:.2rem 0}
.made,.place,figcaption{color:var(--soft);font-size:.85rem}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1rem;font-size:.85rem;padding:.5rem 0}
.legend span{display:inline-flex;align-items:center;gap:.35rem}
nav ul{columns:14rem;list-style:none;padding:.8rem 1rem;background:var(--wash);border-radius:.5rem;font-size:.9rem}
nav a{color:inherit;text-decoration:none}nav a:hover{text-decoration:underline}
nav .mark{display:inline-block;width:1.6rem}
article{border-top:1px solid var(--line);padding:1rem 0}
h2{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem;margin:0;font-size:1.1rem}
.verdict{font-weight:600;font-size:.95rem}
.holds{color:var(--holds)}.condition{color:var(--condition)}.wrong{color:var(--wrong)}.untold{color:var(--untold)}
.failed{color:var(--failed)}
.formula{overflow-x:auto;padding:.8rem 0}
math{font-size:1.3rem;font-family:"STIX Two Math","Latin Modern Math","Cambria Math",math,serif}
h3{margin:.6rem 0 0;font-size:.85rem;color:var(--soft);font-weight:600}
.remark{margin:.5rem 0;font-style:italic}
.evidence{padding:0;list-style:none}
.evidence li{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.3rem 1.5rem;padding:.35rem 0;
border-top:1px dotted var(--line)}
.evidence li span{flex:1 1 22rem;white-space:pre-line}
figure{margin:0;max-width:100%;min-width:0}figure.plot{width:272px}figure svg{max-width:100%;height:auto;display:block}
svg circle.mark{fill:#000;stroke:#fff;stroke-width:.7}
.frame{fill:none;stroke:var(--line)}.noise{fill:none;stroke:var(--soft);stroke-dasharray:4 3}
pre{background:var(--wash);border-radius:.4rem;padding:.6rem .8rem;overflow-x:auto;font-size:.75rem;margin:.4rem 0}
"""
NIGHT = """:root{--paper:#15191e;--ink:#e4e8ec;--soft:#97a3ae;--line:#313941;--wash:#1d2329;
--holds:#6bb3e8;--condition:#5cc9c0;--wrong:#f2a25c;--untold:#b9a7e6;--failed:#ff7b86}"""

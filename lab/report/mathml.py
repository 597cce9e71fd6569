"""Formulas typeset: from the one-line Unicode notation of lab/identities to MathML, which browsers draw themselves.

A formula is a row of atoms with scripts. Letters side by side are a product (Ax is A times x), names of functions stand
upright, other runs of three letters or more are English. xᵀ, H_ij, A⁻¹, σ′ and X^T are scripts, theta is θ; a/b without
spaces around the stroke is a fraction of what touches it; Σ and ∏ with a subscript are a sum and a product. Nothing is
left out: a character that has no rule is set as it is.

Source  MathML Core, W3C, §3 (elements) and §3.2.4 (operators).
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

FUNCTIONS = {
    "cos",
    "curl",
    "det",
    "diag",
    "div",
    "exp",
    "log",
    "max",
    "min",
    "rank",
    "sin",
    "softmax",
    "tr",
    "Tr",
    "vol",
}
SHORT_WORDS = {"an", "as", "at", "by", "if", "in", "is", "it", "no", "of", "on", "or", "so", "to"}
NAMES = ("alpha", "beta", "gamma", "delta", "eta", "theta", "lambda", "mu", "rho", "sigma", "tau", "phi", "psi")
GREEK = dict(zip(NAMES, "αβγδηθλμρστφψ", strict=True))
CLOSING = {"(": ")", "[": "]", "{": "}", "|": "|"}
PREFIXES = "∂∇"  # operators that belong to what follows, and may stand in a fraction
LARGE = "Σ∏"
TOKEN = re.compile(r"(?P<space>\s+)|(?P<number>\d+(?:\.\d+)?)|(?P<own>'s\b)|(?P<run>[A-Za-z]+)|(?P<rest>.)", re.DOTALL)
MINUS = "<mo>−</mo>"
THIN = '<mspace width="0.17em"/>'


@dataclass(frozen=True)
class Atom:
    """A piece of a row: its MathML, and what it is: letter, number, word, function, operator, group or space."""

    kind: str
    xml: str


def mathml(formula: str) -> str:
    """Return a formula as a <math> element in display style, with the plain text as its label."""
    row = _row(_Reader(formula))
    return f'<math display="block" aria-label="{escape(formula)}"><mrow>{row}</mrow></math>'


class _Reader:
    """The tokens of a formula, read one by one."""

    def __init__(self, text: str) -> None:
        self._tokens = [(str(match.lastgroup), match[0]) for match in TOKEN.finditer(text)]
        self._at = 0

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self._at += 1
        return token


def _row(reader: _Reader, closing: str = "") -> str:
    """The MathML of what comes up to `closing`, which is taken too where it is there."""
    atoms: list[Atom] = []
    while reader.peek()[0] != "end" and reader.peek()[1] != (closing or None):
        atoms += _atoms(reader)
    return _spaced(_fractions(atoms))


def _atoms(reader: _Reader) -> list[Atom]:
    kind, text = reader.take()
    if kind == "space":
        return [Atom("space", "")]
    if kind == "run" and text.removeprefix("d") in GREEK:
        return [*[_letter("d")] * text.startswith("d"), _scripted(reader, _letter(GREEK[text.removeprefix("d")]))]
    if kind == "own":
        return [Atom("word", text)]
    if kind == "run" and text not in FUNCTIONS:
        if (len(text) > 2 and text[1:].islower()) or text in SHORT_WORDS:
            return [Atom("word", escape(text))]
        return [*(_letter(letter) for letter in text[:-1]), _scripted(reader, _letter(text[-1]))]
    if kind == "run":
        return [_scripted(reader, Atom("function", f"<mi>{text}</mi>"))]
    if kind == "number":
        return [_scripted(reader, Atom("number", f"<mn>{text}</mn>"))]
    if text in CLOSING:
        return [_scripted(reader, _group(reader, text))]
    if text in LARGE and _script_of(reader.peek()[1]) == "sub":
        return [_scripted(reader, Atom("large", f"<mo>{text.replace('Σ', '∑')}</mo>"))]
    return [
        _scripted(
            reader, _letter(text) if text.isalpha() else Atom("operator", f"<mo>{escape(text.replace('-', '−'))}</mo>")
        )
    ]


def _letter(text: str) -> Atom:
    return Atom("letter", f"<mi>{escape(text)}</mi>")


def _group(reader: _Reader, opening: str) -> Atom:
    """What stands in brackets; they grow with it."""
    closing = CLOSING[opening]
    inner = _row(reader, closing)
    if reader.peek()[1] != closing:  # it was never closed
        return Atom("operator", f"<mo>{opening}</mo>{inner}")
    reader.take()
    return Atom(
        "group", f'<mrow><mo form="prefix">{opening}</mo><mrow>{inner}</mrow><mo form="postfix">{closing}</mo></mrow>'
    )


def _script_of(text: str) -> str:
    """Whether a character is written as a subscript or a superscript: "sub", "super" or nothing."""
    if text in ("_", "^"):
        return {"_": "sub", "^": "super"}[text]
    if text in ("′", "″"):
        return "super"
    found = re.match(r"<(sub|super)>", unicodedata.decomposition(text)) if len(text) == 1 else None
    return found[1] if found else ""


def _scripted(reader: _Reader, base: Atom) -> Atom:
    """The base with the subscripts and superscripts that follow it."""
    scripts = {"sub": "", "super": ""}
    while place := _script_of(reader.peek()[1]):
        scripts[place] += _script(reader)
    sub, above = (f"<mrow>{scripts[place]}</mrow>" for place in ("sub", "super"))
    if not (scripts["sub"] or scripts["super"]):
        return base
    if base.kind == "large":
        return Atom("operator", f"<munder>{base.xml}{sub}</munder>")
    if not scripts["super"]:
        return Atom(base.kind, f"<msub>{base.xml}{sub}</msub>")
    if not scripts["sub"]:
        return Atom(base.kind, f"<msup>{base.xml}{above}</msup>")
    return Atom(base.kind, f"<msubsup>{base.xml}{sub}{above}</msubsup>")


def _script(reader: _Reader) -> str:
    """One script: a raised or lowered character, or what follows _ or ^: a run of letters, a number, {…}."""
    _, text = reader.take()
    if text not in ("_", "^"):
        plain = unicodedata.normalize("NFKD", text) if text not in ("′", "″") else text
        plain = plain.replace("\N{MINUS SIGN}", "−")
        tag = "mn" if plain.isdigit() else "mi" if plain.isalpha() else "mo"
        return f"<{tag}>{plain}</{tag}>"
    _, text = reader.take()
    if text == "{":
        inner = _row(reader, "}")
        reader.take()
        return inner
    return f"<mn>{text}</mn>" if text.isdigit() else "".join(f"<mi>{escape(letter)}</mi>" for letter in text)


def _fractions(atoms: Sequence[Atom]) -> list[Atom]:
    """The atoms with a/b made a fraction wherever something touches the stroke on both sides."""
    made: list[Atom] = []
    rest = list(atoms)
    while rest:
        atom = rest.pop(0)
        above, below = _run(made[::-1])[::-1], _run(rest)
        if atom.xml == "<mo>/</mo>" and above and below:
            del made[-len(above) :], rest[: len(below)]
            over, under = ("".join(each.xml for each in part) for part in (above, below))
            made.append(Atom("group", f"<mfrac><mrow>{over}</mrow><mrow>{under}</mrow></mfrac>"))
        else:
            made.append(atom)
    return made


def _run(atoms: Sequence[Atom]) -> list[Atom]:
    """The atoms from the first on that are multiplied together, without a space or an operator between them."""
    run: list[Atom] = []
    for atom in atoms:
        if atom.kind in ("space", "word") or (atom.kind == "operator" and not any(p in atom.xml for p in PREFIXES)):
            break
        run.append(atom)
    return run


def _spaced(atoms: Sequence[Atom]) -> str:
    """The atoms in a row: English with its spaces, a thin space where one was typed between factors."""
    xml = last = ""
    for before, atom, after in zip([None, *atoms], atoms, [*atoms[1:], None], strict=False):
        neighbours = {each.kind for each in (before, after) if each}
        if atom.kind == "word":
            xml += f"<mtext>{atom.xml}</mtext>"
        elif atom.xml == MINUS and last in ("", "operator"):
            xml += MINUS.replace("<mo>", '<mo form="prefix">')
        elif atom.kind != "space":
            xml += atom.xml
        elif "word" in neighbours:
            xml += "<mtext>\N{NO-BREAK SPACE}</mtext>"
        elif "operator" not in neighbours or any(p in (after.xml if after else "") for p in PREFIXES):
            xml += THIN
        last = atom.kind if atom.kind != "space" else last
    return xml

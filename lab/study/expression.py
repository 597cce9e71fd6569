"""Conditions on runs, as `optimizer.lr < 0.5 and status == 'finished'`: parsed here, never handed to Python.

    condition   = all {"or" all}            all = inverse {"and" inverse}       inverse = ["not"] … comparison
    comparison  = operand {("<" | "<=" | ">" | ">=" | "==" | "!=" | "in" | "not in") operand}
    operand     = number | 'text' | true | false | null | name | "[" operands "]" | "(" condition ")"

A name is what a run is asked for: `status`, a config's key (`optimizer.lr`), a tag (`curvature/lambda_1`, its last
value). `a < b < c` means both, as in mathematics. What a run does not have is null: it equals null alone, and is
neither below nor above anything. Numbers, texts and truth values are not compared with each other.
"""

import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from lab.errors import InputError

Value = Any  # a number, a text, a truth value, None, or a list of them
Look = Callable[[str], Value]  # the value of a name; raises KeyError, with the words for it, where there is none

TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<text>'[^']*'|"[^"]*")
    | (?P<name>[^\W\d]\w*(?:[./]\w+)*)
    | (?P<sign><=|>=|==|!=|[<>()\[\],+-])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
WORDS = {"true": True, "false": False, "null": None, "none": None}
RESERVED = {"and", "or", "not", "in"}
INSTEAD = {"=": "==", "&": "and", "|": "or", "!": "not"}
LONGEST = 30  # digits of a number that is kept whole
DEEPEST = 50  # brackets and nots inside each other


class Node(ABC):
    """A part of a condition; `at` is where it begins, counted from 0."""

    at: int

    @abstractmethod
    def value(self, look: Look) -> Value:
        """What it comes to. Raises: InputError, naming the column, where it cannot."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """The names in it, from left to right."""

    def holds(self, look: Look) -> bool:
        """Whether it is true; null is not. Raises: InputError where it is neither true nor false."""
        value = self.value(look)
        if value is not None and not isinstance(value, bool):
            _fail(self.at, f"{_kind(value)} is neither true nor false; compare it, as in `… == {value!r}`")
        return bool(value)


@dataclass(frozen=True)
class Literal(Node):
    """A number, text, truth value or null as written."""

    at: int
    written: Value

    def value(self, look: Look) -> Value:
        return self.written

    def names(self) -> Iterator[str]:
        return iter(())


@dataclass(frozen=True)
class Name(Node):
    """Something that a run is asked for."""

    at: int
    name: str

    def value(self, look: Look) -> Value:
        try:
            return look(self.name)
        except KeyError as error:
            _fail(self.at, str(error.args[0]))

    def names(self) -> Iterator[str]:
        yield self.name


@dataclass(frozen=True)
class Items(Node):
    """A list."""

    at: int
    items: tuple[Node, ...]

    def value(self, look: Look) -> Value:
        return [item.value(look) for item in self.items]

    def names(self) -> Iterator[str]:
        for item in self.items:
            yield from item.names()


@dataclass(frozen=True)
class Comparison(Node):
    """Operands with a sign between each two; every pair must hold."""

    at: int
    operands: tuple[Node, ...]
    signs: tuple[tuple[int, str], ...]

    def value(self, look: Look) -> Value:
        values = [operand.value(look) for operand in self.operands]
        pairs = zip(self.signs, values, values[1:], strict=False)
        return all([_compare(at, sign, left, right) for (at, sign), left, right in pairs])

    def names(self) -> Iterator[str]:
        for operand in self.operands:
            yield from operand.names()


@dataclass(frozen=True)
class Junction(Node):
    """Conditions joined by `and` or by `or`. All are looked at, so that a mistake in one does not hide."""

    at: int
    word: str
    parts: tuple[Node, ...]

    def value(self, look: Look) -> Value:
        held = [part.holds(look) for part in self.parts]
        return all(held) if self.word == "and" else any(held)

    def names(self) -> Iterator[str]:
        for part in self.parts:
            yield from part.names()


@dataclass(frozen=True)
class Inverse(Node):
    """`not` a condition."""

    at: int
    part: Node

    def value(self, look: Look) -> Value:
        return not self.part.holds(look)

    def names(self) -> Iterator[str]:
        return self.part.names()


def parse(text: str) -> Node:
    """Return the condition that `text` states. Raises: InputError, one line that names the column."""
    reader = _Reader(text)
    found = reader.condition(0)
    if reader.kind != "end":
        _fail(reader.at, f"unexpected {reader.token!r}; join conditions by and, or")
    return found


class _Reader:
    """Reads a condition from left to right, a token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._next = 0
        self.at, self.kind, self.token = 0, "", ""
        self.advance()

    def advance(self) -> None:
        matched = TOKEN.match(self._text, self._next)
        if matched is None:
            self.at = self._next + len(self._text[self._next :]) - len(self._text[self._next :].lstrip())
            self._refuse(self._text[self.at])
        self.kind = str(matched.lastgroup)
        self.token, self.at, self._next = matched[self.kind], matched.start(self.kind), matched.end()

    def _refuse(self, character: str) -> NoReturn:
        if character in "'\"":
            _fail(self.at, f"a text begins here and does not end; close it with {character}")
        if character in INSTEAD:
            _fail(self.at, f"unexpected {character!r}; write {INSTEAD[character]}")
        if character.isdigit():
            _fail(self.at, "not a number; write it as 0.5 or 1e-3, and a text in quotes")
        _fail(self.at, f"unexpected {character!r}; a condition is as optimizer.lr < 0.5 and status == 'finished'")

    def takes(self, *tokens: str) -> bool:
        """Whether the next token, no text, is one of these; it is then left behind."""
        if self.kind in ("sign", "name") and self.token in tokens:
            self.advance()
            return True
        return False

    def condition(self, depth: int) -> Node:
        return self._joined("or", lambda: self._joined("and", lambda: self.inverse(depth)))

    def _joined(self, word: str, part: Callable[[], Node]) -> Node:
        at, parts = self.at, [part()]
        while self.takes(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(at, word, tuple(parts))

    def inverse(self, depth: int) -> Node:
        at = self.at
        if depth > DEEPEST:
            _fail(at, f"nested more than {DEEPEST} deep; take some brackets out")
        return Inverse(at, self.inverse(depth + 1)) if self.takes("not") else self.comparison(depth)

    def comparison(self, depth: int) -> Node:
        at, operands, signs = self.at, [self.operand(depth)], []
        while sign := self.sign():
            signs.append(sign)
            operands.append(self.operand(depth))
        return Comparison(at, tuple(operands), tuple(signs)) if signs else operands[0]

    def sign(self) -> tuple[int, str] | None:
        at = self.at
        for sign in ("==", "!=", *ORDER, "in"):
            if self.takes(sign):
                return at, sign
        if self.takes("not"):
            if not self.takes("in"):
                _fail(self.at, "`in` is missing here: a not in […]")
            return at, "not in"
        return None

    def operand(self, depth: int) -> Node:
        at, kind, token = self.at, self.kind, self.token
        if self.takes("("):
            inner = self.condition(depth + 1)
            self._close(")", at)
            return inner
        if self.takes("["):
            return Items(at, tuple(self._items(depth + 1, at)))
        if self.takes("-", "+"):
            number = self.operand(depth + 1) if depth <= DEEPEST else None
            if not isinstance(number, Literal) or not _is_number(number.written):
                _fail(at, f"{token} stands before a number alone, as in {token}0.5")
            return Literal(at, -number.written if token == "-" else number.written)
        if kind in ("sign", "end") or token in RESERVED:
            found = "it ends" if kind == "end" else f"{token!r} stands"
            _fail(at, f"{found} where a name, a number or a 'text' is expected")
        self.advance()
        if kind == "number":
            return Literal(at, float(token) if re.search(r"[.eE]", token) or len(token) > LONGEST else int(token))
        if kind == "text":
            return Literal(at, token[1:-1])
        return Literal(at, WORDS[token.lower()]) if token.lower() in WORDS else Name(at, token)

    def _items(self, depth: int, at: int) -> Iterator[Node]:
        if depth > DEEPEST:
            _fail(at, f"nested more than {DEEPEST} deep; take some brackets out")
        while not self.takes("]"):
            yield self.operand(depth)
            if not self.takes(","):
                self._close("]", at)
                return

    def _close(self, bracket: str, opened: int) -> None:
        if not self.takes(bracket):
            _fail(self.at, f"{bracket!r} is missing here, for the bracket opened in column {opened + 1}")


def _compare(at: int, sign: str, left: Value, right: Value) -> bool:
    if sign in ("in", "not in"):
        if right is None or (isinstance(right, str) and left is None):
            return sign == "not in"
        if not (isinstance(right, list) or (isinstance(right, str) and isinstance(left, str))):
            _fail(at, f"{sign} needs a list, as in seed {sign} [0, 1], or two texts; {right!r} is {_kind(right)}")
        return (left in right) == (sign == "in")
    if left is None or right is None:
        return (left is right) == (sign == "==") if sign in ("==", "!=") else False
    if _kind(left) != _kind(right):
        _fail(at, f"{left!r} is {_kind(left)} and {right!r} is {_kind(right)}; compare like with like")
    if sign in ("==", "!="):
        return bool((left == right) == (sign == "=="))
    if isinstance(left, bool | list | dict):
        _fail(at, f"{_kind(left)} is neither above nor below another; write == or !=")
    return ORDER[sign](left, right)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "a truth value"
    if _is_number(value):
        return "a number"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, Sequence) else "a block"


def _fail(at: int, what: str) -> NoReturn:
    raise InputError(f"--where, column {at + 1}: {what}")

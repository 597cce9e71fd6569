"""Tables of plain text, aligned."""

import unicodedata
from collections.abc import Sequence
from typing import Any

ABSENT = "–"


def cell(value: Any) -> str:
    """A value in a table: six digits of a float, a dash for nothing."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(str(value).split())


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The lines of a table: numbers to the right, all else to the left."""
    texts = [list(header), *([cell(value) for value in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*texts, strict=True)]
    right = [all(_is_number(row[i]) or row[i] is None for row in rows) for i in range(len(header))]
    lines = []
    for row in texts:
        filled = [
            " " * (width - _width(text)) + text if to_right else text + " " * (width - _width(text))
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(filled).rstrip())
    return lines


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _width(text: str) -> int:
    """Columns of a terminal: a mark over a letter takes none, a wide sign two."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)

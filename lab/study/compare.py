"""Runs side by side: what was asked of each that differs, what came of it, and where their ways part."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.record import Row
from lab.runs import RunFolder, summary
from lab.study.facts import Facts, differing
from lab.study.table import cell, table
from lab.yamlfile import dotted

MOTION = ("loss/", "step/gradient_norm")  # tags that follow θ alone; others depend on what is measured, and of what
BEST = {"loss/": min, "accuracy/": max, "check/": max}  # of a check the worst, which is the largest
ORIGINS = ("data_sha256", "git.lab", "git.cwd", "packages", "torch", "python", "platform", "cpu")
_ENDS = ("/lower", "/upper", "/failure")


@dataclass(frozen=True)
class Parting:
    """The first step at which a tag of a run is not, to the bit, that of the first run. `step` None: it always is, at
    all of the `common` steps that have a tag in common.
    """

    common: int
    step: int | None = None
    tag: str = ""
    first: Any = None
    other: Any = None

    def __str__(self) -> str:
        if not self.common:
            return "have no step and tag in common"
        if self.step is None:
            return f"are the same to the bit at all {self.common} steps that both have"
        told = f"part at step {self.step}: {self.tag} is {_exact(self.first)} against {_exact(self.other)}"
        return told + _relative(self.first, self.other)


@dataclass(frozen=True)
class Comparison:
    """What tells runs apart. `config` and `origin` have, by dotted key, a value for each run; `last` and `best` have a
    value and (value, step) by tag; `motion` and `others` say where each further run parts from the first, by what
    follows θ alone, and by any other tag.
    """

    runs: tuple[Facts, ...]
    config: Mapping[str, tuple[Any, ...]]
    origin: Mapping[str, tuple[Any, ...]]
    last: Mapping[str, tuple[Any, ...]]
    best: Mapping[str, tuple[tuple[Any, int] | None, ...]]
    motion: tuple[Parting, ...]
    others: tuple[Parting, ...]


def compare(paths: Sequence[str | Path]) -> Comparison:
    """Compare the runs in these folders with the first of them. Raises: InputError where one is no run."""
    folders = [RunFolder.open(path) for path in paths]
    facts = [Facts(summary(folder.path)) for folder in folders]
    rows = [folder.metrics() for folder in folders]
    origins = [_origin(folder.path) for folder in folders]
    keys = [
        key
        for key in dict.fromkeys(key for each in origins for key in each)
        if _differ(each.get(key) for each in origins)
    ]
    tags = [tag for tag in dict.fromkeys(tag for run in rows for row in run for tag in row) if _is_figure(tag, rows)]
    return Comparison(
        tuple(facts),
        {key: tuple(run.config.get(key) for run in facts) for key in differing(facts)},
        {key: tuple(each.get(key) for each in origins) for key in keys},
        {tag: tuple(_last(run, tag) for run in rows) for tag in tags},
        {tag: tuple(_best(run, tag) for run in rows) for tag in tags if tag.startswith(tuple(BEST))},
        tuple(parting(rows[0], other, motion=True) for other in rows[1:]),
        tuple(parting(rows[0], other, motion=False) for other in rows[1:]),
    )


def parting(first: Sequence[Row], other: Sequence[Row], motion: bool) -> Parting:
    """Where two runs part by the tags that follow θ, or by the others."""
    after = {row["step"]: row for row in other}
    common = 0
    for row in first:
        there = after.get(row["step"], {})
        tags = [tag for tag in row if tag in there and tag != "step" and tag.startswith(MOTION) == motion]
        common += bool(tags)
        for tag in tags:
            if not _same(row[tag], there[tag]):
                return Parting(common, row["step"], tag, row[tag], there[tag])
    return Parting(common)


def letters(count: int) -> list[str]:
    """Short names for runs: A, B, … Z, A2, B2, …"""
    return [chr(65 + i % 26) + (str(i // 26 + 1) if i >= 26 else "") for i in range(count)]


def lines(found: Comparison) -> Iterator[str]:
    """The comparison as lines of text."""
    names = letters(len(found.runs))
    for name, run in zip(names, found.runs, strict=True):
        yield f"{name}  {run.run.path}  {run.run.status} after step {run.get('step')}"
    config = {key: tuple(run.setting(key) for run in found.runs) for key in found.config}
    for title, block in (("config", config), ("origin", found.origin)):
        yield ""
        if block:
            yield from table([title, *names], [[key, *map(_short, values)] for key, values in block.items()])
        else:
            yield f"{title}: no difference"
    yield ""
    for name, motion, others in zip(names[1:], found.motion, found.others, strict=True):
        if motion.step is None and others.step is not None:
            yield f"A and {name}, in loss and gradient, {motion}"
            yield f"A and {name}, in what else was measured, {others}"
        else:
            yield f"A and {name} {motion}"
    last = {tag: tuple(run.shown(tag) for run in found.runs) for tag in found.last}
    yield from _figures("last value", names, last)
    best = {tag: tuple(map(_at, ends)) for tag, ends in found.best.items()}
    yield from _figures("best, of a check the worst", names, best)


def _figures(title: str, names: Sequence[str], block: Mapping[str, tuple[Any, ...]]) -> Iterator[str]:
    """A table of the tags that tell the runs apart, and a line of those that do not."""
    alike = {tag: all(_same(values[0], value) for value in values[1:]) for tag, values in block.items()}
    if not all(alike.values()):
        yield ""
        yield from table([title, *names], [[tag, *values] for tag, values in block.items() if not alike[tag]])
    if any(alike.values()):
        told = ", ".join(f"{tag} {cell(values[0])}" for tag, values in block.items() if alike[tag])
        yield ""
        yield f"{title}, the same in all: {told}"


def _origin(path: Path) -> dict[str, Any]:
    """What provenance.json says of code, data and machine, by dotted key; nothing where it cannot be read."""
    try:
        told = json.loads((path / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in dotted(told) if key.startswith(ORIGINS)}


def _differ(values: Iterator[Any]) -> bool:
    return len({json.dumps(value, sort_keys=True) for value in values}) > 1


def _is_figure(tag: str, rows: Sequence[Sequence[Row]]) -> bool:
    values = [row[tag] for run in rows for row in run if tag in row]
    return tag != "step" and not tag.endswith(_ENDS) and all(isinstance(value, int | float) for value in values)


def _last(rows: Sequence[Row], tag: str) -> Any:
    return next((row[tag] for row in reversed(rows) if tag in row), None)


def _best(rows: Sequence[Row], tag: str) -> tuple[Any, int] | None:
    """The best value of a tag and its first step; nan is no value, unless there is no other."""
    pick = next(choose for start, choose in BEST.items() if tag.startswith(start))
    values = [(row[tag], row["step"]) for row in rows if tag in row]
    numbers = [pair for pair in values if not math.isnan(pair[0])]
    return pick(numbers, key=lambda pair: pair[0]) if numbers else values[0] if values else None


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


def _exact(value: Any) -> str:
    return repr(value) if isinstance(value, float) else cell(value)


def _relative(a: Any, b: Any) -> str:
    if not all(isinstance(x, int | float) and math.isfinite(x) for x in (a, b)) or not max(abs(a), abs(b)):
        return ""
    return f", a relative difference of {abs(a - b) / max(abs(a), abs(b)):.1e}"


def _at(end: tuple[Any, int] | None) -> str | None:
    return None if end is None else f"{cell(end[0])} (step {end[1]})"


def _short(value: Any) -> Any:
    text = cell(value)
    return value if len(text) <= 40 else f"{text[:39]}…"

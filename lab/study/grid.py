"""The runs that a sweep means: keys with several values, crossed (grid) or paired (zip).

On the command line `optimizer.lr=0.01,0.1,1 seed=0..4`: values between commas, of which those inside brackets or quotes
part nothing, and a range of whole numbers with both ends. In a file

    sweep:
      grid: {optimizer.lr: [0.01, 0.1, 1], seed: 0..4}     # every value of one with every value of the other
      zip: {ridge: [0, 0.1], init: [0.1, 1]}               # the first with the first, the second with the second

where grid and zip stand together, each pair is crossed with the grid. A key on the command line replaces the file's.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lab import config as configs
from lab.config import Config
from lab.errors import suggest
from lab.yamlfile import Node, Place, fail, merge, nested, overlay, whole

MOST = 10_000  # runs of one sweep
RANGE = re.compile(r"\s*(-?\d{1,18})\.\.(-?\d{1,18})\s*")
GROUPS = ("grid", "zip")
COMMAND = Place("command line")
Axes = dict[str, list[Node]]  # by dotted key: its values


@dataclass(frozen=True)
class Point:
    """One run of a sweep: its config, and the keys with several values as `key=value`."""

    label: str
    config: Config


def points(root: Node, words: Sequence[str], zipped: bool = False) -> list[Point]:
    """The runs that a config's tree and `key=a,b,c` words mean, each once. `zipped` pairs the words' values.

    Raises: InputError where a key or value is wrong, pairs do not match, or there are too many runs.
    """
    return expand(root, dict(axis(word) for word in words), zipped)


def expand(root: Node, asked: Axes, zipped: bool = False) -> list[Point]:
    """The runs that a config's tree and further axes mean; see `points`."""
    groups = _of_file(root)
    for group in groups.values():
        for key in asked:
            group.pop(key, None)
    groups["zip" if zipped else "grid"] |= asked
    _bounded(groups)
    common = Node({key: node for key, node in root.value.items() if key != "sweep"}, root.place)
    varied = [key for group in groups.values() for key, values in group.items() if len(values) > 1]
    found: dict[tuple[str, str, int], Point] = {}
    for setting in _settings(groups):
        changes = Node({}, COMMAND)
        for key, value in setting.items():
            changes = merge(changes, nested(key, whole(value)))
        config = configs.one(common, changes)
        label = " ".join(f"{key}={_shown(setting[key])}" for key in varied)
        found.setdefault((config.name, config.digest(), config.seed), Point(label, config))
    return list(found.values())


def axis(word: str) -> tuple[str, list[Node]]:
    """The key and the values of `key=a,b,c`. Raises: InputError where it is no such thing."""
    key, equals, text = word.partition("=")
    if not equals:
        fail(COMMAND, (), f"{word!r} is not a key with values; write key=a,b,c, as optimizer.lr=0.01,0.1,1")
    return key, list(itertools.chain.from_iterable(_values(key, part) for part in _parts(text)))


def _values(key: str, text: str) -> Iterator[Node]:
    if matched := RANGE.fullmatch(text):
        yield from _range(key, matched, COMMAND)
        return
    node = overlay([f"{key}={text}"])
    for name in key.split("."):
        node = node.value[name]
    yield node


def _range(key: str, matched: re.Match[str], place: Place) -> list[Node]:
    first, last = int(matched[1]), int(matched[2])
    if not 0 <= last - first < MOST:
        fail(place, (key,), f"the range {matched[0].strip()} has no number, or more than {MOST}; write it as 0..4")
    return [Node(value, place) for value in range(first, last + 1)]


def _parts(text: str) -> list[str]:
    """`text` at its commas outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        depth += (character in "[{") - (character in "]}") if not quote else 0
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _of_file(root: Node) -> dict[str, Axes]:
    """The axes of a config's sweep block."""
    block = root.value.get("sweep")
    groups: dict[str, Axes] = {group: {} for group in GROUPS}
    if block is None or block.value is None:
        return groups
    if not isinstance(block.value, dict):
        fail(block.place, ("sweep",), "must be a mapping, as {grid: {optimizer.lr: [0.1, 1], seed: 0..4}}")
    for name, node in block.value.items():
        if name not in GROUPS:
            fail(
                node.place, ("sweep", name), f"unknown key{suggest(name, GROUPS)}; keys of the config stand below them"
            )
        if not isinstance(node.value, dict):
            fail(node.place, ("sweep", name), "must be a mapping of keys to lists of values, as {seed: 0..4}")
        groups[name] = {key: _listed(key, values) for key, values in node.value.items()}
    return groups


def _listed(key: str, node: Node) -> list[Node]:
    if isinstance(node.value, dict) or node.value == []:
        fail(node.place, ("sweep", key), "must be a list of values, or a range as 0..4")
    found: list[Node] = []
    for item in node.value if isinstance(node.value, list) else [node]:
        matched = RANGE.fullmatch(item.value) if isinstance(item.value, str) else None
        found += _range(key, matched, item.place) if matched else [replace(item, empty=False)]
    return found


def _bounded(groups: Mapping[str, Axes]) -> None:
    """See to it that pairs match, and that the runs can be counted."""
    long = {key: values for key, values in groups["zip"].items() if len(values) > 1}
    if len({len(values) for values in long.values()}) > 1:
        counts = ", ".join(f"{key} has {len(values)}" for key, values in long.items())
        fail(COMMAND, ("zip",), f"{counts}: paired keys need as many values each, or one")
    runs = math.prod(len(values) for values in groups["grid"].values()) * max(
        map(len, groups["zip"].values()), default=1
    )
    if runs > MOST:
        fail(COMMAND, (), f"these are {runs} runs; a sweep has at most {MOST}")


def _settings(groups: Mapping[str, Axes]) -> Iterable[dict[str, Node]]:
    """Every combination: pairs outermost, then the grid's keys in their order, the last one fastest."""
    grid, paired = groups["grid"], groups["zip"]
    rows = max(map(len, paired.values()), default=1)
    for row in range(rows):
        pair = {key: values[row if len(values) > 1 else 0] for key, values in paired.items()}
        for combination in itertools.product(*grid.values()):
            yield {**pair, **dict(zip(grid, combination, strict=True))}


def _shown(node: Node) -> str:
    from lab.schema import shown

    value = node.plain()
    return value if isinstance(value, str) else shown(value)

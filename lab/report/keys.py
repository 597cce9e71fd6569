"""`lab keys PATH`: what the keys of a config are, out of its JSON schema, for a reader."""

import shutil
import textwrap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lab import blocks, config, schema
from lab.errors import InputError, guess

WIDEST = 100  # columns of text


@dataclass(frozen=True)
class Key:
    """A key of a config: what it says, what it must be, and the value it has where it is left out."""

    name: str
    says: str
    must: str = ""
    default: str = ""

    def lines(self, width: int) -> Iterator[str]:
        """`top = 5  (a whole number of at least 1)`, and below it what the key says."""
        first = self.name + (f" = {self.default}" if self.default else "") + (f"  ({self.must})" if self.must else "")
        yield from textwrap.wrap(first, width, subsequent_indent="  ", break_long_words=False)
        yield from textwrap.wrap(self.says, width, initial_indent="    ", subsequent_indent="    ")


@dataclass(frozen=True)
class Section:
    """A block of a config, or a kind of it: its dotted path, what there is to say of it, and its keys."""

    path: str
    about: str
    keys: tuple[Key, ...]

    def lines(self, width: int) -> Iterator[str]:
        """All of it."""
        yield from (*textwrap.wrap(self.about, width), "")
        for key in self.keys:
            yield from key.lines(width)


def show(path: str) -> int:
    """Print the keys at a dotted path, `probes.spectrum`; at none the top-level ones. Raises: InputError."""
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    print("\n".join(_at_path(path, list(_sections(config.json_schema()))).lines(width)))
    return 0


def _at_path(path: str, sections: list[Section]) -> Section | Key:
    """The section or the key of a path. Raises: InputError where there is none; it says which are alike."""
    named = {section.path: section for section in sections}
    if path in named:
        return named[path]
    keys = {f"{section.path}.{key.name}".lstrip("."): key for section in sections for key in section.keys}
    if path in keys:
        return keys[path]
    inside = [name for name in (*named, *keys) if name.endswith(f".{path}")]
    if len(inside) > 1:
        raise InputError(f"lab keys: no key {path!r} at the top; there are {', '.join(sorted(inside))}")
    meant = f"; did you mean {inside[0]!r}?" if inside else guess(path, {*named, *keys})
    raise InputError(f"lab keys: no key {path!r}{meant or ';'} `lab keys` lists them")


def _sections(made: Mapping[str, Any]) -> Iterator[Section]:
    """What there is to say of a config, block by block, out of its JSON schema."""
    properties, needed, blocked = made["properties"], made["then"]["required"], (*blocks.FOLDERS, "probes")
    keys = [_key(name, each, needed) for name, each in properties.items() if name not in blocked]
    more = [Key(name, f"{properties[name]['description']} `lab keys {name}` has more.") for name in blocked]
    yield Section("", "The keys of a config.", (*more, *keys))
    for block in blocks.FOLDERS:
        kinds = {}
        for each in (_meant(made, each) for each in properties[block]["anyOf"] if "$ref" in each):
            kind = each["properties"]["kind"]
            kinds[kind.get("const") or kind["enum"][0]] = each
        yield from _of(block, f"{properties[block]['description']} `{block}.kind` is one of:", kinds)
    probes = _meant(made, properties["probes"])["properties"]
    each = {name: _meant(made, next(one for one in model["anyOf"] if "$ref" in one)) for name, model in probes.items()}
    yield from _of("probes", f"{properties['probes']['description']} There are:", each)


def _of(block: str, about: str, kinds: Mapping[str, Any]) -> Iterator[Section]:
    yield Section(block, about, tuple(Key(kind, found["description"]) for kind, found in kinds.items()))
    for kind, found in kinds.items():
        own = {name: each for name, each in found["properties"].items() if name != "kind"}
        keys = tuple(_key(name, each, found.get("required", ())) for name, each in own.items())
        yield Section(f"{block}.{kind}", found["description"], keys)


def _meant(made: Mapping[str, Any], reference: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `$ref` of the schema stands for."""
    found: Mapping[str, Any] = made["$defs"][reference["$ref"].rpartition("/")[2]]
    return found


def _key(name: str, each: Mapping[str, Any], needed: Collection[str]) -> Key:
    must = ("needed: " if name in needed else "") + schema.words(each)
    return Key(name, each.get("description", ""), must, schema.shown(each["default"]) if "default" in each else "")

"""YAML files as trees that remember where each value was written, so that an error can name file and line.

`extends`, overrides and Python mappings become the same trees, and one rule merges them.
YAML is 1.2 (1e-3 is a number, `yes` is text).
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from lab.errors import InputError, near


@dataclass(frozen=True)
class Place:
    """Where a value was written."""

    source: str  # a file's path, "command line" or "config"
    line: int = 0  # from 1; 0 where there are no lines

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source

    @property
    def folder(self) -> Path:
        """What a relative path written here is relative to; the working directory where it is no file."""
        return Path(self.source).parent if self.line else Path()


@dataclass(frozen=True)
class Node:
    """A value and its place."""

    value: Any  # dict[str, Node], list[Node] or a scalar
    place: Place
    empty: bool = False  # nothing was written: `key:` and no more, which YAML takes for null
    instead: bool = False  # written whole, or begun by `key: {}`: it stands in place of what it is merged onto

    def plain(self) -> Any:
        """The value in plain dicts and lists."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value

    def at(self, path: Iterable[str]) -> "Node":
        """The node at `path`, or the deepest one on the way to it."""
        node = self
        for key in path:
            if not isinstance(node.value, dict) or key not in node.value:
                break
            node = node.value[key]
        return node


def fail(place: Place, path: Iterable[str], what: str) -> NoReturn:
    """Raise InputError with the line `place: dotted.path: what`."""
    dotted = ".".join(path)
    raise InputError(f"{place}: {dotted}: {what}" if dotted else f"{place}: {what}")


def read(path: Path) -> Node:
    """The mapping in a YAML file.

    Raises: InputError naming file and line.
    """
    root = _parse(text_of(path), str(path), lines=True)
    if root is None:
        raise InputError(f"{path}: the file is empty; a config needs keys such as data, loss, steps, optimizer")
    if not isinstance(root.value, dict):
        fail(root.place, (), "a config must be a mapping of keys to values, as 'steps: 100'")
    return root


def text_of(path: Path) -> str:
    """A file's text. Raises: InputError where it cannot be opened or is not UTF-8."""
    try:
        raw = path.read_bytes()
        return raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file{_neighbour(path)}") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; name a YAML file in it") from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened: {getattr(error, 'strerror', None) or error}") from None


def _neighbour(path: Path) -> str:
    """A guess at the YAML file that was meant: one beside it, or one of that name in configs."""
    for folder in (path.parent, path.parent / "configs"):
        named = folder / f"{path.stem}.yaml"
        if named.is_file():
            return f"; did you mean {str(named)!r}?"
    beside = {p.stem: str(p) for p in path.parent.glob("*.y*ml")} if path.parent.is_dir() else {}
    meant = near(path.stem, beside, 0.6)  # without the ending, which all of them have in common
    return f"; did you mean {beside[meant]!r}?" if meant else "; check the path"


def from_python(value: Any, place: Place) -> Node:
    """A tree from plain Python values: mappings, lists, tuples, scalars and paths."""
    if isinstance(value, Mapping):
        return Node({str(key): from_python(item, place) for key, item in value.items()}, place)
    if isinstance(value, list | tuple):
        return Node([from_python(item, place) for item in value], place)
    return Node(os.fspath(value) if isinstance(value, os.PathLike) else value, place)


def extended(root: Node, keep: Mapping[str, Collection[str]], chain: Sequence[Path] = ()) -> Node:
    """`root` merged onto the file that its `extends` names, and that file onto its own; without the key.

    Args: chain: the files on the way here, so that a circle is found.
    Raises: InputError at the line of `extends` where that file cannot be opened or closes a circle.
    """
    link = root.value.get("extends")
    if link is None:
        return root
    if not isinstance(link.value, str):
        fail(link.place, ("extends",), "must be the path of a YAML file")
    path = link.place.folder / link.value
    try:
        text_of(path)
    except InputError as error:
        fail(link.place, ("extends",), str(error))
    file = path.resolve()
    if file in chain:
        fail(link.place, ("extends",), f"{path} extends itself; take one 'extends' out of the circle")
    child = Node({key: node for key, node in root.value.items() if key != "extends"}, root.place)
    return merge(extended(read(path), keep, (*chain, file)), child, keep)


def merge(base: Node, child: Node, keep: Mapping[str, Collection[str]] | None = None, key: str = "") -> Node:
    """`child` over `base`, mapping by mapping.

    A mapping that changes its `kind` replaces the base's, of which only the keys in `keep[key]` stay: the fields of one
    kind mean nothing to another. With `keep` None nothing is replaced so. An empty mapping replaces too, and what
    is merged onto it in turn: `probes={}` says that there are none, and `probes={} probes.fit={}` that there is one.
    So does any mapping that an override or a sweep gives whole: `probes={fit: {}}` says that there is one, too.
    """
    if (
        not isinstance(base.value, dict)
        or not isinstance(child.value, dict)
        or child.instead
        or (key and not child.value)
    ):
        return child
    replaced = keep is not None and _kind(base) and _kind(child) and _kind(base) != _kind(child)
    kept = base.value
    if keep is not None and replaced:
        kept = {name: node for name, node in kept.items() if name in keep.get(key, ())}
    both = {name: merge(kept[name], node, keep, name) for name, node in child.value.items() if name in kept}
    # What is missing in a block that is merely overridden is missing from its file.
    place = child.place if replaced or child.place.line else base.place
    return Node({**kept, **child.value, **both}, place, instead=base.instead or bool(key and not base.value))


def _kind(node: Node) -> str | None:
    kind = node.value.get("kind")
    return str(kind.value).lower() if kind else None


def overlay(overrides: Sequence[str]) -> Node:
    """One tree out of overrides such as `optimizer.lr=0.5`, the later over the earlier; what is in braces is whole."""
    place = Place("command line")
    tree = Node({}, place)
    for text in overrides:
        dotted, equals, value = text.partition("=")
        if not equals:
            fail(place, (), f"{text!r} is not an override; write key=value, as optimizer.lr=0.5")
        try:
            node = _parse(value, place.source, lines=False)
        except InputError as error:
            fail(place, (dotted,), str(error).removeprefix(f"{place}: "))
        if node is None:
            fail(place, (dotted,), "has no value; write key=value, or key=null")
        tree = merge(tree, nested(dotted, whole(node)))
    return tree


def whole(node: Node) -> Node:
    """`node`, which if it is a mapping stands in place of what it is merged onto, as `probes={fit: {}}` does."""
    return replace(node, instead=isinstance(node.value, dict))


def nested(dotted: str, node: Node) -> Node:
    """The tree in which `node` stands at a dotted path."""
    keys = dotted.split(".")
    if not all(keys):
        fail(node.place, (), f"{dotted!r} is not a key that can be overridden; write it as optimizer.lr")
    if keys[0] == "extends":
        fail(node.place, (), f"{dotted!r} can stand in a config file only")
    for key in reversed(keys):
        node = Node({key: node}, node.place)
    return node


def dotted(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings with their dotted keys; an empty mapping is a leaf."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def dumped(plain: Mapping[str, Any]) -> str:
    """YAML text of plain values, in their order; reading it gives them back."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    out = StringIO()
    yaml.dump(plain, out)
    return out.getvalue()


def _parse(text: str, source: str, *, lines: bool) -> Node | None:
    """The tree of a YAML text, None where it is empty. Raises: InputError naming `source` and the line, if `lines`."""
    yaml = YAML(typ="safe", pure=True)

    def place(line: int) -> Place:
        return Place(source, line + 1 if lines else 0)

    try:
        root = yaml.compose(text)
        if yaml.resolver.processing_version not in (None, (1, 2)):
            fail(place(0), (), "a config is YAML 1.2; remove the line that begins with %YAML")
        return None if root is None else _Reader(yaml, place).node(root, place(root.start_mark.line), ())
    except ReaderError as error:
        fail(
            place(text.count("\n", 0, error.position)),
            (),
            f"character {chr(error.character)!r} is not allowed; remove it",
        )
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = " ".join(str(part) for part in (error.context, error.problem) if part)
        fail(place(mark.line if mark else 0), (), f"not YAML: {told}; check indentation, colons and quotes")
    except YAMLError as error:
        fail(place(0), (), f"not YAML: {error}")
    except RecursionError:
        fail(place(0), (), "nested too deeply")


class _Reader:
    """ruamel's node graph to ours. Its own constructor would lose the lines of scalars."""

    def __init__(self, yaml: YAML, place: Any) -> None:
        self.scalars = {
            "int": yaml.constructor.construct_yaml_int,
            "float": yaml.constructor.construct_yaml_float,
            "bool": lambda node: node.value.lower() == "true",
            "null": lambda node: None,
            # Plain text, such as 2024-01-31, << and =, of which YAML tools once made dates and worse.
            **dict.fromkeys(("str", "timestamp", "merge", "value"), lambda node: node.value),
        }
        self.place = place
        self.seen: set[int] = set()

    def node(self, node: Any, place: Place, path: tuple[str, ...]) -> Node:
        if isinstance(node, ScalarNode):
            return self.scalar(node, place, path)
        if id(node) in self.seen:  # rules out circles and exponential growth at once
            fail(place, path, "an alias of a mapping or list is not supported; write it out, or use extends")
        self.seen.add(id(node))
        if str(node.tag) not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self.refuse(node, place, path)
        if isinstance(node, SequenceNode):
            items = [self.node(item, self.place(item.start_mark.line), path) for item in node.value]
            return Node(items, place)
        return self.mapping(node, place, path)

    def mapping(self, node: MappingNode, place: Place, path: tuple[str, ...]) -> Node:
        found: dict[str, Node] = {}
        for key, value in node.value:
            here = self.place(key.start_mark.line)
            if not isinstance(key, ScalarNode):
                fail(here, path, "a key must be plain text")
            inner = (*path, key.value)
            if key.value in found:
                first = found[key.value].place
                fail(here, inner, f"duplicate key; remove one (the first is at {first})")
            found[key.value] = self.node(value, here, inner)
        return Node(found, place)

    def scalar(self, node: ScalarNode, place: Place, path: tuple[str, ...]) -> Node:
        read = self.scalars.get(str(node.tag).rpartition(":")[2])
        if read is None:
            self.refuse(node, place, path)
        try:
            return Node(read(node), place, empty=node.value == "" and not node.style)
        except (ValueError, OverflowError, IndexError):
            fail(place, path, f"{node.value[:40]!r} cannot be read as a number")

    def refuse(self, node: Any, place: Place, path: tuple[str, ...]) -> NoReturn:
        fail(place, path, f"the tag {str(node.tag)!r} is not supported; write a plain value")

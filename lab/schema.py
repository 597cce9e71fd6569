"""pydantic models made from the members of open folders, and their errors in a user's words."""

import ast
import dataclasses
import inspect
import json
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from lab import catalog
from lab.errors import guess, suggest
from lab.optimizer_schema import torch_fields, torch_kinds

STRICT = ConfigDict(
    extra="forbid", strict=True, frozen=True, validate_default=True, allow_inf_nan=False, protected_namespaces=()
)


class Block(BaseModel):
    """A mapping of a config whose keys are all known."""

    model_config = STRICT


def kinds(folder: str) -> tuple[str, ...]:
    """The kinds that a block may name: the folder's members, and for optimizers torch's as well."""
    own = catalog.names(folder)
    return own if folder != "optimizers" else tuple(sorted({*own, *torch_kinds()}))


def canonical(folder: str, kind: str) -> str | None:
    """The kind as it is written in kinds(folder), None where it is unknown; torch's are named in any case, as SGD."""
    if kind in catalog.names(folder):  # first, so that torch is only asked about what is not ours
        return kind
    return kind.lower() if folder == "optimizers" and kind.lower() in torch_kinds() else None


def block(
    folder: str,
    kind: str,
    base: type[Block] = Block,
    *,
    tagged: bool = True,
    says: Callable[[type[Any]], Mapping[str, str]] = lambda member: {},
) -> type[Block]:
    """The model of one kind's block: `base`'s keys, `kind` if `tagged`, and the member's own fields.

    Args: says what a member's fields are described by, as `described` has it, which takes too long to be read at each
    start. Raises: TypeError where a member's field would hide one of those keys.
    """
    texts: Mapping[str, str] = {}
    tag: dict[str, Any] = {"kind": (Literal[kind], ...)} if tagged else {}
    if folder == "optimizers" and kind not in catalog.names(folder):
        optimizer = torch_kinds()[kind]
        about, own = f"torch.optim.{optimizer.__name__}.", torch_fields(optimizer)
        tag = {"kind": (Literal[kind, optimizer.__name__], ...)}
    else:
        member = catalog.get(folder, kind)
        about, own, texts = _first_line(member), member_fields(member), says(member)
    if hidden := own.keys() & {*tag, *base.model_fields}:
        raise TypeError(f"lab/{folder}/{kind}.py: a field must not be called {', '.join(sorted(hidden))}")
    fields: dict[str, Any] = {
        name: (Annotated[_written(hint), Field(description=texts.get(name))], default)
        for name, (hint, default) in own.items()
    }
    return create_model(kind, __base__=base, __doc__=about, **tag, **fields)


def described(member: type[Any]) -> dict[str, str]:
    """What the text below each field of a member says of it, its bases' fields included."""
    found: dict[str, str] = {}
    for owner in reversed(member.__mro__):
        if dataclasses.is_dataclass(owner):
            (defined,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
            assert isinstance(defined, ast.ClassDef)
            for field, below in pairwise(defined.body):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    match below:
                        case ast.Expr(ast.Constant(str(text))):
                            found[field.target.id] = inspect.cleandoc(text)
    return found


def member_fields(member: type[Any]) -> dict[str, tuple[Any, Any]]:
    """A member's dataclass fields: name -> (type, default or `...`)."""
    hints = get_type_hints(member, include_extras=True)
    return {field.name: (hints[field.name], _default(field)) for field in dataclasses.fields(member) if field.init}


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return Field(default_factory=field.default_factory)
    return ... if field.default is dataclasses.MISSING else field.default


def _written(hint: Any) -> Any:
    """A field's hint as a config may write it: a list for a tuple, as YAML has none, and null for an empty mapping."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if get_origin(bare) is dict:
        return Annotated[hint | None, BeforeValidator(lambda value: {} if value is None else value)]
    choices = get_args(bare) if get_origin(bare) in (Union, UnionType) else (bare,)
    if not any(choice is tuple or get_origin(choice) is tuple for choice in choices):
        return hint
    return Annotated[hint, BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]


def _first_line(member: type[Any]) -> str:
    return (inspect.getdoc(member) or member.__name__).partition("\n")[0]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a config."""

    path: tuple[str, ...]
    what: str
    absent: bool = False  # told last: a missing key is often another one misspelt


def problems(
    error: ValidationError, model: type[BaseModel], raw: Any, top: Callable[[str], Iterable[str]] = lambda key: ()
) -> Iterator[Problem]:
    """pydantic's errors in the user's words, each at a key.

    Args: model: the model that refused `raw`; top: further keys that are allowed at the top where an unknown one is.
    """
    for item in error.errors(include_url=False):
        owner, path = _owner(model, item["loc"])
        key = path[-1]
        fields = _fields(owner)
        if key not in fields:
            allowed = {*fields, *top(key)} if owner is model else set(fields)
            home = next((dotted for dotted in _dotted(model) if dotted.endswith(f".{key}")), None)
            if owner is model and home:
                yield Problem(path, f"unknown key; did you mean {home!r}?")
            else:
                yield Problem(path, f"unknown key{suggest(key, allowed)}")
            continue
        properties = owner.model_json_schema(by_alias=True)["properties"]
        expected = words(properties[key])
        if item["type"] == "missing" and len(path) == len(item["loc"]):
            yield Problem(path, f"missing; it must be {expected}", absent=True)
        else:
            given = raw
            for part in path:
                given = given[part]
            if not _finite(given):
                expected = expected.replace("a number", "a finite number").replace("of numbers", "of finite numbers")
            yield Problem(path, f"must be {expected}, got {shown(given)}{_meant(given, properties[key])}")


def _meant(given: Any, schema: Mapping[str, Any]) -> str:
    """A guess at which of the texts that a value may be was meant."""
    texts = [text for choice in (schema, *schema.get("anyOf", ())) for text in choice.get("enum", ())]
    return guess(given, filter(lambda text: isinstance(text, str), texts)) if isinstance(given, str) else ""


def _finite(given: Any) -> bool:
    if isinstance(given, list | tuple):
        return all(map(_finite, given))
    return not isinstance(given, float) or math.isfinite(given)


def _owner(model: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[type[BaseModel], tuple[str, ...]]:
    """The innermost model on the way to an error, and the path as far as that model's key."""
    path: list[str] = []
    while True:
        path.append(str(loc[len(path)]))
        field = _fields(model).get(path[-1])
        inner = None if field is None or len(path) == len(loc) else _model_in(field.annotation)
        if inner is None:
            return model, tuple(path)
        model = inner


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _dotted(model: type[BaseModel]) -> Iterator[str]:
    """The dotted paths of a model's keys."""
    for key, field in _fields(model).items():
        yield key
        if inner := _model_in(field.annotation):
            yield from (f"{key}.{path}" for path in _dotted(inner))


def _model_in(hint: Any) -> type[BaseModel] | None:
    choices = (hint, *get_args(hint))
    return next((c for c in choices if inspect.isclass(c) and issubclass(c, BaseModel)), None)


def words(schema: Mapping[str, Any]) -> str:
    """What a value must be, out of its JSON schema."""
    if choices := schema.get("anyOf"):
        each = [words(choice) for choice in choices]
        return "".join(f"{one}{',' * one.startswith('a list of')} or " for one in each[:-1]) + each[-1]
    if "enum" in schema or "const" in schema:
        return " or ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if "pattern" in schema:
        return "text like " + " or ".join(schema["examples"]) if "examples" in schema else "text of another form"
    if "prefixItems" in schema:
        return f"a list of {len(schema['prefixItems'])} ({', '.join(words(item) for item in schema['prefixItems'])})"
    if schema.get("type") == "array":
        return "a list" + (f" of {_many(words(schema['items']))}" if schema.get("items") else "")
    return _NAMES.get(schema.get("type", ""), "a mapping, as {key: value}") + _bounds(schema)


def _many(words: str) -> str:
    """What each entry of a list must be, said of all."""
    for kind in ("whole number", "number"):
        words = words.replace(f"a {kind}", f"{kind}s")
    return words


_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}
_BOUNDS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
    "maximum": "of at most",
    "minLength": "of a length of at least",
    "maxLength": "of a length of at most",
}


def _bounds(schema: Mapping[str, Any]) -> str:
    if {"minimum", "maximum"} <= schema.keys():
        return f" from {_number(schema['minimum'])} to {_number(schema['maximum'])}"
    found = [f"{words} {_number(schema[key])}" for key, words in _BOUNDS.items() if key in schema]
    return f" {' and '.join(found)}" if found else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def for_files(made: dict[str, Any], blocks: Iterable[str]) -> dict[str, Any]:
    """A JSON schema of config files, out of that of whole configs: a file with `extends` may leave things out."""
    properties = dict(made["properties"])
    part = {"type": "object", "description": "Changes to the block of `extends`.", "not": {"required": ["kind"]}}
    for key in blocks:
        whole = dict(properties[key])
        choices = whole.pop("anyOf", None) or [{"$ref": whole.pop("$ref")}]
        properties[key] = {**whole, "anyOf": [*choices, part]}
    properties["extends"] = {"type": "string", "description": "A YAML file that this one is merged onto."}
    values = {"anyOf": [{"type": "array", "minItems": 1}, {"type": ["string", "number", "boolean", "null"]}]}
    axes = {"type": "object", "additionalProperties": values}
    properties["sweep"] = {
        "anyOf": [
            {
                "type": "object",
                "properties": {"grid": axes, "zip": axes},
                "additionalProperties": False,
            },
            {"type": "null"},
        ],
        "description": "For `lab sweep`: keys with lists of values, or a range as 0..4; grid crosses, zip pairs.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **{key: value for key, value in made.items() if key != "required"},
        "properties": properties,
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": made["required"], "properties": {key: {"required": ["kind"]} for key in blocks}},
    }


def shown(value: Any) -> str:
    """A value as the user would write it, on one line and cut to a length that can be read."""
    if isinstance(value, str):
        text = repr(value)
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            text = f"a Python {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."

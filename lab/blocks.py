"""The blocks of a config: which folder's members each may name, and what is wrong with what it names."""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt
from pydantic import Field

from lab import catalog, schema
from lab.errors import suggest
from lab.schema import Block, Problem
from lab.yamlfile import Node

FOLDERS = {"data": "datasets", "loss": "losses", "model": "models", "optimizer": "optimizers"}


class Preparation(Block):
    """What is done to any data set once it is loaded."""

    standardize: bool = Field(True, description="Scale columns to mean 0 and deviation 1 of the training rows.")
    intercept: bool = Field(True, description="Add a last column of ones.")
    validation: Annotated[float, Ge(0), Lt(1)] = Field(
        0.0, description="The fraction of rows held out; 0 trains on every row."
    )
    impute: Literal["mean", "median", "drop"] | None = Field(
        None, description="What fills a gap: mean or median of the training rows; drop leaves out the row."
    )


def common(block: str) -> tuple[str, ...]:
    """The keys of a block that belong to no kind."""
    return tuple(base(block).model_fields)


def base(block: str) -> type[Block]:
    """What all kinds of a block share."""
    return Preparation if block == "data" else Block


def choose(raw: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Each block's model by its kind, which is put into canonical form in `raw`; and what is wrong with the kinds."""
    models: dict[str, Any] = {}
    found = []
    for key, folder in FOLDERS.items():
        block = raw.get(key)
        kind = block.get("kind") if isinstance(block, dict) else block
        name = schema.canonical(folder, kind) if isinstance(kind, str) else None
        if isinstance(block, dict) and name is not None:
            models[key] = schema.block(folder, name, base(key))
            block["kind"] = name
            continue
        known = schema.kinds(folder)
        if key not in raw:
            what = f"missing; add a block, as {{kind: {known[0]}}}{suggest('', known)}"
            found.append(Problem((key,), what, absent=True))
        elif not isinstance(block, dict):
            what = f"must be a mapping, as {{kind: {name or known[0]}}}, got {schema.shown(block)}"
            found.append(Problem((key,), what))
        elif "kind" not in block:
            found.append(Problem((key, "kind"), f"missing; say which{suggest('', known)}", absent=True))
        else:
            found.append(Problem((key, "kind"), f"unknown kind {schema.shown(kind)}{suggest(str(kind), known)}"))
    return models, found


def named_probes(root: Node) -> tuple[list[str], list[Problem]]:
    """The probes that are switched on, and what is wrong with their names."""
    node = root.value["probes"]
    if node.value is None:
        return [], [Problem(("probes",), "empty; write {} for no probe, or leave the key out for the usual ones")]
    if not isinstance(node.value, dict):
        return [], []
    known = catalog.names("probes")
    found = [
        Problem(("probes", name), f"unknown probe{suggest(name, known)}") for name in node.value if name not in known
    ]
    found += [
        Problem(("probes", name), "empty; write {} to use its defaults, or null to switch it off")
        for name, probe in node.value.items()
        if probe.empty
    ]
    return [name for name, probe in node.value.items() if name in known and probe.value is not None], found


def theorem_names(root: Node) -> list[Problem]:
    """What is wrong with the names of theorems."""
    names, known = root.plain().get("theorems", []), catalog.names("theorems")
    given = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    unknown = [name for name in given if name not in known]
    twice = [name for name in given if given.count(name) > 1]
    found = [Problem(("theorems",), f"unknown theorem {schema.shown(name)}{suggest(name, known)}") for name in unknown]
    return found + [Problem(("theorems",), f"{schema.shown(name)} is there twice; once is enough") for name in twice]

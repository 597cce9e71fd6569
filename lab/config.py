"""Config: what a run is, read from YAML or a mapping, typed, complete, and said to be wrong in one line.

The top-level keys are the fields of `Config`; a block's keys are the fields of the member that its `kind` names.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_type_hints, overload

from annotated_types import Ge, Le, Lt
from pydantic import Field, ValidationError, create_model

from lab import catalog, schema
from lab.errors import InputError, suggest
from lab.optimizer_schema import torch_kinds, try_options
from lab.schema import Block, Problem
from lab.yamlfile import Node, Place, dumped, extended, fail, from_python, merge, nested, overlay, read

if TYPE_CHECKING:
    from lab.dataset import Dataset
    from lab.loss import Loss
    from lab.model import Model
    from lab.probe import Probe

FOLDERS = {"data": "datasets", "loss": "losses", "model": "models", "optimizer": "optimizers"}


class Preparation(Block):
    """What is done to any data set once it is loaded."""

    standardize: bool = Field(True, description="Scale columns to mean 0 and deviation 1 of the training rows.")
    intercept: bool = Field(True, description="Add a last column of ones.")
    validation: Annotated[float, Ge(0), Lt(1)] = Field(
        0.0, description="The fraction of rows held out; 0 trains on every row."
    )


class Config(Block):
    """A training run of the lab.

    `data`, `loss`, `model` and `optimizer` are mappings of a `kind` and its options, with every default filled in.
    """

    name: str = Field(
        "config", pattern=r"^[\w+-][\w.+ -]*$", examples=["iris", "iris-newton_2"], description="The runs' folder."
    )
    seed: Annotated[int, Ge(0), Le(2**32 - 1)] = Field(0, description="Of the split, the start and the batches.")
    dtype: Literal["float64", "float32"] = Field("float64", description="The precision of every number.")
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", examples=["cpu", "cuda", "cuda:0"], description="Where.")
    data: dict[str, Any] = Field(description="The data set, and what is done to it.")
    loss: dict[str, Any] = Field(description="The loss, of logits and targets.")
    model: dict[str, Any] = Field({"kind": "linear"}, description="The model, from parameters to logits.")
    ridge: Annotated[float, Ge(0)] = Field(0.0, description="ρ in ρ/2 ‖θ‖², added to the mean loss.")
    ridge_intercept: bool = Field(False, description="Let the ridge shrink the intercept too.")
    init: Annotated[float, Ge(0)] = Field(0.0, description="Standard deviation of the normal start; 0 starts at zeros.")
    steps: Annotated[int, Ge(1)] = Field(description="How many steps to train.")
    batch_size: Annotated[int, Ge(1)] | None = Field(None, description="Rows a step; null takes all of them.")
    optimizer: dict[str, Any] = Field(description="The optimizer: the lab's own, or any of torch.optim by name.")
    probe_blocks: dict[str, dict[str, Any]] = Field(
        {name: {} for name in ("fit", "gradient", "hvp", "hessian", "spectrum", "descent")},
        alias="probes",
        description="What is measured; null switches one off.",
    )
    twin: Literal["autograd"] | None = Field(None, description="Train a second copy by autograd, in lockstep.")
    theorems: list[str] = Field([], description="What the run is held against, when it has ended: lab/theorems.")
    checkpoint_every: Annotated[int, Ge(1)] = Field(100, description="Steps from one checkpoint to the next.")

    @overload
    def build(self, block: Literal["data"]) -> "Dataset": ...
    @overload
    def build(self, block: Literal["loss"]) -> "Loss": ...
    @overload
    def build(self, block: Literal["model"]) -> "Model": ...
    def build(self, block: Literal["data", "loss", "model"]) -> Any:
        """The member that a block names, made from the block's fields."""
        fields: dict[str, Any] = getattr(self, block)
        own = {key: value for key, value in fields.items() if key not in {"kind", *_common(block)}}
        return catalog.get(FOLDERS[block], fields["kind"])(**own)

    @property
    def probes(self) -> "dict[str, Probe]":
        """The probes by name, made from their fields."""
        return {name: catalog.get("probes", name)(**fields) for name, fields in self.probe_blocks.items()}

    def resolved(self) -> dict[str, Any]:
        """The whole config in plain values: every default, no `extends`, absolute paths. Loading it gives `self`."""
        plain: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        return plain

    def dump(self) -> str:
        """The YAML text of `resolved()`."""
        return dumped(self.resolved())

    def digest(self) -> str:
        """10 hex digits that name what is run, apart from the run's name and seed."""
        plain = {key: value for key, value in self.resolved().items() if key not in ("name", "seed")}
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:10]


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file; `overrides` such as `optimizer.lr=0.5` go over it.

    Raises: InputError, one line `file:line: dotted.path: what; what to do`.
    """
    path = Path(path)
    root = extended(read(path), _KEEP, (path.resolve(),))
    name = re.sub(r"^[^\w+-]|[^\w.+ -]", "-", path.stem)
    return _validated(merge(_defaults(root, name), overlay(overrides), _KEEP))


def from_mapping(mapping: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Config:
    """Make a config of plain Python values; `overrides` such as `{"optimizer.lr": 0.5}` go over it.

    Raises: InputError, one line `config: dotted.path: what; what to do`.
    """
    place = Place("config")
    if not isinstance(mapping, Mapping):
        fail(place, (), f"must be a mapping of keys to values, got {schema.shown(mapping)}")
    try:
        root = extended(from_python(mapping, place), _KEEP)
        tree = Node({}, place)
        for dotted, value in (overrides or {}).items():
            tree = merge(tree, nested(dotted, from_python(value, place)))
    except RecursionError:
        fail(place, (), "nested too deeply")
    return _validated(merge(_defaults(root, "config"), tree, _KEEP))


def made_of(config: str | Path | Mapping[str, Any], overrides: Mapping[str, Any]) -> Config:
    """Make the config of a file or a mapping, with `overrides` over it, nested ones merged.

    Raises: InputError as `load` and `from_mapping` do.
    """
    if isinstance(config, Mapping):
        return from_mapping(config, dict(_dotted(overrides)))
    return load(config, [f"{key}={json.dumps(value)}" for key, value in _dotted(overrides)])


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a config file, with every kind of every block."""
    models: dict[str, Any] = {}
    for key, folder in FOLDERS.items():
        choices = tuple(schema.block(folder, kind, _base(key)) for kind in schema.kinds(folder))
        models[key] = Union[choices]  # noqa: UP007
    made = _model(models, catalog.names("probes")).model_json_schema(by_alias=True)
    return schema.for_files(made, tuple(FOLDERS))


def _common(block: str) -> tuple[str, ...]:
    """The keys of a block that belong to no kind."""
    return tuple(_base(block).model_fields)


def _base(block: str) -> type[Block]:
    return Preparation if block == "data" else Block


_KEEP = {block: _common(block) for block in FOLDERS}


def _defaults(root: Node, name: str) -> Node:
    """`root` over the keys whose default is a tree, so that an override can change part of it."""
    fields = {field.alias or key: field.default for key, field in Config.model_fields.items()}
    defaults = {"name": name} | {key: value for key, value in fields.items() if isinstance(value, dict)}
    missing = {key: from_python(value, root.place) for key, value in defaults.items() if key not in root.value}
    return Node({**missing, **root.value}, root.place)


def _model(blocks: Mapping[str, Any], probes: Sequence[str]) -> type[Config]:
    """`Config` with models in place of mappings: `blocks` by key, and the named probes."""
    each: dict[str, Any] = {name: (schema.block("probes", name, tagged=False) | None, None) for name in probes}
    models = {**blocks, "probe_blocks": create_model("Probes", __base__=Block, **each)}
    models["theorems"] = list[Literal[catalog.names("theorems")]]  # type: ignore[misc]
    fields: dict[str, Any] = {key: (model, Config.model_fields[key]) for key, model in models.items()}
    return create_model("Config", __base__=Config, __doc__=Config.__doc__, **fields)


def _validated(root: Node) -> Config:
    """The config that a tree means. Raises: InputError for the first problem by line, missing keys last."""
    raw = root.plain()
    blocks, found = _choose(raw)
    probes, wrong = _named_probes(root)
    found += wrong + _theorem_names(root)
    if isinstance(raw["probes"], dict):
        raw["probes"] = {name: raw["probes"][name] for name in probes}
    model = _model(blocks, probes)
    try:
        made = model.model_validate(raw)
    except ValidationError as error:
        found += schema.problems(error, model, raw, ["extends"])
    if found:
        first = min(found, key=lambda p: (p.absent, root.at(p.path).place.line, p.path))
        fail(root.at(first.path).place, first.path, first.what)
    plain = made.model_dump(by_alias=True)
    plain["data"] = _absolute(plain["data"], root.at(["data"]))
    config = Config.model_validate(plain)
    _rehearse(config, root)
    return config


def _choose(raw: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Each block's model by its kind, which is put into canonical form in `raw`; and what is wrong with the kinds."""
    models: dict[str, Any] = {}
    found = []
    for key, folder in FOLDERS.items():
        block = raw.get(key)
        kind = block.get("kind") if isinstance(block, dict) else block
        name = schema.canonical(folder, kind) if isinstance(kind, str) else None
        if isinstance(block, dict) and name is not None:
            models[key] = schema.block(folder, name, _base(key))
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


def _named_probes(root: Node) -> tuple[list[str], list[Problem]]:
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


def _theorem_names(root: Node) -> list[Problem]:
    """What is wrong with the names of theorems."""
    names = root.plain().get("theorems", [])
    known = catalog.names("theorems")
    given = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    unknown = [name for name in given if name not in known]
    twice = [name for name in given if given.count(name) > 1]
    found = [Problem(("theorems",), f"unknown theorem {schema.shown(name)}{suggest(name, known)}") for name in unknown]
    return found + [Problem(("theorems",), f"{schema.shown(name)} is there twice; once is enough") for name in twice]


def _absolute(data: dict[str, Any], node: Node) -> dict[str, Any]:
    """`data` with its paths absolute; a relative one starts from the folder of the file in which it was written."""
    from lab.dataset import DataPath

    hints = get_type_hints(catalog.get("datasets", data["kind"]), include_extras=True)
    paths = {key for key, hint in hints.items() if DataPath in (hint, *get_args(hint))}
    return {
        key: os.path.abspath(node.at([key]).place.folder / value) if key in paths and value is not None else value
        for key, value in data.items()
    }


def _rehearse(config: Config, root: Node) -> None:
    """Make each member once, for what only it can tell: options that are wrong together. Raises: InputError."""
    kind, options = config.optimizer["kind"], {k: v for k, v in config.optimizer.items() if k != "kind"}
    makers: dict[tuple[str, ...], Callable[[], Any]] = {
        ("data",): lambda: config.build("data"),
        ("loss",): lambda: config.build("loss"),
        ("model",): lambda: config.build("model"),
        ("probes",): lambda: config.probes,
        ("optimizer",): lambda: try_options(kind, options) if kind in torch_kinds() else None,
    }
    for path, make in makers.items():
        try:
            make()
        except (InputError, ValueError) as error:
            fail(root.at(path).place, path, str(error))


def _dotted(nested: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """A nested mapping as dotted keys with their values; an empty mapping stays a value."""
    pairs: list[tuple[str, Any]] = []
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            pairs += _dotted(value, f"{prefix}{key}.")
        else:
            pairs.append((prefix + key, value))
    return pairs

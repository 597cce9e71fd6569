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

from annotated_types import Ge, Le
from pydantic import Field, ValidationError, create_model

from lab import blocks, catalog, schema
from lab.errors import InputError
from lab.optimizer_schema import torch_kinds, try_options
from lab.schema import Block
from lab.yamlfile import Node, Place, dotted, dumped, extended, fail, from_python, merge, nested, overlay, read

if TYPE_CHECKING:
    from lab.dataset import Dataset
    from lab.loss import Loss
    from lab.model import Model
    from lab.probe import Probe

# The probes of a config that names none: numbers, and pictures for the eye.
MEASURED = ("fit", "gradient", "hvp", "hessian", "spectrum", "descent", "ceiling")
SHOWN = ("histograms", "hessian_map", "eigenvectors", "landscape", "waterfall")


class Config(Block):
    """A training run of the lab.

    `data`, `loss`, `model` and `optimizer` are mappings of a `kind` and its options, with every default filled in.
    """

    name: str = Field(
        "config",
        pattern=r"^[\w+-][\w.+ -]*$",
        examples=["iris", "iris-newton_2"],
        description="Of the folder that its runs lie in; the file's own, unless told otherwise.",
    )
    seed: Annotated[int, Ge(0), Le(2**32 - 1)] = Field(0, description="Of the split, the start and the batches.")
    dtype: Literal["float64", "float32"] = Field("float64", description="The precision of every number.")
    device: str = Field(
        "cpu",
        pattern=r"^(cpu|cuda(:\d+)?)$",
        examples=["cpu", "cuda", "cuda:0"],
        description="Where all of it is computed.",
    )
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
        {name: {} for name in (*MEASURED, *SHOWN)},
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
        own = {key: value for key, value in fields.items() if key not in {"kind", *blocks.common(block)}}
        return catalog.get(blocks.FOLDERS[block], fields["kind"])(**own)

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
    return one(tree(path), overlay(overrides))


def from_mapping(mapping: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Config:
    """Make a config of plain Python values; `overrides` such as `{"optimizer.lr": 0.5}` go over it.

    Raises: InputError, one line `config: dotted.path: what; what to do`.
    """
    if not isinstance(mapping, Mapping):
        fail(Place("config"), (), f"must be a mapping of keys to values, got {schema.shown(mapping)}")
    try:
        return one(tree(mapping), _overlay(overrides or {}, "config"))
    except RecursionError:
        fail(Place("config"), (), "nested too deeply")


def _overlay(overrides: Mapping[str, Any], source: str) -> Node:
    """One tree out of values by dotted key."""
    place = Place(source)
    changes = Node({}, place)
    for key, value in overrides.items():
        changes = merge(changes, nested(key, from_python(value, place)))
    return changes


def tree(config: str | Path | Mapping[str, Any]) -> Node:
    """What a config file or a mapping says, with all that it extends and the defaults that are trees; not validated."""
    if isinstance(config, Mapping):
        return _defaults(extended(from_python(config, Place("config")), _KEEP), "config")
    path = Path(config)
    name = re.sub(r"^[^\w+-]|[^\w.+ -]", "-", path.stem)
    return _defaults(extended(read(path), _KEEP, (path.resolve(),)), name)


def one(root: Node, changes: Node) -> Config:
    """The config that a tree means with `changes` over it. Raises: InputError where it is wrong, or means several."""
    root = merge(root, changes, _KEEP)
    sweep = root.value.get("sweep")
    if sweep is not None and sweep.value is not None:
        fail(sweep.place, ("sweep",), "this describes several runs: `lab sweep` makes them, sweep=null leaves it out")
    return _validated(Node({key: node for key, node in root.value.items() if key != "sweep"}, root.place))


def made_of(config: str | Path | Mapping[str, Any], overrides: Mapping[str, Any]) -> Config:
    """Make the config of a file or a mapping, with `overrides` over it, nested ones merged.

    Raises: InputError as `load` and `from_mapping` do.
    """
    if isinstance(config, Mapping):
        return from_mapping(config, dict(dotted(overrides)))
    return one(tree(config), _overlay(dict(dotted(overrides)), "keywords"))


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a config file, with every kind of every block."""
    models: dict[str, Any] = {}
    for key, folder in blocks.FOLDERS.items():
        choices = tuple(
            schema.block(folder, kind, blocks.base(key), says=schema.described) for kind in schema.kinds(folder)
        )
        models[key] = Union[choices]  # noqa: UP007
    probes = {
        name: schema.block("probes", name, tagged=False, says=schema.described) for name in catalog.names("probes")
    }
    made = _model(models, probes).model_json_schema(by_alias=True)
    return schema.for_files(made, tuple(blocks.FOLDERS))


_KEEP = {block: blocks.common(block) for block in blocks.FOLDERS}


def _defaults(root: Node, name: str) -> Node:
    """`root` over the keys whose default is a tree, so that an override can change part of it."""
    fields = {field.alias or key: field.default for key, field in Config.model_fields.items()}
    defaults = {"name": name} | {key: value for key, value in fields.items() if isinstance(value, dict)}
    missing = {key: from_python(value, root.place) for key, value in defaults.items() if key not in root.value}
    return Node({**missing, **root.value}, root.place)


def _model(chosen: Mapping[str, Any], probes: Mapping[str, type[Block]]) -> type[Config]:
    """`Config` with models in place of mappings: those `chosen` by key, and the probes'."""
    each: dict[str, Any] = {name: (model | None, None) for name, model in probes.items()}
    models = {**chosen, "probe_blocks": create_model("Probes", __base__=Block, **each)}
    models["theorems"] = list[Literal[catalog.names("theorems")]]  # type: ignore[misc]
    fields: dict[str, Any] = {key: (model, Config.model_fields[key]) for key, model in models.items()}
    return create_model("Config", __base__=Config, __doc__=Config.__doc__, **fields)


def _validated(root: Node) -> Config:
    """The config that a tree means. Raises: InputError for the first problem by line, missing keys last."""
    raw = root.plain()
    chosen, found = blocks.choose(raw)
    probes, wrong = blocks.named_probes(root)
    found += wrong + blocks.theorem_names(root)
    if isinstance(raw["probes"], dict):
        raw["probes"] = {name: raw["probes"][name] for name in probes}
    model = _model(chosen, {name: schema.block("probes", name, tagged=False) for name in probes})
    try:
        made = model.model_validate(raw)
    except ValidationError as error:
        found += schema.problems(error, model, raw, lambda key: _further(root.at([key]).place))
    if found:
        first = min(found, key=lambda p: (p.absent, root.at(p.path).place.line, p.path))
        fail(root.at(first.path).place, first.path, first.what)
    plain = made.model_dump(by_alias=True)
    plain["data"] = _absolute(plain["data"], root.at(["data"]))
    config = Config.model_validate(plain)
    _rehearse(config, root)
    return config


def _further(place: Place) -> tuple[str, ...]:
    """The keys that may stand at a place beside those of `Config`: what is laid over a file cannot extend another."""
    return ("sweep",) if place.source in ("command line", "keywords") else ("extends", "sweep")


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
            fail(_written(root.at(path), str(error)), path, str(error))


def _written(block: Node, complaint: str) -> Place:
    """Where to mend what is wrong with keys together: where one that is named was laid over the block, or the block."""
    keys = block.value.items() if isinstance(block.value, dict) else ()
    places = [node.place for key, node in keys if re.search(rf"\b{re.escape(key)}\b", complaint, re.I)]
    return next((place for place in places if place.source != block.place.source), block.place)

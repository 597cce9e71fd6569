"""Config: typed, complete, merged by one rule; its schema is told."""

import json
import sys
from collections.abc import Iterator
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import PLAIN, TEXT, complaint

import lab.probes
from lab.blocks import Preparation
from lab.config import Config, from_mapping, json_schema, load
from lab.errors import InputError
from lab.schema import block

# --- what a good config gives


def test_a_file_gives_typed_values_and_members(here: Path) -> None:
    (here / "x.yaml").write_text(TEXT)
    config = load("x.yaml")
    assert (config.name, config.steps, config.dtype, config.batch_size) == ("x", 10, "float64", None)
    assert config.optimizer["kind"] == "sgd"
    assert config.optimizer["lr"] == 0.1
    assert config.data["standardize"] is True
    assert type(config.build("loss")).__name__ == "Softmax"
    assert type(config.build("model")).__name__ == "Linear"
    assert vars(config.build("data")) == {"name": "iris"}
    assert {name: vars(probe)["every"] for name, probe in config.probes.items()} == {"gradient": 1, "spectrum": 1}
    assert vars(config.probes["spectrum"])["top"] == 3


USUAL = [
    *("fit", "gradient", "hvp", "hessian", "spectrum", "descent", "ceiling"),
    *("histograms", "hessian_map", "eigenvectors", "landscape", "waterfall"),
]


def test_the_usual_probes_are_on_when_none_is_named() -> None:
    config = from_mapping(PLAIN)
    assert list(config.probes) == USUAL
    assert config.probe_blocks["hessian"]["every"] == 10


def test_an_override_changes_one_of_the_usual_probes_and_leaves_the_others() -> None:
    config = from_mapping(PLAIN, {"probes.hessian": None, "probes.spectrum.top": 2})
    assert list(config.probes) == [name for name in USUAL if name != "hessian"]
    assert config.probe_blocks["spectrum"]["top"] == 2


def test_a_tuple_of_torch_is_a_list_in_a_config() -> None:
    config = from_mapping(PLAIN | {"optimizer": {"kind": "AdamW", "betas": [0.8, 0.9]}})
    assert config.optimizer["betas"] == (0.8, 0.9)
    assert config.resolved()["optimizer"]["betas"] == [0.8, 0.9]
    assert config.resolved()["optimizer"]["kind"] == "adamw"


@pytest.mark.parametrize("kind", ["newton", "sgd", "RMSprop", "adam", "Muon"])
def test_an_optimizer_is_ours_or_any_of_torchs(kind: str) -> None:
    config = from_mapping(PLAIN | {"optimizer": {"kind": kind}})
    assert config.optimizer["kind"] == kind.lower()
    assert config.optimizer["lr"] > 0


@pytest.mark.parametrize(
    "override", [{}, {"optimizer.kind": "adam"}, {"optimizer.kind": "newton"}, {"name": "2024-01-31"}, {"seed": 7}]
)
def test_loading_what_was_dumped_gives_the_same_config(here: Path, override: dict[str, Any]) -> None:
    config = from_mapping(PLAIN, override)
    (here / "dumped.yaml").write_text(config.dump())
    again = load("dumped.yaml")
    assert again == config
    assert again.dump() == config.dump()
    assert again.digest() == config.digest()


def test_the_digest_sees_what_is_run_and_neither_name_nor_seed_nor_spelling() -> None:
    digest = from_mapping(PLAIN).digest()
    assert len(digest) == 10
    assert (
        from_mapping(PLAIN | {"name": "other", "seed": 3, "ridge": 0, "model": {"kind": "linear"}}).digest() == digest
    )
    assert from_mapping(PLAIN, {"optimizer.lr": 0.2}).digest() != digest
    assert from_mapping(PLAIN, {"ridge_intercept": True}).digest() != digest


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        from_mapping(PLAIN).steps = 3  # type: ignore[misc]


def test_names_that_yaml_would_turn_into_something_else_stay_text(here: Path) -> None:
    (here / "x.yaml").write_text("name: 2024-01-31\n" + TEXT)
    assert load("x.yaml").name == "2024-01-31"


def test_a_relative_path_starts_from_the_file_in_which_it_stands(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub/base.yaml").write_text(TEXT.replace("kind: sklearn, name: iris", "kind: csv, path: d.csv, target: y"))
    (here / "x.yaml").write_text("extends: sub/base.yaml\n")
    assert load("x.yaml").data["path"] == str(here / "sub/d.csv")
    assert load("x.yaml", ["data.path=e.csv"]).data["path"] == str(here / "e.csv")


# --- open folders

TALLY = """
from dataclasses import dataclass
from typing import Annotated
from annotated_types import Len
from lab.probe import Probe
@dataclass(frozen=True)
class Tally(Probe):
    "Count."
    weights: Annotated[tuple[float, ...], Len(1)] = (1.0,)
    {field}: bool = False
    def measure(self, step): return {{}}
"""


@pytest.fixture
def tally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that makes `tally` a probe."""
    (tmp_path / "more").mkdir()
    monkeypatch.setattr("lab.probes.__path__", [*lab.probes.__path__, str(tmp_path / "more")])
    yield tmp_path / "more/tally.py"
    sys.modules.pop("lab.probes.tally", None)


def test_a_new_members_fields_are_config_keys(tally: Path) -> None:
    tally.write_text(TALLY.format(field="loud"))
    config = from_mapping(PLAIN, {"probes.tally": {"weights": [1, 2], "loud": True}})
    assert vars(config.probes["tally"]) == {"every": 1, "stop": False, "weights": (1.0, 2.0), "loud": True}
    assert from_mapping(config.resolved()) == config
    with pytest.raises(InputError, match=r"^config: probes\.tally\.lod: unknown key; did you mean 'loud'\?"):
        from_mapping(PLAIN, {"probes.tally": {"lod": True}})
    with pytest.raises(InputError, match=r"^config: probes\.tally\.weights: must be a list of numbers, got \[\]"):
        from_mapping(PLAIN, {"probes.tally": {"weights": []}})
    assert json_schema()["$defs"]["tally"]["description"] == "Count."


def test_a_field_that_would_hide_a_key_of_every_data_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hiding = make_dataclass("Hiding", [("validation", float, 0.5)])
    monkeypatch.setattr("lab.catalog.get", lambda folder, name: hiding)
    with pytest.raises(TypeError, match=r"^lab/datasets/iris\.py: a field must not be called validation$"):
        block("datasets", "iris", Preparation)


# --- overrides and extends


def test_an_override_is_yaml(here: Path) -> None:
    (here / "x.yaml").write_text(TEXT)
    config = load("x.yaml", ["optimizer.lr=1e-3", "batch_size=null", "probes={}", "optimizer.nesterov=false"])
    assert config.probe_blocks == {}
    assert config.optimizer["lr"] == 0.001
    assert config.batch_size is None


def test_an_override_that_changes_a_kind_replaces_the_block(here: Path) -> None:
    (here / "x.yaml").write_text(TEXT.replace("lr: 1e-1", "lr: 1e-1\n  momentum: 0.9"))
    assert load("x.yaml", ["optimizer.kind=newton"]).optimizer == {"kind": "newton", "lr": 1.0, "damping": 0.0}
    assert load("x.yaml", ["optimizer.kind=sgd"]).optimizer["momentum"] == 0.9  # SGD is sgd: no change


def test_probes_that_are_named_after_none_are_all_there_are(here: Path) -> None:
    (here / "x.yaml").write_text(TEXT)
    assert load("x.yaml", ["probes={}", "probes.fit={}", "probes.spectrum.top=2"]).probe_blocks.keys() == {
        "fit",
        "spectrum",
    }
    assert load("x.yaml", ["probes.fit={}", "probes={}"]).probe_blocks == {}


def test_a_block_in_braces_replaces_the_block(here: Path) -> None:
    (here / "x.yaml").write_text(TEXT.replace("lr: 1e-1", "lr: 1e-1\n  momentum: 0.9"))
    assert load("x.yaml", ["probes={fit: {}}"]).probe_blocks.keys() == {"fit"}
    assert load("x.yaml", ["probes={fit: {}}", "probes.hvp.every=3"]).probe_blocks.keys() == {"fit", "hvp"}
    assert load("x.yaml", ["probes.spectrum={every: 3}"]).probe_blocks["spectrum"]["top"] == 5  # the default
    assert load("x.yaml", ["optimizer={kind: sgd, lr: 0.5}"]).optimizer["momentum"] == 0
    (here / "x.yaml").write_text(TEXT[: TEXT.index("probes:")])  # which has those that are on
    assert load("x.yaml", ["probes={fit: {}}"]).probe_blocks.keys() == {"fit"}
    with pytest.raises(InputError, match=r"^command line: optimizer\.kind: missing"):
        load("x.yaml", ["optimizer={lr: 0.5}"])


@pytest.mark.parametrize("swap", [1, -1])
def test_overrides_of_a_block_apply_after_its_kind_in_either_order(here: Path, swap: int) -> None:
    (here / "x.yaml").write_text(TEXT)
    config = load("x.yaml", ["optimizer.lr=0.5", "optimizer.kind=newton"][::swap])
    assert config.optimizer == {"kind": "newton", "lr": 0.5, "damping": 0.0}


def test_what_is_done_to_the_data_survives_another_data_set(here: Path) -> None:
    (here / "x.yaml").write_text(TEXT.replace("name: iris", "name: iris, validation: 0.25"))
    data = load("x.yaml", ["data.kind=synthetic", "data.task=binary"]).data
    assert data["validation"] == 0.25
    assert "name" not in data


def test_a_child_is_merged_onto_the_file_that_it_extends(here: Path) -> None:
    (here / "base.yaml").write_text(TEXT)
    (here / "mid.yaml").write_text("extends: base.yaml\noptimizer: {momentum: 0.5}\nsteps: 20\n")
    (here / "x.yaml").write_text("extends: mid.yaml\nprobes:\n  gradient: null\n  hvp: {}\n")
    config = load("x.yaml")
    assert (config.name, config.steps, config.optimizer["lr"], config.optimizer["momentum"]) == ("x", 20, 0.1, 0.5)
    assert list(config.probes) == ["spectrum", "hvp"]
    assert "extends" not in config.resolved()


def test_a_child_that_changes_a_kind_replaces_the_block(here: Path) -> None:
    (here / "base.yaml").write_text(TEXT)
    (here / "x.yaml").write_text("extends: base.yaml\noptimizer: {kind: newton}\n")
    assert load("x.yaml").optimizer == {"kind": "newton", "lr": 1.0, "damping": 0.0}


def test_an_error_in_a_base_names_the_base(here: Path) -> None:
    (here / "base.yaml").write_text(TEXT.replace("1e-1", "-1"))
    assert complaint("extends: base.yaml\n") == "base.yaml:8: optimizer.lr: must be a number above 0, got -1"


# --- the schema


def test_the_schema_knows_every_kind_and_key() -> None:
    made = json_schema()
    kinds = {kind for part in made["$defs"].values() for kind in _tags(part.get("properties", {}).get("kind", {}))}
    assert {"sigmoid", "softmax", "linear", "csv", "synthetic", "newton", "sgd", "SGD", "adam"} <= kinds
    keys = {field.alias or key for key, field in Config.model_fields.items()}
    assert set(made["properties"]) == keys | {"extends", "sweep"}
    assert made["$schema"].endswith("2020-12/schema")
    assert made["additionalProperties"] is False
    assert made["then"]["required"] == ["data", "loss", "steps", "optimizer"]
    spectrum = made["$defs"]["spectrum"]
    assert spectrum["properties"]["top"]["minimum"] == 1
    assert spectrum["description"].startswith("Log the `top` largest eigenvalues")
    json.dumps(made)


def _tags(kind: dict[str, Any]) -> list[str]:
    return kind.get("enum", [kind["const"]] if "const" in kind else [])

"""Config: typed, complete, merged by one rule, and wrong in one line that names the place."""

import json
import sys
from collections.abc import Iterator
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lab.probes
from lab.config import Config, Preparation, from_mapping, json_schema, load
from lab.errors import InputError
from lab.schema import block

TEXT = """\
# Iris by gradient descent.
data: {kind: sklearn, name: iris}
loss:
  kind: softmax
steps: 10
optimizer:
  kind: SGD
  lr: 1e-1
probes:
  gradient: {}
  spectrum:
    top: 3
"""
PLAIN: dict[str, Any] = {
    "data": {"kind": "sklearn", "name": "iris"},
    "loss": {"kind": "softmax"},
    "steps": 10,
    "optimizer": {"kind": "sgd", "lr": 0.1},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that messages name files as a user would see them."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(text: str, *overrides: str) -> str:
    """What is said of x.yaml with this text."""
    Path("x.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        load("x.yaml", overrides)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


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


def test_the_usual_probes_are_on_when_none_is_named() -> None:
    config = from_mapping(PLAIN)
    assert list(config.probes) == ["fit", "gradient", "hvp", "hessian", "spectrum", "descent"]
    assert config.probe_blocks["hessian"]["every"] == 10


def test_an_override_changes_one_of_the_usual_probes_and_leaves_the_others() -> None:
    config = from_mapping(PLAIN, {"probes.hessian": None, "probes.spectrum.top": 2})
    assert list(config.probes) == ["fit", "gradient", "hvp", "spectrum", "descent"]
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
    with pytest.raises(InputError, match=r"^config: probes\.tally\.weights: must be a list of a number, got \[\]"):
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


# --- complaints

COMPLAINTS = [
    (
        "    top: 3",
        "    tpo: 3",
        "x.yaml:12: probes.spectrum.tpo: unknown key; did you mean 'top'? (allowed: bottom,",
    ),
    ("steps: 10", "steps: ten", "x.yaml:5: steps: must be a whole number of at least 1, got 'ten'"),
    ("steps: 10", "steps: '10'", "x.yaml:5: steps: must be a whole number of at least 1, got '10'"),
    ("steps: 10", "steps: true", "x.yaml:5: steps: must be a whole number of at least 1, got true"),
    ("steps: 10", "steps: 0", "x.yaml:5: steps: must be a whole number of at least 1, got 0"),
    ("steps: 10", "steps: 10\nsteps: 9", "x.yaml:6: steps: duplicate key; remove one (the first is at x.yaml:5)"),
    ("steps: 10", "step: 10", "x.yaml:5: step: unknown key; did you mean 'steps'?"),
    ("steps: 10\n", "", "x.yaml:2: steps: missing; it must be a whole number of at least 1"),
    ("steps: 10", "steps: 10\nlr: 0.1", "x.yaml:6: lr: unknown key; did you mean 'optimizer.lr'?"),
    ("steps: 10", "steps: 10\nridge: -1", "x.yaml:6: ridge: must be a number of at least 0, got -1"),
    ("steps: 10", "steps: 10\nridge: .nan", "x.yaml:6: ridge: must be a number of at least 0, got NaN"),
    ("steps: 10", "steps: 10\ndtype: float16", "x.yaml:6: dtype: must be float64 or float32, got 'float16'"),
    ("steps: 10", "steps: 10\ndevice: gpu", "x.yaml:6: device: must be text like cpu or cuda or cuda:0, got 'gpu'"),
    (
        "steps: 10",
        "steps: 10\nbatch_size: 0",
        "x.yaml:6: batch_size: must be a whole number of at least 1 or null, got",
    ),
    ("steps: 10", "steps: 10\nname: ../x", "x.yaml:6: name: must be text like iris or iris-newton_2, got '../x'"),
    (
        "steps: 10",
        "steps: 10\nseed: -1",
        "x.yaml:6: seed: must be a whole number of at least 0 and of at most 4294967295",
    ),
    ("steps: 10", "steps: !!set {10}", "x.yaml:5: steps: the tag 'tag:yaml.org,2002:set' is not supported"),
    ("steps: 10", "steps: &a [*a]", "x.yaml:5: steps: an alias of a mapping or list is not supported; write it out"),
    ("steps: 10", "steps: !!int x", "x.yaml:5: steps: 'x' cannot be read as a number"),
    ("steps: 10", "? [1]\n: 2", "x.yaml:5: a key must be plain text"),
    ("steps: 10", "steps: 10\n\tname: x", "x.yaml:6: not YAML: "),
    ("steps: 10", "steps: 10\nname: \x07", "x.yaml:6: character '\\x07' is not allowed; remove it"),
    ("# Iris", "%YAML 1.1\n---\n#", "x.yaml:1: a config is YAML 1.2; remove the line that begins with %YAML"),
    ("iris}", "irsi}", "x.yaml:2: data.name: must be breast_cancer or iris or wine or digits, got 'irsi'"),
    ("iris}", "iris, validation: 1}", "x.yaml:2: data.validation: must be a number of at least 0 and below 1, got 1"),
    (
        "kind: softmax",
        "kind: sofmax",
        "x.yaml:4: loss.kind: unknown kind 'sofmax'; did you mean 'softmax'? (allowed: sig",
    ),
    ("kind: softmax", "kind: 3", "x.yaml:4: loss.kind: unknown kind 3 (allowed: sigmoid, softmax)"),
    ("kind: softmax", "average: true", "x.yaml:3: loss.kind: missing; say which (allowed: sigmoid, softmax)"),
    (
        "loss:\n  kind: softmax\n",
        "loss: softmax\n",
        "x.yaml:3: loss: must be a mapping, as {kind: softmax}, got 'softmax'",
    ),
    (
        "loss:\n  kind: softmax\n",
        "",
        "x.yaml:2: loss: missing; add a block, as {kind: sigmoid} (allowed: sigmoid, softmax)",
    ),
    ("kind: SGD", "kind: sdg", "x.yaml:7: optimizer.kind: unknown kind 'sdg'; did you mean 'sgd'?"),
    ("kind: SGD", "kind: newton\n  dampng: 1", "x.yaml:8: optimizer.dampng: unknown key; did you mean 'damping'?"),
    (
        "kind: SGD",
        "kind: adam\n  betas: [1]",
        "x.yaml:8: optimizer.betas: must be a list of 2 (a number, a number), got [1]",
    ),
    (
        "kind: SGD",
        "kind: adam\n  betas: [1, x]",
        "x.yaml:8: optimizer.betas: must be a list of 2 (a number, a number), got",
    ),
    ("lr: 1e-1", "momentum: -1", "x.yaml:6: optimizer: Invalid momentum value: -1.0"),
    ("  gradient: {}", "  gradient:", "x.yaml:10: probes.gradient: empty; write {} to use its defaults, or null to"),
    ("  gradient: {}", "  gradent: {}", "x.yaml:10: probes.gradent: unknown probe; did you mean 'gradient'?"),
    ("  gradient: {}", "  gradent: null", "x.yaml:10: probes.gradent: unknown probe; did you mean 'gradient'?"),
    (
        "  gradient: {}",
        "  gradient: 3",
        "x.yaml:10: probes.gradient: must be a mapping, as {key: value} or null, got 3",
    ),
    (
        "  gradient: {}\n  spectrum:\n    top: 3\n",
        "",
        "x.yaml:9: probes: empty; write {} for no probe, or leave the key out",
    ),
    ("steps: 10", "extends: y.yaml", "x.yaml:5: extends: y.yaml: no such file; did you mean 'x.yaml'?"),
    ("steps: 10", "extends: x.yaml", "x.yaml:5: extends: x.yaml extends itself; take one 'extends' out of the circle"),
    ("steps: 10", "extends: 3", "x.yaml:5: extends: must be the path of a YAML file"),
]


@pytest.mark.parametrize(
    ("old", "new", "said"), COMPLAINTS, ids=[said.partition(": ")[2][:40] for *_, said in COMPLAINTS]
)
def test_a_mistake_is_told_with_file_line_and_remedy(here: Path, old: str, new: str, said: str) -> None:
    assert old in TEXT
    assert complaint(TEXT.replace(old, new)).startswith(said)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.lr=fast", "command line: optimizer.lr: must be a number above 0, got 'fast'"),
        ("optimizer.momentun=1", "command line: optimizer.momentun: unknown key; did you mean 'momentum'?"),
        ("lr=1", "command line: lr: unknown key; did you mean 'optimizer.lr'?"),
        ("data.kind=synthetic", "command line: data.task: missing; it must be binary or multiclass or multilabel"),
        ("optimizer.kind=sdg", "command line: optimizer.kind: unknown kind 'sdg'; did you mean 'sgd'?"),
        ("steps", "command line: 'steps' is not an override; write key=value, as optimizer.lr=0.5"),
        ("steps=", "command line: steps: has no value; write key=value, or key=null"),
        ("steps=[", "command line: steps: not YAML: "),
        ("=3", "command line: '' is not a key that can be overridden"),
        ("a..b=3", "command line: 'a..b' is not a key that can be overridden"),
        ("extends=x.yaml", "command line: 'extends' is not a key that can be overridden"),
        ("steps.a=3", 'command line: steps: must be a whole number of at least 1, got {"a": 3}'),
    ],
)
def test_a_mistake_in_an_override_is_one_of_the_command_line(here: Path, override: str, said: str) -> None:
    assert complaint(TEXT, override).startswith(said)


def test_the_first_mistake_by_line_is_told_and_a_missing_key_last(here: Path) -> None:
    assert complaint(TEXT.replace("steps", "step").replace("top", "tpo")).startswith("x.yaml:5: step: unknown key")


def test_a_config_of_python_values_is_held_to_the_same() -> None:
    with pytest.raises(InputError, match=r"^config: optimizer\.lr: must be a number above 0, got 'x'$"):
        from_mapping(PLAIN, {"optimizer.lr": "x"})
    with pytest.raises(InputError, match=r"^config: steps: must be a whole number .* got a Python object$"):
        from_mapping(PLAIN | {"steps": object()})
    with pytest.raises(InputError, match=r"^config: must be a mapping of keys to values, got 'iris.yaml'$"):
        from_mapping("iris.yaml")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nothing.yaml", None, "nothing.yaml: no such file; check the path"),
        ("empty.yaml", b"", "empty.yaml: the file is empty"),
        ("notes.yaml", b"# only a comment\n", "notes.yaml: the file is empty"),
        ("list.yaml", b"- 1\n", "list.yaml:1: a config must be a mapping of keys to values, as 'steps: 100'"),
        ("latin.yaml", b"a: 1\nname: \xe9\n", "latin.yaml:2: not UTF-8 text; save the file as UTF-8"),
        ("two.yaml", b"a: 1\n---\nb: 2\n", "two.yaml:2: not YAML: expected a single document"),
        (".", None, ".: is a folder; name a YAML file in it"),
        ("a\0b", None, "a\0b: cannot be opened: embedded null byte"),
    ],
)
def test_a_file_that_is_no_config_says_why(here: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (here / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        load(name)
    assert str(error.value).startswith(said)


def test_a_misspelt_file_gets_a_guess(here: Path) -> None:
    (here / "iris.yaml").write_text(TEXT)
    with pytest.raises(InputError, match=r"^irs\.yaml: no such file; did you mean 'iris\.yaml'\?$"):
        load("irs.yaml")


# --- the schema


def test_the_schema_knows_every_kind_and_key() -> None:
    made = json_schema()
    kinds = {kind for part in made["$defs"].values() for kind in _tags(part.get("properties", {}).get("kind", {}))}
    assert {"sigmoid", "softmax", "linear", "csv", "synthetic", "newton", "sgd", "SGD", "adam"} <= kinds
    assert set(made["properties"]) == {field.alias or key for key, field in Config.model_fields.items()} | {"extends"}
    assert made["$schema"].endswith("2020-12/schema")
    assert made["additionalProperties"] is False
    assert made["then"]["required"] == ["data", "loss", "steps", "optimizer"]
    spectrum = made["$defs"]["spectrum"]
    assert spectrum["properties"]["top"]["minimum"] == 1
    assert spectrum["description"].startswith("Log the `top` largest eigenvalues")
    json.dumps(made)


def _tags(kind: dict[str, Any]) -> list[str]:
    return kind.get("enum", [kind["const"]] if "const" in kind else [])


# --- whatever is thrown at it

LINES = TEXT.splitlines(keepends=True)
JUNK = st.text(alphabet=st.sampled_from(list("abk:{}[],-&*!|>'\"%@`#?~ \t\n\r01.e\\\x07é\u2028\ufeff<=")), max_size=12)
WORDS = st.sampled_from(
    ["kind", "lr", "steps", "data", "probes", "sgd", "csv", "path", "target", "extends", "name", ""]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), WORDS, st.binary(max_size=2)
)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(WORDS | st.integers(), v, max_size=3), max_leaves=5
)
KEYS = st.sampled_from([*(field.alias or key for key, field in Config.model_fields.items()), "extends", "stepz"])
PATHS = st.lists(KEYS | WORDS | st.sampled_from(["spectrum", "every", "betas", "validation"]), max_size=3).map(".".join)
DOTTED = st.sampled_from(
    [
        "optimizer.lr",
        "optimizer.kind",
        "optimizer.betas",
        "loss.kind",
        "data.validation",
        "data.kind",
        "probes.hvp",
        "probes.spectrum.top",
        "probes.hvp.every",
        "steps",
        "ridge",
        "seed",
        "name",
        "batch_size",
        "model",
        "probes",
        "device",
    ]
)
GOOD = st.sampled_from(
    [
        "1",
        "0.5",
        "0",
        "null",
        "adam",
        "newton",
        "softmax",
        "[0.5,0.6]",
        "{}",
        "a",
        "true",
        "1e3",
        "-1",
        "010",
        ".inf",
        "cuda:0",
        "{kind:}",
    ]
)
FUZZ = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def judged(make: Any) -> None:
    """A config that comes back the same, or one line."""
    try:
        config = make()
    except InputError as error:
        said = str(error)
    else:
        assert from_mapping(config.resolved()) == config
        return
    assert len(said.splitlines()) == 1


@FUZZ
@given(start=st.integers(0, len(TEXT)), length=st.integers(0, 9), junk=JUNK)
def test_text_with_a_piece_torn_out_is_a_config_or_one_line(here: Path, start: int, length: int, junk: str) -> None:
    (here / "x.yaml").write_bytes((TEXT[:start] + junk + TEXT[start + length :]).encode())
    judged(lambda: load("x.yaml"))


@FUZZ
@given(junk=st.binary(max_size=20) | JUNK.map(str.encode))
def test_any_bytes_are_a_config_or_one_line(here: Path, junk: bytes) -> None:
    (here / "x.yaml").write_bytes(junk)
    judged(lambda: load("x.yaml"))


@FUZZ
@given(key=KEYS, value=VALUES, overrides=st.dictionaries(PATHS, VALUES, max_size=2))
def test_any_mapping_is_a_config_or_one_line(key: str, value: Any, overrides: dict[str, Any]) -> None:
    judged(lambda: from_mapping(PLAIN | {key: value}, overrides))


@FUZZ
@given(overrides=st.lists(st.builds("{}={}".format, DOTTED | PATHS, GOOD | JUNK) | JUNK, max_size=2))
def test_any_overrides_are_a_config_or_one_line(here: Path, overrides: list[str]) -> None:
    (here / "x.yaml").write_text(TEXT)
    judged(lambda: load("x.yaml", overrides))


def test_deep_nesting_is_one_line(here: Path) -> None:
    assert "nested too deeply" in complaint("a: " + "[" * 1000)
    deep: dict[str, Any] = {}
    deep["a"] = deep
    with pytest.raises(InputError, match="nested too deeply"):
        from_mapping(deep)

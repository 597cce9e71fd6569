"""Whatever is thrown at a config, it is a config that comes back the same, or one line."""

from pathlib import Path
from typing import Any

import pytest
from conftest import PLAIN, TEXT, complaint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.config import Config, from_mapping, load
from lab.errors import InputError

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

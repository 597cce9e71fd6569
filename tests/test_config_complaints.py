"""A config that is wrong is told so in one line that names the place and the remedy."""

from pathlib import Path

import pytest
from conftest import PLAIN, TEXT, complaint

from lab.config import from_mapping, load
from lab.errors import InputError

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
    ("steps: 10", "steps: 10\nridge: .nan", "x.yaml:6: ridge: must be a finite number of at least 0, got NaN"),
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
        "x.yaml:6: seed: must be a whole number from 0 to 4294967295",
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
    ("steps: 10", "extends: y.yaml", "x.yaml:5: extends: y.yaml: no such file; check the path"),
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
        ("optimizer.lr=.inf", "command line: optimizer.lr: must be a finite number above 0, got Infinity"),
        (
            "data.name=irs",
            "command line: data.name: must be breast_cancer or iris or wine or digits, got 'irs'; did you mean 'iris'?",
        ),
        ("data.name=x", "command line: data.name: must be breast_cancer or iris or wine or digits, got 'x'"),
        ("optimizer.momentun=1", "command line: optimizer.momentun: unknown key; did you mean 'momentum'?"),
        ("optimizer.learning_rate=1", "command line: optimizer.learning_rate: unknown key; did you mean 'lr'?"),
        ("lr=1", "command line: lr: unknown key; did you mean 'optimizer.lr'?"),
        ("data.kind=synthetic", "command line: data.task: missing; it must be binary or multiclass or multilabel"),
        ("optimizer.kind=sdg", "command line: optimizer.kind: unknown kind 'sdg'; did you mean 'sgd'?"),
        ("steps", "command line: 'steps' is not an override; write key=value, as optimizer.lr=0.5"),
        ("steps=", "command line: steps: has no value; write key=value, or key=null"),
        ("steps=[", "command line: steps: not YAML: "),
        ("=3", "command line: '' is not a key that can be overridden"),
        ("a..b=3", "command line: 'a..b' is not a key that can be overridden"),
        ("extends=x.yaml", "command line: 'extends' can stand in a config file only"),
        ("steps.a=3", 'command line: steps: must be a whole number of at least 1, got {"a": 3}'),
    ],
)
def test_a_mistake_in_an_override_is_one_of_the_command_line(here: Path, override: str, said: str) -> None:
    assert complaint(TEXT, override).startswith(said)


def test_keys_that_do_not_fit_together_are_told_where_one_of_them_was_laid_over_the_file(here: Path) -> None:
    said, both = (
        "loss: weight and class_weight are the same thing",
        ("loss.class_weight=balanced", "loss.weight=[1,1,1]"),
    )
    assert complaint(TEXT, *both).startswith(f"command line: {said}")
    assert complaint(TEXT, "optimizer.nesterov=true").startswith("command line: optimizer: Nesterov momentum")
    whole = TEXT.replace("  kind: softmax", "  kind: softmax\n  weight: [1, 1, 1]")
    assert complaint(whole, both[0]).startswith(f"command line: {said}")
    whole = whole.replace("  kind: softmax", "  kind: softmax\n  class_weight: balanced")
    assert complaint(whole, "seed=3").startswith(f"x.yaml:3: {said}")


def test_what_cannot_be_overridden_is_not_offered_for_it(here: Path) -> None:
    assert "extends" not in complaint(TEXT, "stepz=3").replace("x.yaml", "")
    assert "extends" in complaint(TEXT.replace("steps", "stepz"))


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


def test_null_takes_away_a_mapping_that_a_file_has() -> None:
    data = {"kind": "csv", "path": "t.csv", "target": "y"}
    base = from_mapping(PLAIN | {"data": data})
    taken = from_mapping(PLAIN | {"data": {**data, "categorical": {"a": None}}}, {"data.categorical": None})
    assert taken.data["categorical"] == {}
    assert taken.digest() == base.digest()
    with pytest.raises(InputError, match=r"data\.categorical: must be a mapping, as \{key: value\} or null, got 3$"):
        from_mapping(PLAIN | {"data": {**data, "categorical": 3}})

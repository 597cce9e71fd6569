"""`lab keys` says what each key of a config is, from the text below the field."""

from dataclasses import dataclass

import pytest

from lab import blocks, config, schema
from lab.cli import main
from lab.report import keys

SECTIONS = list(keys._sections(config.json_schema()))
OWN = [(s.path, key) for s in SECTIONS if not s.about.startswith("torch.optim.") for key in s.keys]


@pytest.mark.parametrize(("path", "key"), OWN, ids=[f"{path}.{key.name}".lstrip(".") for path, key in OWN])
def test_every_key_says_what_it_is(path, key):
    assert key.says.endswith("."), f"{path}.{key.name}: write a sentence below the field, in three quotes"


def test_every_block_and_every_key_of_the_schema_has_its_path():
    paths = {section.path for section in SECTIONS}
    assert {"", "probes", "probes.spectrum", *blocks.FOLDERS, "data.csv", "optimizer.sgd"} <= paths
    top = {key.name for key in SECTIONS[0].keys}
    assert top == set(config.json_schema()["properties"])


@dataclass(frozen=True)
class Base:
    first: int
    """The first."""


@dataclass(frozen=True)
class Member(Base):
    """A member.

    first: is not said here.
    """

    second: int = 2
    third: int = 3
    """The third, which takes
    two lines."""

    def method(self):
        """This belongs to no field."""


def test_what_a_field_says_is_the_text_below_it_in_the_class_or_its_base():
    assert schema.described(Member) == {"first": "The first.", "third": "The third, which takes\ntwo lines."}


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("", ["The keys of a config.", "", "data"]),
        ("ridge", ["ridge = 0.0  (a number of at least 0)", "    ρ in ρ/2 ‖θ‖², added to the mean loss."]),
        (
            "probes.spectrum.top",
            ["top = 5  (a whole number of at least 1)", "    How many of the largest eigenvalues."],
        ),
        ("optimizer.sgd", ["torch.optim.SGD.", "", "lr = 0.001  (a number above 0)"]),
    ],
)
def test_a_path_is_told_in_a_few_lines(path, lines, capsys):
    assert main(["keys", path] if path else ["keys"]) == 0
    assert capsys.readouterr().out.splitlines()[: len(lines)] == lines


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("probes.spectrm", "no key 'probes.spectrm'; did you mean 'probes.spectrum'? `lab keys` lists them"),
        ("bottom", "no key 'bottom'; did you mean 'probes.spectrum.bottom'? `lab keys` lists them"),
        (
            "label_smoothing",
            "no key 'label_smoothing'; did you mean 'loss.softmax.label_smoothing'? `lab keys` lists them",
        ),
        ("points.", "no key 'points.'; `lab keys` lists them"),
        ("pos_weight.a", "no key 'pos_weight.a'; `lab keys` lists them"),
    ],
)
def test_a_key_that_is_not_there_is_told_with_one_that_is(path, told, capsys):
    assert main(["keys", path]) == 2
    assert capsys.readouterr().err.splitlines() == [f"lab keys: {told}"]


def test_a_key_of_several_blocks_is_told_with_all_of_them(capsys):
    assert main(["keys", "damping"]) == 2
    assert main(["keys", "tolerance"]) == 2
    one, several = capsys.readouterr().err.splitlines()
    assert "optimizer.newton.damping" in one
    assert several.endswith(
        "; there are probes.alignment.tolerance, probes.sharpness.tolerance, probes.spectrum.tolerance"
    )

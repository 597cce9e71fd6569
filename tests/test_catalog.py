"""The catalog: a file in an open folder is a member, and a file that is none says so."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import TEXT

from lab import catalog
from lab.cli import main
from lab.config import MEASURED, SHOWN
from lab.errors import InputError, suggest

BASE = """
from abc import ABC, abstractmethod
from typing import ClassVar
class Shape(ABC):
    unit: ClassVar[str]
    colour: ClassVar[str] = "red"
    @abstractmethod
    def area(self): ...
"""
ROUND = """
from shapes_base import Shape
class Helper: ...
class Half(Shape): ...
class Circle(Half):
    unit = "cm"
    def area(self): return 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An open folder lab.shapes, somewhere else on the disk, with one member."""
    (tmp_path / "shapes_base.py").write_text(BASE)
    shapes = tmp_path / "shapes"
    shapes.mkdir()
    (shapes / "circle.py").write_text(ROUND)
    (shapes / "_hidden.py").write_text("raise RuntimeError('imported')")
    package = ModuleType("lab.shapes")
    package.__path__ = [str(shapes)]
    package.__spec__ = importlib.machinery.ModuleSpec("lab.shapes", None, is_package=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "lab.shapes", package)
    monkeypatch.setitem(catalog.BASES, "shapes", "shapes_base:Shape")
    yield shapes
    for name in [name for name in sys.modules if name.startswith("lab.shapes.") or name == "shapes_base"]:
        del sys.modules[name]


def test_a_member_is_known_by_its_file(folder: Path) -> None:
    assert catalog.names("shapes") == ("circle",)
    assert catalog.get("shapes", "circle").__name__ == "Circle"
    assert list(catalog.members("shapes")) == ["circle"]


def test_listing_the_names_imports_no_member(folder: Path) -> None:
    (folder / "broken.py").write_text("raise RuntimeError('imported')")
    assert catalog.names("shapes") == ("broken", "circle")


def test_a_file_put_into_a_folder_is_a_member_at_once(folder: Path) -> None:
    (folder / "ring.py").write_text(ROUND.replace("Circle", "Ring"))
    importlib.invalidate_caches()
    assert catalog.get("shapes", "ring").__name__ == "Ring"


def test_another_directory_on_the_packages_path_adds_members(folder: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "oval.py").write_text(ROUND.replace("Circle", "Oval"))
    sys.modules["lab.shapes"].__path__.append(str(more))
    assert catalog.names("shapes") == ("circle", "oval")
    assert catalog.get("shapes", "oval").__name__ == "Oval"


def test_a_file_with_two_members_is_refused_by_name(folder: Path) -> None:
    (folder / "two.py").write_text(ROUND + "class Disc(Circle): ...\n")
    with pytest.raises(InputError, match=r"two\.py: must define exactly one .* Shape; it defines Circle and Disc"):
        catalog.get("shapes", "two")


def test_a_file_with_no_member_is_refused_by_name(folder: Path) -> None:
    (folder / "none.py").write_text("from shapes_base import Shape\n")  # imported is not defined
    with pytest.raises(InputError, match=r"none\.py: must define exactly one .* it defines none$"):
        catalog.get("shapes", "none")


def test_an_unfinished_member_is_told_what_it_lacks(folder: Path) -> None:
    (folder / "half.py").write_text("from shapes_base import Shape\nclass Half(Shape): ...\n")
    with pytest.raises(InputError, match=r"it defines none \(Half lacks area, unit\)"):
        catalog.get("shapes", "half")


def test_a_member_without_what_its_base_says_that_it_has_is_told_so(folder: Path) -> None:
    (folder / "half.py").write_text(ROUND.replace('    unit = "cm"\n', ""))
    with pytest.raises(InputError, match=r"it defines none \(Circle lacks unit; Half lacks area, unit\)"):
        catalog.get("shapes", "half")


@pytest.mark.parametrize(
    ("lost", "line", "left"),
    [("source", "source, heading = RULES, ", "heading = "), ("statement", "statement = ", "stated = ")],
)
def test_a_statement_without_its_source_is_told_so(
    lost: str, line: str, left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = importlib.import_module("lab.identities")
    text = (Path(str(package.__file__)).parent / "trace_cyclic.py").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(text.replace(line, left), encoding="utf-8")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "lab.identities.mine", raising=False)
    assert main(["check", "mine"]) == 2
    assert f"subclass of Identity; it defines none (TraceCyclic lacks {lost})\n" in capsys.readouterr().err


BROKEN = {
    "a missing import": (
        "import nonsense_of_mine\n",
        r"bad\.py:1: ModuleNotFoundError: .* install the package .* pip$",
    ),
    "a syntax error": ("\nclass A(\n", r"bad\.py:2: '\(' was never closed; mend it there, or on the line before$"),
    "an error at the top": ("x = 1\ny = x / 0\n", r"bad\.py:2: ZeroDivisionError: division by zero$"),
    "one that leaves": ("import sys\nsys.exit(0)\n", r"bad\.py:2: SystemExit: 0$"),
    "a plain dataclass": (
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    x: int = 0\n\n"
        "@dataclass\nclass B(A):\n    y: int = 0\n",
        r"bad\.py:6: TypeError: cannot inherit non-frozen dataclass from a frozen one$",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_does_not_run_is_told_with_its_line(folder: Path, case: str) -> None:
    text, says = BROKEN[case]
    (folder / "bad.py").write_text(text)
    with pytest.raises(InputError, match=says):
        catalog.get("shapes", "bad")


@pytest.mark.parametrize("words", [["check", "bad"], ["schema"], ["train", "bad.yaml"]])
def test_every_verb_says_so_in_one_line(
    words: list[str], here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bad.py").write_text(BROKEN["a missing import"][0])
    (here / "bad.yaml").write_text(TEXT.replace("softmax", "bad"))
    package = importlib.import_module("lab.losses")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(here)])
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"^\S*bad\.py:1: ModuleNotFoundError: .*\n\Z", err)


def test_an_unknown_name_gets_a_guess(folder: Path) -> None:
    with pytest.raises(InputError) as error:
        catalog.get("shapes", "Cicle")
    assert str(error.value) == "lab/shapes: unknown name 'Cicle'; did you mean 'circle'? (allowed: circle)"


@pytest.mark.parametrize("name", ["", "..", "_hidden", "a.b", "circle.py", "\0"])
def test_only_a_listed_name_is_imported(folder: Path, name: str) -> None:
    with pytest.raises(InputError):
        catalog.get("shapes", name)


def test_a_folder_that_is_not_there_has_no_members() -> None:
    assert catalog.names("nowhere") == ()


def test_every_member_of_the_lab_is_one_class_with_a_first_line() -> None:
    for folder in catalog.BASES:
        for name, member in catalog.members(folder).items():
            assert (member.__doc__ or "").strip(), f"lab/{folder}/{name}.py: {member.__name__} has no docstring"


def test_a_guess_ignores_case_and_is_left_out_when_nothing_is_close() -> None:
    assert suggest("EVRY", ["top", "every"]) == "; did you mean 'every'? (allowed: every, top)"
    assert suggest("zzz", ["top", "every"]) == " (allowed: every, top)"
    assert suggest("zzz", []) == " (allowed: none)"


def test_an_input_error_is_one_line() -> None:
    assert str(InputError("a\nb\u2028c")) == "a b c"


def test_every_probe_is_told_of_in_the_documents_and_whether_it_is_on():
    page = (Path(__file__).parents[1] / "docs" / "runs.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    told = {name: "(on)" in row for row in rows for name in catalog.names("probes") if f"`{name}`" in row}
    due = {name: name in (*MEASURED, *SHOWN) for name in catalog.names("probes")}
    assert told == due, f"docs/runs.md: the table of probes needs a row for {sorted(due.items() ^ told.items())}"

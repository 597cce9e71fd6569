"""A derivation's page: the module docstring of the file that implements it, read without running the file."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from lab import catalog
from lab.errors import InputError, guess

FOLDERS = ("losses", "models", "identities", "theorems")
HEADING = re.compile(r"(?P<heading>[^\W\d_][^.:=,()]{0,18}?)(?P<gap> {2,})(?P<rest>\S.*)")


@dataclass(frozen=True)
class Page:
    """What a file says of its derivation: `text` is the docstring, `kind` the open folder or "file"."""

    name: str
    kind: str
    text: str

    @property
    def title(self) -> str:
        """The first sentence."""
        return self.text.partition("\n")[0].partition(".   ")[0].rstrip(".")


def names() -> tuple[str, ...]:
    """Every name that has a page."""
    return tuple(name for folder in FOLDERS for name in catalog.names(folder))


def pages() -> Iterator[Page]:
    """Yield every page of the open folders."""
    for folder in FOLDERS:
        for name in catalog.names(folder):
            yield Page(name, folder, _docstring(_home(folder, name)))


def find(word: str) -> list[Page]:
    """Return the pages of this name (one, unless two folders share it), or of the user's FILE.py.

    Raises: InputError where there is none; for a file also where it cannot be read or has no docstring.
    """
    if word.endswith(".py"):
        return [Page(word, "file", _docstring(Path(word)))]
    found = [page for page in pages() if page.name == word] if word in names() else []
    if not found:
        raise InputError(
            f"lab derive: no page for {word!r}{guess(word, names()) or ';'} `lab derive` lists what there is"
        )
    return found


def source(member: type, method: str) -> str:
    """The text of a class's method, its indent taken off; empty where it has none of this name."""
    function = getattr(member, method, None)
    return "" if function is None else textwrap.dedent(inspect.getsource(function)).rstrip()


def _home(folder: str, name: str) -> Path:
    """The file of a member, found without importing it, as `catalog.names` found its name."""
    places = [Path(place) / f"{name}.py" for place in import_module(f"lab.{folder}").__path__]
    return next(path for path in places if path.is_file())


def _docstring(path: Path) -> str:
    try:
        text = ast.get_docstring(ast.parse(path.read_bytes(), str(path)))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a Python file") from None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        place = f"{path}:{line}" if line else str(path)
        raise InputError(f"{place}: not Python ({getattr(error, 'msg', error)}); mend it first") from None
    if not text:
        raise InputError(f"{path}: no page; write the derivation as the file's first statement, a docstring")
    return text

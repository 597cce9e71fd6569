"""Open folders: a file in lab/<folder> is a member, known by the file's name.

A member is the one concrete subclass of the folder's base that its file defines; its dataclass fields are its config
keys. Listing the names imports no member, so that a run pays only for what it uses.
"""

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from lab.errors import RAISED, InputError, suggest, unread

BASES = {
    "losses": "lab.loss:Loss",
    "models": "lab.model:Model",
    "datasets": "lab.dataset:Dataset",
    "probes": "lab.probe:Probe",
    "optimizers": "lab.optimizer:Optimizer",
    "identities": "lab.identity:Identity",
    "mistakes": "lab.mistake:Mistake",
    "theorems": "lab.theorem:Theorem",
    "verbs": "lab.verb:Verb",
    "launchers": "lab.launcher:Launcher",
}


def names(folder: str) -> tuple[str, ...]:
    """The names of a folder's members, sorted; a file whose name starts with "_" is none."""
    if find_spec(f"lab.{folder}") is None:  # git keeps no empty folder
        return ()
    # The package's __path__, not a fixed directory: whoever extends it adds members.
    modules = pkgutil.iter_modules(import_module(f"lab.{folder}").__path__)
    return tuple(sorted({module.name for module in modules if not module.ispkg and not module.name.startswith("_")}))


def get(folder: str, name: str) -> type[Any]:
    """The class of the member `name`.

    Raises: InputError for a name that the folder lacks, and, naming the file, where it cannot be imported or does not
    define exactly one member.
    """
    known = names(folder)
    if name not in known:
        raise InputError(f"lab/{folder}: unknown name {name!r}{suggest(name, known)}")
    return _member(_imported(f"lab.{folder}.{name}"), _base(folder))


def members(folder: str) -> dict[str, type[Any]]:
    """Every member of a folder by name, imported."""
    return {name: get(folder, name) for name in names(folder)}


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except InputError:
        raise
    except RAISED as error:
        spec = find_spec(name)
        raise unread(Path(spec.origin if spec and spec.origin else name), error) from None


def _base(folder: str) -> type[Any]:
    module, _, name = BASES[folder].partition(":")
    base: type[Any] = getattr(import_module(module), name)
    return base


def _member(module: ModuleType, base: type[Any]) -> type[Any]:
    classes = [c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__]
    heirs: list[Any] = [c for c in classes if issubclass(c, base)]
    concrete: list[type[Any]] = [c for c in heirs if not _lacks(c, base)]
    if len(concrete) == 1:
        return concrete[0]
    if concrete:
        found = "defines " + " and ".join(c.__name__ for c in concrete)
    else:
        lacks = [f"{c.__name__} lacks {', '.join(_lacks(c, base))}" for c in heirs]
        found = "defines none" + (f" ({'; '.join(lacks)})" if lacks else "")
    raise InputError(f"{module.__file__}: must define exactly one concrete subclass of {base.__name__}; it {found}")


def _lacks(kind: type[Any], base: type[Any]) -> list[str]:
    """The methods that a class leaves abstract, and what its base says that every class has of its own."""
    said = [name for name, hint in base.__annotations__.items() if getattr(hint, "__origin__", None) is ClassVar]
    return sorted({*kind.__abstractmethods__, *(name for name in said if not hasattr(kind, name))})


def exporter(folder: str) -> Callable[[str], Any]:
    """A module `__getattr__` for an open folder: `lab.losses.Softmax` is the class of that name, in whichever file."""

    def named(name: str) -> Any:
        if name.startswith("_"):  # what Python asks of any module
            raise AttributeError(name)
        for member in members(folder).values():
            if member.__name__ == name:
                return member
        raise AttributeError(f"lab.{folder} has no {name}")

    return named

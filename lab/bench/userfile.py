"""A user's Python file, and what in it can be judged: derivations, Functions, modules."""

import inspect
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from lab import oracle
from lab.bench import backward, claims, judge
from lab.bench.judge import Subject
from lab.derivation import Derivation
from lab.errors import RAISED, InputError, unread
from lab.raised import place


def load(path: Path) -> ModuleType:
    """Run a Python file as a module, with its own folder on the import path meanwhile.

    Raises: InputError with file and line where there is none, or it does not run.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    name = f"_judged_{abs(hash(str(path.resolve())))}_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: is no Python file; give one that ends in .py")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        # Not by the loader: its bytecode is last second's where as many characters were changed within it.
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except RAISED as error:
        raise unread(path, error) from None
    finally:
        sys.path.remove(str(path.parent.resolve()))
    return module


def subjects(path: Path) -> Iterator[tuple[str, Subject]]:
    """Yield every derivation, Function and module of a file with its name, in the order of the file.

    An instance at the top of the file stands for its class; a class of which there is none is made without arguments.
    Raises: InputError where there is nothing to judge, or something cannot be made.
    """
    module = load(path)
    found = list(_judgeable(module, path))
    if not found:
        raise InputError(
            f"{path}: nothing to judge in it; define a subclass of lab.Derivation or lab.Loss, or a "
            "torch.autograd.Function with shapes, or start from `lab check --new FILE.py`"
        )
    for name, thing, line in found:
        try:
            for subject in _of(thing):
                judge.presentable(subject)
                yield name, subject
        except InputError as error:
            raise InputError(f"{path}:{line}: {name}: {error}") from None


def _of(thing: Any) -> Iterator[Subject]:
    if isinstance(thing, Derivation):
        yield judge.subject(thing)
    elif isinstance(thing, torch.nn.Module):
        yield from backward.of_module(thing)
    else:
        yield from backward.of_function(thing)


def _judgeable(module: ModuleType, path: Path) -> Iterator[tuple[str, Any, int]]:
    members = list(vars(module).items())
    own = [c for _, c in members if isinstance(c, type) and c.__module__ == module.__name__]
    instances = [(name, x) for name, x in members if isinstance(x, Derivation | torch.nn.Module)]
    for kind in dict.fromkeys(own):
        line = _line(kind)
        made = [(name, x) for name, x in instances if type(x) is kind]
        if made:
            yield from ((name, x, line) for name, x in made)
        elif oracle.is_function(kind):
            # One that does not say what its inputs are is another's helper, where there is another.
            if _has_inputs(kind) or not any(_has_inputs(c) or issubclass(c, Derivation) for c in own):
                yield kind.__name__, kind, line
        elif issubclass(kind, Derivation):
            if not _is_base(kind, own):
                yield kind.__name__, _made(kind, path, line), line
        elif issubclass(kind, torch.nn.Module) and _has_inputs(kind):
            yield kind.__name__, _made(kind, path, line), line


def _is_base(kind: type[Derivation], own: list[type]) -> bool:
    """Whether others of the file build on it, and in itself it is abstract, or nothing was derived."""
    if not any(c is not kind and issubclass(c, kind) for c in own):
        return False
    try:
        return inspect.isabstract(kind) or not claims.derived(kind)
    except InputError:  # which is said where it is judged
        return False


def _has_inputs(kind: type[Any]) -> bool:
    return bool(getattr(kind, "shapes", None)) or callable(getattr(kind, "examples", None))


def _made(kind: type[Any], path: Path, line: int) -> Any:
    if inspect.isabstract(kind):
        raise InputError(f"{path}:{line}: {kind.__name__} {_lacking(kind)}")
    try:
        return kind()
    except TypeError as error:
        raise InputError(
            f"{path}:{line}: {kind.__name__} cannot be made without arguments ({error}); give them defaults, or make "
            f"one at the top level of the file: mine = {kind.__name__}(…)"
        ) from None
    except RAISED as error:
        raise InputError(f"{path}:{line}: {kind.__name__} cannot be made: it {place(error)}") from None


def _lacking(kind: type[Any]) -> str:
    """What an abstract class has still to write, and how: each with its arguments, value with those of `shapes`."""
    lacks = sorted(kind.__abstractmethods__)
    taken = {name: tuple(inspect.signature(getattr(kind, name)).parameters)[1:] for name in lacks}
    own = tuple(getattr(kind, "shapes", None) or ("…",))
    heads = [
        f"def {name}(self, {', '.join(own if args[-1:] == ('kwargs',) else args)})" for name, args in taken.items()
    ]
    return f"lacks {', '.join(lacks)}; write {', '.join(heads)}, or start from `lab check --new FILE.py`"


def _line(kind: type[Any]) -> int:
    try:
        return inspect.getsourcelines(kind)[1]
    except (OSError, TypeError):
        return 1

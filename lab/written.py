"""What a class has written, and what it has inherited from further up."""

from collections.abc import Callable
from typing import Any


def defined(cls: type, name: str) -> int:
    """How far up the order of resolution a name is defined: 0 in the class itself."""
    return next(i for i, each in enumerate(cls.__mro__) if name in vars(each))


def restore(cls: type, base: type, shorter: str, *written: str) -> None:
    """Give a class the base's `shorter` way again, where what it is a way to was written later than that."""
    if min(defined(cls, name) for name in written) < defined(cls, shorter):
        setattr(cls, shorter, getattr(base, shorter))


def rejoin(cls: type, both: str, one: str, other: str) -> None:
    """Let a method that gives two results in one, and those that give one of them, agree on what was written last.

    Where that is the two in one, the others are its halves; where it is a half, it is in the place of that half.
    """
    whole, later = defined(cls, both), [defined(cls, name) < defined(cls, both) for name in (one, other)]
    written: Callable[..., tuple[Any, Any]] = getattr(cls, both)
    if whole < min(defined(cls, one), defined(cls, other)):
        for i, name in enumerate((one, other)):
            _set(cls, name, lambda self, *args, i=i: written(self, *args)[i])
    elif all(later):
        _set(cls, both, lambda self, *args: (getattr(self, one)(*args), getattr(self, other)(*args)))
    elif later[0]:
        _set(cls, both, lambda self, *args: (getattr(self, one)(*args), written(self, *args)[1]))
    elif later[1]:
        _set(cls, both, lambda self, *args: (written(self, *args)[0], getattr(self, other)(*args)))


def _set(cls: type, name: str, method: Callable[..., Any]) -> None:
    method.__name__, method.__doc__ = name, getattr(cls, name).__doc__
    setattr(cls, name, method)

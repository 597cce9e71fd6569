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
    """Let a method that gives two results in one give those of the methods that were written later than it.

    What was not is still its own: a method may be made of the very two in one that it is a half of.
    """
    later = [defined(cls, name) < defined(cls, both) for name in (one, other)]
    if not any(later):
        return
    inherited: Callable[..., tuple[Any, Any]] = getattr(cls, both)

    def joined(self: Any, *args: Any) -> tuple[Any, Any]:
        if all(later):
            return getattr(self, one)(*args), getattr(self, other)(*args)
        first, second = inherited(self, *args)
        return (getattr(self, one)(*args), second) if later[0] else (first, getattr(self, other)(*args))

    joined.__name__, joined.__doc__ = both, inherited.__doc__
    setattr(cls, both, joined)

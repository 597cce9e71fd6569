"""What a class has written, and what it has inherited from further up."""


def defined(cls: type, name: str) -> int:
    """How far up the order of resolution a name is defined: 0 in the class itself."""
    return next(i for i, each in enumerate(cls.__mro__) if name in vars(each))


def restore(cls: type, base: type, shorter: str, *written: str) -> None:
    """Give a class the base's `shorter` way again, where what it is a way to was written later than that."""
    if min(defined(cls, name) for name in written) < defined(cls, shorter):
        setattr(cls, shorter, getattr(base, shorter))

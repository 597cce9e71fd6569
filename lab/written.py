"""Where a class has a method from."""


def defined(cls: type, name: str) -> int:
    """How far up the order of resolution a name is defined: 0 in the class itself."""
    return next(i for i, each in enumerate(cls.__mro__) if name in vars(each))

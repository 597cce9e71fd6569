"""What there is to judge of a class, by the names of its methods."""

from lab.derivation import Derivation
from lab.errors import InputError, near
from lab.loss import Loss

CLAIMS = ("value", "gradient", "jacobian", "hessian", "diagonal", "hvp", "jvp", "vjp")
SHORTENED = ("gradient", "jacobian", "hessian")


def derived(kind: type[Derivation]) -> tuple[str, ...]:
    """What there is to judge of a class, by name: its value too, where it has a reference for that.

    Raises: InputError for a method that nobody would call.
    """
    _spelt(kind)
    own = kind.reference is not Derivation.reference
    return tuple(what for what in CLAIMS if callable(getattr(kind, what, None)) and (own or what != "value"))


def _spelt(kind: type[Derivation]) -> None:
    """Raise InputError for a method that nobody would call, as its name is nearly one of those that are judged."""
    known = (*CLAIMS, "reference", "examples", "shapes")
    others = {name for base in kind.__mro__ if base.__module__ != kind.__module__ for name in vars(base)}
    for name in vars(kind):
        own = not name.startswith("_") and name not in known and name not in others
        if own and (meant := near(name, known) or _short_for(name, kind)):
            raise InputError(f"{name}: not a name that is judged; did you mean {meant!r}? Rename it if it is not")


def _short_for(name: str, kind: type[Derivation]) -> str:
    """The derivative that a name is short for, as grad, jac and hess are, where the class does not write it out."""
    lacks = (full for full in SHORTENED if getattr(kind, full, None) in (None, getattr(Loss, full, None)))
    return next((full for full in lacks if len(name) > 2 and full.startswith(name.lower())), "")

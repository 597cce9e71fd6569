"""What the lab says when the user's input is wrong."""

import sys
from collections.abc import Iterable
from pathlib import Path

RAISED = (Exception, SystemExit)  # what a user's code may raise: `sys.exit()` in it must not end the lab, and well


class InputError(Exception):
    """The user's input is wrong.

    `str(error)` is one line, `where: what; what to do`. The command line prints it and exits 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))  # one line, whatever was quoted in it


def unread(path: Path, error: BaseException) -> InputError:
    """What to say of a Python file that raised when it was run: file and line, what it was, and what to do."""
    import traceback

    if isinstance(error, SyntaxError):
        return InputError(f"{error.filename}:{error.lineno}: {error.msg}; mend it there, or on the line before")
    here = {str(path), str(path.resolve())}
    frames = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename in here]
    line = f":{frames[-1]}" if frames else ""
    return InputError(f"{path}{line}: {type(error).__name__}: {error}{_advice(error)}")


def _advice(error: BaseException) -> str:
    """What to do where a package is not there; a part of one that is there is the user's to look up."""
    import pkgutil

    if not isinstance(error, ModuleNotFoundError) or not error.name or "." in error.name:
        return ""
    known = [module.name for module in pkgutil.iter_modules() if not module.name.startswith("_")]
    return guess(error.name, known) or f"; install the package that has it, with {sys.executable} -m pip"


def suggest(word: str, allowed: Iterable[str]) -> str:
    """The tail of a message about an unknown `word`: `; did you mean 'every'? (allowed: every, on, top)`."""
    names = sorted(set(allowed))
    return f"{guess(word, names)} (allowed: {', '.join(names) or 'none'})"


def guess(word: str, allowed: Iterable[str], alike: float = 0.6) -> str:
    """`; did you mean 'every'?`, or nothing where no name is as close as `alike`, 1 being the same.

    Upper and lower case are taken as alike, and `learning_rate` as `lr`.
    """
    initials = "".join(part[:1] for part in word.lower().split("_"))
    names = sorted(allowed)
    meant = initials if len(initials) > 1 and initials in names else near(word, names, alike)
    return f"; did you mean {meant!r}?" if meant else ""


def near(word: str, allowed: Iterable[str], alike: float = 0.8) -> str:
    """The name that a word is meant to be: its letters in another order, or else the most alike; or nothing."""
    from difflib import get_close_matches

    names = {name.lower(): name for name in sorted(allowed)}
    shuffled = [name for name in names if sorted(name) == sorted(word.lower())]
    close = shuffled or get_close_matches(word.lower(), names, n=1, cutoff=alike)
    return names[close[0]] if close else ""

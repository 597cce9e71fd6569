"""Whose fault it is that something was raised: a member's of an open folder, or the lab's own.

A member is told by the line of its file, as what the user may have written and can mend. What is raised in any other
file of the lab is the lab's mistake, and nobody but Python's traceback is to speak of it.
"""

import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import RAISED

if TYPE_CHECKING:
    from torch import Tensor

    from lab.problem import Problem

MATRIX = 1000  # classes, of which more make a matrix for each row too large to be looked at
FOLDERS = ("losses", "models", "datasets", "probes", "optimizers", "theorems")


def fault(error: BaseException) -> str | None:
    """`…/lab/losses/mine.py:54: KeyError: 'x'` where a member raised, itself or in what it called outside the lab."""
    members = {Path(place) for name in FOLDERS for place in getattr(sys.modules.get(f"lab.{name}"), "__path__", ())}
    lab = Path(__file__).parent
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [(path, line) for path, line in frames if lab in path.parents or path.parent in members]
    if not ours or ours[-1][0].parent not in members or ours[-1][0].name.startswith("_"):
        return None
    path, line = ours[-1]
    return f"{path}:{line}: {type(error).__name__}: {error}"


def misshapen(problem: "Problem", theta: "Tensor") -> str | None:
    """Which method of loss or model returns what nothing can be made of; such a thing raises in the lines of others."""
    from lab.optimizer import told

    for method, found, like in _returned(problem, theta):
        if told(found) != told(like):
            name = getattr(method, "__qualname__", method)
            code = getattr(inspect.unwrap(method), "__code__", None)
            place = f"{code.co_filename}:{code.co_firstlineno}: " if code else ""
            return f"{place}{name} returned {told(found)}, and is to return {told(like)}"
    return None


def _returned(problem: "Problem", theta: "Tensor") -> Iterator[tuple[Callable[..., object], object, "Tensor"]]:
    """Methods, what each returns of some rows, and what has the shape and type that it is to have; none that raises."""
    loss, model, X, y = problem.loss, problem.model, problem.X[:64], problem.y[:64]
    z = X.new_zeros(len(X), theta.shape[1])
    calls: list[tuple[Callable[..., object], tuple[Tensor, ...], Tensor]] = [
        (model.forward, (X, theta), z),
        (model.pushforward, (X, theta, theta), z),
        (model.pullback, (X, theta, z), theta),
        (loss.value, (z, y), z.sum(dim=1)),
        (loss.gradient, (z, y), z),
        (loss.subtracted, (z, y), z),
        (loss.predicted, (z, y), z),
        (loss.hvp, (z, y, z), z),
        (loss.diagonal, (z, y), z),
    ]
    if z.shape[1] <= MATRIX:
        calls.append((loss.hessian, (z, y), z[:, :, None] * z[:, None, :]))
    for method, arguments, like in calls:
        try:
            found = method(*arguments)
        except RAISED:
            return
        yield getattr(method, "__func__", method), found, like

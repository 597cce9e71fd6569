"""Inputs drawn from declared shapes: `{"X": "n d", "theta": "d k", "y": "n labels k"}`.

A declaration is the lengths of a tensor's axes, letters or numbers, then what its entries are:

    n d                   real numbers, at every scale from 0 to 40
    n labels k            whole numbers 0 … k − 1 (int64), each at least once where n allows
    n k onehot            rows with a single 1
    n k probabilities     rows on the simplex: positive, of sum 1
    n k binary            0 or 1
    n k signs             −1 or 1
    n k positive          above 0, over several orders of magnitude
    n k unit              strictly between 0 and 1
    d d symmetric         a symmetric matrix
    d d definite          a symmetric positive definite matrix
    (nothing)             a number

Every letter has one length throughout, and no two letters the same: a square matrix hides a transpose.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from lab.errors import InputError, suggest

SCALES = (1.0, 8.0, 40.0, 0.0)
LARGEST = max(SCALES)
# Lengths of x's own axes, which are short, for a Hessian grows with the square of its entries; and of the others.
LENGTHS = (((3, 4, 5, 2), (7, 5, 6, 8)), ((4, 3, 2, 5), (6, 7, 5, 8)))
SQUARE = ("symmetric", "definite")


def _softmax(x: Tensor, scale: float) -> Tensor:
    return torch.softmax(min(scale, 8.0) * x, dim=-1)


def _labels(x: Tensor, k: int, rng: Generator) -> Tensor:
    return (torch.randperm(x.numel(), generator=rng) % k).reshape(x.shape)


def _onehot(x: Tensor, scale: float) -> Tensor:
    return torch.nn.functional.one_hot(x.argmax(dim=-1), x.shape[-1]).to(x.dtype)


def _definite(x: Tensor, scale: float) -> Tensor:
    d = x.shape[-1]
    return max(scale, 0.1) * (x @ x.mT / d + torch.eye(d, dtype=x.dtype))


KINDS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "real": lambda x, scale: scale * x if scale < LARGEST or not x.numel() else 3 * scale * x / x.abs().max(),
    "onehot": _onehot,
    "probabilities": _softmax,
    "binary": lambda x, scale: (x > 0).to(x.dtype),
    "signs": lambda x, scale: torch.where(x > 0, 1.0, -1.0).to(x.dtype),
    "positive": lambda x, scale: torch.exp(min(scale, 4.0) * x),
    "unit": lambda x, scale: torch.sigmoid(x.clamp(-2, 2) * min(scale, 8.0)),
    "symmetric": lambda x, scale: scale * (x + x.mT),
    "definite": _definite,
}
WORDS = {**dict.fromkeys(KINDS), "labels": None}


def parse(name: str, declaration: object) -> tuple[list[str], str, str]:
    """Return a declaration's axes, the kind of its entries, and the number of classes of labels ("" for others).

    Raises: InputError, starting with the tensor's name, for one that makes no sense.
    """
    if not isinstance(declaration, str):
        raise InputError(f"{name!r}: {declaration!r} declares no shape; write a text such as 'n d' or 'n labels k'")
    words = declaration.replace(",", " ").replace("one-hot", "onehot").replace("positive definite", "definite").split()
    at = next((i for i, word in enumerate(words) if word in WORDS), len(words))
    axes, kind, rest = words[:at], words[at] if at < len(words) else "real", words[at + 1 :]
    for axis in axes:
        if not re.fullmatch(r"[A-Za-z]|[1-9]\d*", axis):
            raise InputError(f"{name!r}: {axis!r} is neither a letter, a length nor a kind{suggest(axis, WORDS)}")
    if kind == "labels" and (len(rest) != 1 or not re.fullmatch(r"[A-Za-z]|[1-9]\d*", rest[0])):
        raise InputError(f"{name!r}: labels of how many classes? write {' '.join(axes)!r} + ' labels k'")
    if kind != "labels" and rest:
        raise InputError(f"{name!r}: {' '.join(rest)!r} after {kind!r} means nothing")
    if kind in SQUARE and (len(axes) < 2 or axes[-1] != axes[-2]):
        raise InputError(f"{name!r}: a {kind} matrix is square; write 'd d {kind}'")
    if kind in ("onehot", "probabilities") and not axes:
        raise InputError(f"{name!r}: {kind} entries lie along an axis; write 'n k {kind}'")
    return axes, kind, rest[0] if kind == "labels" else ""


def ordered(shapes: object, function: Callable[..., Any]) -> dict[str, object]:
    """Return declared shapes in the order of a function's arguments.

    Raises: InputError where the two do not name the same.
    """
    if not isinstance(shapes, Mapping) or not shapes:
        raise InputError("no inputs to judge it at; declare shapes = {'x': 'n d'} in the class, or write examples")
    takes = {name: p for name, p in inspect.signature(function).parameters.items() if name != "ctx"}
    if any(p.kind is p.VAR_POSITIONAL for p in takes.values()):  # it takes what is declared, in that order
        return dict(shapes)
    for name in shapes:
        if name not in takes:
            raise InputError(f"shapes: no argument is called {name!r}{suggest(str(name), takes)}")
    missing = [name for name, p in takes.items() if name not in shapes and p.default is p.empty and p.kind <= 1]
    if missing:
        raise InputError(f"shapes: what does {missing[0]!r} look like? every argument needs a shape, or a default")
    return {name: shapes[name] for name in takes if name in shapes}


def sizes(shapes: Mapping[str, object], lengths: tuple[tuple[int, ...], tuple[int, ...]]) -> dict[str, int]:
    """Give every letter of the declarations a length of its own: the first of `lengths` to x's and to squares'."""
    own: list[str] = []
    others: list[str] = []
    fixed: set[int] = set()
    for i, (name, declaration) in enumerate(shapes.items()):
        axes, _, classes = parse(name, declaration)
        for word in filter(None, (*axes, classes)):
            if word.isdigit():
                fixed.add(int(word))
            elif word not in own and (i == 0 or axes.count(word) > 1):
                own.append(word)
            elif word not in others:
                others.append(word)
    found: dict[str, int] = {}
    for letters, pool in ((own, lengths[0]), (others, lengths[1])):
        for letter in letters:
            if letter not in found:
                free = (n for n in (*pool, *range(9, 60)) if n not in fixed and n not in found.values())
                found[letter] = next(free)
    return found


def draw(shapes: Mapping[str, object], rng: Generator) -> Iterator[tuple[Tensor, ...]]:
    """Yield the declared tensors, float64, in the order declared, with two sets of lengths.

    The first, by which is differentiated, is drawn at each scale; the others keep scale 1, so that a product with the
    first has it too. At the largest scale its largest entry is 120, where exp overflows in float32.
    """
    for i, scale in enumerate(SCALES):
        length = sizes(shapes, LENGTHS[i % len(LENGTHS)])
        yield tuple(
            _tensor(name, declaration, length, 1.0 if j else scale, rng)
            for j, (name, declaration) in enumerate(shapes.items())
        )


def _tensor(name: str, declaration: object, length: Mapping[str, int], scale: float, rng: Generator) -> Tensor:
    axes, kind, classes = parse(name, declaration)
    shape = [int(axis) if axis.isdigit() else length[axis] for axis in axes]
    x = torch.randn(shape, generator=rng, dtype=torch.float64)
    if kind == "labels":
        return _labels(x, int(classes) if classes.isdigit() else length[classes], rng)
    return KINDS[kind](x, scale)

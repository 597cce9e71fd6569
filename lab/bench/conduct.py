"""What a function must not do if it is to be judged: write into its arguments, or give other numbers at every call.

Either makes nonsense of any comparison, and the first spoils the numbers of whoever calls it, so that both are told
before a formula is looked for.

What is called twice on the same numbers, on one thread, differs by nothing, or by the order of its sums where it takes
them in several. Two orders of a sum of n terms differ by 2γ_n Σ|terms| (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed., §4.2). n is taken as the entries of all arguments, a term as the largest of them and of the
result, `ROOM` is for several sums on one way, and half of the digits are never lost by it. Where a replay has bounded
the rounding, that bound is asked instead (`steady`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

ROOM = 8.0
LEAVES = "so that it cannot be differentiated"
RANDOM = "gives other numbers each time it is called: take what is random as an argument"


class MisconductError(Exception):
    """Nothing can be judged of a function that does this; the message completes "it …"."""


def require(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    names: tuple[str, ...],
    reads_only: bool = True,
    due: torch.dtype | None = None,
) -> None:
    """Call f twice; `reads_only` forbids it to write into its arguments, which in-place Functions may.

    Args: due the type that its result must have, None where any will do.

    Raises: MisconductError; whatever f raises.
    """
    given = [tuple(a.clone() if isinstance(a, Tensor) else a for a in args) for _ in range(2)]
    with one_thread():
        first, second = (f(*each) for each in given)
    for name, before, after in zip((*names, "direction"), args, given[0], strict=False):
        if reads_only and isinstance(before, Tensor) and not _same(before, after, 0.0):
            raise MisconductError(
                f"writes into its argument {name}, and whoever calls it goes on with that: copy it first"
            )
    if isinstance(first, Tensor) and first.dtype != (due or first.dtype):
        came, asked = (str(dtype).removeprefix("torch.") for dtype in (first.dtype, due))
        raise MisconductError(f"is {came} where x is {asked}, which training cannot go on with: give it x's type")
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        floating = [a for a in args if isinstance(a, Tensor) and a.is_floating_point()]
        terms = max(sum(a.numel() for a in floating), 1)
        eps = torch.finfo(first.dtype).eps if first.is_floating_point() else 0.0
        share = min(ROOM * terms * eps, eps**0.5)
        if first.shape != second.shape or not _same(first, second, share, *floating):
            raise MisconductError(RANDOM)


def steady(first: Tensor, second: Tensor, rounding: Tensor) -> None:
    """Raise MisconductError where two results on the same numbers lie further apart than rounding can have each."""
    if first.shape != second.shape or bool(((first.double() - second.double()).abs() > 2 * rounding).any()):
        raise MisconductError(RANDOM)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _same(a: Tensor, b: Tensor, share: float, *terms: Tensor) -> bool:
    """Whether two tensors are equal, but for a share of the largest number; what is not a number equals itself."""
    if not share:
        return torch.equal(a, b) or bool(((a == b) | (a != a) & (b != b)).all())
    numbers = [x.nan_to_num(0.0, 0.0, 0.0).abs() for x in (a, *terms) if x.numel()]
    largest = max((float(x.max()) for x in numbers), default=0.0)
    return torch.allclose(a, b, rtol=share, atol=share * largest, equal_nan=True)

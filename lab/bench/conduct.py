"""What a function must not do if it is to be judged: write into its arguments, or give other numbers at every call.

Either makes nonsense of any comparison, and the first spoils the numbers of whoever calls it, so that both are told
before a formula is looked for.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


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
        share = torch.finfo(first.dtype).eps ** 0.5 if first.is_floating_point() else 0.0
        if first.shape != second.shape or not _same(first, second, share):
            raise MisconductError("gives other numbers each time it is called: take what is random as an argument")


def _same(a: Tensor, b: Tensor, share: float) -> bool:
    """Whether two tensors are equal, but for a share of their largest number; what is not a number equals itself."""
    if not share:
        return torch.equal(a, b) or bool(((a == b) | (a != a) & (b != b)).all())
    largest = float(a.nan_to_num(0.0, 0.0, 0.0).abs().max()) if a.numel() else 0.0
    return torch.allclose(a, b, rtol=share, atol=share * largest, equal_nan=True)

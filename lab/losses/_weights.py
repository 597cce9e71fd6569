"""Weights of classes and labels, for the losses that take them: read and checked once, or counted from labels."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def checked(what: str, given: Iterable[float] | None) -> tuple[float, ...] | None:
    """Return weights as a tuple of numbers, from any sequence or tensor of them; None stays None.

    Raises: ValueError where one is negative or not finite, or there are none.
    """
    if given is None:
        return None
    weights = tuple(float(weight) for weight in given)
    for weight in weights:
        if not (weight >= 0 and math.isfinite(weight)):
            raise ValueError(f"{what}: {weight:g} is no weight; each must be a finite number of at least 0")
    if not weights:
        raise ValueError(f"{what}: the list is empty; give one number for each output, or leave it out")
    return weights


def vector(what: str, weights: tuple[float, ...] | None, like: Tensor) -> Tensor:
    """Return weights as a float64 tensor (K,), ones for None, on the device of `like` (…, K).

    Double precision whatever the logits have, so that what is made of them is rounded once.
    Raises: ValueError where there are not K of them.
    """
    K = like.shape[-1]
    if weights is None:
        return torch.ones(K, dtype=torch.float64, device=like.device)
    require(what, weights, K)
    return torch.tensor(weights, dtype=torch.float64, device=like.device)


def require(what: str, weights: tuple[float, ...] | None, K: int) -> None:
    """Raise ValueError where there are weights and not K of them."""
    if weights is not None and len(weights) != K:
        entries = "entry" if len(weights) == 1 else "entries"
        raise ValueError(f"{what} has {len(weights)} {entries}, and there are {K} outputs; give one for each")


def balanced(counts: Tensor, of: str) -> Tensor:
    """Return n/(C n_c) for counts n_c along the first axis (C, …), n = Σ n_c: scikit-learn's balanced weights.

    Then Σ_c n_c w_c = n: the rows together weigh what they weighed. Raises: ValueError where a count is 0.
    """
    if bool((counts == 0).any()):
        index = int((counts == 0).nonzero()[0, -1 if counts.ndim > 1 else 0])
        raise ValueError(f"class_weight: no training row shows {of} {index}, so it has no balance; list the weights")
    counts = counts.double()
    return counts.sum(dim=0, keepdim=True) / (counts.shape[0] * counts)

"""Symmetric matrices by their upper triangle: where an entry lies among those with i ≤ j, row by row."""

import torch
from torch import Tensor


def upper(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The rows i and columns j of the entries i ≤ j of an (n, n) matrix, each (n (n + 1)/2,)."""
    i, j = torch.triu_indices(n, n, device=device)
    return i, j


def places(n: int, device: torch.device) -> Tensor:
    """Where (i, j), and (j, i), is in that order, (n, n), int32."""
    i = torch.arange(n, dtype=torch.int32, device=device)
    low, high = torch.minimum(i[:, None], i), torch.maximum(i[:, None], i)
    return low * n - low * (low + 1) // 2 + high

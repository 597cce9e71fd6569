"""Where the residual ours − truth lives: the shapes, rows and columns, the diagonal, and what it grows with."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

NAMED = 4  # how many rows or columns are listed by number
CLEAR = 0.8  # a rank correlation that is worth a word
POINTS = 5  # and the least number of entries for one
OUTER = 3  # rows and columns of a matrix whose rank tells something
EPS = torch.finfo(torch.float64).eps


def describe(
    ours: Tensor, truth: Tensor, bound: Tensor, inputs: Mapping[str, Tensor], sizes: Mapping[str, int] | None = None
) -> str:
    """Say where ours and the truth differ by more than the bound, and with which inputs the difference grows."""
    if ours.shape != truth.shape:
        return _shapes(ours, truth, sizes or {})
    bad = ~torch.isfinite(ours)
    if bool(bad.any()):
        return f"ours is not a finite number in {_count(bad)}{_place(bad)}"
    if not bool(torch.isfinite(truth).all()):
        return "the truth is not finite here, so nothing can be said"
    residual = (ours - truth).abs()
    wrong = residual > bound
    if not bool(wrong.any()):
        return f"the residual is below rounding in {_count(~wrong)} (at most {float(residual.max()):.2g})"
    if not bool(ours.any()):
        none = " (None, where a backward pass returns it, counts as 0)"
        return f"ours is 0 in {_count(ours == 0)}: nothing came back{none}, or all of it cancels"
    most, largest = float(residual.max()), float(truth.abs().max())
    size = f"{most:.2g}" + (f", {most / largest:.2g} of the truth's largest" if largest else "")
    said = [f"the residual is in {_count(wrong)}{_place(wrong)} (at most {size})"]
    said += _patterns(ours, truth, wrong, bound)
    grows = _grows(residual, inputs)
    if grows:
        said.append("it grows with " + ", ".join(grows))
    return "; ".join(said)


def _shapes(ours: Tensor, truth: Tensor, sizes: Mapping[str, int]) -> str:
    """Both shapes, in letters too where sizes have any, and what may make one of the other."""
    said = f"ours has the shape {_letters(ours, sizes)} where {_letters(truth, sizes)} is due"
    if truth.ndim and ours.ndim == truth.ndim + 1:
        extra = [n for axis, n in enumerate(ours.shape) if ours.shape[:axis] + ours.shape[axis + 1 :] == truth.shape]
        if extra and extra[-1] > 1:
            n = extra[-1]
            said += f"; ({n}, 1) against ({n},) makes ({n}, {n}), which may be how it came about"
    elif ours.ndim == truth.ndim == 1 and (how := _same(ours, truth)):
        said += f"; its {how} is the truth's, so that it may be the same terms' {how} over another axis"
    return said


def _same(ours: Tensor, truth: Tensor) -> str:
    """Whether two vectors agree in their sum or their mean, as sums or means of one matrix over its two axes do."""
    if not bool(torch.isfinite(ours).all()) or not bool(torch.isfinite(truth).all()):
        return ""
    near = torch.finfo(torch.float32).eps ** 0.75 * float(ours.abs().sum() + truth.abs().sum())
    for how, n, m in (("sum", 1, 1), ("mean", len(ours), len(truth))):
        total = float(truth.sum()) / m
        if abs(total) > 1e3 * near >= 1e3 * abs(float(ours.sum()) / n - total):
            return how
    return ""


def _letters(x: Tensor, sizes: Mapping[str, int]) -> str:
    """A shape, and in letters where every length has one of its own."""
    named = [[letter for letter, n in sizes.items() if n == length] for length in x.shape]
    words = ", ".join(names[0] if names else str(n) for names, n in zip(named, x.shape, strict=True))
    return f"{tuple(x.shape)}" + (f" = ({words})" if any(named) and all(len(names) < 2 for names in named) else "")


def _count(mask: Tensor) -> str:
    n, of = int(mask.sum()), mask.numel()
    if of == 1:
        return "the only entry"
    return f"{'all' if n == of else n} of {of} entries" if n != of else f"all {of} entries"


def _place(mask: Tensor) -> str:
    """The rows and columns that hold every marked entry, where not all do."""
    said = []
    for axis in range(mask.ndim):
        kept = mask.any(dim=[a for a in range(mask.ndim) if a != axis]) if mask.ndim > 1 else mask
        index = kept.nonzero()[:, 0].tolist()
        if len(index) <= min(NAMED, mask.shape[axis] - 1):
            said.append(f"{_axis(axis, mask.ndim, len(index))} {', '.join(map(str, index))}")
    return f", in {' and '.join(said)} alone" if said else ""


def _axis(axis: int, ndim: int, many: int) -> str:
    if ndim == 1:
        return "entry" if many == 1 else "entries"
    return ("row", "column")[axis] + "s" * (many > 1) if ndim == 2 else f"index {axis} of"


def _patterns(ours: Tensor, truth: Tensor, wrong: Tensor, bound: Tensor) -> Iterator[str]:
    """What a matrix's residual has: rank 1; of a square one a place beside the diagonal, a symmetry."""
    if ours.ndim == 2 and _is_outer(ours - truth, wrong, bound):
        yield "it has rank 1: an outer product u vᵀ is missing, one too many, or of another size"
    if ours.ndim != 2 or ours.shape[0] != ours.shape[1] or len(ours) < 2:
        return
    own = torch.eye(len(ours), dtype=torch.bool, device=ours.device)
    if not bool(wrong[own].any()):
        yield "the diagonal is right"
    elif not bool(wrong[~own].any()):
        yield "only the diagonal is wrong"
    slack = bound + bound.T
    if bool(((truth - truth.T).abs() <= slack).all()) and bool(((ours - ours.T).abs() > slack).any()):
        right = bool((((ours + ours.T) / 2 - truth).abs() <= slack).all())
        yield "the truth is symmetric and ours is not" + (", though its symmetric part is the truth" if right else "")


def _is_outer(residual: Tensor, wrong: Tensor, bound: Tensor) -> bool:
    """Whether it is an outer product but for rounding: by Eckart and Young its second singular value is below it."""
    if min(residual.shape) < OUTER or min(int(wrong.any(dim=axis).sum()) for axis in (0, 1)) < OUTER:
        return False
    values = torch.linalg.svdvals(residual.double())
    return float(values[1]) <= float(bound.norm()) + OUTER * len(values) * EPS * float(values[0])


def _grows(residual: Tensor, inputs: Mapping[str, Tensor]) -> list[str]:
    """The inputs whose size goes along with the residual's, entry by entry, row by row or column by column."""
    found = []
    for name, x in inputs.items():
        if not x.is_floating_point():
            continue
        for where, a, b in _pairs(residual, x.abs()):
            if len(a) >= POINTS and (rho := _rank_correlation(a, b)) >= CLEAR:
                found.append(f"|{name}| {where} (rank correlation {rho:.2f})")
                break
    return found


def _pairs(residual: Tensor, x: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    if x.shape == residual.shape and x.ndim:
        yield "entry by entry", residual.reshape(-1), x.reshape(-1)
    for axis, called in ((0, "row by row"), (1, "column by column")):
        if residual.ndim > axis:
            along = residual.movedim(axis, 0).reshape(residual.shape[axis], -1).sum(dim=1)
            for other in range(x.ndim):
                if x.shape[other] == len(along):
                    yield called, along, x.movedim(other, 0).reshape(len(along), -1).sum(dim=1)


def _rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's ρ; 0 where all of one is equal."""
    ranks = torch.stack([_ranks(a), _ranks(b)])
    ranks = ranks - ranks.mean(dim=1, keepdim=True)
    norms = ranks.norm(dim=1)
    return float((ranks[0] * ranks[1]).sum() / (norms[0] * norms[1])) if bool((norms > 0).all()) else 0.0


def _ranks(a: Tensor) -> Tensor:
    """Ranks, equal numbers sharing theirs."""
    _, place, count = torch.unique(a, return_inverse=True, return_counts=True)
    ranks: Tensor = count.cumsum(dim=0) - (count - 1) / 2
    return ranks.double()[place]

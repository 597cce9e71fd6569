"""Whether rows can be separated from the rest, in which case the likelihood has no maximum.

Row n of class y asks of a direction B (D, K) that (B_y − B_k)ᵀx_n ≥ 0 for every other class k; of a label, that
±b ᵀx_n ≥ 0. Where some B meets all of these and one of them strictly, the likelihood grows along B without end; where
every B that meets them has each at 0, it has a maximum (Albert & Anderson, Biometrika 71, 1984). So it is a linear
programme: the largest sum of them all, with each entry of B in [−1, 1], is 0 or is not (Konis, Linear programming
algorithms for detecting separated data, Oxford 2007).
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lab.problem import Problem

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MET, STRICT = 1e-9, 1e-6  # of columns whose largest entry is 1: what counts as 0 and what as more, to the programme
SECONDS, ENTRIES = 30.0, 20_000_000  # beyond which nothing is told


def separated(problem: Problem) -> bool | None:
    """Whether some rows can be separated from the rest; None where the loss has no margin, or it takes too long."""
    X = problem.X.double().cpu()
    X = X / X.abs().amax(dim=0).clamp(min=torch.finfo(X.dtype).tiny)
    signs = _signs(problem)
    if signs is None:
        return None
    K = problem.shape[1]
    if signs.ndim == 2:  # labels, each for itself
        if X.numel() * K > ENTRIES:
            return None
        found = [_grows(_rows(X[~s.isnan()] * s[~s.isnan(), None]), SECONDS / K) for s in signs.T]
        return True if True in found else None if None in found else False
    known = ~signs.isnan()
    X, classes = X[known], signs[known].long()
    if len(X) * K * X.shape[1] > ENTRIES:
        return None
    return _grows(_contrasts(X, classes, K), SECONDS)


def _signs(problem: Problem) -> Tensor | None:
    """The sign (N, K) that each label's logit is to have, or each row's class (N,); nan where it does not count."""
    K, found = problem.shape[1], []
    for X, y in problem.blocks():
        margins = [problem.loss.margin(X.new_ones(len(X), 1) * unit, y) for unit in torch.eye(K).to(X)]
        told = [margin for margin in margins if margin is not None]
        if len(told) < K:
            return None
        if told[0].ndim == 1:  # the class's own logit alone leads to a margin above 0
            stacked = torch.stack(told, dim=1)
            found.append(stacked.argmax(dim=1).double().where(~stacked.isnan().any(dim=1), torch.nan))
        else:
            found.append(torch.stack([told[k][:, k] for k in range(K)], dim=1).sign().double())
    return torch.cat(found).cpu()


def _rows(X: Tensor) -> "csr_matrix":
    from scipy.sparse import csr_matrix

    return csr_matrix(X.numpy())


def _contrasts(X: Tensor, classes: Tensor, K: int) -> "csr_matrix":
    """The map from B, as contrasts with the first class (D·(K − 1)), to (B_y − B_k)ᵀx_n, a row for each n and k ≠ y."""
    from scipy.sparse import csr_matrix, kron, vstack

    units, blocks = torch.eye(K, dtype=torch.float64), list[Any]()
    for y in sorted(set(classes.tolist())):
        own = csr_matrix(X[classes == y].numpy())
        blocks += [kron((units[y] - units[k])[None, 1:].numpy(), own) for k in range(K) if k != y]
    return vstack(blocks, format="csr")


def _grows(A: "csr_matrix", seconds: float) -> bool | None:
    """Whether some b has Ab ≥ 0 and not all of it 0; None where the programme does not end, or does not say."""
    from scipy.optimize import linprog
    from scipy.sparse import diags

    if not A.shape[0] or not A.shape[1]:
        return False
    A = diags(1 / abs(A).max(axis=1).toarray().ravel().clip(min=1e-300)) @ A  # a row far longer than others hides none
    options = {"time_limit": seconds, "primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    solved = linprog(-A.sum(axis=0).A1, -A, [0.0] * A.shape[0], bounds=(-1, 1), method="highs", options=options)
    if solved.status != 0:
        return None
    reached = A @ solved.x
    terms = abs(A) @ abs(solved.x)  # beside which a row of small numbers is not met, however small it misses by
    if reached.min() < -MET or (reached < -STRICT * terms).any() or MET < reached.max() <= STRICT:
        return None
    return bool(reached.max() > STRICT)

"""Separability and margins, decided by linear and quadratic programs, apart from any training.

Rows a of A: for softmax x_n ⊗ (e_{y_n} − e_k) of every row n and wrong class k, for σ ±x_n ⊗ e_k of every row and
            label.
θ labels every row rightly exactly where Aθ > 0, and the loss goes to 0 along such a θ.

separable   max s with Aθ ≥ s, |θ| ≤ 1 (a linear program): some θ has Aθ > 0 exactly where s > 0.
overlap     Without one there may still be θ ≠ 0 with Aθ ≥ 0, along which the loss never rises: quasi-separation, with
            no
            minimum either. Σ(Aθ)_i largest, subject to Aθ ≥ 0 and |θ| ≤ 1, is 0 exactly where there is no such θ but in
            A's null space (Albert & Anderson, Biometrika 71 (1984)): then a minimum exists.
margin      γ = max min_i (Aθ)_i over ‖θ‖ = 1, attained by the hard-margin support-vector machine through the origin.
            scikit-learn's SVC fits an intercept, which is 0 by symmetry where every a is given as +1 and −a as −1. Its
            dual weights α prove how near it is: any α ≥ 0 has γ ≤ ‖Aᵀα‖/Σα, so γ lies between that and min Aû.
"""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.problem import Problem
from lab.theorem import Condition, Setting

MOST = 10**5  # iterations of the support-vector machine: what it leaves undone widens the interval, and is told


@dataclass(frozen=True)
class Margin:
    """The unit separator û (D, K) of the widest margin, and an interval that holds that margin γ."""

    direction: Tensor
    lower: float
    upper: float

    @property
    def error(self) -> float:
        """A bound on ‖û − the true one‖.

        With w = û/γ̂ feasible and w* the shortest feasible, (w*)ᵀ(w − w*) ≥ 0, so cos ∠(w, w*) ≥ ‖w*‖/‖w‖ ≥ lower/upper.
        """
        return math.sqrt(max(0.0, 2 - 2 * self.lower / self.upper))


def differences(problem: Problem, kind: str) -> Tensor:
    """A, (rows, D·K), in float64."""
    X, (_, K) = problem.X.double(), problem.shape
    units = torch.eye(K, dtype=X.dtype)
    if kind == "softmax":
        y = problem.y if problem.y.ndim == 1 else problem.y.argmax(dim=1)
        others = torch.arange(K)[None, :] != y[:, None]
        signs = (units[y][:, None, :] - units[None, :, :])[others].view(len(X), K - 1, K)
    else:
        signs = (2 * problem.y.double() - 1)[:, :, None] * units
    return torch.einsum("nd,njk->njdk", X, signs).reshape(-1, X.shape[1] * K)


def _scaled(A: Tensor) -> Tensor:
    """A with 1 for the largest entry of each column, whatever units the data are in: θ takes up the rest."""
    largest = A.abs().amax(dim=0)
    return A / torch.where(largest > 0, largest, 1.0)


def separable(setting: Setting) -> Condition:
    """Whether some θ labels every row rightly; the least margin is that of columns whose largest entry is 1."""
    import numpy as np
    from scipy.optimize import linprog

    A = _scaled(differences(setting.problem, setting.loss)).numpy()
    rows, P = A.shape

    found = linprog(
        np.r_[np.zeros(P), -1.0],
        A_ub=np.c_[-A, np.ones(rows)],
        b_ub=np.zeros(rows),
        bounds=[(-1, 1)] * P + [(None, 1)],
        method="highs",
    )
    direction = torch.from_numpy(found.x[:P])
    margin = float((torch.from_numpy(A) @ direction).min())
    return Condition("separable rows", margin > 1e-9, f"least margin {margin:.3g}")


def has_minimum(setting: Setting) -> Condition:
    """Whether the loss attains its minimum: the rows overlap, or a ridge holds θ."""
    from scipy.optimize import linprog

    problem = setting.problem
    if problem.ridge and bool((problem.mask == 1).all()):
        return Condition("the loss has a minimum", True, f"ρ = {problem.ridge:g}")
    A = _scaled(differences(problem, setting.loss)).numpy()
    found = linprog(-A.sum(axis=0), A_ub=-A, b_ub=0 * A[:, 0], bounds=[(-1, 1)] * A.shape[1], method="highs")
    total = -float(found.fun)
    return Condition("the loss has a minimum: the rows overlap", total < 1e-9, f"separating sum {total:.2g}")


def max_margin(problem: Problem, kind: str) -> Margin:
    """The widest margin, by scikit-learn's support-vector machine."""
    from sklearn.svm import SVC

    A = differences(problem, kind)
    both, signs = torch.cat([A, -A]).numpy(), torch.cat([torch.ones(len(A)), -torch.ones(len(A))]).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stopped early is told by the interval
        machine = SVC(kernel="linear", C=1e12, tol=1e-6, max_iter=MOST).fit(both, signs)
    weights = torch.zeros(2 * len(A), dtype=A.dtype)
    weights[torch.from_numpy(machine.support_).long()] = torch.from_numpy(machine.dual_coef_[0]).abs()
    alpha = weights[: len(A)] + weights[len(A) :]
    w = A.T @ alpha
    direction = w / w.norm()
    return Margin(direction.view(problem.shape), float((A @ direction).min()), float(w.norm() / alpha.sum()))

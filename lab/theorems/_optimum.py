"""Where a convex problem's minimum is, found apart from the run: what a run is held against near its optimum."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.optimizers.newton import Newton
from lab.problem import Problem
from lab.rounding import gradient_bound
from lab.spectrum import Spectrum
from lab.theorems._spectra import hessian

MOST = 200  # Newton steps: it takes a dozen or two wherever a minimum exists


@dataclass(frozen=True)
class Optimum:
    """θ* (D, K), the eigenvalues of ∇²L there, and a bound on ‖θ* − the true minimiser‖ on the Hessian's range."""

    theta: Tensor
    spectrum: Spectrum
    error: float


def optimum(problem: Problem, start: Tensor) -> Optimum | None:
    """Return the minimum that Newton's method finds from `start`; None where the gradient does not vanish.

    The gradient vanishes when no entry is above what rounding can leave, twice `gradient_bound`. The distance to the
    true minimiser is then at most ‖g‖/λ, λ the least eigenvalue that is not zero, twice over for what ∇²L varies.
    """
    theta = start.clone()
    newton = Newton()
    for _ in range(MOST):
        g = problem.gradient(theta)
        bound = gradient_bound(problem, theta)
        if bool((g.abs() <= 2 * bound).all()):
            found = hessian(problem, theta)
            kept = found.values[found.values > found.radius]
            if not len(kept):
                return None
            # One more step gains the digits that are to be had, and leaves the gradient within its own rounding.
            last = newton.step(problem, theta, g)
            left = float((problem.gradient(last).abs() + bound).norm())
            return Optimum(last, found, 2 * left / float(kept[-1]))
        there = newton.step(problem, theta, g)
        if torch.equal(there, theta):
            return None
        theta = there
    return None

"""Damped Newton by the hand-derived Hessian.

The step minimises the second-order model L(θ) + ∇LᵀΔ + ½ Δᵀ(H + μI)Δ:  Δ = −(H + μI)⁺ ∇L, by the eigenvectors of H.
⁺ is the pseudo-inverse: a direction whose eigenvalue cannot be told from zero is left alone (softmax's common
shift; the gradient has nothing there). Eigenvalues enter by magnitude, so that Δ leads downhill wherever H is.

The step is then halved until the loss falls by at least a ten-thousandth of what its slope promises (Armijo), which
is met at once near the optimum, where convergence is quadratic.

Source  Nocedal & Wright, Numerical Optimization, 2nd ed., §3.1, §3.3 and §3.4; Boyd & Vandenberghe, §9.5.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from lab import spectrum
from lab.optimizer import Objective, Optimizer

ARMIJO = 1e-4
HALVINGS = 40


@dataclass(frozen=True)
class Newton(Optimizer):
    """Newton's method: `damping` μ is added to the Hessian, `lr` is the longest step tried (1: the whole of it)."""

    lr: Annotated[float, Gt(0)] = 1.0
    """The longest step tried; 1 is the whole of it."""
    damping: Annotated[float, Ge(0)] = 0.0
    """μ, added to the Hessian's eigenvalues."""

    def step(self, objective: Objective, theta: Tensor, gradient: Tensor) -> Tensor:
        """Return θ + lr·2^{−j} Δ for the first j = 0, 1, … that descends enough; θ itself where none does.

        nan where the Hessian overflows: there is no such step, and the run ends as one that diverged.
        """
        H = objective.hessian(theta)
        if not bool(torch.isfinite(H).all()):
            return torch.full_like(theta, torch.nan)
        direction = self.direction(H, gradient)
        slope = float((gradient * direction).sum())
        start = float(objective.value(theta))
        # Near the optimum the promised fall is below the rounding of the loss itself, which must not stop the step.
        noise = 16 * torch.finfo(theta.dtype).eps * abs(start)
        length = self.lr
        for _ in range(HALVINGS):
            there = theta + length * direction
            if float(objective.value(there)) <= start + ARMIJO * length * slope + noise:
                return there
            length /= 2
        return theta.clone()

    def direction(self, H: Tensor, gradient: Tensor) -> Tensor:
        """Return Δ = −(|H| + μI)⁺ ∇L, in the gradient's shape (D, K), of H (D·K, D·K)."""
        found = spectrum.dense(H, vectors=True)
        assert found.vectors is not None
        kept = found.values.abs() > found.radius
        size = found.values.abs().to(H.dtype) + self.damping
        V = found.vectors[:, kept]
        return -(V @ ((V.T @ gradient.reshape(-1)) / size[kept])).view_as(gradient)

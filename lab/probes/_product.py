"""What eigenvalues are found of, a matrix or a product for many directions, against the problem's product for one.

That is the one that `probes.hvp` holds against autograd, and it is derived apart: a mistake in what only eigenvalues
are made of (`Loss.hessian`, `off_diagonal`, `hessian_map`, `local`) would otherwise be proved about to ten digits.
Both round: H by `Curvature.dense_rounding`, or its product, and the other, by `Curvature.rounding`, a unit vector's
product with a matrix by γ_P ‖H‖_F more.
"""

import math

import torch

from lab.curvature.operator import Curvature, size_of
from lab.referee import Verdict, Who
from lab.rounding import gamma
from lab.seeds import stream


def judge(curvature: Curvature, dense: bool, seed: int, t: int) -> Verdict | None:
    """Hold H v, by the matrix where `dense`, against the problem's product in a random direction; None if infinite."""
    theta, problem = curvature.theta, curvature.problem
    v = torch.tensor(stream(seed, "product", t).standard_normal(theta.numel())).to(theta)
    v /= size_of(v)
    ours = curvature.dense @ v if dense else curvature(v[:, None])[:, 0]
    apart = size_of(ours - problem.hvp(theta, v.view(theta.shape)).reshape(-1))
    bound = 2 * curvature.rounding
    if dense:
        bound += curvature.dense_rounding + gamma(len(v), theta.dtype) * size_of(curvature.dense)
    if not math.isfinite(apart) or not math.isfinite(bound):
        return None
    ratio = apart / bound if bound else (math.inf if apart else 0.0)
    what, size, dtype = "the Hessian of the eigenvalues", size_of(ours), str(theta.dtype)[6:]
    if ratio <= 1:
        return Verdict(what, "H v", ratio, (), size, size - apart, bound, dtype=dtype)
    note = "it is not that of the loss's product: no eigenvalue of this step is to be believed"
    return Verdict(what, "H v", ratio, (), size, size - apart, bound, Who.OURS, dtype, note)

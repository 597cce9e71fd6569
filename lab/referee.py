"""The referee: a hand derivation against the oracle, and a verdict that says how the difference compares with rounding.

The figure of a verdict is max |ours − truth| / bound over all entries, where the bound (`lab.rounding`) is what
rounding can do to ours and to the truth together. At most 1 is rounding; far above 1 is a mistake. A purely relative
figure would fail near an optimum, where gradients vanish; a purely absolute one would let tiny wrong gradients pass.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lab import oracle, rounding
from lab.problem import Problem


@dataclass(frozen=True)
class Verdict:
    """How one hand-derived tensor compares with the truth.

    `ratio` is the largest |ours − truth| / bound, and at most 1 where the derivation is right; `where` is that
    entry's index in `tensor`, `ours` and `truth` are its two values and `bound` what rounding allows there.
    """

    what: str
    tensor: str
    ratio: float
    where: tuple[int, ...]
    ours: float
    truth: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the difference is no more than rounding."""
        return self.ratio <= 1

    def __str__(self) -> str:
        place = f"{self.tensor}[{', '.join(map(str, self.where))}]"
        values = f"ours {self.ours:.6g}, truth {self.truth:.6g}"
        if not math.isfinite(self.ours):
            return f"{self.what} is not finite at {place}: {values}"
        allowed = f"{self.ratio:.1e} times what rounding allows"
        if self.passed:
            return f"{self.what} agrees with autograd: at worst, at {place}, {allowed}"
        quotient = f"ours / truth = {self.ours / self.truth:.6g}" if self.truth else f"ours − truth = {self.ours:.6g}"
        return f"{self.what} disagrees with autograd at {place}: {values}, {allowed}; {quotient}"


def compare(what: str, tensor: str, ours: Tensor, truth: Tensor, bound: Tensor) -> Verdict:
    """Hold `ours` against `truth`, entry by entry, in units of `bound`; all three have one shape.

    An entry that is not finite in ours, or a difference where no rounding is possible (bound 0), has the ratio inf.
    Shapes that differ are a mistake of their own: the verdict's ratio is inf and its values are nan.
    """
    if ours.shape != truth.shape:
        return Verdict(
            f"{what} of shape {tuple(ours.shape)} for {tuple(truth.shape)}",
            tensor,
            math.inf,
            (),
            math.nan,
            math.nan,
            0.0,
        )
    difference = (ours - truth).abs()
    ratio = torch.where(difference == 0, 0.0, difference / bound).nan_to_num(nan=math.inf, posinf=math.inf)
    worst = int(ratio.argmax())
    where = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), ours.shape))
    return Verdict(
        what, tensor, float(ratio[where]), where, float(ours[where]), float(truth[where]), float(bound[where])
    )


def judge_gradient(problem: Problem, theta: Tensor, ours: Tensor) -> Verdict:
    """Hold a gradient (D, K) at θ against `torch.autograd` of the problem's reference."""
    truth = oracle.gradient(problem.reference, theta)
    return compare("gradient", "theta", ours, truth, 2 * rounding.gradient_bound(problem, theta))


def judge_hessian(problem: Problem, theta: Tensor, ours: Tensor) -> Verdict:
    """Hold a Hessian (D·K, D·K) at θ against `torch.func.hessian` of the problem's reference."""
    truth = oracle.hessian(problem.reference, theta, rows=problem.N * problem.shape[1])
    return compare("hessian", "H", ours, truth, 2 * rounding.hessian_bound(problem, theta))


def judge_hvp(problem: Problem, theta: Tensor, V: Tensor, ours: Tensor) -> Verdict:
    """Hold a product ∇²L(θ) V (D, K) against forward-over-reverse differentiation of the problem's reference."""
    truth = oracle.hvp(problem.reference, theta, V)
    return compare("hvp", "HV", ours, truth, 2 * rounding.hvp_bound(problem, theta, V))

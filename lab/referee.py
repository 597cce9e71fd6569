"""The referee: a hand derivation against the oracle, and a verdict that says how the difference compares with rounding.

The figure of a verdict is max |ours − truth| / bound over all entries, where the bound (`lab.rounding`) is what
rounding can do to ours and to the truth together. At most 1 is rounding; far above 1 is a mistake. A purely relative
figure would fail near an optimum, where gradients vanish; a purely absolute one would let tiny wrong gradients pass.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from lab import oracle, rounding
from lab.loss import Loss
from lab.problem import Problem


class Who(StrEnum):
    """Who is off where ours, torch and a reference in higher precision are held against each other."""

    NOBODY = "rounding"
    OURS = "ours is wrong"
    TORCH = "torch's is the less exact one"
    UNTOLD = "nothing can be told"


@dataclass(frozen=True)
class Dispute:
    """A failed comparison, whole: what a doctor needs to name the mistake.

    `what` is "value", "gradient", "jacobian", "hessian", "hvp", "jvp", "vjp" or "diagonal"; ours, truth and bound have
    one shape, unless the mistake is in ours' shape. `inputs` are the function's arguments by name, the one
    differentiated by first (and the direction last, where there is one); `sizes` are the lengths by their letters.
    A row-wise loss has inputs z and y; a `problem`'s are θ, and V.
    """

    what: str
    ours: Tensor
    truth: Tensor
    bound: Tensor
    inputs: Mapping[str, Tensor]
    sizes: Mapping[str, int]
    loss: Loss | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class Verdict:
    """How one hand-derived tensor compares with the truth.

    `ratio` is the largest |ours − truth| / bound, and at most 1 where the derivation is right; `where` is that
    entry's index in `tensor`, `ours` and `truth` are its two values and `bound` what rounding allows there.

    `who` is off, if anybody; `note` says why, or what else was seen; `errors` are the relative errors of all parties
    at that entry, or at `lost_at`, where one of them has lost its digits and another has not. `diagnosis` is the
    mistake's name. A failed verdict on a problem carries its `dispute`, so that a doctor can be asked. `ratios` is
    |ours − truth| / bound of every entry, to be looked at; nan where nothing can be told.
    """

    what: str
    tensor: str
    ratio: float
    where: tuple[int, ...]
    ours: float
    truth: float
    bound: float
    who: Who = Who.NOBODY
    dtype: str = ""
    note: str = ""
    errors: Mapping[str, float] = field(default_factory=dict)
    lost_at: str = ""
    diagnosis: str = ""
    ratios: Tensor | None = field(default=None, compare=False, repr=False)
    dispute: Dispute | None = field(default=None, repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against ours: the difference is rounding, or nothing can be told."""
        return self.who is Who.UNTOLD or (self.ratio <= 1 and self.who is not Who.OURS)

    def __str__(self) -> str:
        if self.dtype:
            return self._of_three()
        place = f"{self.tensor}[{', '.join(map(str, self.where))}]"
        values = f"ours {self.ours:.6g}, truth {self.truth:.6g}"
        if not math.isfinite(self.ours):
            too = "nor is the truth: numbers too large for their type do that, without a mistake"
            why = self.diagnosis if math.isfinite(self.truth) else too
            return f"{self.what} is not finite at {place}: {values}" + (f"; {why}" if why else "")
        if math.isnan(self.bound):
            why = (
                "what rounding may do to it is made of the loss's hvp, diagonal and gradient, and is not a number there"
            )
            return f"{self.what} cannot be judged at {place}: {values}; {why}"
        allowed = f"{self.ratio:.1e} times what rounding allows"
        if self.passed:
            return f"{self.what} agrees with autograd: at worst, at {place}, {allowed}"
        quotient = f"ours / truth = {self.ours / self.truth:.6g}" if self.truth else f"ours − truth = {self.ours:.6g}"
        said = self.diagnosis or quotient
        return f"{self.what} disagrees with autograd at {place}: {values}, {allowed}; {said}"

    def _of_three(self) -> str:
        """A verdict that a reference in higher precision had a part in."""
        place = f"{self.tensor}[{', '.join(map(str, self.where))}]" if self.where else self.tensor
        ratio = "" if math.isnan(self.ratio) else f", {self.ratio:.2g} times what rounding allows"
        told = {Who.OURS: "wrong", Who.UNTOLD: "cannot be told"}.get(self.who, "right")
        seen = [self.what_was_seen(), self.diagnosis]
        return "; ".join(
            [f"{self.what} in {self.dtype} is {told}{ratio}, at {place}", *(part for part in seen if part)]
        )

    def _digits(self) -> int:
        """How many digits tell ours from the truth, six at least."""
        told = (n for n in range(6, 17) if f"{self.ours:.{n}g}" != f"{self.truth:.{n}g}")
        return next(told, 6)

    def what_was_seen(self) -> str:
        """What the three parties have at that entry, and the note, in words; "" where there is nothing to say."""
        parts = []
        if self.who is Who.OURS and not math.isnan(self.truth):
            parts.append(f"ours {{:.{self._digits()}g}}, truth {{:.{self._digits()}g}}".format(self.ours, self.truth))
        others = {name: error for name, error in self.errors.items() if name != "ours"}
        if self.who is Who.TORCH and others:
            worst = max(others, key=lambda name: others[name])
            rest = ", ".join(f"{name} {_share(error)}" for name, error in self.errors.items() if name != worst)
            parts.append(f"{worst} is the less exact one at {self.lost_at}: off by {_share(others[worst])} ({rest})")
        elif self.who is Who.NOBODY and self.lost_at:
            rest = ", ".join(f"{name} {_share(error)}" for name, error in others.items())
            parts.append(
                f"but ours is the less exact one at {self.lost_at}: off by {_share(self.errors['ours'])} ({rest})"
            )
        elif self.who is Who.OURS and others:
            parts.append("off by: " + ", ".join(f"{name} {_share(error)}" for name, error in self.errors.items()))
        return "; ".join([*parts, self.note] if self.note else parts)


def _share(error: float) -> str:
    """A relative error: as a percentage where that is readable."""
    return f"{100 * error:.3g} %" if 1e-3 <= error <= 10 else f"{error:.1g}"


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
    ratio = ratios(ours, truth, bound)
    worst = int(ratio.argmax())
    where = tuple(int(i) for i in np.unravel_index(worst, tuple(ours.shape)))  # torch's own would import sympy
    mine, true, allowed = (float(side[where]) for side in (ours, truth, bound))
    return Verdict(what, tensor, float(ratio[where]), where, mine, true, allowed, ratios=ratio)


def ratios(ours: Tensor, truth: Tensor, bound: Tensor) -> Tensor:
    """|ours − truth| / bound of each entry; inf for one that is not finite, or differs where the bound is 0."""
    difference = (ours - truth).abs()
    return torch.where(difference == 0, 0.0, difference / bound).nan_to_num(nan=math.inf, posinf=math.inf)


def judge_gradient(problem: Problem, theta: Tensor, ours: Tensor) -> Verdict:
    """Hold a gradient (D, K) at θ against `torch.autograd` of the problem's reference."""
    truth = oracle.gradient(problem.reference, theta)
    dispute = _dispute("gradient", problem, {"theta": theta}, ours, truth, rounding.gradient_bound(problem, theta))
    return _verdict("theta", dispute)


def judge_hessian(problem: Problem, theta: Tensor, ours: Tensor) -> Verdict:
    """Hold a Hessian (D·K, D·K) at θ against `torch.func.hessian` of the problem's reference."""
    truth = oracle.hessian(problem.reference, theta, rows=problem.N * problem.shape[1])
    dispute = _dispute("hessian", problem, {"theta": theta}, ours, truth, rounding.hessian_bound(problem, theta))
    return _verdict("H", dispute)


def judge_hvp(problem: Problem, theta: Tensor, V: Tensor, ours: Tensor) -> Verdict:
    """Hold a product ∇²L(θ) V (D, K) against reverse-over-reverse differentiation of the problem's reference."""
    truth = oracle.hvp(problem.reference, theta, V)
    inputs = {"theta": theta, "V": V}
    return _verdict("HV", _dispute("hvp", problem, inputs, ours, truth, rounding.hvp_bound(problem, theta, V)))


def _dispute(
    what: str, problem: Problem, inputs: Mapping[str, Tensor], ours: Tensor, truth: Tensor, bound: Tensor
) -> Dispute:
    """The comparison of a problem's derivative; `bound` is the rounding of one computation."""
    D, K = problem.shape
    sizes = {"N": problem.N, "D": D, "K": K}
    return Dispute(what, ours, truth, 2 * bound, inputs, sizes, problem.loss, problem)


def _verdict(tensor: str, dispute: Dispute) -> Verdict:
    """Judge a dispute; a verdict that fails carries it."""
    verdict = compare(dispute.what, tensor, dispute.ours, dispute.truth, dispute.bound)
    return verdict if verdict.passed or math.isnan(verdict.bound) else replace(verdict, dispute=dispute)

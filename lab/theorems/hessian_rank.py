"""The rank of softmax's Hessian.   z = Xθ, K classes, no ridge.

Statement   rank ∇²L(θ) = (K − 1)·rank X at every finite θ. The null space is {V : XV = a1ᵀ for some a}: the shift
            common to all classes, and X's own null space.
Source      Follows from the factor of lab/losses/softmax.py; Böhning, Ann. Inst. Statist. Math. 44 (1992), §2.
Conditions  A plain softmax of a linear model, no ridge.
Quantity    At every step the eigenvalue number (K − 1)·rank X, which is not 0, the largest beyond it, which is, and
            ∇²L (e_d ⊗ 1) for every column d.
Prediction  Those beyond, and the products, are 0 to rounding; the last one before is not. As p saturates it sinks below
            what rounding can tell from 0: then nothing can be told of the rank from there on.
Proof idea  VᵀHV = (1/N) Σ Var_{p_n}(x_nᵀV), a sum of variances: 0 exactly where every x_nᵀV is the same for all
            classes, as all p are above 0. XV = a1ᵀ puts a in X's range: rank X dimensions for a, and K·(D − rank X) for
            V's part in X's null space: D·K − (K − 1)·rank X together.
"""

from collections.abc import Iterator, Mapping

import torch

from lab.evidence import Evidence, untold
from lab.probe import Step
from lab.report.chart import Axis, Curve, chart
from lab.theorem import Condition, Setting, Theorem, Trail, at_most
from lab.theorems._conditions import no_ridge, plain_loss
from lab.theorems._spectra import hessian


class HessianRank(Theorem):
    """Softmax's Hessian has rank (K − 1)·rank X, whatever θ."""

    statement = "rank ∇²L = (K − 1)·rank X without ridge; the null space is the common shift, and X's own"
    source = "Böhning, Ann. Inst. Statist. Math. 44 (1992), §2"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting, "softmax")
        yield no_ridge(setting)

    def measure(self, step: Step) -> Mapping[str, float]:
        problem, memory = step.full, step.memory
        D, K = problem.shape
        if "rank" not in memory:
            memory["rank"] = (K - 1) * (D - problem.model.dependent(problem.X))
        found, rank = hessian(problem, step.theta), int(memory["rank"])
        shifted = problem.hessian(step.theta).view(D * K, D, K).sum(dim=2)  # ∇²L (e_d ⊗ 1), a column for each d
        last, beyond = found.values[rank - 1], found.values[rank:]
        return {
            "last": float(last),
            "beyond": float(beyond.abs().max()) if len(beyond) else 0.0,
            "shift": float(shifted.norm(dim=0).max()) / K**0.5,
            "radius": found.radius,
        }

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        (t, last), (_, beyond), (_, shift), (_, radius) = (
            trail.column(quantity) for quantity in ("last", "beyond", "shift", "radius")
        )
        least = torch.finfo(radius.dtype).tiny  # ∇²L is exactly 0 where every p rounds to 0 or 1: 0 of 0 is no excess
        for what, size in (("eigenvalues beyond the rank", beyond), ("the common shift's curvature", shift)):
            yield at_most(what, size / radius.clamp(min=least), 1.0, t, "of what cannot be told from 0")
        clear = last > radius
        if not len(t) or not bool(clear.all()):
            yield untold("the last eigenvalue before", f"it is above rounding at {int(clear.sum())} of {len(t)} steps")
            return
        detail = f"at least {float((last / radius).min()):.2g} times what cannot be told from 0"
        yield Evidence("the last eigenvalue before", float((last / radius).min()), 1.0, float("inf"), detail)

    def picture(self, trail: Trail) -> str:
        curves = [
            Curve(name, *trail.column(quantity), style)  # type: ignore[arg-type]
            for name, quantity, style in (
                ("the last before the rank", "last", "line"),
                ("the largest beyond", "beyond", "line"),
                ("what cannot be told from 0", "radius", "dashed"),
            )
        ]
        return chart("A rank is a gap between eigenvalues", Axis("step"), Axis("eigenvalue", log=True), curves)

"""Following the largest eigenvalues of a Hessian from one θ to the next, each in an interval that holds.

How            0. where all rows share one logit Hessian, as at θ = 0, the structure says it all (`structure`);
               1. otherwise the block search starts from the last step's vectors;
               2. the ceiling is the last step's, moved by the exponential bound, and the trace's;
               3. where that does not part the wanted eigenvalues from the rest, a new one is proved by Cholesky or,
                  where that is dearer than the search itself, found by chance;
               4. a cluster at the edge of the block, which nothing can part, is met by a wider block.
Between        a step that measures nothing has the last enclosure, moved by the exponential bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from lab.curvature import certificate, krylov, plan
from lab.curvature.certificate import Ceiling, Enclosure
from lab.curvature.krylov import Ritz
from lab.curvature.operator import Curvature
from lab.curvature.structure import shared, uniform_ridge

CHANCE = 1e-6  # the probability with which a proof by chance may fail
CLUSTER = 1e-4  # eigenvalues nearer to each other than this share of the largest are not worth parting


@dataclass(frozen=True)
class Tracked:
    """What is known of the spectrum at `theta`: the first ones' values and enclosure, and a ceiling on all.

    `vectors` (P, m) are where the next search starts; None after all eigenvalues were found without them. `settled`
    says whether every interval is as narrow as was asked for; `products` how many vectors H was applied to.
    """

    theta: Tensor
    values: Tensor
    enclosure: Enclosure
    ceiling: Ceiling
    vectors: Tensor | None
    settled: bool
    products: int

    def state(self) -> dict[str, Any]:
        """All of it as tensors and numbers, for a checkpoint."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("enclosure", "ceiling")}
        bounds = {"lower": self.enclosure.lower, "upper": self.enclosure.upper, "chance": self.enclosure.chance}
        return {**plain, **bounds, "ceiling": self.ceiling.values, "ceiling_chance": self.ceiling.chance}

    @staticmethod
    def of(state: Mapping[str, Any], like: Tensor) -> "Tracked":
        """What `state` saved, on `like`'s device."""
        vectors = state["vectors"]
        return Tracked(
            state["theta"].to(like),
            state["values"],
            Enclosure(state["lower"], state["upper"], state["chance"]),
            Ceiling(state["ceiling"], state["ceiling_chance"]),
            None if vectors is None else vectors.to(like),
            state["settled"],
            state["products"],
        )

    def moved(self, delta: float, ridge: float) -> Enclosure:
        """The enclosure after a change of the Hessian by at most e^{±δ}."""
        return self.enclosure.moved(delta, ridge)


def track(curvature: Curvature, k: int, tolerance: float, before: Tracked | None = None, seed: int = 0) -> Tracked:
    """Enclose the k largest eigenvalues, no interval wider than `tolerance` of the largest, starting from `before`.

    Where that is not reached, `settled` is False, and the intervals hold all the same. Raises: ValueError where the
    model is not linear in θ: no eigenvalue is then known to be positive, on which the ceilings rest.
    """
    known = _by_structure(curvature, k, tolerance)
    if known is not None:
        return known
    ceiling = Ceiling(torch.tensor([most(curvature)], dtype=torch.float64))
    start = krylov.random_block(curvature.P, k + plan.GUARDS[0], seed, curvature.theta)
    if before is not None:
        delta = curvature.log_change(before.theta, exactly=True)
        ceiling = ceiling.meet(before.ceiling.moved(delta, uniform_ridge(curvature)))
        if before.vectors is not None:
            start = before.vectors
    search, used = _Search(curvature, k, tolerance, seed), 0
    for guard in plan.GUARDS:
        width = min(k + guard, curvature.P)
        if start.shape[1] < width:
            more = krylov.random_block(curvature.P, width - start.shape[1], seed + 1, curvature.theta)
            start = torch.cat([start, more], dim=1)
        widest = guard == plan.GUARDS[-1] or width == curvature.P or width * curvature.P * 64 > plan.memory() / 8
        ritz, ceiling, enclosure = search.attempt(start[:, :width], ceiling, widest)
        used += ritz.products
        start = torch.cat([ritz.vectors, start[:, width:]], dim=1)
        if enclosure.width <= tolerance or widest:
            break
    values = torch.clamp(ritz.values[:k].double().cpu(), enclosure.lower, enclosure.upper)
    kept = _ceiling_of(enclosure, ceiling)
    return Tracked(curvature.theta, values, enclosure, kept, ritz.vectors, enclosure.width <= tolerance, used)


def most(curvature: Curvature) -> float:
    """An upper bound on tr H, and so on every eigenvalue, as none is negative."""
    return curvature.trace * (1 + 1e-12) + curvature.dense_rounding


def _by_structure(curvature: Curvature, k: int, tolerance: float) -> Tracked | None:
    """All eigenvalues where the structure says them, if two problems of order D cost less than a search."""
    problem, D = curvature.problem, curvature.theta.shape[0]
    search = plan.SWEEPS * 2 * problem.N * curvature.P * (k + plan.GUARDS[0])
    if search < problem.N * D * D + 2 * plan.SLOWNESS * 2 / 3 * D**3:
        return None
    found = shared(curvature, min(k + plan.GUARDS[0], curvature.P))
    if found is None:
        return None
    enclosure = Enclosure(found.lower[:k].cpu(), found.upper[:k].cpu())
    ceiling = certificate.exact(found.values, found.radius)
    settled = enclosure.width <= tolerance
    return Tracked(curvature.theta, found.values[:k].cpu(), enclosure, ceiling, found.vectors, settled, 0)


@dataclass(frozen=True)
class _Search:
    curvature: Curvature
    k: int
    tolerance: float
    seed: int

    def attempt(self, start: Tensor, ceiling: Ceiling, widest: bool) -> tuple[Ritz, Ceiling, Enclosure]:
        """Search until the intervals are narrow; prove a new ceiling on the way if the one at hand parts nothing.

        A proof is not worth its price where a cluster goes on beyond the block, unless the block is the `widest`.
        """
        ritz = self._run(start, self._foreseen)
        q, low, high = self._widest_gap(ritz)
        if not self._narrow(ritz, ceiling) and (widest or high - low > CLUSTER * float(ritz.values.abs().max())):
            proved = self._prove(ritz, q, low, high)
            # What is not needed is left out, so that chances of failure do not add up from step to step.
            ceiling = proved if self._narrow(ritz, proved) else ceiling.meet(proved)
            if not self._narrow(ritz, ceiling) and ceiling.at(q + 1) < float(ritz.values[q - 1]):
                again = self._run(ritz.vectors, lambda r: self._narrow(r, ceiling) or self._exhausted(r))
                ritz = replace(again, products=ritz.products + again.products)
        if widest and not self._narrow(ritz, ceiling):
            ease = min(max(self.tolerance, 0.02), 0.5)  # nothing parts them: what is left is a bound on the largest
            ceiling = ceiling.meet(self._by_chance(ritz, 0, ease))
        ceiling = self._with_trace(ritz, ceiling)
        return ritz, ceiling, certificate.enclose(ritz, ceiling, self.k)

    def _run(self, start: Tensor, enough: Any) -> Ritz:
        m, curvature = start.shape[1], self.curvature
        # A longer basis takes fewer products, and more memory.
        limit = 8 * m if 8 * m * curvature.P * 16 <= plan.memory() / 32 else 4 * m
        return krylov.search(curvature, start, enough, limit, 80 * m, curvature.rounding, most(curvature))

    def _narrow(self, ritz: Ritz, ceiling: Ceiling) -> bool:
        return certificate.enclose(ritz, self._with_trace(ritz, ceiling), self.k).width <= self.tolerance

    def _with_trace(self, ritz: Ritz, ceiling: Ceiling) -> Ceiling:
        # What Ritz values leave of the trace is often enough late in training, when few eigenvalues are left.
        curvature = self.curvature
        found = certificate.by_trace(most(curvature), certificate.lower_ends(ritz), curvature.floor, curvature.P)
        return ceiling.meet(found)

    def _foreseen(self, ritz: Ritz) -> bool:
        """Whether the intervals would be narrow below a ceiling in the widest gap, or better vectors are of no use."""
        q, low, high = self._widest_gap(ritz)
        residuals, size = ritz.residuals, float(ritz.values.abs().max())
        residual, gap = float(residuals[:q].norm()), (high - low) / 4
        if self._exhausted(ritz) or (4 * gap < CLUSTER * size and float(residuals.max()) < 1e-4 * size):
            return True  # to rounding, or to a cluster that a wider block may reach the end of
        # The vector beyond the gap must have come to rest too, or what is there may yet rise into it.
        return gap > max(residual, float(residuals[min(q, len(residuals) - 1)])) and residual**2 / gap <= (
            self.tolerance * size
        )

    def _exhausted(self, ritz: Ritz) -> bool:
        """Whether the residuals are so small that more products can do nothing for the intervals."""
        enough = 1e-3 * self.tolerance * float(ritz.values.abs().max())
        return float(ritz.residuals.max()) <= max(enough, 2 * ritz.error)

    def _widest_gap(self, ritz: Ritz) -> tuple[int, float, float]:
        """The q ≥ k with the widest gap from the q-th Ritz value down to where the next eigenvalue may yet be."""
        theta = ritz.values
        if len(theta) <= self.k:
            return len(theta), float(theta[-1]), float(theta[-1])
        lows = theta[self.k :] + ritz.residuals[self.k :]
        at = int((theta[self.k - 1 : -1] - lows).argmax())
        return self.k + at, float(lows[at]), float(theta[self.k - 1 + at])

    def _prove(self, ritz: Ritz, q: int, low: float, high: float) -> Ceiling:
        """A ceiling on λ_{q+1}: by Cholesky where that costs no more than a search does, and otherwise by chance."""
        curvature, problem = self.curvature, self.curvature.problem
        (D, K), P = curvature.theta.shape, curvature.P
        form, most = problem.N * D * D * K * (K + 1) / 2, plan.SWEEPS * 2 * problem.N * P * len(ritz.values)
        if plan.memory() / 2 >= 3 * 8 * P * P and form + P**3 / 3 <= most and high > low:
            # Near the upper edge of the gap: λ_{q+1} may be above its Ritz value, which has not converged.
            sigma = high - (high - low) / 4
            for H, error in (
                matrix() for matrix in (curvature.coarse, lambda: (curvature.dense, curvature.dense_rounding))
            ):
                proved = certificate.by_inertia(H, ritz, q, sigma, error) if error < (high - low) / 8 else None
                if proved is not None:
                    return proved
        ease = min(max(0.5 * (1 - low / high), 0.02), 0.5) if high > 0 else 0.5
        return self._by_chance(ritz, q, ease)

    def _by_chance(self, ritz: Ritz, q: int, ease: float) -> Ceiling:
        curvature = self.curvature
        return certificate.by_chance(curvature, ritz, q, curvature.floor, self.seed, CHANCE, ease, curvature.rounding)


def _ceiling_of(enclosure: Enclosure, ceiling: Ceiling) -> Ceiling:
    """The ceiling with what the enclosure knows better of the first ones."""
    return ceiling.meet(Ceiling(torch.cat([enclosure.upper, ceiling.values[-1:].clamp(min=float("inf"))]), 0.0))

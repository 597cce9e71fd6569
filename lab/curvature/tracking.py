"""Following the largest eigenvalues of a Hessian from one θ to the next, each in an interval that holds.

How            0. where all rows share one logit Hessian, as at θ = 0, the structure says it all (`structure`);
               1. the ceiling is the last step's, moved by the exponential bound, and the trace's, and so is the proof:
                  where it still bounds what the last step's vectors leave, the search goes on by products alone;
               2. where a matrix is affordable it is formed in single precision, searched, and factorised: the vectors
                  found so are examined by products in full, and Cholesky proves what all others are below;
               3. otherwise the search goes by products alone, and what it leaves is bounded by chance; where that does
                  not do, as where a spectrum is dense, the matrix is worth a few times as much, at later steps at once;
               4. a cluster at the edge of the block, which nothing can part, is met by a wider block.
Units          with X·2^a, θ·2^−a and ρ·4^a logits are the same to the bit and H is 4^a times as large: an H that, or
               whose squares, would underflow or overflow is followed in such units. Where H overflows in all of them,
               nothing is known but that it is ⪰ its floor.
Between        a step that measures nothing has the last enclosure, moved by the exponential bound.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from lab.curvature import bounds, krylov, plan
from lab.curvature.bounds import Band, Ceiling, Enclosure, Majorant
from lab.curvature.coordinates import Coordinates
from lab.curvature.operator import Curvature
from lab.curvature.search import Found, Search, highest, most
from lab.curvature.structure import shared, uniform_ridge


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
    majorant: Majorant | None = None

    def state(self) -> dict[str, Any]:
        """All of it as tensors and numbers, for a checkpoint."""
        nested = ("enclosure", "ceiling", "majorant")
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in nested}
        bounds = {**vars(self.enclosure.band), "chance": self.enclosure.chance}
        proof = None if self.majorant is None else vars(self.majorant)
        return {
            **plain,
            **bounds,
            "ceiling": self.ceiling.values,
            "ceiling_chance": self.ceiling.chance,
            "proof": proof,
        }

    @staticmethod
    def of(state: Mapping[str, Any], like: Tensor) -> "Tracked":
        """What `state` saved, on `like`'s device."""
        vectors, proof, band = state["vectors"], state["proof"], band_of(state)
        lower, upper = (torch.tensor(ends, dtype=torch.float64) for ends in (band.lower, band.upper))
        return Tracked(
            state["theta"].to(like),
            state["values"],
            Enclosure(lower, upper, state["chance"]),
            Ceiling(state["ceiling"], state["ceiling_chance"]),
            None if vectors is None else vectors.to(like),
            state["settled"],
            state["products"],
            None if proof is None else Majorant(proof["vectors"].to(like), proof["values"], proof["rest"]),
        )

    def scaled(self, a: int) -> "Tracked":
        """The same of 4^a H, at θ·2^−a."""
        by, enclosure, proof = 4.0**a, self.enclosure, self.majorant
        if proof is not None:
            rest = float(bounds.times(torch.tensor([proof.rest], dtype=torch.float64), by, up=True))
            proof = replace(proof, values=bounds.times(proof.values, by, up=True), rest=rest)
        lower, upper = bounds.times(enclosure.lower, by, up=False), bounds.times(enclosure.upper, by, up=True)
        return replace(
            self,
            theta=self.theta * 2.0**-a,
            values=torch.clamp(self.values * by, lower, upper),
            enclosure=replace(enclosure, lower=lower, upper=upper),
            ceiling=replace(self.ceiling, values=bounds.times(self.ceiling.values, by, up=True)),
            majorant=proof,
        )


def band_of(state: Mapping[str, Any]) -> Band:
    """What `Tracked.state` saved of the intervals, which is all that a step needs that measures nothing."""
    return Band([float(end) for end in state["lower"]], [float(end) for end in state["upper"]])


def track(curvature: Curvature, k: int, tolerance: float, before: Tracked | None = None, seed: int = 0) -> Tracked:
    """Enclose the k largest eigenvalues, no interval wider than `tolerance` of the largest, starting from `before`.

    Where that is not reached, `settled` is False, and the intervals hold all the same. Raises: ValueError where the
    model is not Xθ: no eigenvalue is then known to be positive, on which the ceilings rest.
    """
    a = _units(curvature)
    if not a:
        return _track(curvature, k, tolerance, before, seed)
    problem = curvature.problem
    scaled = replace(problem, X=problem.X * 2.0**a, ridge=problem.ridge * 4.0**a)
    there = Curvature(scaled, curvature.theta * 2.0**-a)
    found = track(there, k, tolerance, None if before is None else before.scaled(a), seed)
    return replace(found.scaled(-a), theta=curvature.theta)


def _units(curvature: Curvature) -> int:
    """The a that brings an H whose squares are in danger nearer to 1, or where H overflows, X; 0 for any other."""
    size, tiny = most(curvature), torch.finfo(curvature.theta.dtype).tiny
    limit = round(-math.log2(tiny) * 0.4)  # of X's own range
    if not math.isfinite(size):
        largest = max((float(X.abs().max()) for X, _ in curvature.problem.blocks()), default=0.0)
        room = torch.finfo(curvature.theta.dtype).max / max(1.0, float(curvature.theta.abs().max()))  # for θ·2^−a
        return -min(limit, round(math.log2(largest)), max(0, int(math.log2(room)) - 1)) if 1 < largest < math.inf else 0
    if not size > 0 or tiny**0.4 < size < min(tiny**-0.4, 1e15):
        return 0
    return max(-limit, min(limit, round(-math.log2(size) / 2)))


def _track(curvature: Curvature, k: int, tolerance: float, before: Tracked | None, seed: int) -> Tracked:
    known = _by_structure(curvature, k, tolerance)
    if known is not None:
        return known
    if not math.isfinite(highest(curvature)):
        return _nothing(curvature, k)
    ceiling = Ceiling(torch.tensor([highest(curvature)], dtype=torch.float64))
    start = curvature.theta.new_zeros(curvature.P, 0)
    proved = before is not None and before.majorant is not None
    search, found = Search(curvature, k, tolerance, seed, before is not None, plan.WORTH if proved else 1.0), None
    if before is not None:
        delta, ridge = curvature.log_change(before.theta), uniform_ridge(curvature)
        ceiling = ceiling.meet(before.ceiling.moved(delta, ridge))
        start = start if before.vectors is None else before.vectors
        proof = None if before.majorant is None else before.majorant.moved(delta, ridge)
        if proof is not None and len(before.values) >= k and proof.rest < float(before.values[k - 1]):
            found = search.below(proof, start, ceiling)
    used, chance = (0, 0.0) if found is None else (found.ritz.products, found.enclosure.chance)
    for each in () if found is not None and search.settles(found) else _searches(search):
        found, more, failing = _widened(each, found, start, ceiling, seed)
        used, chance = used + more, chance + failing
        if search.settles(found):
            break
    assert found is not None
    found = _failing(found, chance)
    ritz, enclosure = found.ritz, found.enclosure
    values = torch.clamp(ritz.values[:k].double().cpu(), enclosure.lower, enclosure.upper)
    kept = _ceiling_of(enclosure, found.ceiling)
    settled = enclosure.width <= tolerance
    return Tracked(curvature.theta, values, enclosure, kept, found.vectors, settled, used, found.majorant)


def _searches(search: Search) -> Iterator[Search]:
    """The search and, where it does not settle by products, the same by a matrix that is dearer."""
    yield search
    dearer = replace(search, worth=plan.WORTH)
    if not search.has_matrix and dearer.has_matrix:
        yield dearer


def _widened(
    search: Search, found: Found | None, start: Tensor, ceiling: Ceiling, seed: int
) -> tuple[Found, int, float]:
    """The best that a search comes to with a block of k and a few vectors, or of more; its products and chances."""
    curvature, k, best = search.curvature, search.k, found
    used, chance = 0, 0.0
    room = plan.memory(curvature.theta.device) / 8
    for guard in plan.GUARDS:
        start = start if found is None else torch.cat([found.vectors, start[:, found.vectors.shape[1] :]], 1)
        width = min(k + guard, curvature.P)
        if start.shape[1] < width:
            start = torch.cat([start, _random(curvature, width - start.shape[1], seed + 1)], dim=1)
        widest = guard == plan.GUARDS[-1] or width == curvature.P or width * curvature.P * 64 > room
        found = search.attempt(start[:, :width], ceiling, widest)
        used += found.ritz.products
        chance += found.enclosure.chance
        best = found if best is None or found.enclosure.width <= best.enclosure.width else best
        if search.settles(best) or widest:
            break
    assert best is not None
    return best, used, chance


def _failing(found: Found, chance: float) -> Found:
    """The same where it was the narrowest of several, one of which fails with that probability at most."""
    if not found.enclosure.chance:
        return found
    enclosure, ceiling = replace(found.enclosure, chance=chance), replace(found.ceiling, chance=chance)
    return replace(found, enclosure=enclosure, ceiling=ceiling)


def _nothing(curvature: Curvature, k: int) -> Tracked:
    """What is known where H overflows: no value, and no bound but the floor."""
    lower = torch.tensor(curvature.floors(k), dtype=torch.float64)
    upper, values = torch.full_like(lower, math.inf), torch.full_like(lower, math.nan)
    return Tracked(curvature.theta, values, Enclosure(lower, upper), Ceiling(upper[:1]), None, False, 0)


def _random(curvature: Curvature, m: int, seed: int) -> Tensor:
    """A random start (P, m); what H is known to be blind to is no part of it, where that leaves m directions."""
    there = Coordinates.of(curvature)
    if curvature.problem.ridge or there.order < m:
        return krylov.random_block(curvature.P, m, seed, curvature.theta)
    return there.lifted(krylov.random_block(there.order, m, seed, curvature.theta))


def _by_structure(curvature: Curvature, k: int, tolerance: float) -> Tracked | None:
    """All eigenvalues where the structure says them, if two problems of order D cost less than a search."""
    problem, D = curvature.problem, curvature.theta.shape[0]
    if plan.searching(curvature, k) < problem.N * D * D + 2 * plan.SLOWNESS * 2 / 3 * D**3:
        return None
    found = shared(curvature, min(k + plan.GUARDS[0], curvature.P))
    if found is None:
        return None
    enclosure = Enclosure(found.lower[:k].cpu(), found.upper[:k].cpu())
    ceiling = bounds.exact(found.values, found.radius)
    settled = enclosure.width <= tolerance
    return Tracked(curvature.theta, found.values[:k].cpu(), enclosure, ceiling, found.vectors, settled, 0)


def _ceiling_of(enclosure: Enclosure, ceiling: Ceiling) -> Ceiling:
    """The ceiling with what the enclosure knows better of the first ones."""
    return ceiling.meet(Ceiling(torch.cat([enclosure.upper, ceiling.values[-1:].clamp(min=float("inf"))]), 0.0))

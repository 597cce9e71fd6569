"""Following the largest eigenvalues of a Hessian from one θ to the next, each in an interval that holds.

Which way      All eigenvalues (of H, or of the smaller dual) or the k largest by products, by what is cheaper. Prices
               are in multiply-adds; those of LAPACK's eigenvalues run several times as slowly as a product's do, since
               half of them read a matrix from memory for a vector. All eigenvalues say more than a few (rank,
               condition, definiteness), and are taken up to a stated multiple of the price of a few.
How            1. the block search starts from the last step's vectors;
               2. the ceiling is the last step's, moved by the exponential bound, and the trace's;
               3. where that does not part the wanted eigenvalues from the rest, a new one is proved by Cholesky or,
                  where that is dearer than the search itself, found by chance;
               4. a cluster at the edge of the block, which nothing can part, is met by a wider block.
Between        a step that measures nothing has the last enclosure, moved by the exponential bound.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from lab import certificate, krylov
from lab.certificate import Ceiling, Enclosure
from lab.krylov import Ritz
from lab.operator import Curvature
from lab.spectrum import Spectrum

Method = Literal["dense", "dual", "krylov"]

SLOWNESS = 6.0  # of a multiply-add in LAPACK's eigenvalues against one in a product: 4 to 8 on machines of today
WORTH = 4.0  # how many times the price of a few eigenvalues all of them are worth
SWEEPS = 30.0  # products of a block that a cold search with its proof takes
CHANCE = 1e-6  # the probability with which a proof by chance may fail
CLUSTER = 1e-4  # eigenvalues nearer to each other than this share of the largest are not worth parting
GUARDS = (3, 9, 27)  # how many eigenvalues beyond the wanted ones a block holds: more, where a cluster asks for it


@dataclass(frozen=True)
class Plan:
    """Which way to eigenvalues, and why."""

    method: Method
    why: str


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


def uniform_ridge(curvature: Curvature) -> float:
    """ρ where the ridge is ρI, which moves no eigenvector; 0 where it is not, for which less is known."""
    mask = curvature.problem.mask
    return curvature.problem.ridge if bool((mask == 1).all()) else 0.0


def choose(curvature: Curvature, k: int) -> Plan:
    """Choose the cheapest way that memory allows, and say why."""
    problem, P = curvature.problem, curvature.P
    (D, K), N = curvature.theta.shape, problem.N
    rows = N * (K - problem.loss.flat(K)[0])
    form = N * D * D * K * (K + 1) / 2
    prices = {"dense": form + SLOWNESS * 2 / 3 * P**3, "krylov": SWEEPS * 2 * N * P * (k + GUARDS[0])}
    orders = {"dense": P, "dual": rows}
    if not problem.ridge or uniform_ridge(curvature):
        prices["dual"] = N * N * D / 2 + rows * rows * K + SLOWNESS * 2 / 3 * rows**3
    room = _memory() / 2
    able = {way: price for way, price in prices.items() if 3 * 8 * orders.get(way, 0) ** 2 <= room}
    if not problem.model.is_linear:
        able = {way: price for way, price in able.items() if way == "dense"} or {"krylov": prices["krylov"]}
    best = min(able, key=lambda way: able[way] / (1 if way == "krylov" else WORTH))
    names = {
        "dense": f"all {P} eigenvalues",
        "dual": f"all of the dual's {rows}",
        "krylov": f"the {k} largest by search",
    }
    others = [f"{prices[way]:.1g} for {names[way]}" for way in prices if way != best]
    why = f"{names[best]}: about {prices[best]:.1g} multiply-adds; {', '.join(others)}"
    return Plan(best, why)  # type: ignore[arg-type]


def track(curvature: Curvature, k: int, tolerance: float, before: Tracked | None = None, seed: int = 0) -> Tracked:
    """Enclose the k largest eigenvalues, no interval wider than `tolerance` of the largest, starting from `before`.

    Where that is not reached, `settled` is False, and the intervals hold all the same.
    """
    ceiling = Ceiling(torch.tensor([curvature.trace * (1 + 1e-12)], dtype=torch.float64))
    start = krylov.random_block(curvature.P, k + GUARDS[0], seed, curvature.theta)
    if before is not None:
        delta = curvature.log_change(before.theta, exactly=True)
        ceiling = ceiling.meet(before.ceiling.moved(delta, uniform_ridge(curvature)))
        if before.vectors is not None:
            start = before.vectors
    search, used = _Search(curvature, k, tolerance, seed), 0
    for guard in GUARDS:
        width = min(k + guard, curvature.P)
        if start.shape[1] < width:
            more = krylov.random_block(curvature.P, width - start.shape[1], seed + 1, curvature.theta)
            start = torch.cat([start, more], dim=1)
        widest = guard == GUARDS[-1] or width == curvature.P or width * curvature.P * 64 > _memory() / 8
        ritz, ceiling, enclosure = search.attempt(start[:, :width], ceiling, widest)
        used += ritz.products
        start = torch.cat([ritz.vectors, start[:, width:]], dim=1)
        if enclosure.width <= tolerance or widest:
            break
    values = torch.clamp(ritz.values[:k].double().cpu(), enclosure.lower, enclosure.upper)
    kept = _ceiling_of(enclosure, ceiling)
    return Tracked(curvature.theta, values, enclosure, kept, ritz.vectors, enclosure.width <= tolerance, used)


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
            ceiling = ceiling.meet(self._prove(ritz, q, low, high))
            if not self._narrow(ritz, ceiling) and ceiling.at(q + 1) < float(ritz.values[q - 1]):
                again = self._run(ritz.vectors, lambda r: self._narrow(r, ceiling) or self._exhausted(r))
                ritz = replace(again, products=ritz.products + again.products)
        ceiling = self._with_trace(ritz, ceiling)
        return ritz, ceiling, certificate.enclose(ritz, ceiling, self.k)

    def _run(self, start: Tensor, enough: Any) -> Ritz:
        m, curvature = start.shape[1], self.curvature
        norm = curvature.trace * (1 + 1e-12)
        # A longer basis takes fewer products, and more memory.
        limit = 8 * m if 8 * m * curvature.P * 16 <= _memory() / 32 else 4 * m
        return krylov.search(curvature, start, enough, limit, 80 * m, curvature.rounding, norm)

    def _narrow(self, ritz: Ritz, ceiling: Ceiling) -> bool:
        return certificate.enclose(ritz, self._with_trace(ritz, ceiling), self.k).width <= self.tolerance

    def _with_trace(self, ritz: Ritz, ceiling: Ceiling) -> Ceiling:
        # What Ritz values leave of the trace is often enough late in training, when few eigenvalues are left.
        curvature = self.curvature
        lower = ritz.values.double().cpu() - ritz.error - 2 * curvature.rounding
        trace = curvature.trace * (1 + 1e-12) + curvature.dense_rounding
        floor = curvature.floor if curvature.problem.model.is_linear else -curvature.trace
        return ceiling.meet(certificate.by_trace(trace, lower, floor, curvature.P))

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
        form, most = problem.N * D * D * K * (K + 1) / 2, SWEEPS * 2 * problem.N * P * len(ritz.values)
        if _memory() / 2 >= 3 * 8 * P * P and form + P**3 / 3 <= most and problem.model.is_linear and high > low:
            # Near the upper edge of the gap: λ_{q+1} may be above its Ritz value, which has not converged.
            sigma = high - (high - low) / 4
            for H, error in (
                matrix() for matrix in (curvature.coarse, lambda: (curvature.dense, curvature.dense_rounding))
            ):
                proved = certificate.by_inertia(H, ritz, q, sigma, error) if error < (high - low) / 8 else None
                if proved is not None:
                    return proved
        ease = min(max(0.5 * (1 - low / high), 0.02), 0.5) if high > 0 else 0.5
        floor = curvature.floor if problem.model.is_linear else -curvature.trace
        return certificate.by_chance(curvature, ritz, q, floor, self.seed, CHANCE, ease, curvature.rounding)


def _ceiling_of(enclosure: Enclosure, ceiling: Ceiling) -> Ceiling:
    """The ceiling with what the enclosure knows better of the first ones."""
    return ceiling.meet(Ceiling(torch.cat([enclosure.upper, ceiling.values[-1:].clamp(min=float("inf"))]), 0.0))


def _memory() -> float:
    """Bytes of memory that the machine has."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return 8.0 * 2**30


def from_dual(curvature: Curvature, dual: Spectrum) -> Spectrum:
    """H's whole spectrum from that of its dual: zeros beyond the dual's order, and the ridge (uniform) on top."""
    values, P = dual.values.clamp(min=0), curvature.P  # AAᵀ has no negative eigenvalue
    padded = torch.cat([values, values.new_zeros(max(P - len(values), 0))])[:P]
    ridge = uniform_ridge(curvature)
    slack = 4 * torch.finfo(torch.float64).eps * ridge
    return Spectrum(padded + ridge, dual.radius + slack, f"{dual.how}, of the dual")


def definiteness(curvature: Curvature) -> str:
    """What is known without the smallest eigenvalue: H = AᵀA + ρ diag m, as every loss here is convex."""
    if not curvature.problem.model.is_linear:
        return "unknown: the smallest eigenvalue was not looked for"
    if curvature.floor > 0:
        return f"positive definite: no eigenvalue is below the ridge, {curvature.floor:.3g}"
    blind, why = curvature.problem.loss.flat(curvature.theta.shape[1])
    return f"positive semi-definite: the loss is convex, and {why}" if blind else "positive semi-definite or definite"


def least(curvature: Curvature, k: int, seed: int) -> dict[str, float]:
    """Readings of the smallest eigenvalues, as far as they are known: each in an interval from the floor up.

    A loss that is blind to some direction leaves eigenvalues at the floor, the ridge's ρ or 0, exactly: as many as the
    rows of θ that the ridge holds least. The search from below is short, and its intervals say what it found.
    """
    if not curvature.problem.model.is_linear:
        return {}
    mask, floor = curvature.problem.mask, curvature.floor
    exact = curvature.problem.loss.flat(curvature.theta.shape[1])[0] * int((mask == mask.min()).sum())
    exact = exact if curvature.problem.ridge else curvature.problem.loss.flat(curvature.theta.shape[1])[0] * len(mask)
    readings = {"curvature/lambda_min": floor} if exact else {}
    readings |= {f"curvature/bottom_{i}": floor for i in range(1, min(k, exact) + 1)}
    if k <= exact:
        return readings
    start = krylov.random_block(curvature.P, k + GUARDS[0], seed, curvature.theta)
    norm = curvature.trace * (1 + 1e-12)
    ritz = krylov.search(
        lambda V: -curvature(V),
        start,
        lambda _: False,
        6 * start.shape[1],
        60 * start.shape[1],
        curvature.rounding,
        norm,
    )
    found = certificate.enclose(ritz, Ceiling(torch.tensor([-floor], dtype=torch.float64)), k)
    for i in range(exact + 1, k + 1):
        readings[f"curvature/bottom_{i}/lower"] = floor
        readings[f"curvature/bottom_{i}/upper"] = -float(found.lower[i - 1])
    return readings

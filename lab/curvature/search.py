"""One search for the k largest eigenvalues at one θ: Ritz vectors, and a proof of what they leave.

The block has m > k vectors. Once those of the first k have come to rest, the eigenvalues in question are parted from
all that is orthogonal to the block by the gap from the k-th Ritz value to the m-th (`certificate`, deflation), which a
dense spectrum has too, if m is a few more than k. What fills it is a bound σ on the rest: proved by Cholesky from a
matrix in single precision where that costs no more than a search by products, and otherwise found by chance.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from lab.curvature import bounds, certificate, krylov, plan
from lab.curvature.bounds import Ceiling, Enclosure, Majorant
from lab.curvature.certificate import CHANCE
from lab.curvature.coarse import Coarse, coarse
from lab.curvature.coordinates import Coordinates
from lab.curvature.operator import Curvature
from lab.curvature.ritz import Ritz

CLUSTER = 1e-4  # eigenvalues nearer to each other than this share of the largest are not worth parting
NOTHING = Ceiling(torch.tensor([torch.inf], dtype=torch.float64))


def most(curvature: Curvature) -> float:
    """An upper bound on tr H, and so on every eigenvalue, as none is negative."""
    return curvature.trace * (1 + 1e-12) + curvature.dense_rounding


def highest(curvature: Curvature) -> float:
    """An upper bound on every eigenvalue: tr H, or tr H₀ and what the ridge adds at most (Weyl)."""
    ridge = curvature.problem.ridge * float(curvature.problem.mask.max())
    weyl = (curvature.bare_trace + ridge) * (1 + 1e-12) + curvature.dense_rounding
    return min(most(curvature), weyl)


@dataclass(frozen=True)
class Found:
    """What an attempt came to: Ritz vectors, a ceiling on all eigenvalues, the first k's enclosure, and its proof.

    `others` (P, any number) are further vectors, that H was not applied to, for the next search to start from.
    `exhausted` says that rounding alone is left of the intervals' width, so that no search makes them narrower.
    """

    ritz: Ritz
    ceiling: Ceiling
    enclosure: Enclosure
    majorant: Majorant | None
    others: Tensor | None = None
    exhausted: bool = False

    @property
    def vectors(self) -> Tensor:
        """All of them, (P, m)."""
        return self.ritz.vectors if self.others is None else torch.cat([self.ritz.vectors, self.others], dim=1)


@dataclass(frozen=True)
class Search:
    """The search for the k largest eigenvalues of `curvature` to `tolerance`, relative to the largest.

    `again` says that the problem is searched at one θ after another, so that what can be kept of X is worth keeping;
    `worth`, how many times the price of a search by products a matrix is worth.
    """

    curvature: Curvature
    k: int
    tolerance: float
    seed: int
    again: bool = True
    worth: float = 1.0

    def settles(self, found: Found) -> bool:
        """Whether the intervals are as narrow as was asked for, or as rounding allows."""
        return found.enclosure.width <= self.tolerance or found.exhausted

    def below(self, majorant: Majorant, start: Tensor, ceiling: Ceiling) -> Found | None:
        """By products, under a proof that there is; None where that does not bound what the vectors leave."""
        found: Found | None = None

        def enough(ritz: Ritz) -> bool:
            nonlocal found
            rest = majorant.beyond(ritz.vectors, ritz.small.e)
            if rest >= float(ritz.values[self.k - 1]) * (1 - 10 * CLUSTER):
                found = None
                return True
            known = ceiling.meet(bounds.beyond(len(ritz.values), rest))
            found = Found(ritz, known, certificate.enclose(ritz, known, self.k, rest), majorant)
            return found.enclosure.width <= self.tolerance or self._exhausted(ritz)

        ritz = self._run(start, enough)
        if found is None or found.enclosure.width <= self.tolerance:
            return found
        ceiling = self._with_trace(ritz, found.ceiling)
        enclosure = certificate.enclose(ritz, ceiling, self.k, majorant.beyond(ritz.vectors, ritz.small.e))
        return Found(ritz, ceiling, enclosure, majorant, exhausted=self._exhausted(ritz))

    def attempt(self, start: Tensor, ceiling: Ceiling, widest: bool) -> Found:
        """Search until the intervals are narrow, or foreseen to be below a proof, and prove.

        A proof is not worth its price where a cluster goes on beyond the block, unless the block is the `widest`.
        """
        if self.has_matrix and math.isfinite(self._coarse.error):
            start, found = self._by_matrix(start, ceiling)
            if found is not None and (self.settles(found) or not widest):
                return found
        ritz = self._run(start, self._foreseen)
        ceiling = self._with_trace(ritz, ceiling)
        enclosure = certificate.enclose(ritz, ceiling, self.k)
        low, high, majorant = *self._gap(ritz), None
        if enclosure.width > self.tolerance and (widest or high - low > CLUSTER * float(ritz.values.abs().max())):
            majorant = self._prove(ritz.vectors, ritz.values, low, high)
            if majorant:
                rest, chance = majorant.beyond(ritz.vectors, ritz.small.e), 0.0
            else:
                rest, chance = self._by_chance(ritz, low, high), CHANCE
            known, ceiling = ceiling, self._with_trace(ritz, bounds.beyond(len(ritz.values), rest, chance))
            enclosure = certificate.enclose(ritz, ceiling, self.k, rest)
            # What is of no use is left out, so that chances of failure do not add up from step to step.
            if enclosure.width > self.tolerance:
                met = known.meet(ceiling)
                closer = certificate.enclose(ritz, met, self.k, rest)
                if not known.chance or closer.width < 0.9 * enclosure.width:
                    ceiling, enclosure = met, closer
        if widest and enclosure.width > self.tolerance:
            ease = min(max(self.tolerance, 0.02), 0.5)  # nothing parts them: what is left is a bound on the largest
            whole = self._least_by_chance(ritz, 0, ease)
            ceiling = ceiling.meet(Ceiling(torch.tensor([whole], dtype=torch.float64), CHANCE))
            enclosure = certificate.enclose(ritz, ceiling, self.k)
        return Found(ritz, ceiling, enclosure, majorant)

    def _by_matrix(self, start: Tensor, ceiling: Ceiling) -> tuple[Tensor, Found | None]:
        """The coarse matrix's own block; and what products say of it, where the matrix proves what it leaves."""
        made, k = self._coarse, self.k
        H, there, floor = made.matrix, made.coordinates, self.curvature.floor / made.scale
        U = there.lowered(start).to(H)
        for ease in (1.0, 1e-3):
            values, U, residuals = krylov.filtered(H, U, k, floor, ease * self.tolerance)
            low, high = float(values[-1] + residuals[-1]) * made.scale, float(values[k - 1]) * made.scale
            if high <= made.outside:  # some of the largest are where the matrix does not see
                return start, None
            better = there.lifted(U.to(start))
            majorant = self._prove(better, values.double() * made.scale, low, high, U)
            if majorant is not None or high - low <= CLUSTER * float(values[0]) * made.scale:
                break
        # Those above the middle of the gap are enough for half of it to be left; the others are for the proof alone.
        q = max(k, int((values.double() * made.scale > (high + low) / 2).sum()))
        found = self.below(majorant, better[:, :q], ceiling) if majorant else None
        return better, None if found is None else replace(found, others=better[:, q:])

    def _run(self, start: Tensor, enough: Callable[[Ritz], bool]) -> Ritz:
        m, curvature = start.shape[1], self.curvature
        # A longer basis takes fewer products, and more memory.
        limit = 8 * m if 8 * m * curvature.P * 16 <= plan.memory(start.device) / 32 else 3 * m
        return krylov.search(curvature, start, enough, limit, 80 * m, curvature.rounding, most(curvature))

    def _with_trace(self, ritz: Ritz, ceiling: Ceiling) -> Ceiling:
        # What Ritz values leave of the trace is often enough late in training, when few eigenvalues are left.
        curvature = self.curvature
        found = bounds.by_trace(most(curvature), ritz.small.lower, curvature.floor, curvature.P)
        return ceiling.meet(found)

    def _foreseen(self, ritz: Ritz) -> bool:
        """Whether the intervals would be narrow below a proof in the gap, or better vectors are of no use."""
        low, high = self._gap(ritz)
        residuals, size = ritz.residuals, float(ritz.values.abs().max())
        residual, gap = float(residuals[: self.k].max()), (high - low) / 4
        if self._exhausted(ritz) or (4 * gap < CLUSTER * size and float(residuals.max()) < 1e-4 * size):
            return True  # to rounding, or to a cluster that a wider block may reach the end of
        if gap <= residual or residual**2 / gap > self.tolerance * size:
            return False
        # A vector beyond the k-th that has not come to rest may yet rise above it: the proof itself says whether.
        supposed = certificate.enclose(ritz, NOTHING, self.k, (low + high) / 2)
        return supposed.width <= self.tolerance

    def _exhausted(self, ritz: Ritz) -> bool:
        """Whether the residuals are so small that more products can do nothing for the intervals."""
        residuals, enough = ritz.residuals, 1e-3 * self.tolerance * float(ritz.values.abs().max())
        return float(residuals.max()) <= max(enough, 2 * ritz.error)

    def _gap(self, ritz: Ritz) -> tuple[float, float]:
        """From where the largest of what the block leaves may yet be up to the k-th Ritz value."""
        theta = ritz.values
        if len(theta) <= self.k:
            return float(theta[-1]), float(theta[-1])
        return float(theta[-1] + ritz.residuals[-1]), float(theta[self.k - 1])

    def _prove(
        self, V: Tensor, values: Tensor, low: float, high: float, inner: Tensor | None = None
    ) -> Majorant | None:
        """H ⪯ σ + VΘVᵀ, Θ = θ − σ and a little, for a block and a σ in the gap, where Cholesky proves it of a matrix.

        With no more than that for Θ the bound is of use for other vectors too, and after H has moved.

        Args: inner V's coordinates in the coarse matrix, where V has nothing else.
        """
        sigma = (high + low) / 2
        if not self.has_matrix or not high > low:
            return None
        excess = (values.double() - sigma).clamp(min=0) + (high - low) / 4
        for H, error, made in self._matrices():
            foreseen = error + len(H) ** 2 * torch.finfo(H.dtype).eps / 2 * sigma
            if foreseen > 0.45 * (high - low):
                continue
            scale, U = made.scale if made else 1.0, V
            if made:
                U = made.coordinates.lowered(V) if inner is None else inner.to(V)
            proved = certificate.by_inertia(H, U, excess / scale, sigma / scale, error / scale)
            rest = math.inf if proved is None else max(proved * scale, made.outside if made else 0.0)
            if rest < high:
                seen = made.coordinates.lifted(U) if made and inner is None else V
                return Majorant(seen, excess.cpu(), rest)
        return None

    def _matrices(self) -> Iterator[tuple[Tensor, float, Coarse | None]]:
        """A matrix, a bound on its error, and whose coordinates it is in, from the cheapest to the dearest."""
        made = self._coarse
        yield made.matrix, made.error, made
        yield made.matrix.double(), made.error, made
        yield self.curvature.dense, self.curvature.dense_rounding, None

    def _by_chance(self, ritz: Ritz, low: float, high: float) -> float:
        """A bound on what is orthogonal to the block, eased by no more than half of the gap."""
        ease = min(max(0.5 * (1 - low / high), 0.02), 0.5) if high > 0 else 0.5
        return self._least_by_chance(ritz, len(ritz.values), ease)

    def _least_by_chance(self, ritz: Ritz, q: int, ease: float) -> float:
        curvature = self.curvature
        return certificate.by_chance(curvature, ritz, q, curvature.floor, self.seed, CHANCE, ease, curvature.rounding)

    @cached_property
    def _coarse(self) -> Coarse:
        return coarse(self.curvature, self.again)

    @cached_property
    def has_matrix(self) -> bool:
        """Whether a matrix and its factorisation fit into memory, and are worth what they cost."""
        curvature, P = self.curvature, self.curvature.P
        price, search = plan.forming(curvature) + P**3 / 3, plan.searching(curvature, self.k)
        # For a block, and something beyond it.
        enough = Coordinates.of(curvature).order >= 2 * (self.k + plan.GUARDS[0])
        fits = plan.memory(curvature.theta.device) / 2 >= 3 * 8 * P * P
        return enough and fits and price <= self.worth * search

"""Which way to a Hessian's eigenvalues: all of them, of H or of its smaller dual, or the largest by products.

Prices are in multiply-adds; those of LAPACK's eigenvalues run several times as slowly as a product's do, since half of
them read a matrix from memory for a vector. All eigenvalues say more than a few (rank, condition, definiteness), and
are taken up to a stated multiple of the price of a few.
"""

import os
from dataclasses import dataclass
from typing import Literal

from lab.curvature.operator import Curvature
from lab.curvature.structure import uniform_ridge

Method = Literal["dense", "dual", "krylov"]

SLOWNESS = 6.0  # of a multiply-add in LAPACK's eigenvalues against one in a product: 4 to 8 on machines of today
WORTH = 4.0  # how many times the price of a few eigenvalues all of them are worth
SWEEPS = 30.0  # products of a block that a cold search with its proof takes
GUARDS = (7, 27)  # how many eigenvalues beyond the wanted ones a block holds: more, where a cluster asks for it


@dataclass(frozen=True)
class Plan:
    """Which way to eigenvalues, and why."""

    method: Method
    why: str


def choose(curvature: Curvature, k: int) -> Plan:
    """Choose the cheapest way that memory allows, and say why."""
    problem, P = curvature.problem, curvature.P
    (D, K), N = curvature.theta.shape, problem.N
    rows = N * (K - problem.loss.ignores_shift)  # of a factor of h
    form = N * D * D * K * (K + 1) / 2
    prices = {"dense": form + SLOWNESS * 2 / 3 * P**3, "krylov": SWEEPS * 2 * N * P * (k + GUARDS[0])}
    orders = {"dense": P, "dual": rows}
    if not problem.ridge or uniform_ridge(curvature):
        prices["dual"] = N * N * D / 2 + rows * rows * K + SLOWNESS * 2 / 3 * rows**3
    room = memory() / 2
    able = {way: price for way, price in prices.items() if 3 * 8 * orders.get(way, 0) ** 2 <= room}
    if not problem.model.is_linear:
        able = {"dense": prices["dense"]}
    best = min(able, key=lambda way: able[way] / (1 if way == "krylov" else WORTH))
    names = {
        "dense": f"all {P} eigenvalues",
        "dual": f"all of the dual's {rows}",
        "krylov": f"the {k} largest by search",
    }
    others = [f"{prices[way]:.1g} for {names[way]}" for way in prices if way != best]
    why = f"{names[best]}: about {prices[best]:.1g} multiply-adds; {', '.join(others)}"
    return Plan(best, why)  # type: ignore[arg-type]


def memory() -> float:
    """Bytes of memory that the machine has."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return 8.0 * 2**30

"""Which way to a Hessian's eigenvalues: all of them, of H or of its smaller dual, or the largest by products.

Prices are in multiply-adds; those of LAPACK's eigenvalues run several times as slowly as a product's do, since half of
them read a matrix from memory for a vector. All eigenvalues say more than a few (rank, condition, definiteness), and
are taken up to a stated multiple of the price of a few.
"""

import math
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from lab.curvature.operator import Curvature
from lab.curvature.structure import uniform_ridge

Method = Literal["dense", "dual", "krylov"]

SLOWNESS = 6.0  # of a multiply-add in LAPACK's eigenvalues against one in a product: 4 to 8 on machines of today
WORTH = 4.0  # how many times the price of a few eigenvalues all of them are worth
SWEEPS = 30.0  # products of a block that a cold search with its proof takes
CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # Linux's control groups
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
    prices = {"dense": forming(curvature) + SLOWNESS * 2 / 3 * P**3, "krylov": searching(curvature, k)}
    orders = {"dense": P, "dual": rows}
    if not problem.ridge or uniform_ridge(curvature):
        prices["dual"] = N * N * D / 2 + rows * rows * K + SLOWNESS * 2 / 3 * rows**3
    room = memory(curvature.theta.device) / 2
    able = {way: price for way, price in prices.items() if 3 * 8 * orders.get(way, 0) ** 2 <= room}
    if not problem.model.is_product:
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


def forming(curvature: Curvature) -> float:
    """The price of the Hessian as a matrix, whose blocks are symmetric and lie symmetrically."""
    D, K = curvature.theta.shape
    return curvature.problem.N * D * D * K * (K + 1) / 2


def searching(curvature: Curvature, k: int) -> float:
    """The price of a cold search for k eigenvalues by products, with its proof."""
    return SWEEPS * 2 * curvature.problem.N * curvature.P * (k + GUARDS[0])


@cache
def memory(device: torch.device) -> float:
    """Bytes of memory that there are on a device: for the CPU what the machine has, or its container allows."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    try:
        there = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        there = 8.0 * 2**30
    return min([there, *(number_in(path) for path in CONTAINER)])


def number_in(path: str) -> float:
    """The number that a file holds; ∞ where there is no such file, or it holds a word for no limit."""
    try:
        return float(int(Path(path).read_text()))
    except (OSError, ValueError):
        return math.inf

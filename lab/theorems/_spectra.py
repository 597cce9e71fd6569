"""Eigenvalues that several theorems compare, each with the radius of its interval."""

from typing import Any

import torch

from lab.curvature.operator import Curvature
from lab.problem import Problem
from lab.rounding import gamma, terms
from lab.spectrum import Spectrum, dense


def hessian(problem: Problem, theta: torch.Tensor, vectors: bool = False) -> Spectrum:
    """All eigenvalues of ∇²L(θ), their radius covering the rounding of the Hessian itself."""
    curvature = Curvature(problem, theta)
    return dense(curvature.dense, error=curvature.dense_rounding, vectors=vectors)


def gram(problem: Problem) -> Spectrum:
    """All eigenvalues of XᵀX/N; |δ(XᵀX)| ≤ γ_N |X|ᵀ|X| entrywise, whose 2-norm is at most its trace, ‖X‖²_F."""
    G = sum((X.T @ X for X, _ in problem.blocks()), problem.X.new_zeros(problem.shape[0], problem.shape[0]))
    G = G / problem.divisor
    return dense(G, error=gamma(terms(problem), G.dtype) * float(G.trace()))


def steepest(problem: Problem, memory: dict[str, Any]) -> tuple[float, float]:
    """λ₁(XᵀX)/N and its radius, worked out once and kept in a theorem's memory."""
    if "gram" not in memory:
        found = gram(problem)
        memory["gram"] = [float(found.values[0]), found.radius]
    size, radius = memory["gram"]
    return size, radius

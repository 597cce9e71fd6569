"""The determinant by its definition, and what rounding does to an inverse: shared by the statements about either.

Leibniz     det A = Σ_s sgn(s) ∏_i A_{i,s(i)} over the n! permutations; without the signs and of |A|, the permanent:
            γ_{n + n!} times it bounds the rounding. Cofactor ij is (−1)^{i+j} times the minor without row i, column j.
Inverse     LU with pivoting solves (A + E)x = b, |E| ≤ γ_{3n} P|L||U|, so |δA⁻¹| ≤ |A⁻¹| E |A⁻¹| to first order
            (Higham, Accuracy and Stability, 2nd ed., Theorem 9.4, §14.3); twice that covers the higher ones.
"""

import math
from itertools import combinations, permutations

import torch
from torch import Tensor

from lab.evidence import gamma


def determinant(A: Tensor, signed: bool = True) -> Tensor:
    """det A by Leibniz, or the permanent; a number."""
    rows, total = range(len(A)), A.new_zeros(())
    for columns in permutations(rows):
        odd = sum(a > b for a, b in combinations(columns, 2)) % 2
        product = torch.stack([A[i, j] for i, j in zip(rows, columns, strict=True)]).prod()
        total = total - product if signed and odd else total + product
    return total


def cofactors(A: Tensor, signed: bool = True) -> Tensor:
    """The matrix (n, n) of cofactors, det(A) A⁻ᵀ where A is invertible; unsigned: of the permanent's minors."""
    keep = [[k for k in range(len(A)) if k != i] for i in range(len(A))]
    minors = [[determinant(A[rows][:, columns], signed) for columns in keep] for rows in keep]
    signs = torch.tensor([[(-1.0) ** (i + j) if signed else 1.0 for j in range(len(A))] for i in range(len(A))])
    return signs.to(A.dtype) * torch.stack([torch.stack(row) for row in minors])


def leibniz_gamma(n: int) -> float:
    """γ of a determinant's n factors and n! terms, and of a few operations around it."""
    return gamma(n + math.factorial(n) + 4)


def lu_error(A: Tensor) -> Tensor:
    """E of (A + E)x = b, entrywise, (n, n)."""
    P, L, U = torch.linalg.lu(A)
    error: Tensor = gamma(3 * len(A)) * P @ L.abs() @ U.abs()
    return error


def inverse_error(A: Tensor) -> Tensor:
    """A bound on the rounding of A⁻¹, entrywise, (n, n)."""
    inverse: Tensor = torch.linalg.inv(A).abs()
    return 2 * inverse @ lu_error(A) @ inverse

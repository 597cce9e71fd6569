"""Eigenvalues of a symmetric matrix, each with an interval that holds, and what they say of its definiteness.

LAPACK's symmetric solvers are backward stable: the computed eigenvalues are exact for A + E with
‖E‖₂ ≤ p(n) u ‖A‖₂, so by Weyl's inequality each lies within p(n) u ‖A‖₂ of the true one, p a modest polynomial of n,
in practice below n (Golub & Van Loan, Matrix Computations, 4th ed., §8.1 and §8.3; LAPACK Users' Guide, §4.7).
Where A itself was computed, its own error in norm is added (`error`). All of it is done in double precision: in single,
LAPACK divides by numbers that have underflowed, and one in ten small matrices of rank 1 comes out with nan. u is A's
own all the same, as its entries are rounded to that: what they leave of a zero eigenvalue is not to be taken for one.

What lies within that radius of zero cannot be told from zero: those eigenvalues are counted as zero, and
definiteness and rank are statements about the others.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

DEFINITENESS = (
    "positive definite",
    "positive semi-definite",
    "negative definite",
    "negative semi-definite",
    "indefinite",
)


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues (n,), largest first, in float64, with intervals [lower, upper], and how they are known.

    `radius` is the half-width: an eigenvalue of smaller magnitude cannot be told from zero. `how` says what the
    intervals rest on; `vectors` (n, n), when asked for, has the eigenvector of `values[i]` in column i.
    """

    values: Tensor
    radius: float
    how: str
    vectors: Tensor | None = field(default=None, repr=False)

    @property
    def lower(self) -> Tensor:
        """Lower ends of the intervals, (n,)."""
        return self.values - self.radius

    @property
    def upper(self) -> Tensor:
        """Upper ends of the intervals, (n,)."""
        return self.values + self.radius

    @property
    def zeros(self) -> int:
        """Number of eigenvalues that cannot be told from zero."""
        return int((self.values.abs() <= self.radius).sum())

    @property
    def rank(self) -> int:
        """Number of eigenvalues that are surely not zero."""
        return len(self.values) - self.zeros

    @property
    def trace(self) -> float:
        """Sum of the eigenvalues."""
        return float(self.values.sum())

    @property
    def condition(self) -> float:
        """Largest over smallest magnitude on the range, among the non-zero eigenvalues; nan when there are none."""
        magnitudes = self.values.abs()
        kept = magnitudes[magnitudes > self.radius]
        return float(kept.max() / kept.min()) if len(kept) else float("nan")

    @property
    def log_determinant(self) -> float:
        """Sum of the logarithms of the magnitudes on the range: that of the determinant where none is zero."""
        magnitudes = self.values.abs()
        return float(magnitudes[magnitudes > self.radius].log().sum())

    @property
    def definiteness(self) -> str:
        """One of the five classes of `DEFINITENESS`; the zero matrix counts as positive semi-definite."""
        positive = bool((self.values > self.radius).any())
        negative = bool((self.values < -self.radius).any())
        if positive and negative:
            return "indefinite"
        sign = "negative" if negative else "positive"
        return f"{sign} semi-definite" if self.zeros else f"{sign} definite"


def dense(A: Tensor, error: float = 0.0, vectors: bool = False) -> Spectrum:
    """Return the whole spectrum of a symmetric A (n, n), of which the lower triangle is read.

    Args: error a bound on the 2-norm of the error that A itself carries; vectors whether eigenvectors are wanted.
    Raises: ValueError when A is not square or not finite.
    """
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"a spectrum is of a square matrix, and this one is {tuple(A.shape)}")
    if not torch.isfinite(A).all():
        raise ValueError("a spectrum is of finite numbers, and the matrix has nan or inf in it")
    if vectors:
        values, V = torch.linalg.eigh(A.double())
    else:
        values, V = torch.linalg.eigvalsh(A.double()), None
    norm = float(values.abs().max()) if len(values) else 0.0
    radius = len(values) * torch.finfo(A.dtype).eps * norm + error
    largest_first = None if V is None else V.to(A).flip(1)
    return Spectrum(values.flip(0), radius, f"exact to rounding in {str(A.dtype)[6:]}", largest_first)


def eigh(A: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (…, n), smallest first, and vectors (…, n, n) of a symmetric A, found in double, in A's precision."""
    values, V = torch.linalg.eigh(A.double())
    return values.to(A), V.to(A)


def explain_definiteness(spectrum: Spectrum, flat: list[tuple[int, str]]) -> str:
    """Return the class of definiteness with its reason, as "positive semi-definite: 62 zero eigenvalues: …".

    Args: flat (count, reason) of the directions known to be flat; zeros beyond them are too flat to tell.
    """
    kind, zeros = spectrum.definiteness, spectrum.zeros
    if kind == "indefinite" or "negative" in kind:
        below = int((spectrum.values < -spectrum.radius).sum())
        return f"{kind}: {below} of {len(spectrum.values)} eigenvalues are below -{spectrum.radius:.1e}"
    if not zeros:
        return (
            f"{kind}: all {len(spectrum.values)} eigenvalues are above {spectrum.radius:.1e}, more than rounding hides"
        )
    known = sum(count for count, _ in flat)
    reasons = [f"{count} as {reason}" if len(flat) > 1 or zeros != known else reason for count, reason in flat]
    if zeros > known:
        reasons.append(f"{zeros - known} too small to tell (below {spectrum.radius:.1e})")
    elif zeros < known:
        reasons.append(f"though {known} are expected")
    noun = "eigenvalue" if zeros == 1 else "eigenvalues"
    counted = f"{zeros} zero {noun}" if zeros <= known else f"{zeros} {noun} not told from zero"
    return f"{kind}: {counted}: " + ", ".join(reasons)


def largest(matvec: Callable[[Tensor], Tensor], like: Tensor, products: int = 50) -> float:
    """Estimate the eigenvalue of largest magnitude from below, by power iteration from a fixed start.

    Args: matvec a symmetric map on tensors of `like`'s shape; products how often it is applied.
    """
    v = torch.randn(like.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(like)
    size = 0.0
    for _ in range(products):
        v = v / v.norm()
        w = matvec(v)
        size = float((v * w).sum())
        if not float(w.norm()):
            return 0.0
        v = w
    return size

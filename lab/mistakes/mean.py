"""The mean over rows (or labels): its 1/N missing, applied twice, or of another size.

L = (1/N) Σ_n ℓ_n, so every derivative of the data's part carries 1/N once. Where the ridge is added after the mean, it
keeps its size: N·(∇L − ρθ) + ρθ. For a function of unknown form N is any of its sizes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class Mean(Mistake):
    """A factor that is the size of an axis, or one over it."""

    def made(self, case: Case) -> Iterator[Made]:
        sizes: dict[str, float] = dict(case.sizes)
        if case.divisor not in (1.0, *sizes.values()):
            sizes["Σw"] = case.divisor
        for letter, n in sizes.items():
            for c, sign, name, mend in _factors(letter, n, sampled=case.loss is None or letter == "N"):
                for tensor, of in case.scaled(c):
                    yield Made(name, mend, tensor, f"{of} = {c:.6g} = {sign} everywhere")


def _factors(letter: str, n: float, sampled: bool) -> Iterator[tuple[float, str, str, str]]:
    """Factor, its formula, the mistake's name, and the mend; only of a sample does one divide by n − 1."""
    if n == 1 or n <= 0:
        return
    yield n, letter, f"the mean's 1/{letter} is missing", f"divide the sum by {letter} = {n:g}"
    yield 1 / n, f"1/{letter}", f"1/{letter} once too often", f"divide by {letter} = {n:g} once, or not at all"
    if not sampled:
        return
    before = f"{letter} − 1"
    name = f"1/({before}) in place of 1/{letter}"
    yield n / (n - 1), f"{letter}/({before})", name, f"a mean over {letter} = {n:g} divides by {n:g}"

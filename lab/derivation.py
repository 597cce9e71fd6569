"""A function, and what a person derived of it by hand."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from torch import Generator, Tensor


class Derivation(ABC):
    """What a person has on paper: a function, and derivatives of it that are to be judged.

    A subclass writes `value`, and whichever of `gradient`, `jacobian`, `hessian`, `hvp`, `jvp` and `vjp` were
    derived. The referee holds each against a differentiation of `reference`, which comes from elsewhere (torch's own
    implementation, say), so that a mistake in `value` cannot hide the same mistake in its derivatives.
    """

    @abstractmethod
    def value(self, x: Tensor, *rest: Tensor) -> Tensor:
        """Return the function at `x`; `rest` are arguments that nothing is differentiated by."""

    def reference(self, x: Tensor, *rest: Tensor) -> Tensor:
        """Return the same function from somewhere else. Without a second source it is `value` itself."""
        return self.value(x, *rest)

    @abstractmethod
    def examples(self, rng: Generator) -> Iterator[Any]:
        """Yield inputs (x, *rest) worth judging the derivation at, extremes among them; draws come from `rng`."""

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
    def value(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the function at x, the first argument; nothing is differentiated by the others.

        A subclass names its arguments: `value(self, z, y)`.
        """

    def reference(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the same function from somewhere else. Without a second source it is `value` itself."""
        return self.value(*args, **kwargs)

    @abstractmethod
    def examples(self, rng: Generator) -> Iterator[Any]:
        """Yield arguments, as tuples, worth judging the derivation at, extremes among them; draws come from `rng`."""

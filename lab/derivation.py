"""A function, and what a person derived of it by hand."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from torch import Generator, Tensor

from lab import inputs


class Derivation(ABC):
    """What a person has on paper: a function, and derivatives of it that are to be judged.

    A subclass writes `value`, and whichever of these were derived, for x the first argument, of shape S with P entries,
    and a value of shape T with M entries (T = () for a number):

        gradient(x, …)      S            of the value, or of its entries' sum where it is no number
        jacobian(x, …)      T + S, or (M, P)
        hessian(x, …)       S + S, or (P, P), of the value or its entries' sum
        hvp(x, …, v)        S            the Hessian times v (S)
        jvp(x, …, v)        T            the Jacobian times v (S)
        vjp(x, …, g)        S            gᵀ times the Jacobian, g (T)

    and either `shapes`, from which inputs are drawn (`lab.inputs` has the words), or `examples`. The referee holds each
    against the derivative of `reference`, which comes from elsewhere (torch's own implementation, say), so that a
    mistake in `value` cannot hide the same mistake in its derivatives.
    """

    shapes: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def value(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the function at x, the first argument; nothing is differentiated by the others.

        A subclass names its arguments: `value(self, z, y)`.
        """

    def reference(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the same function from somewhere else. Without a second source it is `value` itself."""
        return self.value(*args, **kwargs)

    def examples(self, rng: Generator) -> Iterator[Any]:
        """Yield arguments, as tuples, worth judging the derivation at, extremes among them; draws come from `rng`."""
        return inputs.draw(inputs.ordered(self.shapes, self.value), rng)

"""torch's own routes to a derivative: what its automatic differentiation makes of the function that is judged."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from lab import oracle
from lab.arithmetic.truth import Point


class Routes:
    """torch's derivatives of a bare function f at a point, by name of the route, in the shapes of `Truth.of`."""

    def __init__(self, f: Callable[..., Tensor], point: Point) -> None:
        self._f, self.point = f, point

    def of(self, what: str, direction: Tensor | None) -> dict[str, Tensor]:
        """The derivative of this name: by reverse mode, and a gradient by torch.func's decomposition too.

        Raises: whatever torch does where it cannot differentiate f.
        """
        x = self.point.x
        if what == "value":
            return {"torch": self.f(x)}
        if what == "gradient":
            routes = {"torch.autograd": oracle.gradient(self._total, x)}
            return {**routes, "torch.func": oracle.decomposed_gradient(self._total, x)}
        if what == "hvp" and direction is not None:
            return {"torch.autograd": oracle.hvp(self._total, x, direction)}
        if what == "vjp" and direction is not None:
            return {"torch.autograd": oracle.gradient(lambda x: (direction * self.f(x)).sum(), x)}
        if what in ("hessian", "diagonal"):
            return {"torch.func": self._hessian if what == "hessian" else self._hessian.diagonal(dim1=-2, dim2=-1)}
        J = self._jacobian
        if direction is not None:
            J = (J * direction).reshape((*J.shape[: J.ndim - x.ndim], -1)).sum(dim=-1)
        return {"torch.autograd": J}

    def f(self, x: Tensor) -> Tensor:
        """f as a function of the argument that is differentiated by."""
        return self._f(*(x if i == self.point.wrt else a for i, a in enumerate(self.point.args)))

    def _total(self, x: Tensor) -> Tensor:
        return self.f(x).sum()

    @cached_property
    def _hessian(self) -> Tensor:
        """S + S; of a function that takes rows apart, each row's, (N, K, K)."""
        x = self.point.x
        H = oracle.hessian(self._total, x).reshape((*x.shape, *x.shape))
        return torch.stack([H[n, :, n] for n in range(x.shape[0])]) if self.point.rowwise else H

    @cached_property
    def _jacobian(self) -> Tensor:
        """T + S, a row for each entry of f."""
        x = self.point.x
        T = self.f(x)
        entries = range(T.numel())
        rows = [oracle.gradient(lambda x, i=i: self.f(x).reshape(-1)[i], x) for i in entries]  # type: ignore[misc]
        return torch.stack(rows).reshape((*T.shape, *x.shape))

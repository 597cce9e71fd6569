"""torch's own routes to a derivative: what its automatic differentiation makes of the function that is judged."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from lab import oracle
from lab.arithmetic.tape import FormulaError, LeavingError
from lab.arithmetic.truth import Point
from lab.bench.conduct import LEAVES, MisconductError
from lab.errors import RAISED
from lab.raised import place

EPS = torch.finfo(torch.float64).eps
# From where a quotient's two errors, h²|f‴|/6 and ε|f|/h, are alike in float32, in which constants may come.
STEPS = [torch.finfo(torch.float32).eps ** (1 / 3) / 2**k for k in range(5)]


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
            with suppress(
                RuntimeError
            ):  # torch.func takes no Function of the older kind, whose forward has the context
                routes["torch.func"] = oracle.decomposed_gradient(self._total, x)
            return routes
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
        with warnings.catch_warnings():  # that a number leaves torch is told by the bench, in words of its own
            warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad=True to a scalar")
            return self._f(*(x if i == self.point.wrt else a for i, a in enumerate(self.point.args)))

    def require(self, unknown: FormulaError, called: str) -> None:
        """Raise MisconductError where torch has no derivative of f either, which no replay has: `unknown` says why."""
        mend = "write it in torch" + ", or give `reference`, the same in torch" * (called != "reference")
        if isinstance(unknown, LeavingError):
            with suppress(*RAISED):
                if self.follow():
                    return
            raise MisconductError(f"{called} leaves torch at {unknown.place} ({unknown}), {LEAVES}: {mend}")
        try:
            oracle.gradient(self._total, self.point.x)
        except RAISED as error:
            neither = f"has no exact formula ({unknown}) and no derivative of torch's ({place(error)})"
            raise MisconductError(f"{called} {neither}, {LEAVES}: {mend}") from error

    def follow(self, second: bool = False) -> bool:
        """Whether torch's gradient is f's slope, or its second derivative (of Σf) that of its gradient.

        It is not where numbers leave torch and come back as constants. Both sides are taken in float64, along one
        direction and of one mix of all entries.
        Raises: whatever torch does where it cannot differentiate f.
        """
        args = (a.double() if i in self.point.floating else a for i, a in enumerate(self.point.args))
        wide, rng = Routes(self._f, replace(self.point, args=tuple(args))), torch.Generator().manual_seed(0)
        x = wide.point.x
        d = torch.randn(x.shape, generator=rng, dtype=x.dtype) * torch.where(x == 0, 1, x.abs())
        w = torch.randn((x if second else wide.f(x)).shape, generator=rng, dtype=x.dtype)
        if second:
            slope = (w * oracle.hvp(wide._total, x, d)).sum()
            return _slopes(lambda x: w * oracle.gradient(wide._total, x), x, d, float(slope))
        slope = (oracle.gradient(lambda x: (w * wide.f(x)).sum(), x) * d).sum()
        return _slopes(lambda x: w * wide.f(x), x, d, float(slope))

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


def _slopes(f: Callable[[Tensor], Tensor], x: Tensor, d: Tensor, slope: float) -> bool:
    """Whether Σf has this slope at x along d, as far as central quotients can tell.

    What they spread over, and the rounding of f, is allowed for; at a kink, where one-sided quotients stay apart, every
    slope is one.
    """
    here = f(x)
    try:
        sides = [(float(f(x + h * d).sum()), float(f(x - h * d).sum())) for h in STEPS]
    except RAISED:  # it refuses what is not quite what it asks for, as a sum of 1
        return True
    quotients = [(ahead - behind) / (2 * h) for h, (ahead, behind) in zip(STEPS, sides, strict=True)]
    bends = [abs(a - 2 * float(here.sum()) + b) / h for h, (a, b) in zip(STEPS, sides, strict=True)]
    noise = 4 * (x.numel() + here.numel()) * EPS * float(here.abs().sum()) / STEPS[-1]
    kink = min(bends) > max(noise, max(bends) / 2)  # of a smooth f they fall as h does
    return kink or not abs(slope - quotients[-1]) > 4 * (max(quotients) - min(quotients)) + noise

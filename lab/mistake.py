"""Mistake: what a derivation gives that makes one, so that it can be planted, seen, told apart and named.

A case is a tensor that is due: its truth, and all that is known of where it comes from. A mistake yields what would be
there in its stead; one that does not apply to the case yields nothing. So a mistake explains a wrong tensor where it
gives that tensor, and the truth does not.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor

from lab import anatomy, oracle
from lab.anatomy import Rows, Targets
from lab.loss import Loss
from lab.problem import Problem


@dataclass(frozen=True)
class Made:
    """What a mistake gives: the tensor, the mistake's name, the mend, and the evidence where it is more than the fit.

    With a `basis` it gives `tensor` + c·`basis` for some number c that the derivation alone knows: that c has to be
    fitted, so a fit proves less. `unit` names the basis, and `evidence` then what is a multiple of it. `moved` says
    that entries are not where the truth has them.
    """

    name: str
    mend: str
    tensor: Tensor
    evidence: str = ""
    basis: Tensor | None = None
    unit: str = ""
    moved: bool = False


class Mistake(ABC):
    """One mistake, or a close family, that people make in derivations."""

    @abstractmethod
    def made(self, case: "Case") -> Iterator[Made]:
        """Yield what derivations give that make this mistake in this case; nothing where it cannot be made."""


@dataclass(frozen=True)
class Case:
    """A derivative that is due, and what it comes from.

    Args: what the derivative is called (value, gradient, hvp, hessian, …); truth of any shape; inputs by name; sizes by
    letter; u the unit of rounding of what is judged, the truth's own type's if 0. Of a row-wise `loss` the inputs are
    logits, targets (and the direction), in this order; of a `problem` they are theta (and V).
    """

    what: str
    truth: Tensor
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    loss: Loss | None = None
    problem: Problem | None = None
    u: float = 0.0

    @property
    def unit(self) -> float:
        """The unit of rounding, u."""
        return self.u or torch.finfo(self.truth.dtype).eps / 2

    @cached_property
    def depth(self) -> float:
        """8 + all numbers of the inputs + 2 max |input|: units of rounding in sums of them or their exponentials."""
        numbers = [x for x in self.inputs.values() if x.is_floating_point() and x.numel()]
        return 8 + sum(x.numel() for x in numbers) + 2 * max([float(x.abs().max()) for x in numbers], default=0.0)

    @cached_property
    def size(self) -> float:
        """max |truth|."""
        return float(self.truth.abs().max()) if self.truth.numel() else 0.0

    @cached_property
    def z(self) -> Tensor | None:
        """Logits (N, K), where there are any."""
        if self.problem is not None:
            return self.problem.model.forward(self.problem.X, self.inputs["theta"])
        return next(iter(self.inputs.values()), None) if self.loss is not None else None

    @cached_property
    def y(self) -> Tensor | None:
        """Targets as the loss takes them."""
        return self.problem.y if self.problem is not None else next(islice(self.inputs.values(), 1, None), None)

    @property
    def direction(self) -> Tensor:
        """What a product is a product with: the last of the inputs."""
        return list(self.inputs.values())[-1]

    @cached_property
    def targets(self) -> Targets | None:
        """The pieces of a cross-entropy; None for anything else."""
        if self.loss is None or self.z is None or self.y is None:
            return None
        return anatomy.take_apart(self.loss, self.z, self.y)

    @cached_property
    def rows(self) -> Rows | None:
        """The cross-entropy at its logits; None for anything else."""
        return None if self.targets is None or self.z is None else anatomy.rows(self.z, self.targets)

    @cached_property
    def g(self) -> Tensor | None:
        """The true ∂ℓ/∂z of each row, (N, K), of any loss."""
        if self.rows is not None:
            return self.rows.gradient()
        loss, z, y = self.loss, self.z, self.y
        if loss is None or z is None or y is None:
            return None
        return oracle.gradient(lambda z: loss.reference(z, y).sum(), z)

    @property
    def curves(self) -> bool:
        """Whether a second derivative is due."""
        return self.what in ("hvp", "hessian", "diagonal")

    @cached_property
    def divisor(self) -> float:
        """What the mean over rows divides by: 1 where there is no mean."""
        if self.problem is None:
            return 1.0
        return float(getattr(self.problem, "divisor", self.problem.N))

    @cached_property
    def ridge(self) -> Tensor:
        """The part of the truth that is the ridge's; zeros where there is none."""
        problem = self.problem
        return torch.zeros_like(self.truth) if problem is None else self.ridge_on(problem.mask)

    @property
    def data(self) -> Tensor:
        """The part of the truth that is the data's."""
        return self.truth - self.ridge

    def ridge_on(self, mask: Tensor) -> Tensor:
        """The ridge's part if it held the rows of θ for which the mask (D, 1) is 1."""
        problem = self.problem
        if problem is None or not problem.ridge:
            return torch.zeros_like(self.truth)
        theta = self.inputs["theta"]
        if self.what == "value":
            return problem.ridge / 2 * (mask * theta.square()).sum()
        if self.what == "hessian":
            return torch.diag(problem.ridge * mask.expand_as(theta).reshape(-1))
        return problem.ridge * mask * (self.direction if self.what == "hvp" else theta)

    def gathered(self, g: Tensor) -> Tensor | None:
        """The gradient if the rows' were g (N, K); None where another derivative is due."""
        if self.what != "gradient":
            return None
        if self.problem is None:
            return g / self.divisor
        return self.problem.model.pullback(self.problem.X, self.inputs["theta"], g) / self.divisor + self.ridge

    def curved(self, h: Tensor) -> Tensor | None:
        """The Hessian, its product or its diagonal if the rows' Hessians were h (N, K, K); None if another is due."""
        if not self.curves:
            return None
        if self.problem is None:
            if self.what == "hvp":
                return torch.einsum("nkl,nl->nk", h, self.direction) / self.divisor
            return (h.diagonal(dim1=1, dim2=2) if self.what == "diagonal" else h) / self.divisor
        model, X, theta = self.problem.model, self.problem.X, self.inputs["theta"]
        if self.what == "hvp":
            U = torch.einsum("nkl,nl->nk", h, model.pushforward(X, theta, self.direction))
            return model.pullback(X, theta, U) / self.divisor + self.ridge
        H = model.gauss_newton([(X, h)], theta)
        return H.reshape(self.truth.shape) / self.divisor + self.ridge

    def summed(self, values: Tensor) -> Tensor | None:
        """The value if the rows' were these (N,); None where a derivative is due."""
        if self.what != "value":
            return None
        return values / self.divisor if self.problem is None else values.sum() / self.divisor + self.ridge

    def derived(self, rows: Rows) -> Tensor | None:
        """What is due here, if the rows were these; None for a derivative that rows do not make."""
        if self.what == "value":
            return self.summed(rows.value())
        return self.gathered(rows.gradient()) if self.what == "gradient" else self.curved(rows.hessian())

    def blind_to(self, rows: Rows) -> bool:
        """Whether rows that differ in their targets alone make no difference: a Hessian knows of them by a only."""
        if not self.curves or self.rows is None or rows.a.shape != self.rows.a.shape:
            return False
        return torch.allclose(rows.a, self.rows.a, rtol=1e-5)

    def scaled(self, c: float) -> Iterator[tuple[Tensor, str]]:
        """Yield c times the data's part with the ridge as it is, and c times all of it; and what has the ratio c."""
        if bool(self.ridge.any()):
            yield c * self.data + self.ridge, "ours / truth, both without the ridge,"
        yield c * self.truth, "ours / truth"

    @property
    def bias(self) -> list[int]:
        """The rows of θ that are an intercept's: those whose column of X is all ones."""
        if self.problem is None:
            return []
        return [d for d, column in enumerate(self.problem.X.T) if bool((column == 1).all())]

"""Loss: a derivation in logit space, row by row.

A loss maps one row's logits z in R^K and target y to a number. What its mean over rows divides by is a number of the
targets alone, so the loss says it (`divisor`); the sum itself, the ridge and the chain rule through a model are written
once, in `lab.problem`, and a loss knows none of them.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Generator, Tensor

from lab import spectrum
from lab.derivation import Derivation
from lab.pairs import Pairs
from lab.written import defined, restore

# What `Loss.local` says together, and what that is made of where it is not written.
LOCALLY = "gradient", "subtracted", "predicted", "hvp", "hessian", "hessian_map", "diagonal", "off_diagonal"


@dataclass(frozen=True)
class Local:
    """What is wanted of a loss's Hessian h again and again at some logits, worked out together.

    product is `Loss.hessian_map`'s; trace tr h (N,); size Σ_k |h_kk| + |μ_k| (N,), with μ as in `Loss.predicted`;
    entries `Loss.off_diagonal`, where there is one that says all of h, and it is small (`Pairs.kept`).
    """

    product: Callable[[Tensor], Tensor]
    trace: Tensor
    size: Tensor
    entries: Tensor | None


@dataclass(frozen=True)
class Loss(Derivation):
    """Row-wise loss ℓ(z, y) with its derivatives with respect to the logits z.

    Every method takes logits `z` (N, K) and targets `y`, and treats each row alone: y is (N, K) in the logits' dtype,
    or what else a loss says that it takes (softmax: class indices (N,)). The contract is `value`, `gradient` and
    `hvp`; the matrix `hessian` and its `diagonal` follow from `hvp`, and are overridden where a formula is shorter, or
    loses less: each entry of h is exact to (8 + K + 2 max|z|) u √(h_kk h_ll), as certified eigenvalues rest on it.

    `reduction` says, in torch's words, what number many rows make together; row by row it changes nothing.
    """

    reduction: Literal["mean", "sum", "none"] = field(default="mean", kw_only=True)
    """What one number many rows make, in torch's words; none leaves no one number to train on."""

    # M with |∇³ℓ[u, u, v]| ≤ M max|v| ∇²ℓ[u, u]. Canonical losses of the exponential family have 1 (Poisson, σ) or 2
    # (softmax, whose logits move relative to each other). Bounds on rounding, on decrease and on eigenvalues between
    # measurements rest on it, and on ∇² ⪰ 0, which it implies; a function that has none (squared hinge: ∇² jumps;
    # focal loss: not convex) is a `lab.Derivation`, to be judged.
    self_concordance: ClassVar[float]

    # Whether a shift common to all K logits changes no row's ∇ℓ, whatever z is: then ∇²ℓ 1 = 0.
    ignores_shift: ClassVar[bool] = False

    # Whether `off_diagonal` counts: not where `hessian` was written beside it, or later.
    _by_entries: ClassVar[bool] = False

    # Whether `value_and_gradient` counts: not where one of the two was written later.
    _in_one: ClassVar[bool] = True

    # a with λ₁(∇²ℓ) ≤ a ℓ for every row, so that a small loss is a flat one; None where none is known.
    self_bound: ClassVar[float | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        """What a class writes anew is not undone by a shorter way to it that it inherits from further up.

        A method that is set on a class later is not seen here.
        """
        super().__init_subclass__(**options)
        cls._by_entries = defined(cls, "off_diagonal") < defined(cls, "hessian")
        cls._in_one = defined(cls, "value_and_gradient") <= min(defined(cls, "value"), defined(cls, "gradient"))
        restore(cls, Loss, "hessian_map", "hvp")
        restore(cls, Loss, "local", *LOCALLY)

    def __post_init__(self) -> None:
        M = getattr(self, "self_concordance", None)
        if not isinstance(M, int | float) or not 0 <= M < torch.inf:
            raise ValueError(
                f"self_concordance: {type(self).__name__} says {M}, and it must be a number M with "
                "|∇³ℓ[u, u, v]| ≤ M max|v| ∇²ℓ[u, u]; a function that has none is a lab.Derivation"
            )
        if self.reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction: {self.reduction!r} is unknown; give mean, sum or none")

    @abstractmethod
    def value(self, z: Tensor, y: Tensor) -> Tensor:
        """Return ℓ of each row, (N,)."""

    @abstractmethod
    def gradient(self, z: Tensor, y: Tensor) -> Tensor:
        """Return ∂ℓ/∂z of each row, (N, K)."""

    @abstractmethod
    def hvp(self, z: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Multiply each row's logit Hessian by that row of `u` (N, K): (N, K)."""

    @abstractmethod
    def reference(self, z: Tensor, y: Tensor) -> Tensor:
        """Return torch's own implementation of the loss of each row, (N,); the truth comes from differentiating it."""

    @abstractmethod
    def encode(self, labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
        """Turn labels into the targets that the other methods take.

        Args: labels class indices (N,), or a 0/1 matrix (N, L) of L labels; classes the number of classes or labels.
        Raises: ValueError where this loss has no use for such labels; the message says which loss has.
        """

    @abstractmethod
    def correct(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the fraction of each row's labels that the logits predict, (N,); nan for a row that is left out."""

    def probabilities(self, z: Tensor, classes: int) -> Tensor:
        """Return what the logits say of each class or label, (N, classes), for predictions; nothing is trained by it.

        Args: classes as `encode` has it. Raises: ValueError where the loss has no such method of its own.
        """
        raise ValueError(f"{type(self).__name__} does not say what its logits' probabilities are; give it the method")

    def margin(self, z: Tensor, y: Tensor) -> Tensor | None:
        """Return by how much each label is predicted right, (N,) or (N, K), negative where wrong; None: no such thing.

        It is nan where a row is left out.
        """
        return None

    def weighed(self, y: Tensor, weight: Tensor) -> Tensor:
        """Return targets, as `encode` makes them, each with its weight (N, 1), or (N, K) where it has several labels.

        Raises: ValueError where this loss takes no such weights.
        """
        raise ValueError("data.weight weighs rows, and this loss takes no weight of a row; use sigmoid")

    def fitted(self, labels: Tensor, classes: int) -> Self:
        """Return this loss with what it takes from the training rows' labels, as balanced weights; else itself.

        Args: labels and classes as `encode` has them. Raises: ValueError where options do not fit them.
        """
        return self

    def divisor(self, y: Tensor) -> float:
        """Return what the sum of the rows' values is divided by: their number for a mean, 1 for a sum.

        No rows at all sum to 0, and so does their mean here (torch: nan): nothing was asked of the model.
        Raises: ValueError for `reduction` none, which leaves many numbers and no one to train on.
        """
        if self.reduction == "none":
            raise ValueError("reduction 'none' leaves a value for each row, and no one loss to train on; use mean")
        return 1.0 if self.reduction == "sum" else self.mass(y)

    def mass(self, y: Tensor) -> float:
        """Return what a mean over rows divides by: their number, unless the loss weighs them; never 0 for 0 rows."""
        return float(len(y) or 1)

    @property
    def weighs(self) -> bool:
        """Whether `mass` is a sum of weights, which has a rounding of its own, and not a count."""
        return False

    def reduced(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the rows' values as `reduction` has them: their mean or sum, 0-d, or one for each row, (N,)."""
        rows = self.value(z, y)
        return rows if self.reduction == "none" else rows.sum() / self.divisor(y)

    def reduced_reference(self, z: Tensor, y: Tensor) -> Tensor:
        """Return torch's own mean or sum of the loss, 0-d: `divisor` is judged by it, so it must not use it."""
        rows = self.reference(z, y)
        return rows.sum() if self.reduction == "sum" or not len(y) else rows.mean()

    def subtracted(self, z: Tensor, y: Tensor) -> Tensor:
        """Return r (N, K), the part of ∇ℓ = μ(z) − r that the targets make: y, unless the loss weighs or smooths it.

        The bounds on rounding rest on it, as μ and r are each as exact as their size, whatever they leave together.
        """
        return y

    def predicted(self, z: Tensor, y: Tensor) -> Tensor:
        """Return μ(z) (N, K), the part of ∇ℓ = μ(z) − r that the model makes."""
        return self.gradient(z, y) + self.subtracted(z, y)

    def value_and_gradient(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return `value` (N,) and `gradient` (N, K); a loss whose two share work overrides it."""
        return self.value(z, y), self.gradient(z, y)

    def both(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return `value` (N,) and `gradient` (N, K) as the class wrote them last, in one or apart."""
        return self.value_and_gradient(z, y) if self._in_one else (self.value(z, y), self.gradient(z, y))

    def hessian(self, z: Tensor, y: Tensor) -> Tensor:
        """Return each row's logit Hessian, (N, K, K): `off_diagonal`'s, or column k the product with a unit vector."""
        entries, K = self.off_diagonal(z, y), z.shape[1]
        if entries is not None:
            known, seen = Pairs.off_diagonal(entries, K)
            return known.whole(seen, K)
        units = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
        return torch.stack([self.hvp(z, y, unit.expand_as(z)) for unit in units], dim=2)

    def off_diagonal(self, z: Tensor, y: Tensor) -> Tensor | None:
        """Return h_kl for k < l, (N, K(K − 1)/2), of a Hessian whose rows sum to 0 at every z, so that it is known.

        Each is exact relative to itself, and none is positive, or h_kk = −Σ_{l≠k} h_kl would not be. None: no such h.
        """
        return None

    def by_pairs(self, z: Tensor, y: Tensor, D: int) -> tuple[Pairs, Tensor]:
        """Return h by pairs of classes and their entries (Q, N), as few as are worth it with D columns of X."""
        entries = self.off_diagonal(z, y) if self._by_entries else None
        return Pairs.of(self.hessian(z, y), D) if entries is None else Pairs.off_diagonal(entries, z.shape[1])

    def diagonal(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the diagonal of each row's logit Hessian, (N, K)."""
        return self.hessian(z, y).diagonal(dim1=1, dim2=2)

    def hessian_map(self, z: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the map U ↦ h U of each row's logit Hessian h, for many directions at one z.

        The map takes and returns (N, K, m): m directions for every row, and may overwrite what it takes, as the
        images of many directions fill a cache. A loss whose `hvp` begins with work that depends on z alone does it
        here once.
        """
        return lambda U: torch.stack([self.hvp(z, y, u) for u in U.unbind(2)], dim=2)

    def local(self, z: Tensor, y: Tensor) -> Local:
        """Return h at these logits as `Local` has it; a loss whose parts share work overrides it.

        Each entry h_kl is exact to (8 + K + 2 max|z|) u √(h_kk h_ll), and no more than that is asked for here. Proved
        eigenvalues rest on it: `lab check` holds it to `hessian`, and a run what comes of it to `hvp` (check/product).
        """
        h, mu = self.diagonal(z, y), self.predicted(z, y)
        entries = self.off_diagonal(z, y) if self._by_entries and Pairs.kept(z) else None
        return Local(self.hessian_map(z, y), h.sum(dim=1), (h.abs() + mu.abs()).sum(dim=1), entries)

    def factor(self, z: Tensor, y: Tensor) -> Tensor:
        """Return F (N, K, r) with F Fᵀ each row's logit Hessian: here V √w of its eigenvalues w and eigenvectors V.

        Raises: ValueError where some row's Hessian is not positive semi-definite, and so has no such factor.
        """
        w: Tensor
        w, V = spectrum.eigh(self.hessian(z, y))
        size = w.abs().amax(dim=1, keepdim=True)
        if bool((w < -4 * z.shape[1] * torch.finfo(w.dtype).eps * size).any()):
            raise ValueError(f"{type(self).__name__} is not convex at these logits: its Hessian has no real factor")
        return torch.mul(V, w.clamp(min=0).sqrt()[:, None, :])

    def drift(self, v: Tensor) -> Tensor:
        """Return δ (N,) with e^{−δ} h(z) ⪯ h(z + v) ⪯ e^δ h(z) for every z; v (N, K) is how each row's logits move.

        With M-self-concordance f(t) = uᵀh(z + tv)u has |f′| ≤ M max|v| f, so log f moves by at most M max|v|. Where a
        shift of all logits moves nothing, that is M (max v − min v)/2, after the shift that is best. What a loss
        returns in its place is no more than that, and a seminorm: δ(a + b) ≤ δ(a) + δ(b), δ(ca) = |c| δ(a).
        """
        if self.ignores_shift:
            return self.self_concordance / 2 * (v.amax(dim=1) - v.amin(dim=1))
        return self.self_concordance * v.abs().amax(dim=1)

    @property
    def drift_norm(self) -> float:
        """c with `drift`(v) ≤ c ‖v‖ for every v: how far logits move bounds the drift without a look at each."""
        return self.self_concordance / (2**0.5 if self.ignores_shift else 1.0)

    def peak(self, K: int) -> float | None:
        """Return c with h(z) ⪯ c max diag h(0) I for every row's Hessian at every z (K,); None where none is known."""
        return None

    def likelihood(self, y: Tensor, K: int) -> float | None:
        """Return c such that c ℓ of a row is −log of its target's likelihood; None where ℓ is known as no likelihood.

        Weights, shares of classes as targets y and smoothed labels make it none: what a table of coefficients says of
        such a fit would be false.
        """
        return None

    def flat(self, K: int) -> tuple[int, str]:
        """Return how many directions of R^K no row's Hessian ever sees, and why (the reason completes "as …")."""
        return 0, ""

    def examples(self, rng: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (z, y): every size different, logits from flat to saturated, each label once at least."""
        for scale in (0.0, 1.0, 8.0, 40.0):
            yield from self._examples(rng, scale)

    @abstractmethod
    def _examples(self, rng: Generator, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (z, y) of this loss's kinds of targets, with logits of standard deviation `scale`."""

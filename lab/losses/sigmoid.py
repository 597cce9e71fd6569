"""Sigmoid cross-entropy, binary (K = 1) and multi-label (K > 1): one algebra, each label for itself.

One label: logit z in R, direction u, target y in {0, 1}; σ(z) = 1/(1 + e^{−z}), which gives 1 − σ(z) = σ(−z).

Value      ℓ = −y log σ(z) − (1 − y) log σ(−z) = log(1 + e^z) − yz
Gradient   d/dz log(1 + e^z) = e^z/(1 + e^z) = σ(z),    so ∇ℓ = σ(z) − y
Hessian    σ′ = σ(z) σ(−z),                             so H = diag σ(z)σ(−z) over the labels; y is gone from it
Product    Hu = σ(z)σ(−z)∘u
Options    Weights v (K,) of the labels and ρ (K,) of their ones, and y anywhere in [0, 1], put a = v(1 − y) and
           b = vρy for 1 − y and y:  ℓ = a log(1 + e^z) + b log(1 + e^{−z}),  ∇ℓ = a σ(z) − b σ(−z) = (a + b) σ(z) − b,
           H = diag (a + b) σ(z)σ(−z).
Elements   A weight w ≥ 0 of each row's each label comes with the targets, as torch's `weight` of shape (N, K): targets
           (N, K, 2) hold y and w, and v becomes vw in a and b. A row's weight is that of all its labels.
Factor     H = FFᵀ with F = diag √((a + b) σ(z)σ(−z))
Labels     A row's loss is the sum over its K labels; with `average` it is their mean, and every line above is
           divided by K: torch's multilabel_soft_margin_loss. Its mean of binary_cross_entropy_with_logits averages over
           rows and labels alike, which is `average` too; its sum over both is `reduction` sum without.
Mean       It divides by N, whatever v, ρ and w. Without rows it is 0 (torch: nan).

True of it
    0 < σ(z)σ(−z) ≤ 1/4, with equality at z = 0: convex, and flat in no direction but that of a label of weight 0.
    ∇³ℓ = (a + b) σ′(z)(1 − 2σ(z)), so |∇³ℓ[u, u, v]| ≤ max|v| ∇²ℓ[u, u]  (Bach 2010, §2).

Numerics
    σ(z) − 1 cancels for y = 1. With s = 1 − 2y, which is 1 for y = 0 and −1 for y = 1: ℓ = log(1 + e^{sz}) and
    ∇ℓ = s σ(sz), in which nothing cancels at any logit. With options aσ(z) − bσ(−z) does the same, as a or b is 0
    where y is 1 or 0: each entry of gradient and Hessian is exact to (4 + K) u, u the unit of rounding, down to the
    smallest normal number. For y between, |δ∇ℓ| ≤ (4 + K) u (aσ(z) + bσ(−z)): the digits that the two parts share are
    lost, and no others.
    log(1 + e^x) = max(x, 0) + log1p(e^{−|x|}), not softplus, which is linear above 20 and has a second derivative of 0
    there. σ(z)σ(−z) = e/(1 + e)² with e = e^{−|z|} cancels nowhere, and is not 0 in the tail where the label is right,
    as the Hessian of torch's multilabel_soft_margin_loss is from 40 on.
    z = ±∞ is a label that is certain: the loss is 0 where it is right (torch: ∞ − ∞ = nan), ∞ where it is wrong.

Source     Bishop, Pattern Recognition and Machine Learning (2006), §4.3.2; Böhning, Ann. Inst. Statist. Math. 44
           (1992); Bach, Self-concordant analysis for logistic regression, Electron. J. Statist. 4 (2010).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, Literal, Self

import torch
from annotated_types import Ge
from torch import Generator, Tensor
from torch.nn import functional

from lab.loss import Loss
from lab.losses._weights import balanced, checked, require, vector


@dataclass(frozen=True)
class Sigmoid(Loss):
    """Binary and multi-label cross-entropy: one logit for each yes-or-no label; `average` divides by their number.

    `weight` and `pos_weight` have K entries, as torch has them: of a label, and of its ones besides. torch's `weight`
    may also differ from row to row: that is data, and comes with the targets, as `weighed` makes them.
    """

    average: bool = False
    """Divide a row's sum over labels by their number."""
    weight: tuple[Annotated[float, Ge(0)], ...] | None = None
    """A weight for each label."""
    pos_weight: tuple[Annotated[float, Ge(0)], ...] | None = None
    """A factor for the positives of each label."""
    class_weight: Literal["balanced"] | None = None
    """balanced sets both from all training rows: n/(2 n₀) for a label's zeros and n/(2 n₁) for its ones."""

    self_concordance: ClassVar[float] = 1.0
    # h is diagonal, of entries w p(1 − p) ≤ w min(p, 1 − p), w the label's weight; −log q ≥ 1 − q for q = p and 1 − p.
    self_bound: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weight not in (None, "balanced"):
            raise ValueError(f"class_weight: {self.class_weight!r} is unknown; give 'balanced', or weight, pos_weight")
        if self.class_weight and (self.weight is not None or self.pos_weight is not None):
            raise ValueError("class_weight 'balanced' sets weight and pos_weight; give one or the other")
        object.__setattr__(self, "weight", checked("weight", self.weight))
        object.__setattr__(self, "pos_weight", checked("pos_weight", self.pos_weight))

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        """ℓ = Σ_k a log(1 + e^z) + b log(1 + e^{−z}), (N,).

        Args: z logits (N, K); y targets (N, K), each 0 or 1, or between; or (N, K, 2), each with its weight.
        """
        return self.value_and_gradient(z, y)[0]

    def gradient(self, z: Tensor, y: Tensor) -> Tensor:
        """∇ℓ = aσ(z) − bσ(−z), (N, K), which is s σ(sz) without options.

        Args: z logits (N, K); y targets (N, K), each 0 or 1, or between; or (N, K, 2), each with its weight.
        """
        return self.value_and_gradient(z, y)[1]

    def value_and_gradient(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        # Nearly always y is 0 or 1. To see that is cheaper than the second exponential that any other y asks for.
        if not self._is_weighed and y.ndim == 2 and torch.equal(y * y, y):
            s = 1 - 2 * y
            sz = s * z
            return self._scale(_softplus(sz).sum(dim=1), z), self._scale(s * torch.sigmoid(sz), z)
        a, b = self._shares(z, y)
        terms = _times(a, _softplus(z)) + _times(b, _softplus(-z))
        return self._scale(terms.sum(dim=1), z), self._scale(a * torch.sigmoid(z) - b * torch.sigmoid(-z), z)

    def hvp(self, z: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Hu = (a + b) σ(z)σ(−z)∘u, (N, K).

        Args: z logits (N, K); y targets, on which H depends by their weights alone; u directions (N, K).
        """
        return self.diagonal(z, y) * u

    def hessian(self, z: Tensor, y: Tensor) -> Tensor:
        """H = diag (a + b) σ(z)σ(−z), (N, K, K)."""
        return torch.diag_embed(self.diagonal(z, y))

    def diagonal(self, z: Tensor, y: Tensor) -> Tensor:
        """(a + b) σ(z)σ(−z), (N, K), as e/(1 + e)² with e = e^{−|z|}: no 1 − σ = 0 and no ∞ at large logits."""
        e = z.abs().neg_().exp_()
        h = e / (1 + e).square_()
        if self._is_weighed or y.ndim > 2:
            a, b = self._shares(z, y)
            h *= a + b
        return self._scale(h, z)

    def hessian_map(self, z: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """U ↦ (a + b) σ(z)σ(−z)∘U, (N, K, m)."""
        h = self.diagonal(z, y)[:, :, None]
        return lambda U: U.mul_(h)

    def factor(self, z: Tensor, y: Tensor) -> Tensor:
        """F = diag √((a + b) σ(z)σ(−z)), (N, K, K)."""
        return torch.diag_embed(self.diagonal(z, y).sqrt())

    def reference(self, z: Tensor, y: Tensor) -> Tensor:
        """torch's own binary cross-entropy with logits, summed (or averaged) over the labels, (N,).

        torch weighs by (ρ − 1)y + 1, of which a small ρ has few digits left. There its losses of a certain 0 and of a
        certain 1 are taken, and weighed by 1 − y and ρy.
        """
        y, v = self._weights(z, y)
        weight = None if v is None else v.to(z.dtype)
        rho = None if self.pos_weight is None else vector("pos_weight", self.pos_weight, z).to(z.dtype)
        own = partial(functional.binary_cross_entropy_with_logits, z, weight=weight, reduction="none")
        entries = own(y, pos_weight=rho)
        if rho is not None and bool((rho < 0.5).any()):
            apart = (1 - y) * own(torch.zeros_like(z)) + rho * y * own(torch.ones_like(z))
            entries = torch.where(rho < 0.5, apart, entries)
        return entries.mean(dim=1) if self.average else entries.sum(dim=1)

    def encode(self, labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
        """0/1 targets: (N, 1) of two classes' indices (N,), the second class being 1; (N, L) as they are."""
        if labels.ndim == 1 and classes != 2:
            raise ValueError(
                f"sigmoid wants two classes or several target columns, and there are {classes} classes; use softmax"
            )
        return (labels[:, None] if labels.ndim == 1 else labels).to(dtype)

    @staticmethod
    def weighed(y: Tensor, weight: Tensor) -> Tensor:
        """Targets y (N, K), each with its weight: (N, K, 2). Args: weight (N, K), or (N, 1) one for each row.

        Raises: ValueError where a weight is negative or not finite.
        """
        if not bool((weight.isfinite() & (weight >= 0)).all()):
            raise ValueError("weight: each element's must be a finite number of at least 0")
        return torch.stack([y, weight.to(y).expand_as(y)], dim=2)

    def probabilities(self, z: Tensor, classes: int) -> Tensor:
        """σ(z) of each label; σ(−z) and σ(z) of two classes with one logit, each exact in its own tail."""
        return torch.sigmoid(torch.cat([-z, z], dim=1) if z.shape[1] < classes else z)

    def fitted(self, labels: Tensor, classes: int) -> Self:
        """This loss, with `balanced` weights of zeros and ones, n/(2 n₀) and n/(2 n₁), as v and vρ of each label."""
        ones = (labels[:, None] if labels.ndim == 1 else labels).bool()
        for what, given in (("weight", self.weight), ("pos_weight", self.pos_weight)):
            require(what, given, ones.shape[1])
        if self.weight is not None and not any(self.weight):
            raise ValueError("weight: every label has the weight 0, and no training row counts; let some count")
        if self.class_weight is None or (labels.ndim == 1 and classes != 2):
            return self
        of_zeros, of_ones = balanced(torch.stack([(~ones).sum(dim=0), ones.sum(dim=0)]), "label")
        ratio = tuple((of_ones / of_zeros).tolist())
        return replace(self, weight=tuple(of_zeros.tolist()), pos_weight=ratio, class_weight=None)

    def subtracted(self, z: Tensor, y: Tensor) -> Tensor:
        """b, (N, K)."""
        return self._scale(self._shares(z, y)[1], z)

    def correct(self, z: Tensor, y: Tensor) -> Tensor:
        """Fraction of a row's labels on whose side of 0 the logit lies, (N,); those of weight 0 do not count."""
        if y.ndim == 2:
            return ((z > 0) == (y > 0.5)).to(z.dtype).mean(dim=1)
        y, w = y.unbind(2)
        return ((z > 0) == (y > 0.5)).to(z.dtype).where(w > 0, torch.nan).nanmean(dim=1)

    def margin(self, z: Tensor, y: Tensor) -> Tensor:
        """How far each logit lies on its label's side of 0, (N, K)."""
        return torch.where((y if y.ndim == 2 else y[..., 0]) > 0.5, z, -z)

    def peak(self, K: int) -> float:
        """Return 1: σ(1 − σ) is largest at 0, and the weights do not move with z."""
        return 1.0

    def likelihood(self, y: Tensor, K: int) -> float | None:
        if self._is_weighed or y.ndim > 2 or not bool(((y == 0) | (y == 1)).all()):
            return None
        return float(K if self.average else 1)

    def flat(self, K: int) -> tuple[int, str]:
        count = 0 if self.weight is None else self.weight.count(0.0)
        return count, f"{'a label has' if count == 1 else f'{count} labels have'} weight 0" if count else ""

    @property
    def _is_weighed(self) -> bool:
        """Whether any label or its ones have a weight."""
        return self.weight is not None or self.pos_weight is not None or self.class_weight is not None

    def _shares(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """a = vw(1 − y) and b = vwρy, (N, K)."""
        y, v = self._weights(z, y)
        v = vector("weight", None, z) if v is None else v
        return v.to(z.dtype) * (1 - y), (v * vector("pos_weight", self.pos_weight, z)).to(z.dtype) * y

    def _weights(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """y (N, K), and vw in double precision, (K,) or (N, K), to be rounded once; None where there are no weights."""
        if self.class_weight is not None:
            raise ValueError("class_weight 'balanced' is counted on training rows first: loss.fitted(labels, classes)")
        v = None if self.weight is None else vector("weight", self.weight, z)
        if y.ndim == 2:
            return y, v
        y, w = y.unbind(2)
        return y, w.double() if v is None else v * w

    def _scale(self, x: Tensor, z: Tensor) -> Tensor:
        return x / z.shape[1] if self.average else x

    def _examples(self, rng: Generator, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
        given = self.weight or self.pos_weight
        for N, K in ((13, 4), (7, 1)) if given is None else ((3 * len(given) + 1, len(given)),):
            z = scale * torch.randn(N, K, generator=rng, dtype=torch.float64)
            yield z, torch.randint(2, (N, K), generator=rng).to(z.dtype)


def _softplus(x: Tensor) -> Tensor:
    """log(1 + e^x) = max(x, 0) + log1p(e^{−|x|}), to full relative accuracy at any x."""
    return torch.log1p(torch.exp(-x.abs())).add_(x.relu())


def _times(weight: Tensor, x: Tensor) -> Tensor:
    """weight·x, and 0 where the weight is 0, whatever x is."""
    return torch.where(weight == 0, 0.0, weight * x)

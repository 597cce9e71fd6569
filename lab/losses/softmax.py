"""Softmax cross-entropy, for classes that exclude each other, with all that torch's `cross_entropy` takes.

One row: logits z, direction u in R^K; p = softmax(z), p_k = exp z_k / Σ_c exp z_c; target y one-hot, Σy = 1.

Value      ℓ = −Σ_k y_k log p_k = log Σ_c exp z_c − yᵀz
Gradient   ∂/∂z_k log Σ_c exp z_c = exp z_k / Σ_c exp z_c = p_k,   so ∇ℓ = p − y
Hessian    ∂p_k/∂z_l = p_k (δ_kl − p_l),                           so H = diag p − ppᵀ; y is gone from it
Product    Hu = p∘u − p (pᵀu) = p∘(u − pᵀu)                        no K×K matrix

Options    All of them put numbers r ≥ 0 in y's place. With R = Σr, weights w, smoothing α and W = Σw:
               class index y      r = m[(1 − α) w_y e_y + (α/K) w],   R = m[(1 − α) w_y + (α/K) W]
               probabilities q    r = w∘((1 − α) q + α/K)
           where m = 0 if y is `ignore_index`, else 1: such a row is left out, its class stays in the softmax. Then
               ℓ = R log Σ exp z − rᵀz = −Σ r_k log p_k,   ∇ℓ = Rp − r,   H = R (diag p − ppᵀ),   Hu = R p∘(u − pᵀu).
Mean       Over class indices it divides by D = Σ m w_y, the weight of the rows that count; over probabilities by N, so
           that hard labels and the equal probabilities part where there are weights. Where nothing counts the sum is 0
           and so is the mean, as a batch that asks nothing of the model should not end a run (torch: nan, 0/0). Rows of
           weight 0 to which smoothing gives a share have no weight to divide by: no number, here as in torch.
Factor     Cholesky's, in closed form. With the tail s_k = Σ_{l≥k} p_l:  H = R FFᵀ,  F lower triangular (K, K−1),
           F_kk = √(p_k s_{k+1}/s_k),   F_lk = −p_l √(p_k/(s_k s_{k+1})) for l > k.
           Eliminating class k from diag p − ppᵀ/s with Σp = s leaves the same form in the classes after it, with
           s_{k+1} for s_k: p_l − p_l²/s_k − F_lk² = p_l − p_l²/s_{k+1}, as 1/s_k + p_k/(s_k s_{k+1}) = 1/s_{k+1}.

True of it
    uᵀHu = R (Σ p u² − (Σ p u)²) = R Var_p(u) ≥ 0: the loss is convex.
    Var_p(u) = 0 for u = 1, and for no other direction while all p > 0: H sees everything but a common shift.
    diag H = R p∘(1 − p), and 1 − p_k = Σ_{c≠k} p_c: H is known by its entries off the diagonal.
    K = 2 is the sigmoid loss of z₂ − z₁. K = 1 has p = 1: value, gradient and Hessian are 0.
    λ₁(H) ≤ tr H = R (1 − ‖p‖²) ≤ R (1 − max p²) ≤ 2R (1 − max p) ≤ −2R log max p ≤ 2ℓ, as ℓ = −Σ r log p.
    |∇³ℓ[u, u, v]| = R |Cov_p((u − pᵀu)², v)| ≤ (max v − min v) R Var_p(u) ≤ 2 max|v| uᵀHu  (Bach 2010, §2), so that
    log uᵀH(z + v)u moves by at most max v − min v.

Numerics
    At a target's own logit p − 1 cancels: in float32 nothing is left of it above z = 17. But 1 − p_y is the mass of
    the other classes, a sum of positive numbers: ∇ℓ = p apart from the target's entry, which is −Σ_{c≠y} p_c. By the
    same token diag H pairs each p with the sum of the others. With d = z − max z ≤ 0 and S = Σ e^d ≥ 1, ℓ = log S − d_y
    is a sum of two positive parts, and where d_y = 0 it is log1p of all the others, which keeps tiny losses exact.
    In general p_k = p_k Σp and R = Σr give, with the terms c = k gone,
        ∇ℓ_k = A_k − B_k,   A_k = p_k Σ_{c≠k} r_c,   B_k = r_k Σ_{c≠k} p_c,
    in which A and B are products of sums of what is not negative. For class indices without smoothing one of them is 0
    and every entry is exact to (4 + K + spread) u, spread = max z − min z and u the unit of rounding. With smoothing,
    or probabilities, both are there, and |δ∇ℓ_k| ≤ (4 + K + spread) u (A_k + B_k): an entry that vanishes where
    p_k = r_k/R loses the digits that A and B share, and no others; the inputs' own rounding moves it as much. Every
    entry of H is exact to (4 + K + spread) u. All of this down to the smallest normal number.
    p comes of exp(z − max z); where a Hessian entry multiplies two of them, the rounding of z − max z is recovered
    (Knuth's TwoSum) and put back, or it would count twice.
    A logit of −∞ is a class that cannot be, p = 0: ∞ where r asks for it, and 0 where r = 0 (torch: 0·∞ = nan).

Source     Bishop, Pattern Recognition and Machine Learning (2006), §4.3.4; Böhning, Ann. Inst. Statist. Math. 44
           (1992); Bach, Self-concordant analysis for logistic regression, Electron. J. Statist. 4 (2010); Tanabe &
           Sagae, An exact Cholesky decomposition … of the multinomial distribution, J. R. Statist. Soc. B 54 (1992);
           Szegedy et al., Rethinking the Inception architecture (2016), §7, for α; Knuth, TAOCP 2, §4.2.2, theorem B.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

import torch
from annotated_types import Ge, Le
from torch import Generator, Tensor
from torch.nn import functional

from lab.loss import Local, Loss
from lab.losses._simplex import entries_between, others_than, product_by, softmax, softmax_and_others, softmax_exactly
from lab.losses._weights import balanced, checked, require, vector
from lab.pairs import Pairs

NOBODY = -100  # torch's ignore_index where none is given: no class has it


@dataclass(frozen=True)
class Softmax(Loss):
    """Multiclass cross-entropy: K logits for K classes; options as in torch's cross_entropy.

    Targets are class indices (N,), int64, or probabilities (N, K), which need not sum to 1. `weight` has K entries.
    """

    weight: tuple[Annotated[float, Ge(0)], ...] | None = None
    """A weight for each class, in the order of classes; the mean divides by the weight of its rows."""
    ignore_index: int = NOBODY
    """Rows whose class index is this one do not count."""
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0
    """The share of each target that is spread evenly over all classes."""
    class_weight: Literal["balanced"] | tuple[Annotated[float, Ge(0)], ...] | None = None
    """`weight` by scikit-learn's name; balanced is n/(K n_c), counted on all training rows."""

    self_concordance: ClassVar[float] = 2.0
    self_bound: ClassVar[float] = 2.0
    ignores_shift: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight is not None and self.class_weight is not None:
            raise ValueError("weight and class_weight are the same thing; give one of them")
        if not 0 <= self.label_smoothing <= 1:
            raise ValueError(f"label_smoothing: {self.label_smoothing} is no share; it must lie in [0, 1]")
        object.__setattr__(self, "weight", checked("weight", self.weight))
        if isinstance(self.class_weight, str):
            if self.class_weight != "balanced":
                raise ValueError(f"class_weight: {self.class_weight!r} is unknown; give 'balanced' or a list")
        else:
            object.__setattr__(self, "weight", checked("class_weight", self.class_weight) or self.weight)
            object.__setattr__(self, "class_weight", None)

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        """ℓ = −Σ r_k log p_k, (N,), exact in each tail; z logits (N, K), y class indices or probabilities."""
        return self.value_and_gradient(z, y)[0]

    def gradient(self, z: Tensor, y: Tensor) -> Tensor:
        """∇ℓ = Rp − r, (N, K), in which nothing cancels that need not; z and y as for `value`."""
        return self.value_and_gradient(z, y)[1]

    def value_and_gradient(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if y.ndim > 1 or self.label_smoothing:
            return self._shared_value_and_gradient(z, y)
        t, kept = self._labels(y)
        d = z - z.amax(dim=1, keepdim=True)
        d_y = d.gather(1, t)
        e, e_y = d.exp_(), d_y.exp()
        rest = e.scatter_(1, t, 0.0).sum(dim=1, keepdim=True)
        total = rest + e_y
        value = torch.log1p(rest + (e_y - 1)) - d_y
        gradient = e.div_(total).scatter_(1, t, -(rest / total))
        R = self._weight_of(t, kept, z)
        whole = (value, gradient) if R is None else (torch.where(R == 0, 0.0, R * value), gradient.mul_(R))
        return whole[0][:, 0], whole[1]

    def _shared_value_and_gradient(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The same where more than one class has a share r_k: ℓ = −Σ r_k log p_k and ∇ℓ = A − B."""
        r, rest = self._shares(z, y)
        d, p, others = softmax_and_others(z)
        log_p = torch.where(p > 0.5, torch.log1p(-others), d - d.exp().sum(dim=1, keepdim=True).log())
        return -torch.where(r == 0, 0.0, r * log_p).sum(dim=1), p * rest - r * others

    def hvp(self, z: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Hu = R p∘(u − pᵀu), (N, K), for u (N, K). Zero where u is constant along K: a common shift is ignored."""
        p, R = softmax(z), self._total(z, y)
        Hu = (u - (p * u).sum(dim=1, keepdim=True)).mul_(p)
        return Hu if R is None else Hu.mul_(R)

    def off_diagonal(self, z: Tensor, y: Tensor) -> Tensor:
        """H_kl = −R p_k p_l for k < l, (N, K(K − 1)/2); and H_kk = R p_k Σ_{l≠k} p_l is less their sum: H1 = 0."""
        p, R = softmax_exactly(z), self._total(z, y)
        return entries_between(p, p if R is None else R * p)

    def local(self, z: Tensor, y: Tensor) -> Local:
        p, R = softmax(z), self._total(z, y)
        q = p if R is None else R * p
        entries = entries_between(p, q) if Pairs.kept(z) else None
        trace = (others_than(p) * q).sum(dim=1) if entries is None else entries.sum(dim=1).mul_(-2)
        return Local(product_by(p, q), trace, trace + q.sum(dim=1), entries)

    def diagonal(self, z: Tensor, y: Tensor) -> Tensor:
        """diag H = R p∘(1 − p), (N, K)."""
        p, R = softmax(z), self._total(z, y)
        H = others_than(p).mul_(p)
        return H if R is None else H.mul_(R)

    def hessian_map(self, z: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """U ↦ R p∘(U − pᵀU), (N, K, m)."""
        p, R = softmax(z), self._total(z, y)
        return product_by(p, p if R is None else R * p)

    def factor(self, z: Tensor, y: Tensor) -> Tensor:
        """√R F (N, K, K−1), the exact Cholesky factor of H; 0 in the columns of classes after which nothing is left."""
        p, R = softmax(z), self._total(z, y)
        s = p.flip(1).cumsum(dim=1).flip(1)
        head, tail = (p / s)[:, :-1].sqrt().nan_to_num(nan=0.0), s[:, 1:]
        below = -p[:, :, None] * (head / tail.sqrt()).nan_to_num(nan=0.0, posinf=0.0)[:, None, :]
        F = below.tril(-1)
        F.diagonal(dim1=1, dim2=2).copy_(head * tail.sqrt())
        return F if R is None else F.mul_(R[:, :, None].sqrt())

    def reference(self, z: Tensor, y: Tensor) -> Tensor:
        """torch's own cross-entropy of each row, (N,)."""
        return self._torch(z, y, "none")

    def reduced_reference(self, z: Tensor, y: Tensor) -> Tensor:
        """torch's own mean or sum, 0-d; the sum where nothing counts, whose mean torch gives as nan."""
        empty = self.reduction == "mean" and (not len(y) or (y.ndim == 1 and self._counted(y)[1]))
        return self._torch(z, y, "sum" if empty else self.reduction)

    def _torch(self, z: Tensor, y: Tensor, reduction: str) -> Tensor:
        weight = None if self.weight is None else self._vector(z).to(z.dtype)
        return functional.cross_entropy(
            z, y, weight, ignore_index=self.ignore_index, label_smoothing=self.label_smoothing, reduction=reduction
        )

    def encode(self, labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
        """Class indices (N,), as they are; a row of K probabilities would be another target (see Mean)."""
        if labels.ndim != 1:
            raise ValueError("softmax wants one class a row, and there are several target columns; use sigmoid")
        return labels.long()

    def probabilities(self, z: Tensor, classes: int) -> Tensor:
        """p = softmax(z), (N, K)."""
        return softmax(z)

    def fitted(self, labels: Tensor, classes: int) -> Self:
        """This loss, with `balanced` weights n/(K n_c) counted on class indices (N,), ignored ones among them."""
        if self.ignore_index >= classes:
            raise ValueError(f"ignore_index: there is no class {self.ignore_index} among {classes}, counted from 0")
        require("weight", self.weight, classes)
        if len(labels) and self.class_weight is None and labels.ndim == 1 and self._counted(labels)[1]:
            raise ValueError("by its weights or ignore_index no training row counts; let some count")
        if self.class_weight is None or labels.ndim != 1:
            return self
        weights = balanced(torch.bincount(labels[labels >= 0], minlength=classes), "class")
        return replace(self, weight=tuple(weights.tolist()), class_weight=None)

    def mass(self, y: Tensor) -> float:
        """D = Σ m w_y over class indices, N over probabilities; 1 where nothing counts and the sum is 0."""
        if y.ndim > 1:
            return super().mass(y)
        D, nothing = self._counted(y)
        return 1.0 if nothing else D

    def _counted(self, y: Tensor) -> tuple[float, bool]:
        """D of class indices, and whether nothing counts: no row is kept, or none has weight and no class a share."""
        kept = y[y != self.ignore_index]
        if (weights := self._weights()) is None:
            return float(len(kept)), not len(kept)
        D = float(torch.tensor(weights, dtype=torch.float64)[kept.cpu()].sum())
        return D, not len(kept) or (D == 0 and not (self.label_smoothing and any(weights)))

    @property
    def weighs(self) -> bool:
        return self.weight is not None

    def subtracted(self, z: Tensor, y: Tensor) -> Tensor:
        """r, (N, K): R e_y for class indices without smoothing."""
        if y.ndim > 1 or self.label_smoothing:
            return self._shares(z, y)[0]
        t, kept = self._labels(y)
        R = self._weight_of(t, kept, z)
        return torch.zeros_like(z).scatter_(1, t, 1.0 if R is None else R)

    def predicted(self, z: Tensor, y: Tensor) -> Tensor:
        """Rp, (N, K)."""
        R = self._total(z, y)
        return softmax(z) if R is None else R * softmax(z)

    def correct(self, z: Tensor, y: Tensor) -> Tensor:
        """1 where the largest logit is the target's (the first of equals), else 0, (N,); nan for an ignored row."""
        if y.ndim > 1:
            return (z.argmax(dim=1) == y.argmax(dim=1)).to(z.dtype)
        return (z.argmax(dim=1) == y).to(z.dtype).masked_fill(y == self.ignore_index, torch.nan)

    def margin(self, z: Tensor, y: Tensor) -> Tensor:
        """z of the target's class less the largest of the others, (N,); nan for an ignored row, or where K = 1."""
        own = y.argmax(dim=1, keepdim=True) if y.ndim > 1 else self._labels(y)[0]
        others = z.scatter(1, own, -torch.inf).amax(dim=1)
        margin = z.gather(1, own)[:, 0] - others.masked_fill(others == -torch.inf, torch.nan)
        return margin if y.ndim > 1 else margin.masked_fill(y == self.ignore_index, torch.nan)

    def peak(self, K: int) -> float:
        """Return K²/2(K − 1): h ⪯ R I/2 (Böhning 1992, Theorem 3.1), and R (1 − 1/K)/K is h's diagonal at z = 0."""
        return K * K / (2 * max(K - 1, 1))

    def likelihood(self, y: Tensor, K: int) -> float | None:
        certain = y.ndim == 1 or bool((y.amax(dim=1) == 1).all() and (y.sum(dim=1) == 1).all() and (y >= 0).all())
        return 1.0 if certain and not self.weighs and not self.label_smoothing else None

    def flat(self, K: int) -> tuple[int, str]:
        return 1, "softmax ignores a common shift"

    def _labels(self, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """Class indices as a column (N, 1), 0 for an ignored one, which may be no index; and m, None where all is 1."""
        if y.is_floating_point():
            raise ValueError("targets (N,) are class indices, so they must be whole numbers; probabilities are (N, K)")
        t, kept = y.long()[:, None], (y != self.ignore_index)[:, None]
        return (t, None) if bool(kept.all()) else (t.where(kept, 0), kept)

    def _total(self, z: Tensor, y: Tensor) -> Tensor | None:
        """R = Σr of each row, (N, 1); None where it is 1 in every row."""
        indices = y.ndim == 1 and not y.is_floating_point()
        if indices and self.weight is self.class_weight is None and not bool((y == self.ignore_index).any()):
            return None
        return self._shares(z, y)[0].sum(dim=1, keepdim=True) if y.ndim > 1 else self._weight_of(*self._labels(y), z)

    def _weight_of(self, t: Tensor, kept: Tensor | None, z: Tensor) -> Tensor | None:
        """R of class indices t (N, 1), of which those count that are `kept`; None where it is 1 in every row."""
        if self.weight is None and self.class_weight is None:
            return None if kept is None else kept.to(z.dtype)
        w = self._vector(z)
        R = ((1 - self.label_smoothing) * w + self.label_smoothing * w.mean()).to(z.dtype)[t]
        return R if kept is None else R * kept

    def _shares(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """r and Σ_{c≠k} r_c, both (N, K)."""
        w = self._vector(z)
        own, smooth = (1 - self.label_smoothing) * w, self.label_smoothing / len(w) * w
        if y.ndim > 1:
            if self.ignore_index >= 0:
                raise ValueError("ignore_index leaves out class indices, and these targets are probabilities (N, K)")
            r = torch.addcmul(smooth.to(z.dtype), y, own.to(z.dtype))
            return r, others_than(r)
        t, kept = self._labels(y)
        own, smooth, rest = (v.to(z.dtype).expand_as(z) for v in (own, smooth, others_than(smooth)))
        mine = own.gather(1, t)
        r, rest = smooth.scatter_add(1, t, mine), (rest + mine).scatter(1, t, rest.gather(1, t))
        return (r, rest) if kept is None else (r * kept, rest * kept)

    def _vector(self, z: Tensor) -> Tensor:
        return vector("weight", self._weights(), z)

    def _weights(self) -> tuple[float, ...] | None:
        if self.class_weight is not None:
            raise ValueError("class_weight 'balanced' is counted on training rows first: loss.fitted(labels, classes)")
        return self.weight

    def _examples(self, rng: Generator, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
        sizes = ((13, 4), (5, 2), (7, 1)) if self.weight is None else ((3 * len(self.weight) + 1, len(self.weight)),)
        for N, K in sizes:
            labels = torch.randperm(N, generator=rng) % K
            z = scale * torch.randn(N, K, generator=rng, dtype=torch.float64)
            yield z, self.encode(labels, K, z.dtype)
            if self.ignore_index < 0:
                yield z, torch.rand(N, K, generator=rng, dtype=torch.float64)

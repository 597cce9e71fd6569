"""What a loss says of itself beside its derivatives: other ways to its Hessian, and facts that proofs rest on.

Bounds on rounding, on decrease and on eigenvalues are made of these, and a run looks at few of them. Each is held, at
the loss's own examples, against its `hessian` h, which is judged by itself. With c = 8 + K + 2 max|z| of a row, as the
contract of `Loss` has it, rounding takes apart

    two h_kl          by e_kl = 2 c u √(h_kk h_ll), and what is summed or multiplied to make one by twice that
    two products hU   by 4 c u r_k Σ_l r_l |U_l|, r² = h_kk + |μ_k|
    two ℓ, two ∇ℓ     by 2 c u (1 + |ℓ|) and, as ∇ℓ = μ − r, 2 c u (|μ| + |r|)

and an eigenvalue of h by ‖e‖ (Weyl). An inequality is refuted by what breaks it by more than that. What holds at all
examples is not proved by them: how near they come to what is said to be the most, is told.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Generator, Tensor

from lab.bench.outcomes import likelihood, probabilities
from lab.bench.seen import Here, Seen, at_most, equal, finite
from lab.errors import RAISED
from lab.loss import Loss
from lab.raised import place
from lab.referee import Verdict, Who

MOVES = (0.1, 1.0, 3.0)  # how far logits are moved, to see how fast the Hessian changes


Saying = Callable[[Here], Iterator[Seen]]


def value_and_gradient(here: Here) -> Iterator[Seen]:
    """The two in one are `value` and `gradient`."""
    value, gradient = here.loss.value_and_gradient(here.z, here.y)
    one = here.loss.value(here.z, here.y)
    yield equal("value", value, one, here.units[:, 0] * (1 + one.abs()))
    yield equal("gradient", gradient, here.loss.gradient(here.z, here.y), here.units * here.parts)


def predicted(here: Here) -> Iterator[Seen]:
    """∇ℓ = μ − r."""
    apart = here.loss.predicted(here.z, here.y) - here.loss.subtracted(here.z, here.y)
    yield equal("predicted − subtracted", apart, here.loss.gradient(here.z, here.y), here.units * here.parts)


def subtracted(here: Here) -> Iterator[Seen]:
    """r is no more than ∇ℓ comes to where logits are 40 below all others, and what the model makes is gone."""
    r, (N, K) = here.loss.subtracted(here.z, here.y), here.z.shape
    if r.shape != here.z.shape:
        raise ValueError(f"subtracted is of shape {tuple(r.shape)} where logits are {(N, K)}; return what targets make")
    if here.loss.ignores_shift and K == 1:  # of one logit alone there are no others
        return
    low, each = here.z.amin(dim=1, keepdim=True).clamp(max=0) - 40, torch.arange(K, device=here.z.device)
    far = [torch.where(each == k, low, here.z) for k in range(K)]  # one alone, all of them, or each below the next
    far += [low.expand(N, K), low - 40 * each, low - 40 * each.flip(0)]
    there = [here.loss.gradient(z, here.y).abs().nan_to_num(posinf=0.0) for z in far]
    most, units = torch.stack(there).amax(dim=0), here.units + 40 * K * torch.finfo(here.z.dtype).eps
    yield at_most("r", most, r.abs(), units * (r.abs() + most) + math.exp(-20))


def exact(here: Here) -> Iterator[Seen]:
    """h_kl is exact to c u √(h_kk h_ll), whatever cancels, and ∇ℓ to c u max(|μ| + |r|): single held against double."""
    if here.z.dtype == torch.float64:
        return
    double, dtype, eps = here.in_double, here.z.dtype, torch.finfo(here.z.dtype).eps
    steep = here.loss.self_concordance * here.z.abs().amax(dim=1, keepdim=True) * eps  # what z·M rounds by moves h so
    root = double.h.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    own = (here.units + steep)[:, :, None] * root[:, :, None] * root[:, None, :]
    yield finite("h", here.h, double.h.to(dtype), (own + here.apart).to(dtype))
    g, truth = (each.loss.gradient(each.z, each.y).to(dtype) for each in (here, double))
    yield finite("∇ℓ", g, truth, (here.units + steep) * here.parts + 4 * torch.finfo(dtype).tiny)


def off_diagonal(here: Here) -> Iterator[Seen]:
    """These are h_kl for k < l, none positive, and h1 = 0."""
    entries = here.loss.off_diagonal(here.z, here.y)
    if entries is not None:
        yield from _entries(here, entries)


def _entries(here: Here, entries: Tensor) -> Iterator[Seen]:
    k, l = torch.triu_indices(here.z.shape[1], here.z.shape[1], 1, device=here.z.device)
    yield equal("entries", entries, here.h[:, k, l], here.apart[:, k, l])
    yield at_most("entries", torch.zeros_like(entries), entries, torch.zeros_like(entries))
    yield equal("h1", torch.zeros_like(here.z), here.h.sum(dim=2), here.apart.sum(dim=2))


def hessian_map(here: Here) -> Iterator[Seen]:
    """This maps U to h U."""
    U = here.random(*here.z.shape, 3)
    yield equal("h U", here.loss.hessian_map(here.z, here.y)(U.clone()), here.h @ U, here.product_apart(U))


def local(here: Here) -> Iterator[Seen]:
    """These are h's product, trace, size and entries."""
    found, U = here.loss.local(here.z, here.y), here.random(*here.z.shape, 3)
    yield equal("product", found.product(U.clone()), here.h @ U, here.product_apart(U))
    h, mu = here.h.diagonal(dim1=1, dim2=2), here.loss.predicted(here.z, here.y)
    rounding = here.apart.diagonal(dim1=1, dim2=2).sum(dim=1)
    yield equal("trace", found.trace, h.sum(dim=1), 2 * rounding)
    sizes = 2 * here.units[:, 0] * here.z.shape[1] * here.parts[:, 0]  # as μ may be ∇ℓ + r
    yield equal("size", found.size, (h.abs() + mu.abs()).sum(dim=1), 2 * rounding + sizes)
    if found.entries is not None:
        yield from _entries(here, found.entries)


def factor(here: Here) -> Iterator[Seen]:
    """F Fᵀ = h."""
    F = here.loss.factor(here.z, here.y)
    yield equal("F Fᵀ", F @ F.mT, here.h, 2 * here.norm[:, None, None])


def ignores_shift(here: Here) -> Iterator[Seen]:
    """h1 = 0."""
    yield equal("h1", torch.zeros_like(here.z), here.h.sum(dim=2), here.apart.sum(dim=2))


def flat(here: Here) -> Iterator[Seen]:
    """As many directions as that are seen by no row's h."""
    count = here.loss.flat(here.z.shape[1])[0]
    least = torch.linalg.eigvalsh(here.h.double().sum(dim=0))[:count].abs().to(here.z)  # of a sum of h ⪰ 0
    rounding = (here.norm + 4 * here.units[:, 0] * here.largest).sum()
    yield equal("eigenvalues of Σh", torch.zeros_like(least), least, rounding)


def self_bound(here: Here) -> Iterator[Seen]:
    """λ₁(h) ≤ a ℓ."""
    value, a = here.loss.value(here.z, here.y), float(here.loss.self_bound or 0.0)
    yield at_most("λ₁(h)", a * value, here.largest, here.norm + a * here.units[:, 0] * (1 + value.abs()))


def peak(here: Here) -> Iterator[Seen]:
    """h(z) ⪯ c max diag h(0)."""
    c = here.loss.peak(here.z.shape[1])
    if c is not None:
        most = c * here.loss.diagonal(torch.zeros_like(here.z), here.y).amax(dim=1)
        yield at_most("λ₁(h)", most, here.largest, here.norm + here.units[:, 0] * most)


def convex(here: Here) -> Iterator[Seen]:
    """The loss is convex, h ⪰ 0, as self-concordance implies; a function that is not is a lab.Derivation."""
    least = -torch.linalg.eigvalsh(here.h.double())[:, 0].to(here.z)
    yield at_most("−λ_min(h)", torch.zeros_like(least), least, here.norm + here.units[:, 0] * here.largest.abs())


def self_concordance(here: Here) -> Iterator[Seen]:
    """e^{−δ} h(z) ⪯ h(z + v) ⪯ e^δ h(z), δ = M max|v| or, where a shift is ignored, M (max v − min v)/2 ≤ c ‖v‖."""
    yield from _changes(here, lambda v: Loss.drift(here.loss, v))
    if type(here.loss).drift is not Loss.drift:
        return
    v = here.random(*here.z.shape)
    size = torch.linalg.vector_norm(v, dim=1) * (1 + 8 * here.z.shape[1] * torch.finfo(here.z.dtype).eps)
    yield at_most("δ(v)", here.loss.drift_norm * size, here.loss.drift(v), torch.zeros_like(size))


def drift(here: Here) -> Iterator[Seen]:
    """e^{−δ} h(z) ⪯ h(z + v) ⪯ e^δ h(z) with δ = drift(v), a seminorm, at most drift_norm ‖v‖ and what M makes it."""
    yield from _changes(here, here.loss.drift)
    v, w = here.random(*here.z.shape), here.random(*here.z.shape)
    of_v, of_w, eps = here.loss.drift(v), here.loss.drift(w), 8 * here.z.shape[1] * torch.finfo(here.z.dtype).eps
    size = torch.linalg.vector_norm(v, dim=1)
    yield at_most("δ(v + w)", of_v + of_w, here.loss.drift(v + w), eps * (of_v + of_w + size))
    yield equal("δ(−2v)", 2 * of_v, here.loss.drift(-2 * v), eps * (of_v + size))
    yield at_most("δ(v)", Loss.drift(here.loss, v), of_v, eps * (of_v + size))
    yield at_most("δ(v)", here.loss.drift_norm * size, of_v, eps * (of_v + size))


def _changes(here: Here, drift: Callable[[Tensor], Tensor]) -> Iterator[Seen]:
    """uᵀhu before and after a move of the logits, each at most e^δ times the other."""
    N, K = here.z.shape
    axes = torch.eye(K, dtype=here.z.dtype, device=here.z.device)
    U = torch.cat([here.random(N, K, 2), axes.expand(N, K, K)], dim=2)
    for size in MOVES:
        for v in (here.random(N, K), axes[0].expand(N, K), -axes[0].expand(N, K)):
            there = Here(here.loss, here.z + size * v, here.y, here.rng)
            delta, reach = drift(size * v)[:, None], there.z.abs().amax(dim=1, keepdim=True)
            before, after = ((U * (each.h @ U)).sum(dim=1) for each in (here, there))
            lost = [(U.abs() * (each.apart @ U.abs())).sum(dim=1) for each in (here, there)]
            # z + v rounds too, which moves h by M times that.
            slack = here.units * (1 + delta) + 4 * here.loss.self_concordance * reach * torch.finfo(v.dtype).eps
            for a, b, (of_a, of_b) in ((before, after, lost), (after, before, lost[::-1])):
                most = a * delta.exp()
                rounding = of_b + delta.exp() * of_a + slack * most.abs()
                told = torch.isfinite(most) & torch.isfinite(b) & torch.isfinite(rounding)
                far = told & (a > 1e3 * of_a) & (b > 1e3 * of_b) & (delta > 0)
                share = float(torch.where(far, (b / a).log() / delta, 0.0).max())
                most, b, rounding = (each.where(told, 0.0) for each in (most, b, rounding))
                yield at_most("uᵀh(z + v)u", most, b, rounding, share)


def divisor(here: Here) -> Iterator[Seen]:
    """This is what torch's own mean, or sum, divides by."""
    if here.loss.reduction != "none":
        ours, torchs = here.loss.reduced(here.z, here.y), here.loss.reduced_reference(here.z, here.y)
        whole = (1 + here.loss.value(here.z, here.y).abs()).sum() / here.loss.divisor(here.y)
        units = float(here.units.max()) + 2 * len(here.z) * torch.finfo(here.z.dtype).eps
        yield equal("reduced", ours, torchs, units * whole)


SAYINGS: dict[str, Saying] = {
    each.__name__: each
    for each in (
        exact,
        value_and_gradient,
        predicted,
        subtracted,
        divisor,
        off_diagonal,
        hessian_map,
        local,
        factor,
        convex,
        self_concordance,
        drift,
        self_bound,
        peak,
        ignores_shift,
        flat,
        likelihood,
        probabilities,
    )
}
OF_H = ("convex", "self_concordance", "drift", "self_bound", "peak", "ignores_shift", "flat")  # judged by its digits
WRITTEN = {"predicted": ("predicted", "subtracted"), "divisor": ("divisor", "mass", "reduced_reference")}


def said(loss: Loss) -> tuple[str, ...]:
    """What a loss says of itself: what its class writes, and facts that are there."""
    K = 3  # any number of classes but the smallest ones

    def says(name: str) -> bool:
        if name in ("exact", "subtracted", "convex", "self_concordance"):
            return True
        if name in ("ignores_shift", "self_bound"):
            return bool(getattr(loss, name))
        if name == "flat":
            return loss.flat(K)[0] > 0
        return any(getattr(type(loss), each) is not getattr(Loss, each) for each in WRITTEN.get(name, (name,)))

    return tuple(name for name in SAYINGS if says(name))


def verdicts(loss: Loss, examples: Sequence[tuple[Tensor, Tensor]], rng: Generator) -> Iterator[Verdict]:
    """Yield the verdict on each saying: the worst over all examples; of h, where it is not exact, no more than that."""
    inexact = False
    for name in said(loss):
        if inexact and name in OF_H:
            continue
        try:
            seen = [each for z, y in examples if z.numel() for each in SAYINGS[name](Here(loss, z, y, rng))]
        except RAISED as error:
            yield Verdict(name, name, math.inf, (), math.nan, math.nan, 0.0, Who.OURS, "float64", place(error))
            continue
        if seen:
            verdict = _worst(name, seen)
            inexact = inexact or (name == "exact" and not verdict.passed)
            yield verdict


def _worst(name: str, seen: Sequence[Seen]) -> Verdict:
    """The verdict on a saying, at the entry where it is farthest from being so."""
    largest = [float(each.ratios.max()) if each.ratios.numel() else 0.0 for each in seen]
    worst = seen[largest.index(max(largest))]
    ratio, dtype = max(largest), str(worst.found.dtype).removeprefix("torch.")
    if not worst.found.numel():
        return Verdict(name, name, 0.0, (), 0.0, 0.0, 0.0, Who.NOBODY, dtype)
    at = int(worst.ratios.argmax())
    where = tuple(int(i) for i in torch.unravel_index(torch.tensor(at), worst.found.shape))
    ours, truth, bound = (float(each.reshape(-1)[at]) for each in (worst.said, worst.found, worst.rounding))
    share = max(each.share for each in seen)
    note = f"the examples come to {share:.2g} of what it allows" if share else ""
    if ratio > 1:
        note = f"this is said and is not so: {(SAYINGS[name].__doc__ or '').rstrip('.')}"
        note += f": {share:.3g} times that is needed at these inputs" if worst.share > 1 else ""
    who = Who.OURS if ratio > 1 else Who.NOBODY
    return Verdict(name, worst.tensor, ratio, where, ours, truth, bound, who, dtype, note)

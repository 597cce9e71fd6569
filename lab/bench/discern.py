"""Discern: whether inputs show every mistake, and show no two alike. The checker is checked before it checks.

At θ = 0 all of softmax's probabilities are 1/K, with balanced labels the intercept's gradient vanishes, with D = K a
transpose keeps its shape: a check on such inputs passes what is wrong, or cannot say what it was. So before inputs are
used every mistake of lab/mistakes that can be made there is made, and its tensor is held against the truth's and all
the others', each in units of what rounding allows (`lab.doctor.allowance`).

A set of inputs shows what one of them shows. Tensors of one name are one mistake in several guises: the nearest of them
counts, and they need no telling apart. A mistake with a free constant is told from the others by needing one.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from lab import oracle, rounding
from lab.doctor import allowance, differ, made_of, mistakes
from lab.loss import Loss
from lab.mistake import Case, Made, Mistake
from lab.models.linear import Linear
from lab.problem import Problem

Pair = tuple[str, str]
LISTED = 3  # how many of those that are not seen, or not told apart, a line has room for


@dataclass(frozen=True)
class Sight:
    """What inputs show of the mistakes that can be made with them.

    `seen` has each mistake's distance from the truth, in units of rounding, and `unseen` those that are no further than
    that; `alike` are pairs that rounding cannot tell apart. `margin` is the smallest distance found, of a mistake from
    the truth or of two from each other, among those that are seen or told apart.
    """

    seen: dict[str, float]
    unseen: tuple[str, ...]
    alike: tuple[Pair, ...]
    margin: float

    @property
    def clear(self) -> bool:
        """Whether every mistake is seen, and none looks like another."""
        return not self.unseen and not self.alike

    def __str__(self) -> str:
        total = len(self.seen) + len(self.unseen)
        if self.clear:
            least = f"they lie at least {self.margin:.1e} times rounding apart"
            return f"all {total} mistakes that can be made here are seen, and no two look alike: {least}"
        said = [f"{len(self.seen)} of {total} mistakes that can be made here are seen"]
        if self.unseen:
            said.append("not seen: " + _first(self.unseen))
        if self.alike:
            said.append("not told apart: " + _first([f"{a} and {b}" for a, b in self.alike]))
        return "; ".join(said)


def _first(names: Sequence[str]) -> str:
    """A few of many."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f", and {more} more" if more > 0 else "")


def sight(cases: Iterable[tuple[Case, Tensor]]) -> Sight:
    """Make every mistake in these cases of one derivative, and see which show, and which can be told apart.

    Args: cases, each with the bound, of its truth's shape, on what rounding allows between ours and the truth.
    """
    away, between, every = dict[str, float](), dict[Pair, float](), tuple(mistakes())
    for case, bound in cases:
        from_truth, from_others = _distances(case, bound, every)
        for name, distance in from_truth.items():
            away[name] = max(distance, away.get(name, 0.0))
        for pair, distance in from_others.items():
            between[pair] = max(distance, between.get(pair, 0.0))
    seen = {name: distance for name, distance in away.items() if distance > 1}
    apart = [distance for distance in between.values() if distance > 1]
    alike = sorted(pair for pair, distance in between.items() if distance <= 1 and set(pair) <= set(seen))
    unseen = sorted(set(away) - set(seen))
    return Sight(seen, tuple(unseen), tuple(alike), min([*seen.values(), *apart], default=math.inf))


def planted(case: Case, every: Iterable[Mistake]) -> Iterator[Made]:
    """What these mistakes give in this case, where they need no constant of their own."""
    for mistake in every:
        for made in made_of(mistake, case):
            if made.basis is None and bool(torch.isfinite(made.tensor).all()):
                yield made


def _distances(case: Case, bound: Tensor, every: Iterable[Mistake]) -> tuple[dict[str, float], dict[Pair, float]]:
    """How far each mistake's tensor is from the truth, and any two from each other; the nearest of their guises."""
    guises = [(made, allowance(made.tensor, case, bound, made.moved)) for made in planted(case, every)]
    # What vanishes by an identity, as sums of softmax's rows do, is rounding, and like all else that does.
    guises = [(made, allowed) for made, allowed in guises if bool((made.tensor.abs() > allowed).any())]
    from_truth, from_others = dict[str, float](), dict[Pair, float]()
    for made, allowed in guises:
        distance = differ(made.tensor, case.truth, allowed)
        from_truth[made.name] = min(distance, from_truth.get(made.name, math.inf))
    apart = _apart([made.tensor for made, _ in guises], [allowed for _, allowed in guises])
    for (i, (a, _)), (j, (b, _)) in combinations(enumerate(guises), 2):
        if a.name != b.name:
            pair = min(a.name, b.name), max(a.name, b.name)
            from_others[pair] = min(apart[i][j], from_others.get(pair, math.inf))
    return from_truth, from_others


def _apart(tensors: list[Tensor], allowances: list[Tensor]) -> list[list[float]]:
    """How many allowances, the wider of the two, lie between any two tensors; inf between different shapes."""
    found = [[math.inf] * len(tensors) for _ in tensors]
    for shape in {tensor.shape for tensor in tensors}:
        places = [i for i, tensor in enumerate(tensors) if tensor.shape == shape]
        rows, allowed = (torch.stack([of[i].reshape(-1) for i in places]) for of in (tensors, allowances))
        for i, row, wide in zip(places, rows, allowed, strict=True):
            gaps = (rows - row).abs()
            ratios = torch.where(gaps == 0, 0.0, gaps / torch.maximum(allowed, wide)).amax(dim=1)
            for j, ratio in zip(places, ratios.tolist(), strict=True):
                found[i][j] = ratio
    return found


def in_parameters(problem: Problem, theta: Tensor, V: Tensor) -> Iterator[tuple[Case, Tensor]]:
    """Yield a problem's gradient, product (in the direction V) and Hessian at θ, each with its bound."""
    D, K = theta.shape
    sizes, f = {"N": problem.N, "D": D, "K": K}, problem.reference
    found: list[tuple[str, Tensor, dict[str, Tensor], Tensor]] = [
        ("gradient", oracle.gradient(f, theta), {}, rounding.gradient_bound(problem, theta)),
        ("hvp", oracle.hvp(f, theta, V), {"V": V}, rounding.hvp_bound(problem, theta, V)),
        ("hessian", oracle.hessian(f, theta), {}, rounding.hessian_bound(problem, theta)),
    ]
    for what, truth, direction, bound in found:
        yield Case(what, truth, {"theta": theta} | direction, sizes, problem.loss, problem), 2 * bound


def in_logits(loss: Loss, z: Tensor, y: Tensor, u: Tensor) -> Iterator[tuple[Case, Tensor]]:
    """Yield a loss's value and derivatives (a product in the direction u), row by row, each with a bound.

    Evaluating a row costs c u (|truth| + 2 max |g|) with c = 8 + K + 2 max |z| (`lab.rounding`).
    """
    K = z.shape[1]

    def rows(z: Tensor) -> Tensor:
        return loss.reference(z, y).sum()

    units = torch.eye(K, dtype=z.dtype, device=z.device)
    g = oracle.gradient(rows, z)
    h = torch.stack([oracle.hvp(rows, z, unit.expand_as(z)) for unit in units], dim=2)
    found = {"value": loss.reference(z, y), "gradient": g, "hvp": oracle.hvp(rows, z, u), "hessian": h}
    c = 8 + K + 2 * float(z.abs().max())
    for what, truth in (found | {"diagonal": h.diagonal(dim1=1, dim2=2)}).items():
        inputs = {"z": z, "y": y} | ({"u": u} if what == "hvp" else {})
        bound = 2 * rounding.gamma(c, z.dtype) * (truth.abs() + 2 * g.abs().max())
        yield Case(what, truth, inputs, {"N": len(z), "K": K}, loss), bound


def problems(loss: Loss, rng: torch.Generator) -> Iterator[tuple[Problem, Tensor, Tensor]]:
    """Yield problems (with θ and a direction V) that are made to show mistakes, with the loss's own examples' targets.

    D differs from K and N, X has an intercept, which the ridge leaves alone, and neither θ nor the ridge is 0.
    """
    for z, y in loss.examples(rng):
        N, K = z.shape
        D = next(D for D in (3, 5, 6) if D not in (N, K))
        X, theta, V = (torch.randn(*shape, generator=rng, dtype=z.dtype) for shape in ((N, D), (D, K), (D, K)))
        X[:, -1] = 1
        held = torch.ones(D, 1, dtype=z.dtype)
        held[-1] = 0
        yield Problem(loss, Linear(), X, y, 0.3, held, K), theta, V


def of_loss(loss: Loss, rng: torch.Generator) -> dict[str, Sight]:
    """What a loss's examples show of the mistakes in each of its derivatives in the logits."""
    found: dict[str, list[tuple[Case, Tensor]]] = {}
    for z, y in loss.examples(rng):
        u = torch.randn(z.shape, generator=rng, dtype=z.dtype)
        for case, bound in in_logits(loss, z, y, u):
            if bool(torch.isfinite(case.truth).all()):
                found.setdefault(case.what, []).append((case, bound))
    return {what: sight(cases) for what, cases in found.items()}

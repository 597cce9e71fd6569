"""Sighting: what the very inputs that a derivation is judged at show of the mistakes that can be made in it.

The same examples are drawn again, in float64; torch's derivative there stands for the truth, which it need not be
to the last digit to see whether mistakes show. Rounding is taken as `Case.depth` units of the largest entry.
"""

from collections.abc import Iterator

import torch

from lab.arithmetic.truth import DIRECTED, Point
from lab.bench import discern, judge
from lab.bench.discern import Sight
from lab.bench.judge import Subject
from lab.errors import RAISED
from lab.mistake import Case


def sights(subject: Subject, seed: int = judge.SEED) -> dict[str, Sight]:
    """Return, for each claim, what the examples show; a claim that torch cannot differentiate is left out."""
    found: dict[str, list[tuple[Case, torch.Tensor]]] = {what: [] for what in subject.claims}
    for case in _cases(subject, seed):
        found[case.what].append((case, 2 * case.depth * case.unit * case.truth.abs().max().expand_as(case.truth)))
    return {what: discern.sight(cases) for what, cases in found.items() if cases}


def lines(name: str, subject: Subject) -> Iterator[str]:
    """Say it: in one line where all is seen and told apart, else in one for each claim of which that is not so."""
    found = sights(subject)
    unclear = {what: each for what, each in found.items() if not each.clear}
    clear = {what: each for what, each in found.items() if what not in unclear}
    if clear:
        counted = ", ".join(f"{len(each.seen)} in the {what}" for what, each in clear.items())
        margin = min(each.margin for each in clear.values())
        yield (
            f"{name}, its inputs: all planted mistakes are seen ({counted}), and no two look alike: "
            f"they lie at least {margin:.1e} times rounding apart"
        )
    for what, each in unclear.items():
        yield f"{name}, its inputs, {what}: {each}"


def _cases(subject: Subject, seed: int) -> Iterator[Case]:
    rng, aside = (torch.Generator().manual_seed(seed + i) for i in range(2))
    for point in judge.points(subject, torch.float64, rng):
        inputs = {name: a for name, a in zip(point.names, point.args, strict=True) if isinstance(a, torch.Tensor)}
        inputs = {point.names[point.wrt]: point.x} | inputs
        routes = subject.routes(point)
        for what in subject.claims:
            try:
                direction = _direction(what, subject, point, aside)
                truth = next(iter(routes.of(what, direction).values())).detach()
            except RAISED:  # torch cannot differentiate it, or it raises, which the bench will tell
                continue
            if truth.numel() and bool(torch.isfinite(truth).all()):
                given = inputs | ({} if direction is None else {"direction": direction})
                yield Case(what, truth, given, judge.letters(subject, point), subject.loss)


def _direction(what: str, subject: Subject, point: Point, rng: torch.Generator) -> torch.Tensor | None:
    """A direction for a product, of any other claim none."""
    if what not in DIRECTED:
        return None
    like = point.x if what != "vjp" else subject.f(*point.args)
    return torch.randn(like.shape, generator=rng, dtype=torch.float64)

"""The bench: any hand derivation, judged at inputs where it can go wrong, in both precisions.

What is judged is a `Subject`: a bare function, what was derived of it, and where to look. `lab.check` makes one of a
`lab.Derivation`; `backward` makes them of a `torch.autograd.Function` and of a module that uses one. Each claim is
tried (`trial`) at every example, in float64 and float32, and has one verdict a precision: the worst.

The truth is the derivative of `reference`; where a derivation offers none, of `value`.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Generator, Tensor

from lab import inputs
from lab.arithmetic import exact
from lab.arithmetic.truth import DIRECTED, Point, Truth, exactly
from lab.bench import conduct, perturbed, sayings, trial
from lab.bench.claims import derived
from lab.bench.routes import Routes
from lab.bench.trial import Trial
from lab.derivation import Derivation
from lab.errors import RAISED, InputError
from lab.loss import Loss
from lab.raised import place
from lab.referee import Dispute, Verdict, Who

SEED = 0
CONSULTED = 6  # failed examples that a diagnosis has to explain
DTYPES = (torch.float64, torch.float32)
SUMMED = ("gradient", "hessian", "hvp")  # of a value that is no number these are its entries' sum's
NOTHING = "examples yields nothing to judge it at; yield tuples of arguments that have entries"
NO_NUMBERS = "examples yields no numbers to judge it at: in each an argument is nothing but NaN, or x no finite number"
Claim = Callable[..., Tensor]


@dataclass(frozen=True)
class Subject:
    """A bare function `f`, what was derived of it by name, and the examples to judge it at.

    `names` are the arguments', `wrt` says which is differentiated by; a claim takes f's arguments, and a direction last
    where it is a product.
    """

    f: Claim
    claims: Mapping[str, Claim]
    examples: Callable[[Generator], Iterator[Any]]
    names: tuple[str, ...]
    wrt: int = 0
    rowwise: bool = False
    shapes: Mapping[str, str] = field(default_factory=dict)
    loss: Loss | None = None
    torchs: Claim | None = None  # what torch's own routes differentiate, where it is not f
    tensor: str = ""
    owner: type[Any] | None = None  # the class that it was written as

    @property
    def called(self) -> str:
        """What its author calls f."""
        name = getattr(self.f, "__name__", "")
        return name if name in ("value", "reference") else "forward"

    def routes(self, point: Point) -> Routes:
        """What torch makes of it at a point."""
        return Routes(self.torchs or self.f, point)


def check(
    derivation: Derivation | type[Derivation], *, dtypes: Sequence[torch.dtype] = DTYPES, seed: int = SEED
) -> list[Verdict]:
    """Judge what was derived of a function: one verdict for each derivative and precision.

    Args: derivation an instance, or a class that needs no arguments; dtypes the precisions; seed of the examples drawn.
    Raises: InputError where it has nothing derived, or no inputs to judge it at.
    """
    made = derivation() if isinstance(derivation, type) else derivation
    if not isinstance(made, Derivation):
        raise InputError(f"check: must be a lab.Derivation, or its class, got {type(made).__name__}")
    return list(verdicts(subject(made), dtypes, seed))


def subject(derivation: Derivation) -> Subject:
    """What there is to judge of a derivation."""
    kind = type(derivation)
    own = kind.reference is not Derivation.reference
    claims = {what: getattr(derivation, what) for what in derived(kind)}
    if not claims:
        raise InputError("nothing was derived; write gradient, jacobian, hessian, hvp, jvp or vjp")
    names = tuple(
        name for name, p in inspect.signature(derivation.value).parameters.items() if p.kind <= p.POSITIONAL_OR_KEYWORD
    )
    names = names or tuple(derivation.shapes)
    loss = derivation if isinstance(derivation, Loss) else None
    f = derivation.reference if own else derivation.value
    return Subject(f, claims, derivation.examples, names, 0, loss is not None, derivation.shapes, loss, owner=kind)


def verdicts(subject: Subject, dtypes: Sequence[torch.dtype] = DTYPES, seed: int = SEED) -> Iterator[Verdict]:
    """Yield the verdict on each claim in each precision: the worst over all examples; and on what a loss says."""
    presentable(subject)
    right = True
    for dtype in dtypes:
        trials: dict[str, list[Trial]] = {what: [] for what in subject.claims}
        rng = torch.Generator().manual_seed(seed)
        directions = torch.Generator().manual_seed(seed + 1)  # so that no claim moves another's inputs
        for point in points(subject, dtype, rng):
            for what, tried in _tried(subject, point, directions):
                trials[what].append(tried)
        lost = [tried for each in trials.values() for tried in each if conduct.LEAVES in tried.verdict.note]
        for found in [lost[:1]] if lost else filter(None, trials.values()):  # of what is then said there is no truth
            verdict = _diagnosed(sorted(found, key=_badness, reverse=True))
            right = right and verdict.passed
            yield verdict
    if subject.loss is not None and right:  # of what is said of a derivative that is wrong there is nothing to say
        rng = torch.Generator().manual_seed(seed)
        given = [point.args[:2] for dtype in dtypes for point in points(subject, dtype, rng)]
        yield from sayings.verdicts(subject.loss, given, rng)


def points(subject: Subject, dtype: torch.dtype, rng: Generator) -> Iterator[Point]:
    """Yield the points at which a subject is judged: the examples, but for those with no entry to differentiate by.

    Raises: InputError where its examples raise, or are no arguments of it.
    """
    try:
        for example in subject.examples(rng):
            point = _point(subject, example, dtype)
            if point.x.numel():
                yield point
    except InputError:
        raise
    except RAISED as error:
        raise InputError(f"examples {place(error)}") from error


def presentable(subject: Subject) -> None:
    """Raise InputError where there is no example to judge a subject at: none with entries, or none of numbers.

    A single inf, as a mask or a clip has it, is nobody's mistake.
    """
    why = NOTHING
    for point in points(subject, torch.float64, torch.Generator().manual_seed(SEED)):
        if bool(point.x.isfinite().any()) and not any(a.numel() and bool(a.isnan().all()) for a in point.tensors()):
            return
        why = NO_NUMBERS
    raise InputError(why)


def _point(subject: Subject, example: Any, dtype: torch.dtype) -> Point:
    args = example if isinstance(example, tuple) else (example,)
    cast = tuple(a.to(dtype) if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)
    names = (*subject.names, *(f"argument {i + 1}" for i in range(len(subject.names), len(cast))))[: len(cast)]
    point = Point(cast, names, subject.wrt, subject.rowwise)
    if subject.wrt >= len(cast) or subject.wrt not in point.floating:
        raise InputError(f"examples: argument {subject.wrt + 1} must be a floating tensor, to be differentiated by")
    return point


def _tried(subject: Subject, point: Point, rng: Generator) -> Iterator[tuple[str, Trial]]:
    routes = subject.routes(point)
    reads = subject.owner is None or issubclass(subject.owner, Derivation)
    with torch.no_grad():
        try:
            conduct.require(subject.f, point.args, point.names, reads)
            truth = _truth(subject, point, routes)
        except RAISED as error:
            yield next(iter(subject.claims)), Trial(_raised("value", point, error))
            return
        for what, claim in subject.claims.items():
            direction = _direction(what, subject, point, rng)
            try:
                given = point.args if direction is None else (*point.args, direction)
                due = point.x.dtype if subject.loss is not None and what != "value" else None
                conduct.require(claim, given, point.names, reads, due)
                yield what, _judged(what, claim, subject, point, truth, routes, direction)
            except RAISED as error:
                yield what, Trial(_raised(what, point, error))


def _truth(subject: Subject, point: Point, routes: Routes) -> Truth | str:
    """The truth at a point, or why there is torch's alone.

    Raises: MisconductError where there is neither; whatever f raises.
    """
    try:
        return Truth(subject.f, point)
    except exact.FormulaError as error:
        if set(subject.claims) > {"value"} or "value" not in subject.claims:
            routes.require(error, subject.called)
        return str(error)


def _judged(
    what: str,
    claim: Claim,
    subject: Subject,
    point: Point,
    truth: Truth | str,
    routes: Routes,
    direction: Tensor | None,
) -> Trial:
    try:
        if isinstance(truth, Truth):
            return _trial(what, claim, subject, truth, routes, direction)
        why = truth
    except exact.FormulaError as error:
        why = str(error)
    return perturbed.estimated(what, claim, subject.routes, point, direction, why)


def _direction(what: str, subject: Subject, point: Point, rng: Generator) -> Tensor | None:
    if what not in DIRECTED:
        return None
    like = point.x if what != "vjp" else subject.f(*point.args)
    return torch.randn(like.shape, generator=rng, dtype=torch.float64).to(point.x.dtype)


def _trial(what: str, claim: Claim, subject: Subject, truth: Truth, routes: Routes, direction: Tensor | None) -> Trial:
    parties: dict[str, Tensor] = {}
    point = truth.point
    with suppress(RuntimeError, NotImplementedError, ValueError):  # torch cannot differentiate it: two parties are left
        parties = routes.of(what, direction)
    sides = trial.compare(what, claim, point, truth, direction, parties)
    dtype, aside = str(point.x.dtype).removeprefix("torch."), _aside(what, truth)
    if isinstance(sides, str):
        verdict = Verdict(what, what, math.inf, (), math.nan, math.nan, 0.0, Who.OURS, dtype, sides, diagnosis=aside)
        return Trial(verdict, _shape_dispute(what, claim, subject, point, truth, direction))
    verdict = trial.weigh(what, subject.tensor or what, sides, dtype)
    verdict = trial.against_torch(verdict, sides, parties)
    if verdict.who is not Who.OURS or trial.right_on_paper(verdict):
        return Trial(verdict)
    found = trial.dispute(verdict, sides, point, direction, letters(subject, point), subject.loss)
    return Trial(replace(verdict, diagnosis=aside), found)


def _aside(what: str, truth: Truth) -> str:
    """What is to be said of a wrong derivative beside its diagnosis: what it is taken to be the derivative of."""
    if what not in SUMMED or not truth.shape or truth.point.rowwise:
        return ""
    return f"value has shape {truth.shape}, so that this is its sum's {what}; a mean that is meant is to be taken there"


def letters(subject: Subject, point: Point) -> dict[str, int]:
    """The lengths of the axes at a point, by their declared letters, or else by argument and axis."""
    found: dict[str, int] = {}
    for name, a in zip(point.names, point.args, strict=True):
        if not isinstance(a, Tensor):
            continue
        axes, _, _ = inputs.parse(name, subject.shapes.get(name, ""))
        for i, length in enumerate(a.shape):
            letter = (
                "NK"[i] if subject.loss is not None and i < 2 else axes[i] if i < len(axes) else f"{name}.shape[{i}]"
            )
            if not letter.isdigit():
                found.setdefault(letter, length)
    return found


def _shape_dispute(
    what: str, claim: Claim, subject: Subject, point: Point, truth: Truth, direction: Tensor | None
) -> Any:
    given = () if direction is None else (direction,)
    ours = claim(*point.args, *given).detach().double()
    true, _ = truth.of(what, None if direction is None else exactly(direction))
    due = trial.tensor(true)
    named = {name: a for name, a in zip(point.names, point.args, strict=True) if isinstance(a, Tensor)}
    return Dispute(what, ours, due, torch.zeros_like(due), named, letters(subject, point), subject.loss)


def _raised(what: str, point: Point, error: BaseException) -> Verdict:
    """A claim that raises is a failed check, with the place where it did; so is one that cannot be judged."""
    note = str(error) if isinstance(error, conduct.MisconductError) else place(error)
    dtype = str(point.x.dtype).removeprefix("torch.")
    return Verdict(what, what, math.inf, (), math.nan, math.nan, 0.0, Who.OURS, dtype, note)


def _badness(tried: Trial) -> tuple[int, float, float]:
    """How much a trial says: ours is wrong first, and among the rest torch's defects; what tells nothing last."""
    verdict = tried.verdict
    order = {Who.UNTOLD: 0, Who.NOBODY: 1, Who.TORCH: 2, Who.OURS: 3}[verdict.who]
    ratio = verdict.ratio if not math.isnan(verdict.ratio) else 0.0
    if verdict.who is Who.OURS:
        # The most telling point for a diagnosis is one where many entries are off, each in its own way.
        telling = 0.0 if tried.dispute is None or verdict.note else float(_distinct(tried.dispute))
        telling = telling if verdict.note != conduct.RANDOM else math.inf  # what it gives elsewhere says nothing
        return order, telling, ratio
    worst_torch = max((min(e, 1.0) for name, e in verdict.errors.items() if name != "ours"), default=0.0)
    return order, worst_torch if verdict.who is Who.TORCH else ratio, 0.0


def _distinct(found: Dispute) -> int:
    return len({(o, t) for o, t in zip(found.ours.flatten().tolist(), found.truth.flatten().tolist(), strict=False)})


def _diagnosed(found: Sequence[Trial]) -> Verdict:
    """The first verdict, with the doctor's diagnosis from it and the next few where it failed."""
    alike = [tried for tried in found[:CONSULTED] if trial.hidden(tried.verdict) is trial.hidden(found[0].verdict)]
    disputes = [tried.dispute for tried in alike if tried.dispute is not None]
    if found[0].dispute is None:
        return found[0].verdict
    from lab.doctor import diagnose

    told = (str(diagnose(*disputes)), found[0].verdict.diagnosis)
    return replace(found[0].verdict, diagnosis="\n".join(filter(None, told)))

"""The doctor: what mistake made a wrong tensor what it is.

A mistake explains `ours` where what it gives (lab/mistakes) agrees with ours to rounding, and differs from the truth by
more. Rounding is the verdict's own bound, scaled: with P what the mistake gives, B = max bound and κ = B / max |truth|,

    |ours − P| ≤ bound + κ (max |P| · bound/B + |P|),

and κ max |P| + B throughout where P has the truth's numbers in other places. κ is no less than n u (`Case.depth`),
and no more than √u, so that at a truth of zeros not everything is explained.

A mistake with a constant that only the derivation knows is fitted by least squares: weaker evidence, asked for where
nothing without such a constant explains ours, and said to be weaker. All that explain ours equally well are named, and
where none does, the residual is described instead.
"""

import inspect
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, combinations
from pathlib import Path

import torch
from torch import Tensor

from lab import catalog, residual
from lab.errors import RAISED, InputError, unread
from lab.mistake import Case, Made, Mistake
from lab.referee import Dispute, Verdict

ENTRIES = 3  # a constant is fitted to as many entries at least: two more than it explains by itself


@dataclass(frozen=True)
class Cause:
    """A mistake that explains what is wrong: its name, the mend, the evidence; `fitted` where a constant was.

    `idle` is one that needs a constant, at an input where no constant makes a difference.
    """

    name: str
    mend: str
    evidence: str
    fitted: bool = False
    idle: bool = False

    def __str__(self) -> str:
        return f"{self.evidence}: {self.name}; {self.mend}"


@dataclass(frozen=True)
class Diagnosis:
    """The mistakes that explain a wrong tensor equally well, none where it cannot be told; and where it is wrong.

    `everywhere` is false where each explains what is wrong at some of the inputs alone, and none at all of them.
    """

    causes: tuple[Cause, ...]
    residual: str
    everywhere: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The causes' names."""
        return tuple(cause.name for cause in self.causes)

    def __str__(self) -> str:
        if not self.causes:
            return f"the doctor cannot tell which mistake this is; {self.residual}"
        if not self.everywhere:
            said = "; ".join(f"at some, {cause}" for cause in self.causes)
            return f"no one mistake explains all of the inputs tried: {said}"
        if len(self.causes) == 1:
            return str(self.causes[0])
        listed = "; ".join(f"({i}) {cause}" for i, cause in enumerate(self.causes, 1))
        return f"{len(self.causes)} causes explain it equally: {listed}"


def diagnose(dispute: Dispute, *others: Dispute) -> Diagnosis:
    """Name the mistakes that make what is in dispute what it is; one derivation's at other inputs narrow them down."""
    first = _diagnose(dispute)
    found = [first, *(_diagnose(other) for other in others if _tells(other))]
    working = {cause.name for each in found for cause in each.causes if not cause.idle}
    found = [replace(each, causes=tuple(c for c in each.causes if c.name in working)) for each in found]
    common = tuple(cause for cause in found[0].causes if all(cause.name in each.names for each in found))
    named = all(each.causes and not any(cause.fitted for cause in each.causes) for each in found)
    if not named and all(cause.fitted for cause in common):
        over = _over_inputs((dispute, *others)) or _varying((dispute, *others))
        if over:
            return replace(first, causes=(over,))
    if common or len(found) == 1:
        return replace(first, causes=common)
    # What explains some inputs and leaves others unexplained is a coincidence, as 1/σ′(0) = 4 = d may be.
    if not named:
        return Diagnosis((), first.residual)
    return Diagnosis(_merged([cause for each in found for cause in each.causes]), first.residual, everywhere=False)


def _over_inputs(disputes: Iterable[Dispute]) -> Cause | None:
    """The cause where ours is one multiple of the truth, each a single number, at every input; None elsewhere.

    A number alone has a multiple of its own anywhere: it is the inputs that have to agree, as entries have.
    """
    telling = [each for each in disputes if _tells(each)]
    factors = [_factor(each) for each in telling if each.truth.numel() == 1]
    known = [factor for factor in factors if factor is not None]
    if not ENTRIES <= len(telling) == len(known) or any(
        abs(a - b) > s + t for (a, s), (b, t) in combinations(known, 2)
    ):
        return None
    c = min(known, key=lambda factor: factor[1])[0]
    names = set.intersection(*({*_names(c, _case(each))[0]} for each in telling))
    if abs(c) <= max(_case(each).unit for each in telling):  # as good as 0: no factor, but something that vanishes
        return None
    constant = _written(c) + (f" = {' or '.join(sorted(names))}" if names else "")
    said = f"ours / truth = {constant} at each of {len(known)} inputs (one constant fitted: weaker evidence)"
    return Cause("a constant factor", "look for a constant that was lost or kept", said, True)


def _varying(disputes: Iterable[Dispute]) -> Cause | None:
    """The cause where ours is a multiple of the truth at every input, but not the same of it; None elsewhere.

    It is some number of the inputs, a sum or a norm, that was lost or kept, and no constant: none is to be looked for.
    """
    telling = [each for each in disputes if _tells(each) and int(each.truth.count_nonzero()) >= ENTRIES]
    known = [factor for each in telling if (factor := _factor(each)) is not None]
    apart = any(abs(a - b) > s + t for (a, s), (b, t) in combinations(known, 2))
    if len(known) < len(telling) or not apart:
        return None
    names = [set(chain(*_names(c, _case(each)))) for (c, _), each in zip(known, telling, strict=True)]
    if set.intersection(*names):  # as n · d is another number where lengths differ
        return None
    listed = ", ".join(dict.fromkeys(f"{c:.6g}" for c, _ in known))
    evidence = f"ours / truth is one number in all entries, and another from input to input: {listed}"
    mend = (
        "no constant, but a number made of the inputs, such as a sum or a norm, was lost or kept, or has another power"
    )
    return Cause("a factor that differs from input to input", mend, f"{evidence} (fitted: weaker evidence)", True)


def _factor(dispute: Dispute) -> tuple[float, float] | None:
    """ours / truth, where it is one number in all entries, and how well that is known; None where it is not."""
    ours, truth = dispute.ours, dispute.truth
    if ours.shape != truth.shape or not bool(ours.any()):
        return None
    case = _case(dispute)
    allowed = allowance(truth, case, dispute.bound) + allowance(ours, case, dispute.bound)
    c = _multiple(truth, ours, allowed)
    return (c, 2 / _largest(truth / allowed)) if differ(c * truth, ours, allowed) <= 1 else None


def _multiple(basis: Tensor, gap: Tensor, allowed: Tensor) -> float:
    """The c for which c · basis is nearest to the gap, in the allowance's units."""
    weighted = basis / allowed
    return float((weighted * gap / allowed).sum() / (weighted * weighted).sum())


def _tells(dispute: Dispute) -> bool:
    """Whether there is something to read.

    That is: numbers on both sides, a truth that is not zero, a known rounding, and more of a difference than it.
    """
    ours, truth, bound = dispute.ours, dispute.truth, dispute.bound
    finite = bool(torch.isfinite(ours).all()) and bool(torch.isfinite(truth).all())
    if not finite or not bool(truth.any()) or not bool(bound.any()):
        return False
    return ours.shape != truth.shape or differ(ours, truth, 2 * allowance(ours, _case(dispute), bound)) > 1


def _diagnose(dispute: Dispute) -> Diagnosis:
    ours, truth, bound = dispute.ours, dispute.truth, dispute.bound
    where = residual.describe(ours, truth, bound, dispute.inputs, dispute.sizes)
    if not bool(torch.isfinite(ours).all()) or not bool(torch.isfinite(truth).all()):
        return Diagnosis((), where)
    case = _case(dispute)
    made = (each for mistake in mistakes() for each in made_of(mistake, case))
    return Diagnosis(explain(made, case, ours, bound), where)


def _case(dispute: Dispute) -> Case:
    """The case in dispute, its inputs in the truth's type: what is judged may have had fewer digits."""
    kinds = [x.dtype for x in dispute.inputs.values() if x.is_floating_point()] + [dispute.truth.dtype]
    u = max(torch.finfo(kind).eps for kind in kinds) / 2
    inputs = {name: x.to(dispute.truth) if x.is_floating_point() else x for name, x in dispute.inputs.items()}
    return Case(dispute.what, dispute.truth, inputs, dispute.sizes, dispute.loss, dispute.problem, u)


def explain(made: Iterable[Made], case: Case, ours: Tensor, bound: Tensor) -> tuple[Cause, ...]:
    """Return which of these mistakes explain ours; those with a free constant only where none without one does."""
    exact, loose = list[Cause](), list[Made]()
    for each in made:
        if each.basis is not None and bool(each.basis.any()):  # of zeros no constant makes anything
            loose.append(each)
        elif cause := _explains(each, case, ours, bound):
            exact.append(cause)
    if not exact and not bool(ours.any()):  # nothing is no multiple of anything, and the residual's words say so
        return ()
    return _merged(exact or [cause for each in loose if (cause := _fits(each, case, ours, bound))])


def diagnosed(verdict: Verdict) -> Verdict:
    """The verdict with the doctor's words, where it failed and carries what is in dispute."""
    if verdict.passed or verdict.dispute is None:
        return verdict
    return replace(verdict, diagnosis=str(diagnose(verdict.dispute)))


def mistakes() -> Iterator[Mistake]:
    """Every mistake in lab/mistakes but those whose files do not run, which are said to be left out."""
    for name in catalog.names("mistakes"):
        try:
            yield catalog.get("mistakes", name)()
        except InputError as error:
            _leave_out(str(error))


def made_of(mistake: Mistake, case: Case) -> Iterator[Made]:
    """What a mistake gives in a case: no more of it where it raises, which is its file's fault and nobody else's."""
    try:
        yield from mistake.made(case)
    except RAISED as error:
        _leave_out(str(unread(Path(inspect.getfile(type(mistake))), error)))


@cache
def _leave_out(why: str) -> None:
    """Say so, once."""
    print(f"{why} (a mistake that the doctor would know, left out)", file=sys.stderr, flush=True)


def allowance(P: Tensor, case: Case, bound: Tensor, moved: bool = False) -> Tensor:
    """How far rounding can move a tensor P that a mistake gives, entry by entry; the module's page has the formula."""
    largest = _largest(bound)
    kappa = min(max(largest / case.size if case.size else math.inf, case.depth * case.unit), case.unit**0.5)
    if moved or P.shape != case.truth.shape or not largest:
        return torch.full_like(P, kappa * _largest(P) + largest)
    allowed: Tensor = bound + kappa * (_largest(P) * bound / largest + P.abs())
    return allowed


def differ(P: Tensor, Q: Tensor, allowed: Tensor) -> float:
    """How many allowances lie between two tensors, at the worst entry; inf where their shapes differ."""
    if P.shape != Q.shape:
        return math.inf
    gap = (P - Q).abs()
    return _largest(torch.where(gap == 0, 0.0, gap / allowed)) if gap.numel() else 0.0


def _largest(x: Tensor) -> float:
    return float(x.abs().max()) if x.numel() else 0.0


def _explains(made: Made, case: Case, ours: Tensor, bound: Tensor) -> Cause | None:
    """The mistake as a cause, if what it gives is ours and not the truth."""
    P = made.tensor
    if P.shape != ours.shape or not bool(torch.isfinite(P).all()):
        return None
    allowed = allowance(P, case, bound, made.moved)
    if differ(P, ours, allowed) > 1 or differ(P, case.truth, allowed) <= 1:
        return None
    n = ours.numel()
    evidence = made.evidence or f"all {n} entries are what this mistake gives"
    said = evidence if n > 1 else f"{evidence} (one number: weak evidence)"
    return Cause(made.name, made.mend, said, idle=made.basis is not None)


def _fits(made: Made, case: Case, ours: Tensor, bound: Tensor) -> Cause | None:
    """The mistake as a cause, if some constant makes ours of it."""
    P, basis = made.tensor, made.basis
    if basis is None or P.shape != ours.shape or basis.shape != ours.shape or int(basis.count_nonzero()) < ENTRIES:
        return None
    allowed = allowance(P, case, bound) + allowance(ours, case, bound)
    c = _multiple(basis, ours - P, allowed)
    if made.unit == "truth" and abs(c) <= case.unit:  # ours is as good as 0: no factor, but something that vanishes
        return None
    if not math.isfinite(c) or differ(P + c * basis, ours, allowed) > 1 or differ(ours, case.truth, allowed) <= 1:
        return None
    constant = f"{_written(c)}{_called(c, case, factor=made.unit == 'truth')}"
    left = made.evidence or "ours − truth"
    through = f"ours / truth = {constant}" if made.unit == "truth" else f"{left} = {constant} · {made.unit}"
    said = f"{through} in all {ours.numel()} entries (one constant fitted: weaker evidence)"
    return Cause(made.name, made.mend, said, True)


def _written(c: float) -> str:
    """A number to six digits; one that is 1 in these, by what it has more."""
    return f"{c:.6g}" if f"{c:.6g}" != "1" or c == 1 else f"1 {'+' if c > 1 else '−'} {abs(c - 1):.3g}"


def _called(c: float, case: Case, factor: bool) -> str:
    """What a number may be: a size, a usual constant, one over these, or (a factor) two of them; nothing if none."""
    single, pairs = _names(c, case)
    if single:
        return " = " + " or ".join(single)
    return f", perhaps {' or '.join(pairs)}," if factor and pairs else ""


def _names(c: float, case: Case) -> tuple[list[str], list[str]]:
    """The sizes and usual constants that a number may be, and the products of two of them."""
    known = {"2": 2.0, "π": math.pi, "ln 2": math.log(2), "ln 10": math.log(10)}
    known |= {letter: float(n) for letter, n in case.sizes.items() if n > 1}
    known |= {f"1/{name}": 1 / value for name, value in known.items()}
    if case.problem is not None and case.problem.ridge:
        known["ρ"] = case.problem.ridge
    near = 128 * case.unit * abs(c)
    sign = "−" if c < 0 else ""
    single = [sign + name for name, x in known.items() if abs(abs(c) - x) <= near]
    pairs = [f"{sign}{a} · {b}" for (a, x), (b, y) in combinations(known.items(), 2) if abs(abs(c) - x * y) <= near]
    return single, pairs


def _merged(causes: list[Cause]) -> tuple[Cause, ...]:
    """The causes, each name once."""
    return tuple({cause.name: cause for cause in reversed(causes)}.values())[::-1]

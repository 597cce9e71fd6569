"""One-hot targets off by one: classes counted from 1 where they are counted from 0, or the other way."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lab import anatomy
from lab.mistake import Case, Made, Mistake


@dataclass(frozen=True)
class OneHot(Mistake):
    """Every target one class further."""

    def made(self, case: Case) -> Iterator[Made]:
        targets, z = case.targets, case.z
        if targets is None or z is None or z.shape[1] < 2:
            return
        for shift in (1, -1):
            mistaken = anatomy.rows(z, replace(targets, e=targets.e.roll(shift, dims=1)))
            tensor = case.derived(mistaken)
            if tensor is not None and not case.blind_to(mistaken):
                evidence = f"ours is right for targets {'later' if shift > 0 else 'earlier'} by one class"
                yield Made("one-hot targets off by one", "count the classes from 0", tensor, evidence)

"""The theorems of a run: measured as it goes by, ruled on when it has ended, drawn into its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from lab import catalog
from lab.experiment import Experiment
from lab.files import write_text
from lab.probe import Step
from lab.theorem import Outcome, Ruling, Setting, Theorem, Trail, rule, supposed, tag

TABLE = "theorems/verdicts"  # the text that TensorBoard shows
VERDICT, FIGURES = "verdict", "figures"  # of each theorem, in the last row
SCORES = {Outcome.HELD: 1, Outcome.FAILED: -1, Outcome.INAPPLICABLE: 0, Outcome.UNTOLD: 0}


class Panel:
    """Holds a run against the theorems that its config names."""

    def __init__(self, experiment: Experiment) -> None:
        self._setting = setting(experiment)
        members = {name: catalog.get("theorems", name)() for name in experiment.config.theorems}
        self._theorems: dict[str, Theorem] = members
        self._conditions = {name: supposed(each, self._setting) for name, each in members.items()}

    def read(self, step: Step, memories: dict[str, dict[str, Any]]) -> dict[str, float]:
        """Return what the theorems that apply record of a step; what they keep is in `memories` as theorem/NAME."""
        readings: dict[str, float] = {}
        for name, theorem in self._theorems.items():
            if all(condition.met for condition in self._conditions[name]):
                memory = memories.setdefault(f"theorem/{name}", {})
                found = theorem.measure(replace(step, memory=memory))
                readings |= {tag(name, quantity): value for quantity, value in found.items()}
        return readings

    def rule(self, rows: Sequence[Mapping[str, Any]], theta: Tensor, diverged: bool, folder: Path) -> list[Ruling]:
        """Return the verdicts on a run that has ended, and draw each theorem that applies as theorems/NAME.svg."""
        rulings = []
        for name, theorem in self._theorems.items():
            trail = Trail(self._setting, name, rows, theta, diverged)
            ruling = rule(name, theorem, trail, self._conditions[name])
            rulings.append(ruling)
            picture = "" if ruling.outcome is Outcome.INAPPLICABLE else theorem.picture(trail)
            if picture:
                (folder / "theorems").mkdir(exist_ok=True)
                write_text(folder / "theorems" / f"{name}.svg", picture)
        return rulings


def setting(experiment: Experiment) -> Setting:
    """Return what theorems ask of an experiment."""
    config = experiment.config
    return Setting(
        problem=experiment.full,
        start=experiment.theta,
        loss=config.loss["kind"],
        data=config.data,
        optimizer=config.optimizer,
        batch_size=config.batch_size,
        twin=config.twin is not None,
    )


@dataclass(frozen=True)
class Verdicts:
    """The verdicts as they are recorded: readings of the last row, and the words of those that failed by tag."""

    readings: dict[str, int | str]
    failures: dict[str, str]


def recorded(rulings: Sequence[Ruling]) -> Verdicts:
    """Return what is recorded of the verdicts: each in words and as 1, 0 or −1, and all in one table."""
    readings: dict[str, int | str] = {}
    for ruling in rulings:
        readings[tag(ruling.name, VERDICT)] = str(ruling.outcome)
        readings[tag(ruling.name, FIGURES)] = ruling.figures
        readings[tag(ruling.name, "held")] = SCORES[ruling.outcome]
    if rulings:
        cells = [(each.name, str(each.outcome), each.figures.replace("|", "\\|")) for each in rulings]
        lines = [f"| {' | '.join(row)} |" for row in cells]
        readings[TABLE] = "\n".join(["| theorem | verdict | figures |", "|---|---|---|", *lines])
    failed = {tag(each.name, VERDICT): each.figures for each in rulings if each.outcome is Outcome.FAILED}
    return Verdicts(readings, failed)

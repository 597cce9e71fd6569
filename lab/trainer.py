"""Training as a run: the loop, watched by probes, written to a run folder, stopped and resumed without a trace."""

import math
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from lab import blame, spectrum
from lab.board import lab_command, short
from lab.display import opening
from lab.doctor import diagnosed
from lab.errors import RAISED, InputError
from lab.events.writer import TensorBoard
from lab.experiment import Experiment
from lab.files import write_text
from lab.interrupt import Stop, ctrl_c
from lab.loop import Visit, walk
from lab.panel import Panel, recorded
from lab.probe import Reading, Step
from lab.problem import Problem
from lab.record import NUMBERS, SHOWN, JsonLines, Shown, Sink
from lab.referee import Verdict
from lab.runs import RunFolder, Status
from lab.twin import Lockstep

TRACEBACK = "traceback.txt"  # in a run's folder: what was raised, and on which way
FAILURE = "/failure"  # a failed verdict's words are logged under its tag and this ending


class Watcher(Protocol):
    """Whoever looks on while a run goes: a progress bar, plain lines, nobody."""

    def step(self, t: int, readings: Mapping[str, float | int | str]) -> None:
        """Take notice of a step and what was logged of it."""

    def say(self, message: str) -> None:
        """Pass on what must not be missed: a check that failed, why the run stopped."""


def initial_state(experiment: Experiment) -> dict[str, Any]:
    """Return the checkpoint of a run that has taken no step."""
    return {"theta": experiment.theta, "optimizer": experiment.stepper(experiment.theta).state_dict()}


def train(experiment: Experiment, folder: RunFolder, watcher: Watcher) -> Status:
    """Train from the folder's newest checkpoint to the end and return how it ended, as status.json then has it.

    What is recorded is, bit for bit, what an uninterrupted run records. Raises: InputError where another process is at
    this run, nothing in the folder can be resumed, or a member of an open folder raises.
    """
    with folder.claimed(), torch.no_grad(), ctrl_c() as stop, ExitStack() as closing:
        session = Session(experiment, folder, watcher, closing)
        folder.write_status("running", step=session.start)
        try:
            status = session.train(stop)
        except RAISED as error:
            if (told := session.told(error)) is None:
                raise
            session.close("failed")
            write_text(folder.path / TRACEBACK, "".join(traceback.format_exception(error)))
            folder.write_status("failed", step=session.t, failures={**session.failures, "raised": str(told)})
            raise told from error
        session.close(status)
        folder.write_status(status, step=session.t, failures=session.failures)
        return status


class Session:
    """One sitting at a run: from its newest checkpoint to the end, to a failure, or to Ctrl-C."""

    def __init__(self, experiment: Experiment, folder: RunFolder, watcher: Watcher, closing: ExitStack) -> None:
        self._experiment, self._folder, self._watcher = experiment, folder, watcher
        self.start, state = folder.load_checkpoint()
        self.t, self._asked = self.start, ""  # where it is, and which probe is at work there
        self._whose: dict[str, Mapping[str, Reading]] = {}
        folder.rewind(self.start)
        rows = folder.metrics()
        self.failures = _first_failures(rows)
        self._board = TensorBoard(folder.path, self.start, opening(experiment.config, folder.provenance()), rows)
        self._sinks: list[Sink] = [JsonLines(folder.path / "metrics.jsonl"), self._board]
        for sink in self._sinks:
            closing.callback(sink.close)
        self._theta = state["theta"].to(experiment.theta).clone()
        self._stepper = experiment.stepper(self._theta)
        self._stepper.load_state_dict(state["optimizer"])
        self._lockstep = self._begin_lockstep(state.get("lockstep"))
        self._memories: dict[str, dict[str, Any]] = state.get("memories", {})
        self._panel = Panel(experiment)
        # Those that look at what others found come last; sorted keeps the order of the rest.
        self._probes = sorted(experiment.probes.items(), key=lambda item: item[1].last)
        self._last_finite: Step | None = None

    def train(self, stop: Stop) -> Status:
        """Walk to the end of the run; return how it ended."""
        steps, every = self._experiment.config.steps, self._experiment.config.checkpoint_every
        for visit in walk(self._objective, self._stepper, self._theta, self.start, steps):
            step = self._step(visit)
            if not visit.finite:
                basics = self._basics(step)
                self._record(visit, {**basics, **self._rule(visit, basics)})
                self._watcher.say(self._why_not_finite(step))
                return "diverged"
            halted_by = self._observe(visit, step)
            self._last_finite = step
            if halted_by:
                self._watcher.say(f"step {visit.t}: stopped at a failed check, as probes.{halted_by}.stop asks")
                return "failed"
            if stop.asked and visit.after is not None:
                self._checkpoint(visit)
                return "interrupted"
            if visit.after is None or (visit.t + 1) % every == 0:
                self._checkpoint(visit)
        return "failed" if self.failures else "finished"

    def _objective(self, t: int) -> Problem:
        self.t, self._asked = t, ""
        return self._experiment.batches(t)

    def told(self, error: BaseException) -> InputError | None:
        """What to say of what was raised, where that is the fault of what the user gave; None where it is the lab's."""
        if isinstance(error, InputError) and not isinstance(error, _UnfitError):
            return error
        try:
            problem, theta = self._experiment.batches(self.t), self._experiment.theta
            unfit = str(error) if isinstance(error, _UnfitError) else None
            why = unfit or blame.misshapen(problem, theta) or blame.fault(error) or _unreadable(self._whose)
        except RAISED:  # what was raised first is to be seen
            return None
        run = short(self._folder.path)
        again, where = lab_command("train", "--resume", run), f"step {self.t}{self._asked}"
        if why is None:
            return None
        return InputError(f"{where}: {why}; mend it ({run}/{TRACEBACK} has the way there), and go on with `{again}`")

    def close(self, status: Status) -> None:
        """Tell TensorBoard how the run ended; one that was interrupted has not."""
        if status != "interrupted":
            self._board.end(self.t, well=status == "finished")

    def _observe(self, visit: Visit, step: Step) -> str:
        """Measure and record a step; return the name of the probe whose failed check asks to stop, or nothing.

        Raises: InputError where two would log different readings under one tag.
        """
        readings, halted_by = self._basics(step), ""
        whose = self._whose = {"training": dict(readings)}
        self._memories_before = {name: dict(memory) for name, memory in self._memories.items()}
        shown = step.shown
        counts = [tensor._version for tensor in shown.values()]
        for name, probe in self._probes:
            if probe.due(step):
                self._asked = f", probes.{name}"
                found = probe.measure(replace(step, memory=self._memories.setdefault(name, {})))
                _join(readings, found, f"probes.{name}", whose)
                _only_looked(shown, counts)
                if probe.stop and any(isinstance(r, Verdict) and not r.passed for r in found.values()):
                    halted_by = halted_by or name
        if self._lockstep is not None:
            self._asked = ", twin"
            _join(readings, self._lockstep.advance(visit), "twin", whose)
        self._asked = ", theorems"
        _join(readings, self._panel.read(step, self._memories), "theorems", whose)
        self._asked = ""
        if visit.after is None:
            readings |= self._rule(visit, readings)
        self._record(visit, readings)
        return halted_by

    def _rule(self, visit: Visit, readings: Mapping[str, Reading]) -> Mapping[str, Reading]:
        """Hold the run, which ends here with these readings, against its theorems; return their verdicts."""
        rows = [*self._folder.metrics(), {"step": visit.t, **readings}]
        found = recorded(self._panel.rule(rows, visit.theta, not visit.finite, self._folder.path))
        for tag, words in found.failures.items():
            self.failures[tag] = f"step {visit.t}: {words}"
            self._watcher.say(f"{tag.split('/')[1]} failed: {words}")
        return found.readings

    def _record(self, visit: Visit, readings: Mapping[str, Reading]) -> None:
        row: dict[str, float | int | str | Shown] = {}
        for tag, reading in readings.items():
            if not isinstance(reading, Verdict):
                row[tag] = reading
                continue
            row[tag] = reading.ratio
            if not reading.passed:
                first = tag not in self.failures
                words = str(diagnosed(reading)) if first else f"{reading}; first at {self.failures[tag]}"
                row[tag + FAILURE] = words
                if first:
                    self.failures[tag] = f"step {visit.t}: {words}"
                    self._watcher.say(self.failures[tag])
        for sink in self._sinks:
            sink.write(visit.t, row)
        self._watcher.step(visit.t, {tag: reading for tag, reading in row.items() if not isinstance(reading, SHOWN)})

    def _checkpoint(self, visit: Visit) -> None:
        for sink in self._sinks:
            sink.flush()
        done = visit.after is None
        state = {"theta": visit.theta if done else visit.after, "optimizer": self._stepper.state_dict()}
        # Whoever goes on from the end sees its last step again, with what was remembered before it.
        state["memories"] = self._memories_before if done else self._memories
        if self._lockstep is not None:
            state["lockstep"] = self._lockstep.state_dict()
        self._folder.save_checkpoint(visit.t if done else visit.t + 1, state)

    def _step(self, visit: Visit) -> Step:
        experiment, t = self._experiment, visit.t
        return Step(
            t=t,
            problem=experiment.batches(t),
            full=experiment.full,
            validation=experiment.validation,
            theta=visit.theta,
            value=visit.value,
            gradient=visit.gradient,
            after=visit.after,
            lr=self._stepper.lr,
            stability=self._stepper.stability,
            plain=self._stepper.plain,
            seed=experiment.config.seed,
            features=experiment.data.features,
            classes=experiment.data.classes,
        )

    def _basics(self, step: Step) -> dict[str, Reading]:
        """What is known of every step for nothing."""
        loss = "loss/train" if step.problem is step.full else "loss/batch"
        return {loss: float(step.value), "step/gradient_norm": step.gradient_norm}

    def _begin_lockstep(self, state: Mapping[str, Any] | None) -> Lockstep | None:
        config = self._experiment.config
        if config.twin is None:
            return None
        experiment = self._experiment
        return Lockstep(
            experiment.batches, experiment.stepper, self._theta, config.steps, config.seed, state, self.start
        )

    def _why_not_finite(self, step: Step) -> str:
        """Say where the run broke, and what may have broken it."""
        where = (
            f"step {step.t}: the loss is {float(step.value):.3g}, "
            f"‖θ‖ = {float(step.theta.norm()):.3g}, ‖∇‖ = {step.gradient_norm:.3g}"
        )
        if self._experiment.config.optimizer.get("maximize"):
            return f"{where}; optimizer.maximize goes uphill, where the loss has no end; leave it out"
        last, large = self._last_finite, f"the data or the start are too large for {self._experiment.config.dtype}"
        if last is None and self.start and step.lr:
            return f"{where}; the step that led here, before the run was resumed, was too long; try a smaller lr"
        if last is None or not step.lr:
            return f"{where}; {large}"
        largest = spectrum.largest(lambda V: last.problem.hvp(last.theta, V), last.theta)
        product = step.lr * largest
        if not math.isfinite(product):
            return f"{where}; the curvature at step {last.t} is not finite: {large}"
        if product > 2:
            return (
                f"{where}; lr·λ₁ = {product:.3g} > 2 at step {last.t}, where gradient descent is unstable; "
                f"try optimizer.lr below {2 / largest:.2g}"
            )
        return f"{where}; lr·λ₁ = {product:.3g} at step {last.t}, stable for plain gradient descent; try a smaller lr"


class _UnfitError(InputError):
    """What a member returned or did, and must not: it is to be mended where it is written."""


def _join(
    readings: dict[str, Reading], found: Mapping[str, Reading], by: str, whose: dict[str, Mapping[str, Reading]]
) -> None:
    """Add what was found to the readings, which are `whose`; the same reading twice hides nothing."""
    if not isinstance(found, Mapping):
        raise _UnfitError(f"measure returned a {type(found).__name__}; return readings by tag, {{}} where none are")
    for tag in readings.keys() & found.keys():
        if readings[tag] != found[tag]:
            other = next(name for name, theirs in whose.items() if tag in theirs)
            raise _UnfitError(f"the tag {tag!r} is that of a reading of {other} too; give each its own")
    readings.update(found)
    whose[by] = found


def _only_looked(shown: Mapping[str, Tensor], counts: Sequence[int]) -> None:
    """Refuse a probe that wrote to what it was shown, on which training goes on: torch counts what is written."""
    for (name, tensor), count in zip(shown.items(), counts, strict=True):
        if tensor._version != count:
            raise _UnfitError(f"measure wrote to step.{name}; a probe changes nothing: write to a copy (clone())")


def _unreadable(whose: Mapping[str, Mapping[str, Reading]]) -> str | None:
    """Which reading is none that can be recorded."""
    for name, readings in whose.items():
        for tag, reading in readings.items():
            if not isinstance(tag, str):
                return f"{name}: the tag {tag!r} is a {type(tag).__name__}; give a str"
            if not tag or not tag.isprintable() or tag != tag.strip():
                return f"{name}: the tag {tag!r} has what cannot be seen; give words without line ends"
            if not isinstance(reading, (*NUMBERS, *SHOWN, str, Verdict)):
                return f"{name}: the reading {tag!r} is a {type(reading).__name__}; give a float, an int or a str"
    return None


def _first_failures(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The words of each check's first failure in rows of metrics.jsonl."""
    found: dict[str, str] = {}
    for row in rows:
        for tag, words in row.items():
            if tag.endswith(FAILURE):
                found.setdefault(tag.removesuffix(FAILURE), f"step {row['step']}: {words}")
    return found

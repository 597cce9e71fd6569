"""Run folders: made whole, resumed from what is there, listed.

    runs/<name>/<UTC time>-<config hash>-s<seed>/
      config.yaml  provenance.json  preparation.json  status.json  metrics.jsonl
      checkpoints/step-00000100.pt  events.out.tfevents.…

Every step below is a rename, so that a kill at any moment leaves a folder that is as it was or as it should be.  To
resume: `load_checkpoint` gives (s, state); `rewind(s)`; open the sinks again, TensorBoard with purge_step=s; go on at
s.  Flush the sinks before each `save_checkpoint`, so that the rows before the step it holds are on the disk.
"""

import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from lab.claim import is_abandoned, locked
from lab.errors import InputError
from lab.files import ANEW, PARTIAL, clear_away, facts_in, probe_writing, replacing, sync_folder, write_text
from lab.record import Row, plain, read_jsonl

Status = Literal["running", "finished", "failed", "interrupted", "diverged"]

_ID = re.compile(r"(?P<started>\d{8}T\d{6}Z)-(?P<digest>[0-9a-f]+)-s(?P<seed>-?\d+)(-\d+)?")
EMPTY = "no runs here; `lab train CONFIG` makes one"
_MADE_OF = ("config.yaml", "status.json")  # by which a run's folder is known
_KEPT = 2  # checkpoints: the newest, and the one before it in case the newest cannot be read


@dataclass(frozen=True)
class RunFolder:
    """One run's folder, `path`."""

    path: Path

    @classmethod
    def create(
        cls,
        root: str | Path,
        name: str,
        digest: str,
        seed: int,
        config_yaml: str,
        provenance: Mapping[str, Any],
        checkpoint: Mapping[str, Any],
        preparation: Mapping[str, Any] | None = None,
    ) -> "RunFolder":
        """Make a run that can be resumed at step 0, never in a folder that exists.

        It is built under a hidden name and renamed when complete.  `checkpoint` is the state at step 0, as for
        `save_checkpoint`; `preparation` what was fitted on the training rows before it.  Raises InputError when `name`
        cannot be a folder's name or the place cannot be written.
        """
        parent = place_for_runs(root, name)
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        building = cls(parent / f".{started}-{token_hex(4)}{PARTIAL}")
        clear_away(parent)
        try:
            (building.path / "checkpoints").mkdir(parents=True)
            write_text(building.path / "config.yaml", config_yaml)
            write_text(building.path / "provenance.json", _json(provenance))
            if preparation is not None:
                write_text(building.path / "preparation.json", _json(preparation))
            write_text(building.path / "metrics.jsonl", "")
            building.write_status("running", step=0)
            building.save_checkpoint(0, checkpoint)
            return cls(_rename_to_free(building.path, parent / f"{started}-{digest}-s{seed}"))
        except BaseException:
            shutil.rmtree(building.path, ignore_errors=True)
            raise

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """The run at `path`.  Raises InputError when there is none."""
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"{path}: no such run; `lab runs` lists what is there")
        if lost := [name for name in _MADE_OF if not (path / name).is_file()]:
            raise InputError(f"{path}: not a run, it has no {' and no '.join(lost)}; `lab runs` lists what is there")
        return cls(path)

    @property
    def name(self) -> str:
        """The experiment's name: that of the folder which the run is in."""
        return self.path.absolute().parent.name

    @property
    def config(self) -> Path:
        """The resolved config, which reproduces the run."""
        return self.path / "config.yaml"

    def provenance(self) -> dict[str, Any]:
        """What provenance.json holds: where the run comes from."""
        return facts_in(self.path / "provenance.json")

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep every other process from writing to this run until the block, or this process, ends.

        Raises InputError when another has it.  Where the system has no such locks, nothing is kept from anybody.
        """
        descriptor = locked(self.path)
        if descriptor is None:
            raise InputError(f"{self.path}: another process is training this run; stop it first, or let it end")
        try:
            yield
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def write_status(self, status: Status, **facts: Any) -> None:
        """Replace status.json by `status` and `facts` (numbers, texts, lists, dicts of them), atomically."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(self.path / "status.json", _json({"status": status, "updated": now, **facts}))

    def status(self) -> dict[str, Any]:
        """What `write_status` wrote last: {"status": …, "updated": …, fact: …}.  A fact nan is the text "NaN".

        Raises: InputError where the file is damaged.
        """
        found = facts_in(self.path / "status.json")
        if "status" not in found:
            raise InputError(f"{self.path / 'status.json'}: has no status; was the file edited?")
        return found

    def save_checkpoint(self, step: int, state: Mapping[str, Any]) -> None:
        """Save `state` (tensors, numbers, texts; dicts, lists and tuples of them) before `step`; keep the last two."""
        import torch

        with replacing(self.path / "checkpoints" / f"step-{step:08d}.pt") as file:
            torch.save({"step": step, "state": dict(state)}, file)
        for old in self._checkpoints()[_KEPT:]:
            old.unlink()

    def load_checkpoint(self) -> tuple[int, dict[str, Any]]:
        """The newest (step, state) that is whole, its tensors on the CPU.  Raises InputError when none is."""
        import torch

        for path in self._checkpoints():
            if _is_whole(path):
                saved = torch.load(path, map_location="cpu", weights_only=True)
                return saved["step"], saved["state"]
        raise InputError(f"{self.path / 'checkpoints'}: no checkpoint can be read; start a new run from {self.config}")

    def rewind(self, step: int) -> None:
        """Forget the steps from `step` on: rows, checkpoints that follow them, and what a kill left half done.

        Raises InputError, with nothing forgotten, when a line of metrics.jsonl is no row, one is lost, or nothing can
        be written.
        """
        steps = {row["step"] for row in self.metrics()}
        if lost := sorted(set(range(step)) - steps):
            raise InputError(f"{self.path / 'metrics.jsonl'}: the row of step {lost[0]} is not there; {ANEW}")
        _need(self.path, f"{self.path}: cannot be written", "copy the run to a folder of yours and resume it there")
        for later in self._checkpoints():
            if _step_of(later) > step:  # else a later resume could start from one whose rows are gone
                later.unlink()
        for partial in self.path.rglob(f".*{PARTIAL}"):
            partial.unlink()
        metrics = self.path / "metrics.jsonl"
        with open(metrics, "rb") as rows, replacing(metrics) as kept:
            for row in rows:
                if row.endswith(b"\n") and json.loads(row)["step"] < step:
                    kept.write(row)

    def metrics(self) -> list[Row]:
        """The rows of metrics.jsonl, floats exact.  Raises InputError when a line in it is no row."""
        try:
            return read_jsonl(self.path / "metrics.jsonl")
        except OSError as error:
            raise InputError(f"{error.filename}: {error.strerror}; {ANEW}") from None
        except ValueError as error:
            raise InputError(f"{error}; was the file edited?") from None

    def _checkpoints(self) -> list[Path]:
        """Newest first."""
        return sorted((self.path / "checkpoints").glob("step-*.pt"), key=_step_of, reverse=True)


@dataclass(frozen=True)
class RunSummary:
    """A line of `lab runs`.  `status` is "killed" for a run that says it is running while no process has it."""

    path: Path
    name: str
    status: str
    started: str
    digest: str
    seed: int | None
    facts: Mapping[str, Any]  # what else status.json says: step, losses, …


def place_for_runs(root: str | Path, name: str) -> Path:
    """The folder below `root` that runs of this name are made in.  Raises InputError where none can be."""
    place = Path(root) / _folder_name(name)
    _need(place, f"{root}: cannot make a run here", "choose a folder with --runs")
    return place


def _need(folder: Path, told: str, remedy: str) -> None:
    try:
        probe_writing(folder)
    except OSError as error:
        raise InputError(f"{told} ({error.strerror}); {remedy}") from None


def list_runs(root: str | Path) -> list[RunSummary]:
    """Every run below `root`, oldest first; none where `root` does not exist."""
    return sorted(map(summary, find_runs(root)), key=lambda run: (run.started, str(run.path)))


def find_runs(root: str | Path) -> list[Path]:
    """The folders of runs at or below `root`, in order of path; hidden folders are not looked into."""
    found = []
    for folder, below, _ in os.walk(root):
        if is_run(Path(folder)):
            found.append(Path(folder))
            below.clear()
        below[:] = [name for name in below if not name.startswith(".")]
    return sorted(found)


def none_here(path: str | Path) -> InputError:
    """What to say where there is no run at or below `path`: one that has lost a part may be meant."""
    lost = [name for name in _MADE_OF if not (Path(path) / name).is_file()]
    if len(lost) < len(_MADE_OF):
        return InputError(f"{path}: a run that has lost its {lost[0]}, and can be read no more; train it anew")
    return InputError(f"{path}: {EMPTY}")


def is_run(path: Path) -> bool:
    """Whether `path` is a run's folder."""
    return all((path / name).is_file() for name in _MADE_OF)


def summary(path: Path) -> RunSummary:
    """How the run in the folder `path` stands."""
    run = RunFolder(path)
    try:
        facts = run.status()
    except (OSError, InputError):
        facts = {"status": "unreadable"}
    status = str(facts.pop("status", "unreadable"))
    if status == "running" and is_abandoned(path):
        status = "killed"
    named = _ID.fullmatch(path.name)
    started, digest, seed = named.group("started", "digest", "seed") if named else ("", "", None)
    return RunSummary(path, run.name, status, started, digest, None if seed is None else int(seed), facts)


def _folder_name(name: str) -> str:
    """`name`, if a folder can have it on every system.  Raises InputError."""
    if (
        not name.strip(". ")
        or name != name.strip()
        or name.startswith(".")
        or re.search(r'[/\\:*?"<>|,\x00-\x1f]', name)
    ):
        raise InputError(f"name: {name!r} cannot be a folder's name; use letters, digits, - and _")
    return name


def _rename_to_free(building: Path, wanted: Path) -> Path:
    """Rename `building` to `wanted`, or to `wanted`-2, -3 … where that exists (no rename replaces a full folder)."""
    number, path = 1, wanted
    while True:
        try:
            if not path.exists():
                building.rename(path)
                sync_folder(path.parent)
                return path
        except OSError:
            if not path.exists():
                raise
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")


def _is_whole(checkpoint: Path) -> bool:
    """Whether every part of the file has the checksum it was written with, which torch.load does not look at."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError):
        return False


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix("step-"))


def _json(value: Any) -> str:
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

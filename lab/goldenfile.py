"""The text file of a golden trace: a header that says what was run by what, then a line of exact numbers a step.

    # golden trace of a run by lab; renew it with pytest --lab-renew
    # config    12df1a57f2 of what moves the run, its data by content
    # made by   lab 0.1.0, torch 2.13.0+cpu, numpy 2.4.6, Python 3.11.7, x86_64
    step  loss/train  step/gradient_norm
    0  1.0986122886681096  0.9814518543079264

A number is written by its repr, the shortest text that is read back as the same float64.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from lab import catalog, schema
from lab.blocks import FOLDERS, Preparation
from lab.config import Config
from lab.dataset import DataPath
from lab.errors import InputError
from lab.experiment import Experiment
from lab.files import write_text
from lab.schema import Block

TITLE = "# golden trace of a run by lab; renew it with pytest --lab-renew"
BESIDE = {*FOLDERS, "name", "device", "probes", "twin", "checkpoint_every"}  # blocks, and keys that do not move θ


@dataclass(frozen=True)
class Recorded:
    """What a file holds: the digest of the config, the versions that made it, and the values of each step by tag."""

    config: str
    made_by: str
    rows: tuple[dict[str, float], ...]


def digest(experiment: Experiment) -> str:
    """Ten digits of the SHA-256 of what moves a run: the config less its defaults, and the data by their content.

    What is at its default is left out, so that an option which the lab gains later makes no other config of this one.
    """
    resolved = experiment.config.resolved()
    given = {key: _beyond_defaults(block, resolved[key]) for key, block in _blocks(resolved).items()}
    given[""] = _beyond_defaults(Config, {key: value for key, value in resolved.items() if key not in BESIDE})
    hints = get_type_hints(catalog.get("datasets", resolved["data"]["kind"]), include_extras=True)
    paths = {key for key, hint in hints.items() if DataPath in (hint, *get_args(hint))}
    given["data"] = {key: value for key, value in given["data"].items() if key not in paths}
    text = json.dumps([given, experiment.data.sha256], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _blocks(resolved: Mapping[str, Any]) -> dict[str, type[BaseModel]]:
    """The models of a config's blocks."""
    bases = {key: Preparation if key == "data" else Block for key in FOLDERS}
    return {key: schema.block(folder, resolved[key]["kind"], bases[key]) for key, folder in FOLDERS.items()}


def _beyond_defaults(model: type[BaseModel], plain: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a mapping that are not at the model's default."""
    defaults = {field.alias or key: field.get_default() for key, field in model.model_fields.items()}
    usual = {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}
    return {key: value for key, value in plain.items() if value != usual[key]}


def write(path: Path, recorded: Recorded) -> None:
    """Write the file, whole or not at all, its folder too. Raises: InputError where it cannot be written."""
    tags = list(recorded.rows[0])
    lines = [TITLE, f"# config    {recorded.config} of what moves the run, its data by content"]
    lines += [f"# made by   {recorded.made_by}", "  ".join(["step", *tags])]
    lines += ["  ".join([str(t), *(repr(row[tag]) for tag in tags)]) for t, row in enumerate(recorded.rows)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None


def read(path: Path) -> Recorded:
    """Read what `write` wrote. Raises: InputError, naming file and line, for what it would not have written."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); renew it with pytest --lab-renew") from None
    head = [line for line in lines if line.startswith("#")]
    facts = {line[2:12].strip(): line[12:] for line in head[1:]}
    if not head or head[0] != TITLE or not {"config", "made by"} <= facts.keys() or len(lines) < len(head) + 2:
        raise InputError(f"{path}:1: no golden trace; restore the file, or renew it with pytest --lab-renew")
    tags = lines[len(head)].split()[1:]
    rows = tuple(_row(path, number, t, line, tags) for t, number, line in _numbered(lines, len(head) + 1))
    return Recorded(facts["config"].split()[0], facts["made by"], rows)


def _numbered(lines: Sequence[str], start: int) -> list[tuple[int, int, str]]:
    return [(t, start + t + 1, line) for t, line in enumerate(lines[start:])]


def _row(path: Path, number: int, t: int, line: str, tags: Sequence[str]) -> dict[str, float]:
    try:
        step, *values = line.split()
        if int(step) != t:
            raise ValueError
        return dict(zip(tags, map(float, values), strict=True))
    except ValueError:
        raise InputError(
            f"{path}:{number}: must be step {t} and {len(tags)} numbers; restore the line, or renew the file with "
            "pytest --lab-renew"
        ) from None

"""Predictions: a run's model on new rows, prepared as its training rows were.

What was fitted is read from the run's own folder (`preparation.json`, and θ from the newest checkpoint), so that the
training data need not be there any more. Columns are matched by name, and what is not known is refused: a column that
lacks, a level that no training row had, a gap that the run fills with nothing.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from lab import launch
from lab.config import Config
from lab.errors import InputError
from lab.files import write_text
from lab.preparation.data import to_tensor
from lab.preparation.recipe import Recipe
from lab.runs import RunFolder

PREPARATION = "preparation.json"


@dataclass(frozen=True, eq=False)
class Prediction:
    """Probabilities (N, C) in float64 of each row's classes, or of its labels if `multilabel`, whose names are known.

    `target` is what the classes are classes of; `run` and `step` say which θ it was.
    """

    probabilities: Tensor
    classes: tuple[str, ...]
    multilabel: bool
    target: str
    run: RunFolder
    step: int

    @property
    def predicted(self) -> list[Any]:
        """The likeliest class of each row (the first of equals); of labels 0 or 1 each, 1 for more than a half."""
        if self.multilabel:
            labels: list[Any] = (self.probabilities > 0.5).long().tolist()
            return labels
        return [self.classes[i] for i in self.probabilities.argmax(dim=1).tolist()]

    def table(self) -> Iterator[list[Any]]:
        """A header, and a row for each row: the class and the P of each; for labels, each label's 0 or 1 and its P."""
        chances = [f"P({name})" for name in self.classes]
        if not self.multilabel:
            yield [self.target, *chances]
            for name, row in zip(self.predicted, self.probabilities.tolist(), strict=True):
                yield [name, *row]
            return
        yield [*self.classes, *chances]
        for labels, row in zip(self.predicted, self.probabilities.tolist(), strict=True):
            yield [*labels, *row]

    def csv(self) -> str:
        """The table as CSV, numbers exact."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(self.table())
        return out.getvalue()


def predict(run: str | Path, file: str | Path) -> Prediction:
    """Predict the rows of a file by a run's newest θ.

    Args: run a run's folder; file of the same kind as the run's data (CSV where those have no file), which may have
    other columns besides, the target among them. Raises: InputError where either cannot be used.
    """
    folder, config = launch.reopen(run)
    recipe = _recipe(folder)
    if not Path(file).exists():
        raise InputError(f"{file}: no such file; name one of new rows, with the columns that the run was trained on")
    sheet = config.build("data").sheet(str(file))
    X = to_tensor(recipe.read(sheet), recipe.features, getattr(torch, config.dtype), torch.device("cpu"))
    step, theta = _parameters(folder, recipe)
    with torch.no_grad():
        probabilities = _probabilities(config, recipe, config.build("model").forward(X, theta))
    return Prediction(probabilities.double(), recipe.classes, recipe.multilabel, recipe.target, folder, step)


def _recipe(folder: RunFolder) -> Recipe:
    path = folder.path / PREPARATION
    try:
        return TypeAdapter(Recipe).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; it was lost, or the run is older than such files: train it again"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise InputError(f"{path}: {where}: {first['msg']}; was the file edited?") from None


def _parameters(folder: RunFolder, recipe: Recipe) -> tuple[int, Tensor]:
    """The newest step and its θ."""
    step, state = folder.load_checkpoint()
    theta: Tensor = state["theta"]
    if len(theta) != len(recipe.features):
        raise InputError(
            f"{folder.path / PREPARATION}: {len(recipe.features)} columns, and θ has {len(theta)}; was it edited?"
        )
    return step, theta


def _probabilities(config: Config, recipe: Recipe, z: Tensor) -> Tensor:
    try:
        found = config.build("loss").probabilities(z, len(recipe.classes))
    except ValueError as error:
        raise InputError(f"loss.kind: {error}") from None
    if found.shape[1] != len(recipe.classes):
        raise InputError(f"{PREPARATION}: {len(recipe.classes)} classes, and the loss tells {found.shape[1]} apart")
    return found


def write(place: str, prediction: Prediction) -> None:
    """Write the table as CSV, whole or not at all. Raises: InputError where it cannot be written."""
    try:
        write_text(Path(place), prediction.csv())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"--out: {place} cannot be written ({why}); choose another place") from None

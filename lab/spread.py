"""Runs of one setting that differ by their seed, as one run for the eye: the mean of each number, and its spread.

    mean_t = (1/S) Σ_s x_st,   spread_t = √(Σ_s (x_st − mean_t)² / (S − 1))

Over the seeds that have the number at step t, at least two of them. A tag keeps its name for the mean, so that it is
drawn among the runs; seeds/<tag> is the mean too, seeds/<tag>/lower and seeds/<tag>/upper are mean ∓ spread, which
Custom Scalars draw as a band. A run's own <tag>/lower is the end of an interval: the two are never in one chart.
"""

import math
import os
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

from lab.errors import InputError
from lab.events.summary import Chart, Opening
from lab.events.writer import TensorBoard
from lab.files import PARTIAL
from lab.runs import RunFolder

SHOWN = (
    "loss/train",
    "loss/validation",
    "accuracy/train",
    "accuracy/validation",
    "curvature/lambda_1",
    "stability/lr_lambda_max",
    "step/gradient_norm",
)
_GROUP, _ENDS = "seeds/", ("/lower", "/upper")


def write_spread(folder: Path, runs: Sequence[Path]) -> None:
    """Write mean and spread of `runs` to an event file in `folder`, in the place of what was written there before.

    `folder` is no run: it has nothing but the event file. Raises: InputError where there are fewer than two runs, or
    one of them is none.
    """
    if len(runs) < 2:
        raise InputError(f"{folder}: mean and spread are over two runs or more, got {len(runs)}")
    rows = [RunFolder.open(path).metrics() for path in runs]
    building = folder.with_name(f".{folder.name}.{token_hex(4)}{PARTIAL}")
    building.mkdir(parents=True)
    try:
        sink = TensorBoard(building, opening=_opening(runs))
        for step, readings in spread(rows):
            sink.write(step, readings)
        sink.close()
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def spread(runs: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield each step with means and the ends of their bands, from the rows of runs of one setting."""
    by_step: dict[int, dict[str, list[float]]] = {}
    for rows in runs:
        for row in rows:
            for tag, value in row.items():
                if _is_averaged(tag, value):
                    by_step.setdefault(row["step"], {}).setdefault(tag, []).append(float(value))
    for step, found in sorted(by_step.items()):
        readings: dict[str, float] = {}
        for tag, values in found.items():
            if len(values) > 1:
                mean, deviation = statistics.fmean(values), statistics.stdev(values)
                band = _GROUP + tag
                readings |= {tag: mean, band: mean}
                readings |= {band + _ENDS[0]: mean - deviation, band + _ENDS[1]: mean + deviation}
        if readings:
            yield step, readings


def _is_averaged(tag: str, value: Any) -> bool:
    """Whether it is a number of a run's own: not its step, nor the end of an interval, which means something else."""
    return isinstance(value, int | float) and tag != "step" and not tag.endswith(_ENDS) and math.isfinite(value)


def _opening(runs: Sequence[Path]) -> Opening:
    charts = [Chart(f"{tag}: mean ± one standard deviation", bands=(_GROUP + tag,)) for tag in SHOWN]
    words = "\n".join(
        ["Mean and standard deviation over the seeds of one setting:", "", *(f"- `{run.name}`" for run in runs)]
    )
    return Opening({"run/seeds": words}, {"mean and spread over seeds": charts}, {}, "")

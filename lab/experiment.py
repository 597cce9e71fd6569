"""From a config to an experiment: everything that a run is made of, built and checked before the first step."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lab import catalog
from lab.config import Config
from lab.dataset import Batch
from lab.errors import InputError
from lab.loop import Batches
from lab.loss import Loss
from lab.optimizer import FromTorch, Stateless, Stepper
from lab.optimizer_schema import torch_kinds
from lab.preparation.data import Data, prepare
from lab.probe import Probe
from lab.problem import Problem
from lab.seeds import stream


@dataclass(frozen=True)
class Experiment:
    """What a config stands for: data, the problem on it, the probes, and where θ starts."""

    config: Config
    data: Data
    full: Problem
    validation: Problem | None
    probes: dict[str, Probe]
    theta: Tensor

    @cached_property
    def batches(self) -> Batches:
        """The problem of each step."""
        return Batches(self.full, self.config.batch_size, self.config.seed)

    def stepper(self, theta: Tensor) -> Stepper:
        """Return the config's optimizer, with nothing remembered, for parameters like θ."""
        options = dict(self.config.optimizer)
        kind = options.pop("kind")
        if kind in catalog.names("optimizers"):
            return Stateless(catalog.get("optimizers", kind)(**options))
        return FromTorch(torch_kinds()[kind], options, theta)


def assemble(config: Config) -> Experiment:
    """Build the experiment that a config stands for.

    Raises: InputError where the data cannot be had, or do not fit the loss, or the device is not there.
    """
    dtype, device = getattr(torch, config.dtype), _device(config.device)
    data = prepare(
        config.build("data").load(),
        standardize=config.data["standardize"],
        intercept=config.data["intercept"],
        validation=config.data["validation"],
        impute=config.data["impute"],
        seed=config.seed,
        dtype=dtype,
        device=device,
    )
    loss = _loss(config, data)
    full = _problem(config, data, loss, data.train, config.ridge)
    validation = None if data.validation is None else _problem(config, data, loss, data.validation, 0.0)
    start = config.init * stream(config.seed, "init").standard_normal(full.shape)
    theta = torch.tensor(start, dtype=dtype, device=device)
    return Experiment(config, data, full, validation, config.probes, theta)


def describe(experiment: Experiment) -> dict[str, str]:
    """Say what a run would be: sizes, and the memory that data and Hessian take. For `--dry-run`."""
    config, data, full = experiment.config, experiment.data, experiment.full
    (D, K), P = full.shape, math.prod(full.shape)
    each = full.X.element_size()
    held_out = 0 if data.validation is None else len(data.validation.X)
    batch = config.batch_size or full.N
    notes = (*data.notes, *_surprises(experiment))
    return {
        "data": f"{full.N} training row{'s' * (full.N != 1)}, {held_out} for validation, SHA-256 {data.sha256[:12]}…",
        "columns": f"D = {D}{' with the intercept' if data.intercept else ''}",
        "outputs": f"K = {K}: {', '.join(data.classes[:10])}{', …' if len(data.classes) > 10 else ''}",
        "parameters": f"D·K = {P} in {config.dtype} on {config.device}",
        "steps": f"{config.steps} of {min(batch, full.N)} rows",
        "memory": f"X takes {_bytes(full.X.numel() * each)}; the Hessian, {P} × {P}, takes {_bytes(P * P * each)}",
        "probes": ", ".join(f"{name} every {probe.every}" for name, probe in experiment.probes.items()) or "none",
        **({"notes": "; ".join(notes)} if notes else {}),
    }


def _surprises(experiment: Experiment) -> Iterator[str]:
    """Say what the config asks for that nobody would expect: more than there is, which is left at that, or to climb."""
    if experiment.config.optimizer.get("maximize"):
        yield "optimizer.maximize is true: every step goes uphill, and the loss grows"
    batch, N, P = experiment.config.batch_size or 0, experiment.full.N, math.prod(experiment.full.shape)
    if batch > N:
        whole = f"the whole {N} training rows" if N > 1 else "the one training row"
        yield f"batch_size is {batch}, and every batch is {whole}"
    for name, probe in experiment.probes.items():
        for key in ("top", "bottom"):
            default = getattr(type(probe), key, 0)  # what was not asked for is no surprise
            if (asked := getattr(probe, key, 0)) > P and asked != default:
                yield f"probes.{name}.{key} is {asked}, and there are {P} eigenvalues"


def _loss(config: Config, data: Data) -> Loss:
    """The config's loss, with what it takes from the training rows; of a validation row it knows nothing."""
    loss, classes = config.build("loss"), len(data.classes)
    try:
        nothing = loss.encode(data.train.y[:0], classes, data.train.X.dtype)
    except ValueError as error:
        raise InputError(f"loss.kind: {error}") from None
    try:
        loss = loss.fitted(data.train.y, classes)
        loss.divisor(nothing)  # refuses a reduction to no one number
        if data.train.weight is not None:
            loss.weighed(nothing, data.train.weight[:0])
    except ValueError as error:
        raise InputError(f"loss: {error}") from None
    if data.train.weight is not None and not data.train.weight.any():
        raise InputError(
            "data.weight: every training row has the weight 0, and there is nothing to train on; give some"
        )
    return loss


def _problem(config: Config, data: Data, loss: Loss, batch: Batch, ridge: float) -> Problem:
    y = loss.encode(batch.y, len(data.classes), batch.X.dtype)
    if batch.weight is not None:
        y = loss.weighed(y, batch.weight)
    if y.ndim > 1:  # column by column in memory, as the logits that it meets
        y = y.permute(*range(y.ndim)[::-1]).contiguous().permute(*range(y.ndim)[::-1])
    held = batch.X.new_ones(batch.X.shape[1], 1)
    if data.intercept and not config.ridge_intercept:
        held[-1] = 0
    return Problem(
        loss, config.build("model"), batch.X, y, ridge, held, outputs=len(data.classes) if y.ndim == 1 else None
    )


def _device(name: str) -> torch.device:
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device: this machine has no {name!r} that torch can use; use 'cpu', or a CUDA build of torch"
        )
    return device


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"

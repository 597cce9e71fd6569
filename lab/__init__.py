"""A lab in which a derivation made by hand earns its trust, and curvature is watched while a model trains.

Names are imported when they are first used: `import lab` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.bench.judge import check as check
    from lab.dataset import Batch as Batch
    from lab.dataset import Dataset as Dataset
    from lab.derivation import Derivation as Derivation
    from lab.errors import InputError as InputError
    from lab.launch import Run as Run
    from lab.launch import train as train
    from lab.loss import Loss as Loss
    from lab.model import Model as Model
    from lab.prediction import predict as predict
    from lab.probe import Probe as Probe
    from lab.probe import Step as Step
    from lab.problem import Problem as Problem
    from lab.record import Sink as Sink
    from lab.referee import Verdict as Verdict
    from lab.spectrum import Spectrum as Spectrum
    from lab.study.sweep import sweep as sweep

_HOMES = {
    "check": "lab.bench.judge",
    "Batch": "lab.dataset",
    "Dataset": "lab.dataset",
    "Derivation": "lab.derivation",
    "InputError": "lab.errors",
    "Loss": "lab.loss",
    "Model": "lab.model",
    "Probe": "lab.probe",
    "Problem": "lab.problem",
    "Run": "lab.launch",
    "Sink": "lab.record",
    "Spectrum": "lab.spectrum",
    "Step": "lab.probe",
    "Verdict": "lab.referee",
    "predict": "lab.prediction",
    "sweep": "lab.study.sweep",
    "train": "lab.launch",
}
_ROOMS = ("datasets", "losses", "models", "optimizers", "oracle", "probes", "referee", "spectrum", "testing")

__all__ = [*_HOMES, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(f"lab.{name}")
    raise AttributeError(f"module 'lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

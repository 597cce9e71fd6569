"""What TensorBoard shows of any run before its first number: the charts, the run's own words, its hyperparameters."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lab.config import Config
from lab.events.summary import Chart, Opening, escaped, table

CHARTS = {
    "fit": (
        Chart("loss: training and validation", (r"loss/(train|validation|batch)$",)),
        Chart("accuracy: training and validation", (r"accuracy/(train|validation)$",)),
    ),
    "curvature": (
        Chart("the largest eigenvalues", (r"curvature/lambda_\d+$",)),
        Chart("λ₁ in its interval", bands=("curvature/lambda_1",)),
        Chart("log10 of the largest eigenvalues", (r"log10/curvature/lambda_\d+$",)),
    ),
    "steps": (
        Chart("lr·λ₁: gradient descent is stable below the line at 2", (r"stability/(lr_lambda_max|limit)$",)),
        Chart("decrease of the loss: predicted and actual", (r"step/(predicted|actual)_decrease$",)),
    ),
    "verdicts": (
        Chart("times what rounding allows: right at or below the line at 1", (r"check/(\w+|limit)$",)),
        Chart("log10 of it: right at or below 0", (r"log10/check/\w+$",)),
    ),
}
_NOT_SETTINGS = (
    "name",
    "seed",
    "probes",
    "checkpoint_every",
)  # they change nothing of what is trained, or are no choice


def opening(config: Config, provenance: Mapping[str, Any]) -> Opening:
    """What a run's event file begins with. Runs that differ by their seed alone are one group of HParams."""
    origin = {name: json.dumps(value, ensure_ascii=False) for name, value in _flat(provenance)}
    texts = {
        "run/config": f"```yaml\n{config.dump()}```",
        "run/provenance": table(origin, ("what", "value")),
        "run/how to read it": GUIDE,
    }
    return Opening(texts, CHARTS, dict(_settings(config)), f"{config.name}-{config.digest()}")


def _settings(config: Config) -> Iterator[tuple[str, bool | float | str]]:
    """The config's keys that decide what is trained, dotted; null is no setting, so that a column keeps its type."""
    for name, value in _flat({k: v for k, v in config.resolved().items() if k not in _NOT_SETTINGS}):
        if value is not None:
            yield name, value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in nested.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


_MEANING = {
    "check/…": "a verdict: |ours − truth| in units of what rounding can do. At most 1 is rounding, far above a mistake",
    "curvature/lambda_1 …": "the largest eigenvalues of the Hessian; …/lower and …/upper are the ends of its interval",
    "curvature/lambda_1/middle": "the line in λ₁'s interval; between measurements it is no measurement, but the last "
    "one, as far as the interval lets it",
    "curvature/definiteness": "of the Hessian, with the reason for its zero eigenvalues",
    "curvature/certainty": "how the eigenvalues are known: proved, probable, or not converged",
    "stability/lr_lambda_max": "step length times λ₁: gradient descent on a quadratic is stable below 2",
    "step/predicted_decrease": "of the loss, by the second-order model; step/actual_decrease is what came of it",
    "log10/…": "the logarithm of the tag, where that spans decades",
    "distribution/…": "histograms: log10 of the eigenvalues' sizes, weights, gradient, margins of the logits",
    "picture/…": "the Hessian by classes, its eigenvectors, the loss in their plane, the spectrum over time",
}
GUIDE = "| tag | what it is |\n|---|---|\n" + "\n".join(f"| {escaped(t)} | {escaped(w)} |" for t, w in _MEANING.items())

"""What tests share. One thread: tiny problems gain nothing from more, and a forked child may use torch safely."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem

torch.set_num_threads(1)
os.environ.setdefault("NO_COLOR", "1")

# Nothing is timed, and every run draws the same examples.
settings.register_profile("lab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lab")


@pytest.fixture
def rng() -> Generator:
    return torch.Generator().manual_seed(20)


@pytest.fixture(autouse=True)
def no_graphs() -> Iterator[None]:
    """Tests run as training does: nothing records a graph unless the oracle asks for one."""
    with torch.no_grad():
        yield


def make_problem(
    rng: Generator, loss: str = "softmax", N: int = 13, D: int = 5, K: int = 4, ridge: float = 0.3, **options: Any
) -> tuple[Problem, Tensor]:
    """A problem whose sizes all differ, with an intercept column, and a point θ ≠ 0 to look at it from."""
    X = torch.randn(N, D, generator=rng, dtype=torch.float64)
    X[:, -1] = 1
    made = {"softmax": Softmax, "sigmoid": Sigmoid}[loss](**options)
    if loss == "softmax":
        y = one_hot(torch.randperm(N, generator=rng) % K, K).to(X.dtype)
    else:
        y = torch.randint(2, (N, K), generator=rng).to(X.dtype)
    held = torch.ones(D, 1, dtype=X.dtype)
    held[-1] = 0
    return Problem(made, Linear(), X, y, ridge, held), torch.randn(D, K, generator=rng, dtype=X.dtype)


@pytest.fixture(params=["softmax", "sigmoid", "binary", "average"])
def problem_and_theta(request: pytest.FixtureRequest, rng: Generator) -> tuple[Problem, Tensor]:
    """Each loss of the lab, with ridge."""
    kinds: dict[str, dict[str, Any]] = {
        "softmax": {},
        "sigmoid": {"loss": "sigmoid"},
        "binary": {"loss": "sigmoid", "K": 1},
        "average": {"loss": "sigmoid", "average": True},
    }
    return make_problem(rng, **kinds[request.param])


TINY = {
    "name": "tiny",
    "data": {"kind": "sklearn", "name": "iris"},
    "loss": {"kind": "softmax"},
    "steps": 6,
    "checkpoint_every": 2,
    "optimizer": {"kind": "sgd", "lr": 0.5},
}


@pytest.fixture
def tiny() -> dict[str, Any]:
    """A config that trains in a moment."""
    return {key: dict(value) if isinstance(value, dict) else value for key, value in TINY.items()}


@pytest.fixture
def configs() -> Path:
    """The repository's configs."""
    return Path(__file__).parent.parent / "configs"

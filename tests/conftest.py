"""What tests share. One thread: tiny problems gain nothing from more, and a forked child may use torch safely."""

import os
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from pretended import moved, pretending, there
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from lab.config import load
from lab.dataset import Table
from lab.datasets.csv import Csv
from lab.datasets.npz import Npz
from lab.errors import InputError
from lab.launch import train
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem
from lab.study.facts import gather
from lab.yamlfile import dumped

torch.set_num_threads(1)
os.environ.setdefault("NO_COLOR", "1")

# Nothing is timed, and every run draws the same examples.
settings.register_profile("lab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lab")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a slow test that begins too late; .ci/run says when that is."""
    until = float(os.environ.get("LAB_SLOW_UNTIL", "inf"))
    if item.get_closest_marker("slow") and time.time() > until:
        pytest.skip("slow, and this machine has used up the time for such tests (LAB_SLOW_UNTIL)")


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


@pytest.fixture
def mine(tmp_path: Path) -> Callable[[str], str]:
    """Write a file of the user's; return its path."""

    def write(text: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return write


CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


@pytest.fixture(params=["pretended", pytest.param("cuda", marks=CUDA)])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """Takes tensors, problems and experiments to a device that is not the CPU: a real one, and one that says it is."""
    if request.param == "cuda":
        yield lambda x: moved(x, lambda each: each.cuda())
    else:
        with pretending():
            yield lambda x: moved(x, there)


TINY = {
    "name": "tiny",
    "data": {"kind": "sklearn", "name": "iris"},
    "loss": {"kind": "softmax"},
    "steps": 6,
    "checkpoint_every": 2,
    "optimizer": {"kind": "sgd", "lr": 0.5},
    # Without the pictures, which take longer to draw than six steps to train.
    "probes": {"fit": {}, "gradient": {}, "hvp": {}, "hessian": {}, "spectrum": {}, "descent": {}},
}


@pytest.fixture
def tiny() -> dict[str, Any]:
    """A config that trains in a moment."""
    return deepcopy(TINY)


@pytest.fixture
def configs() -> Path:
    """The repository's configs."""
    return Path(__file__).parent.parent / "configs"


# What the tests of configs share.
TEXT = """\
# Iris by gradient descent.
data: {kind: sklearn, name: iris}
loss:
  kind: softmax
steps: 10
optimizer:
  kind: SGD
  lr: 1e-1
probes:
  gradient: {}
  spectrum:
    top: 3
"""
PLAIN: dict[str, Any] = {
    "data": {"kind": "sklearn", "name": "iris"},
    "loss": {"kind": "softmax"},
    "steps": 10,
    "optimizer": {"kind": "sgd", "lr": 0.1},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that messages name files as a user would see them."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What the tests of sweeps share.
BARE: dict[str, Any] = {**TINY, "probes": {"fit": {}}}


@pytest.fixture
def file(here: Path) -> str:
    """A config of a few steps, in the working directory."""
    (here / "tiny.yaml").write_text(dumped(BARE))
    return "tiny.yaml"


def complaint(text: str, *overrides: str) -> str:
    """What is said of x.yaml with this text."""
    Path("x.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        load("x.yaml", overrides)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


# What the tests of data sets share.


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder, with a small file of each kind that is not text that a test writes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.libsvm").write_text("+1 1:0.5 3:2\n-1 2:1\n")
    (tmp_path / "labels.libsvm").write_text("1,3 1:0.5 3:2\n3 2:1\n 1:1\n")
    if find_spec("pyarrow"):
        from pyarrow import parquet, table

        parquet.write_table(table({"a": [1.0, 2.5], "b": [3, 4], "y": ["p", "q"]}), tmp_path / "small.parquet")
    np.savez("small.npz", X=np.arange(8.0).reshape(4, 2), y=np.array([0, 1, 1, 0]))
    return tmp_path


@pytest.fixture
def write(folder):
    """Write a file, and give its name."""

    def to(content: str | bytes, name: str = "t.csv") -> str:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return to


def assert_valid(table: Table) -> None:
    """What `Table` itself does not check."""
    assert len(table.sha256) == 64
    assert len(set(table.features)) == len(table.features) == table.X.shape[1]
    assert len(set(table.classes)) == len(table.classes) >= 2
    assert all(isinstance(name, str) and name for name in (*table.features, *table.classes))
    if table.multilabel:
        assert (table.y.min(axis=0) == 0).all()
        assert (table.y.max(axis=0) == 1).all()
    else:
        assert set(table.y.tolist()) == set(range(len(table.classes)))


def assert_valid_or_refused(member: Csv | Npz) -> None:
    """Any other exception than InputError, which names the file on one line, fails the test."""
    try:
        table, refusal = member.load(), ""
    except InputError as refused:
        table, refusal = None, str(refused)
    if table is None:
        assert refusal.startswith(f"{member.path}:")
        assert len(refusal.splitlines()) == 1
    else:
        assert_valid(table)


def same(a: Table, b: Table) -> bool:
    return (
        np.array_equal(a.X, b.X)
        and np.array_equal(a.y, b.y)
        and (a.features, a.classes, a.sha256) == (b.features, b.classes, b.sha256)
    )


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("malformed") / "file"


@pytest.fixture(scope="session")
def three_runs(tmp_path_factory):
    """The folder of three finished runs that differ in seed, start and step length."""
    place = tmp_path_factory.mktemp("runs")
    with torch.no_grad():
        for changes in ({"seed": 0}, {"seed": 1, "init": 0.1}, {"seed": 0, "optimizer": {"lr": 1.5}}):
            train(TINY, runs=place, **changes)
    return place


@pytest.fixture
def paths(three_runs):
    """The three by step length and seed."""
    return [
        facts.run.path for facts in sorted(gather(three_runs), key=lambda f: (f.get("optimizer.lr"), f.get("seed")))
    ]

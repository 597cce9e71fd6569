"""What a member of an open folder raises in a run is told by its line, and the run goes on when it is mended."""

import json
import sys

import pytest

from lab import blame, cli, launch
from lab.errors import InputError
from lab.problem import Problem
from lab.runs import RunFolder, summary

LOSS = """
from dataclasses import dataclass
from lab.losses.softmax import Softmax

@dataclass(frozen=True)
class Mine(Softmax):
    def {method}
"""
PROBE = """
from dataclasses import dataclass
from lab.probe import Probe

@dataclass(frozen=True)
class Mine(Probe):
    def measure(self, step):
        {body}
"""
DATASET = """
from dataclasses import dataclass
from lab.dataset import Dataset

@dataclass(frozen=True)
class Mine(Dataset):
    def load(self):
        return {}["rows"]
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Write a member `mine` of an open folder, and return its path."""

    def write(folder, text):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / "mine.py").write_text(text)
        package = __import__(f"lab.{folder}", fromlist=["__path__"])
        if str(place) not in package.__path__:
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(place)])
        monkeypatch.delitem(sys.modules, f"lab.{folder}.mine", raising=False)
        return place / "mine.py"

    return write


def trained(tiny, tmp_path, capsys, **changes):
    """`lab train`, which is refused; the line it says and the run's folder, None where none was made."""
    (tmp_path / "c.yaml").write_text(json.dumps({**tiny, **changes}))
    assert cli.main(["train", str(tmp_path / "c.yaml"), "--runs", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    runs = list((tmp_path / "runs").glob("*/*"))
    return line, RunFolder(runs[0]) if runs else None


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("hvp(self, z, y, u): raise KeyError('x')", "step 0, probes.hvp: {path}:7: KeyError: 'x'; mend it"),
        (
            "gradient(self, z, y): import sys; sys.exit('no')",
            "step 0: {path}:7: SystemExit: no; mend it",
        ),
        (
            "gradient(self, z, y): return z[:, 0]",
            "step 0: {path}:7: "
            "Mine.gradient returned a tensor of shape (64,) and type float64, and is to return "
            "a tensor of shape (64, 3) and type float64; mend it",
        ),
        (
            "subtracted(self, z, y): return y",
            "step 0, probes.gradient: {path}:7: "
            "Mine.subtracted returned a tensor of shape (64,) and type int64, and is to return "
            "a tensor of shape (64, 3) and type float64; mend it",
        ),
    ],
)
def test_a_loss_that_raises_is_told_by_its_own_line(method, words, mine, tiny, tmp_path, capsys):
    path = mine("losses", LOSS.format(method=method))
    line, folder = trained(tiny, tmp_path, capsys, loss={"kind": "mine"})
    assert line.startswith(words.format(path=path))
    assert line.endswith("`")
    assert summary(folder.path).status == "failed"
    assert words.format(path=path)[:40] in folder.status()["failures"]["raised"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "return {'mine/x': 1.0, 'mine/y': [0.0][step.t // 4]}",
            "step 4, probes.mine: {path}:8: IndexError: list index",
        ),
        (
            "return {'mine/x': step.theta if step.t == 4 else 1.0}",
            "step 4: probes.mine: the reading 'mine/x' is a Tensor;",
        ),
        (
            "return {'mine/x' if step.t < 4 else 'mine/x\\n': 1.0}",
            "step 4: probes.mine: the tag 'mine/x\\n' has what cannot be seen; give words without line ends; mend it",
        ),
        (
            "return {'mine/x': 1.0} if step.t < 4 else None",
            "step 4, probes.mine: measure returned a NoneType; return readings",
        ),
        (
            "return {'mine/x': 1.0 if step.t < 4 else float(step.after.mul_(2).norm())}",
            "step 4, probes.mine: measure wrote to step.after; a probe changes nothing: write to a copy",
        ),
    ],
)
def test_a_run_whose_probe_raises_keeps_its_rows_and_goes_on_when_it_is_mended(
    body, words, mine, tiny, tmp_path, capsys
):
    path = mine("probes", PROBE.format(body=body))
    changes = {"probes": {"mine": {}}, "checkpoint_every": 3}
    line, folder = trained(tiny, tmp_path, capsys, **changes)
    assert line.startswith(words.format(path=path))
    assert [row["step"] for row in folder.metrics()] == [0, 1, 2, 3]
    assert folder.status()["step"] == 4
    assert folder.load_checkpoint()[0] == 3
    mine("probes", PROBE.format(body="return {'mine/x': 1.0}"))
    assert cli.main(["train", "--resume", str(folder.path)]) == 0
    assert "failures" not in folder.status() or not folder.status()["failures"]
    assert [row["step"] for row in folder.metrics()] == list(range(7))
    assert "raised" not in json.dumps(folder.metrics())


def test_a_dataset_that_raises_is_told_by_its_own_line(mine, tiny, tmp_path, capsys):
    path = mine("datasets", DATASET)
    line, folder = trained(tiny, tmp_path, capsys, data={"kind": "mine"})
    assert (line, folder) == (f"{path}:8: KeyError: 'rows'", None)


def test_from_python_the_members_own_exception_is_the_cause(mine, tiny, tmp_path):
    mine("probes", PROBE.format(body="return 1 / 0"))
    with pytest.raises(InputError, match=r"mine\.py:8: ZeroDivisionError") as caught:
        launch.train(tiny | {"probes": {"mine": {}}}, runs=tmp_path)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_what_the_lab_itself_raises_is_hidden_by_nobody(mine, tiny, tmp_path, monkeypatch):
    mine("probes", PROBE.format(body="return {'mine/x': float(step.problem.value(step.theta))}"))

    names = {}  # as if a line of the lab's had it
    exec(compile("def value(self, theta): return {}['a mistake']", blame.__file__, "exec"), names)
    monkeypatch.setattr(Problem, "value", names["value"])
    with pytest.raises(KeyError, match="a mistake"):
        launch.train(tiny | {"probes": {"mine": {}}}, runs=tmp_path)

"""The house stands as planned: imports run one way, autograd is in one room, and a folder is opened by one file."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from derivations import POISSON

import lab
from lab import catalog, launch

ROOT = Path(lab.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

CLOSED = (
    "arithmetic",
    "bench",
    "curvature",
    "events",
    "picture",
    "preparation",
    "report",
    "study",
)  # packages of rooms

# Each floor may import from the floors above it, and a file from its own folder's base.
HOUSE = """
errors interrupt claim raised stability pairs written spectrum pytest_plugin verb launcher arithmetic.number
report.mathml report.heatmap report.chart report.plot study.table
files seeds verbs inputs oracle blame curvature.ritz record catalog sheet picture.palette study.expression
curvature.bounds curvature.krylov csvfile derivation arithmetic.formula arithmetic.differences bench.template
bench.conduct events.frame events.server picture.canvas
dataset loss model curvature.certificate provenance runs arithmetic.formulas events.summary picture.counts study.metrics
datasets losses models problem board arithmetic.tape preparation.split preparation.recipe events.writer launchers
rounding optimizer loop arithmetic.exact preparation.data spread study.crew study.display study.worker curvature.density
referee arithmetic.truth curvature.operator optimizers optimizer_schema anatomy residual separation
curvature.structure curvature.coordinates curvature.between curvature.forms mistake
curvature.plan curvature.coarse mistakes
curvature.search doctor
curvature.tracking
bench.seen
bench.trial bench.routes bench.discern bench.outcomes bench.claims
bench.perturbed bench.sayings
bench.judge
bench.sighting bench.backward
bench.userfile
probe twin summary schema evidence
identity rate theorem
identities theorems
ledger report.page
report.derive report.html
probes yamlfile progress
blocks
config study.facts
experiment display report.keys study.listing study.compare study.export study.grid report.sheet
panel
trainer golden goldenfile coefficients
testing
console
launch checking
prediction study.task report.run
study.sweep
__init__ cli
__main__
"""
FLOORS = [set(floor.split()) for floor in HOUSE.strip().splitlines()]
SAME_FLOOR_ALLOWED = {("runs", "record"), ("record", "files"), ("loop", "optimizer")}


def room(path: Path) -> str:
    """`referee`, `losses`; in a closed package each file is a room: `curvature.krylov`."""
    parts = [part.removesuffix(".py") for part in path.relative_to(ROOT).parts]
    return ".".join(parts[:2]) if parts[0] in CLOSED and parts[1:] != ["__init__"] else parts[0]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def is_for_types_alone(node: ast.AST, module: ast.Module) -> bool:
    guards = [n for n in ast.walk(module) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    return any(node in ast.walk(guard) for guard in guards)


def imports(path: Path) -> set[str]:
    """The rooms of the lab that a file imports when it is imported itself; what functions import does not count."""
    found, module = set(), tree(path)
    packages = {"lab", *(f"lab.{name}" for name in CLOSED)}
    for node in module.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            found |= {f"{names[0]}.{alias.name}" for alias in node.names} if names[0] in packages else set(names)
    inside = [name.split(".")[1:] for name in found if name.startswith("lab.")]
    return {".".join(name[:2]) if name[0] in CLOSED else name[0] for name in inside}


def floor(name: str) -> int:
    for height, rooms in enumerate(FLOORS):
        if name in rooms:
            return height
    raise AssertionError(f"lab/{name} has no floor in this test's list: say where it belongs")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    here = room(path)
    for there in imports(path) - {here}:
        above = floor(there) < floor(here)
        assert above or (here, there) in SAME_FLOOR_ALLOWED, f"{path.name} must not import lab.{there}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_automatic_differentiation_is_named_in_the_oracle_alone(path):
    named = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
            named |= {node.attr} & {"autograd", "func", "enable_grad"}
        if isinstance(node, ast.Attribute) and node.attr in ("backward", "requires_grad_", "requires_grad"):
            named.add(node.attr)
        if isinstance(node, ast.ImportFrom) and re.match(r"torch\.(autograd|func)", node.module or ""):
            named.add(str(node.module))
    assert not named or path == ROOT / "oracle.py"


@pytest.mark.parametrize(
    ("name", "never"),
    [
        ("oracle", {"*"}),
        ("spectrum", {"*"}),
        ("record", {"*"}),
        ("arithmetic/number", {"*"}),
        ("loop", {"oracle", "probes", "probe", "record", "referee"}),
        ("problem", {"losses", "models", "oracle"}),
        ("loss", {"oracle", "dataset", "datasets"}),
        ("referee", {"trainer", "runs", "files", "record"}),
    ],
)
def test_a_room_never_imports_what_the_plan_forbids(name, never):
    everywhere = {
        n.module.split(".")[1] if n.module != "lab" else alias.name
        for n in ast.walk(tree(ROOT / f"{name}.py"))
        if isinstance(n, ast.ImportFrom) and (n.module or "").split(".")[0] == "lab"
        for alias in n.names
    }
    assert not everywhere if never == {"*"} else not everywhere & never


def test_only_the_room_of_events_names_tensorboard():
    for path in FILES:
        names = {
            (n.module or "") if isinstance(n, ast.ImportFrom) else n.names[0].name
            for n in ast.walk(tree(path))
            if isinstance(n, ast.Import | ast.ImportFrom)
        }
        assert path.parent.name == "events" or not any("tensorboard" in name for name in names), path


def test_no_loss_is_asked_for_its_type_outside_its_own_file():
    classes = {member.__name__ for member in catalog.members("losses").values()}
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                assert not classes & set(re.findall(r"\w+", ast.unparse(node.args[1]))), path


def test_files_stay_short():
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := len(p.read_text().splitlines())) > 320}
    assert not long


def test_nobody_waits_for_what_is_not_used():
    code = (
        "import sys, lab, lab.cli; print(sorted({'torch', 'numpy', 'pydantic', 'rich', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_training_imports_of_torch_no_more_than_torch_itself(tmp_path):
    """sympy and torch._dynamo take about as long to import as torch; some small functions of torch bring them in."""
    code = (
        "import sys; from lab.cli import main; main(sys.argv[1:]);"
        "print(sorted({'sympy', 'torch._dynamo', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    config = ROOT.parent / "configs" / "breast_cancer.yaml"
    words = ["train", str(config), "--runs", str(tmp_path), "steps=2", "probes.hessian=null"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


NEW = {
    "losses": (
        "poisson",
        "from dataclasses import dataclass\nimport torch\nimport lab\n" + POISSON,
    ),
    "datasets": (
        "ramp",
        '''
from dataclasses import dataclass
import numpy as np
from lab.dataset import Dataset, Table, digest

@dataclass(frozen=True)
class Ramp(Dataset):
    """A ramp of numbers, the upper half of which is class 1."""
    n: int = 20
    def load(self):
        X = np.arange(self.n, dtype=np.float64)[:, None] ** [1, 2]
        y = (np.arange(self.n) >= self.n // 2).astype(np.int64)
        names = (("x", "x2"), ("low", "high"))
        return Table(X, y, *names, digest(X, y, *names))
''',
    ),
    "probes": (
        "norm",
        '''
from dataclasses import dataclass
from lab.probe import Probe

@dataclass(frozen=True)
class Norm(Probe):
    """Log a power of the norm of θ."""
    power: float = 1.0
    def measure(self, step): return {"theta/norm": float(step.theta.norm()) ** self.power}
''',
    ),
}


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """One new file in each of three open folders, and nothing else changed."""
    for folder, (name, text) in NEW.items():
        place = tmp_path / folder
        place.mkdir()
        (place / f"{name}.py").write_text(text)
        package = __import__(f"lab.{folder}", fromlist=["__path__"])
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(place)])
        monkeypatch.delitem(sys.modules, f"lab.{folder}.{name}", raising=False)
    return tmp_path


def test_a_new_loss_dataset_and_probe_are_trained_judged_and_logged(opened):
    config = {
        "name": "new",
        "data": {"kind": "ramp", "n": 24},
        "loss": {"kind": "poisson"},
        "steps": 5,
        "optimizer": {"kind": "sgd", "lr": 0.05},
        "probes": {"gradient": {}, "hvp": {}, "hessian": {"every": 1}, "spectrum": {}, "norm": {"power": 2.0}},
    }
    run = launch.train(config, runs=opened / "runs")
    assert run.status == "finished"
    for row in run.metrics.rows:
        assert row["check/gradient"] <= 1
        assert row["check/hessian"] <= 1
        assert row["check/hvp"] <= 1
        assert row["curvature/lambda_1"] > 0
    assert run.metrics.rows[-1]["theta/norm"] == pytest.approx(float(run.theta.norm()) ** 2)
    assert run.metrics.rows[-1]["loss/train"] < run.metrics.rows[0]["loss/train"]


def test_a_mistake_in_a_new_loss_is_seen_with_no_other_change(opened):
    path = opened / "losses" / "poisson.py"
    path.write_text(path.read_text().replace("return z.exp() - y\n", "return z.exp() + y\n"))
    config = {
        "data": {"kind": "ramp"},
        "loss": {"kind": "poisson"},
        "steps": 2,
        "optimizer": {"kind": "sgd", "lr": 0.01},
    }
    run = launch.train(config, runs=opened / "runs")
    assert run.status == "failed"
    assert run.metrics.rows[0]["check/gradient"] > 1e6


def test_the_nouns_are_there():
    assert lab.losses.Softmax().flat(3)[0] == 1
    assert issubclass(lab.losses.Sigmoid, lab.Loss)
    assert {"Derivation", "Loss", "Model", "Problem", "Verdict", "Spectrum", "Probe", "Sink", "train"} <= set(dir(lab))
    for name in lab.__all__:
        assert getattr(lab, name) is not None
    with pytest.raises(AttributeError):
        _ = lab.nonsense
    assert torch.get_num_threads() == 1  # the suite's own setting, which nothing may change behind its back

"""The benchmarks of the spine: `python benchmarks/run.py [NAME …]` prints ratios and writes benchmarks/results.json.

Each figure is a ratio to a peer measured in the same process and the same minutes: absolute times are this machine's.
`python benchmarks/table.py` puts the figures into the README.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from timing import (
    Clock,
    Seconds,
    machine,
    mean,
    median,
    now,
    pair,
    peak_bytes,
    since,
    told,
)

from lab import config, launch, oracle
from lab.bench.conduct import one_thread
from lab.experiment import Experiment, assemble

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "configs"
Row = dict[str, Any]


def digits(**changes: Any) -> Experiment:
    """Softmax on digits: standardised, 1,797 × 65, K = 10, float64, full-batch gradient descent."""
    plain = {"steps": 30, "optimizer": {"kind": "sgd", "lr": 0.5}, "loss": {"kind": "softmax"}}
    return assemble(
        config.from_mapping({"name": "digits", "data": {"kind": "sklearn", "name": "digits"}, **plain, **changes})
    )


def gradient() -> Iterator[Row]:
    """Value and gradient by hand against autograd's, at three sizes."""
    sizes = {
        "breast_cancer": assemble(config.load(CONFIGS / "breast_cancer.yaml")),
        "digits": digits(),
        "200,000 × 50 × 5": assemble(
            config.from_mapping(
                {
                    "data": {"kind": "synthetic", "task": "multiclass", "n": 200_000, "d": 49, "k": 5},
                    "loss": {"kind": "softmax"},
                    "steps": 1,
                    "optimizer": {"kind": "sgd", "lr": 0.1},
                }
            )
        ),
    }
    for name, experiment in sizes.items():
        problem = experiment.full
        theta = 0.1 * torch.randn(problem.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        runs = 31 if problem.N > 10_000 else 301
        ours, peer = pair(
            lambda p=problem, at=theta: p.value_and_gradient(at),
            lambda p=problem, at=theta: oracle.value_and_gradient(p.reference, at),
            runs,
        )
        goal = 1.5 if problem.N > 10_000 else 1.0
        yield {
            "work": f"value and gradient, {name}",
            "peer": "torch.autograd",
            "ours": ours,
            "theirs": peer,
            "goal": goal,
        }


def hessian() -> Iterator[Row]:
    """The dense Hessian by hand against torch.func.hessian, in time and in memory."""
    problem = digits().full
    theta = 0.1 * torch.randn(problem.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for said, threads in ("one thread", one_thread), (f"{torch.get_num_threads()} threads", nullcontext):
        with threads():
            ours, peer = pair(
                lambda: problem.hessian(theta), lambda: torch.func.hessian(problem.reference)(theta), runs=9, each=10
            )
        yield {
            "work": f"dense Hessian, digits, on {said}",
            "peer": "torch.func.hessian",
            "ours": ours,
            "theirs": peer,
            "goal": 40,
        }
    rises, own = [peak_bytes(lambda: problem.hessian(theta)) for _ in range(5)], 8 * theta.numel() ** 2
    if None not in rises:
        held = max(rises) / own
        yield {"work": "memory of the dense Hessian, digits", "peer": "its own bytes", "held": held, "goal": 3}


def step() -> Iterator[Row]:
    """A step with everything on against the script that people write; each round gives a mean over its steps.

    A machine that is paused from without stretches both; how unevenly, `rounds` shows: the ratio of each round.
    """
    rounds = [(_lab_step(), _peer_step()) for _ in range(5)]
    ours, peer = (median(times) for times in zip(*rounds, strict=True))
    work = "a step on digits: full spectrum, gradient and product judged, Hessian judged every 10th"
    yield {
        "work": work,
        "peer": "script: torch.func.hessian, eigvalsh, SummaryWriter",
        "ours": ours,
        "theirs": peer,
        "rounds": [theirs.wall / lab.wall for lab, theirs in rounds],
        "goal": 5,
    }


def _lab_step() -> Seconds:
    """Of twenty steps, two of which judge the Hessian; the first one, which warms up, is left out."""
    probes = {"gradient": {}, "hvp": {}, "hessian": {"every": 10}, "spectrum": {"top": 650}}
    clock = Clock()
    with tempfile.TemporaryDirectory() as root:
        launch.launch(digits(probes=probes, steps=20), root, clock, [])
    return mean(clock.lasted[1:])


def _peer_step() -> Seconds:
    from torch.utils.tensorboard import SummaryWriter

    problem = digits().full
    X, labels = problem.X, problem.y
    theta = torch.zeros(problem.shape, dtype=X.dtype, requires_grad=True)

    def loss(theta: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(X @ theta, labels)

    times = []
    with tempfile.TemporaryDirectory() as root, SummaryWriter(root) as writer:
        for t in range(3):
            start = now()
            value = loss(theta)
            (slope,) = torch.autograd.grad(value, theta)
            H = torch.func.hessian(loss)(theta.detach()).reshape(theta.numel(), -1)
            for i, eigenvalue in enumerate(torch.linalg.eigvalsh(H).flip(0).tolist(), start=1):
                writer.add_scalar(f"curvature/lambda_{i}", eigenvalue, t)
            writer.add_scalar("loss/train", value.item(), t)
            with torch.no_grad():
                theta -= 0.5 * slope
            times.append(since(start))
    return mean(times[1:])


def startup() -> Iterator[Row]:
    """The README's first run, process start to exit, against `import torch` alone."""
    lab = Path(sys.executable).with_name("lab")
    with tempfile.TemporaryDirectory() as root:
        train = [str(lab), "train", str(CONFIGS / "breast_cancer.yaml"), "--runs", root]
        ours, peer = pair(lambda: _run(train), lambda: _run([sys.executable, "-c", "import torch"]), runs=3)
    yield {
        "work": "lab train configs/breast_cancer.yaml, whole process",
        "peer": "import torch",
        "times": ours.wall / peer.wall,
        "cpu_times": ours.cpu / peer.cpu,
        "goal": 3,
    }


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "gradient": gradient,
    "hessian": hessian,
    "step": step,
    "startup": startup,
}


def main(names: list[str]) -> None:
    """Run the named parts, or all, and write what came of them beside what is there of the others."""
    results = HERE / "results.json"
    before = json.loads(results.read_text()) if results.exists() else {"parts": {}}
    parts = dict(before["parts"])
    for name in names or PARTS:
        parts[name] = []
        for row in PARTS[name]():
            parts[name].append(told(row))
    results.write_text(json.dumps({"machine": machine(), "parts": parts}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

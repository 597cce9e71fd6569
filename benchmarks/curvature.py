"""The benchmarks of the curvature engine: `python benchmarks/curvature.py [NAME …]` writes benchmarks/curvature.json.

Each figure is a ratio to a peer measured in the same process and the same minutes, in float64, with what the answers
are worth beside it. The peers come with `pip install -c constraints.txt -e '.[bench]'`.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from timing import PAUSE, Seconds, Stint, machine, mean, median, now, pair, peak_bytes, since, told, turns
from torch import Tensor

from lab import config, launch, spectrum
from lab.curvature import tracking
from lab.curvature.operator import Curvature
from lab.experiment import assemble
from lab.losses.softmax import Softmax
from lab.models.linear import Linear
from lab.problem import Problem
from lab.runs import RunFolder

HERE = Path(__file__).parent
Row = dict[str, Any]
TOP, EXACT = 5, 1e-8
BATCHES: Row = {
    "data": {"kind": "synthetic", "task": "multiclass", "n": 60_000, "d": 784, "k": 10},
    "loss": {"kind": "softmax"},
    "batch_size": 128,
    "steps": 100_000,
    "checkpoint_every": 100_000,
    "optimizer": {"kind": "sgd", "lr": 0.001},
}


def digits() -> Problem:
    """Softmax on digits: standardised, 1,797 × 65, K = 10."""
    data, optimizer = {"kind": "sklearn", "name": "digits"}, {"kind": "sgd", "lr": 0.5}
    return assemble(
        config.from_mapping({"data": data, "loss": {"kind": "softmax"}, "steps": 1, "optimizer": optimizer})
    ).full


def made(N: int, D: int, K: int, decay: float = 0.0) -> Problem:
    """A made softmax problem, its columns' deviations falling as 1/√(1 + decay·d) and the last one of ones."""
    rng = torch.Generator().manual_seed(0)
    X = torch.randn(N, D, generator=rng, dtype=torch.float64)
    X *= (1 + decay * torch.arange(D, dtype=X.dtype)).rsqrt()
    X[:, -1] = 1
    return Problem(Softmax(), Linear(), X, Softmax().encode(torch.arange(N) % K, K, X.dtype), outputs=K)


def start(problem: Problem) -> Tensor:
    """θ, normal with deviation 0.1: the common start."""
    return 0.1 * torch.randn(problem.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def bare(problem: Problem) -> Callable[[Tensor], Tensor]:
    """The loss as people write it, for autograd."""
    X, labels = problem.X, problem.y
    return lambda theta: torch.nn.functional.cross_entropy(X @ theta, labels)


def product() -> Iterator[Row]:
    """A Hessian product, for one direction and for eight."""
    for name, problem in {"digits": digits(), "20,000 × 100 × 10": made(20_000, 100, 10)}.items():
        theta, loss = start(problem), bare(problem)
        curvature = Curvature(problem, theta)
        V = torch.randn(theta.numel(), 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        v = V[:, 0].reshape(theta.shape).contiguous()

        def theirs(v: Tensor = v, theta: Tensor = theta, loss: Callable[[Tensor], Tensor] = loss) -> Tensor:
            return torch.func.jvp(torch.func.grad(loss), (theta,), (v,))[1]

        apart = float((problem.hvp(theta, v) - theirs()).abs().max())
        runs = 201 if problem.N < 10_000 else 51
        for what, call in (
            ("with nothing kept", lambda p=problem, at=theta, v=v: p.hvp(at, v)),
            ("at a θ that is kept", lambda c=curvature, V=V: c(V[:, :1])),
        ):
            ours, peer = pair(call, theirs, runs)
            yield {
                "work": f"Hessian product {what}, {name}",
                "peer": "torch.func jvp of grad",
                "ours": ours,
                "theirs": peer,
                "goal": 4,
                "apart": apart,
            }


def curvlinops(problem: Problem, theta: Tensor) -> Any:
    """The peer's Hessian as scipy wants it."""
    from curvlinops import HessianLinearOperator

    model = network(problem, theta)
    data = [(problem.X, problem.y)]
    with torch.enable_grad():
        loss = torch.nn.CrossEntropyLoss()
        return HessianLinearOperator(model, loss, list(model.parameters()), data, check_deterministic=False).to_scipy()


def network(problem: Problem, theta: Tensor) -> torch.nn.Module:
    """θ as torch's own linear layer: its intercept is in X."""
    D, K = problem.shape
    model = torch.nn.Linear(D, K, bias=False, dtype=torch.float64)
    model.weight.data.copy_(theta.T)
    return model


def solve(operator: Any, v0: Any = None) -> tuple[Any, Any]:
    """The peer's largest eigenvalues, and vectors."""
    from scipy.sparse.linalg import eigsh

    return eigsh(operator, k=TOP, which="LA", tol=EXACT, v0=v0)


def pyhessian(problem: Problem, theta: Tensor) -> list[float]:
    """The other peer's largest eigenvalues, at its default tolerance."""
    from pyhessian import hessian

    torch.set_default_dtype(torch.float64)
    try:
        with torch.enable_grad():
            batch = problem.X, problem.y
            asked = hessian(network(problem, theta), torch.nn.CrossEntropyLoss(), data=batch, cuda=False)
            return list(asked.eigenvalues(top_n=TOP, tol=1e-3)[0])
    finally:
        torch.set_default_dtype(torch.float32)


def off(values: Any, true: Tensor) -> float:
    """The largest relative error of the eigenvalues, in their order."""
    found = torch.as_tensor(list(values), dtype=torch.float64)
    return float(((found - true) / true).abs().max())


def cold() -> Iterator[Row]:
    """The five largest from nothing."""
    problem = digits()
    theta = start(problem)
    true = spectrum.dense(problem.hessian(theta)).values[:TOP]
    found = tracking.track(Curvature(problem, theta), TOP, EXACT)
    theirs = curvlinops(problem, theta)
    spent = turns(
        {
            "ours": lambda: tracking.track(Curvature(replace(problem), theta), TOP, EXACT),  # nothing kept of X
            "theirs": lambda: solve(theirs),
        },
        15,
        {"ours": 10},
    )
    yield {
        "work": "the 5 largest eigenvalues to 1e-8, digits, from nothing",
        "peer": "curvlinops and scipy's eigsh, uncertified",
        **spent,
        "goal": 15,
        "how": found.enclosure.how,
        "width": found.enclosure.width,
        "off": [off(found.values, true), off(solve(theirs)[0][::-1].copy(), true)],
    }


def warm() -> Iterator[Row]:
    """The five largest at each step of gradient descent, starting from the last step's.

    Each tool goes down the same path by itself, a step after another, as it would in a run; the tools take turns.
    """
    problem = digits()
    for lr in (0.5, 0.05):
        path = [start(problem)]
        for _ in range(8):
            path.append(path[-1] - lr * problem.gradient(path[-1]))
        true = [spectrum.dense(problem.hessian(theta)).values[:TOP] for theta in path]
        operators = [curvlinops(problem, theta) for theta in path]

        def ours(t: int, last: Any, path: list[Tensor] = path) -> Any:
            return tracking.track(Curvature(problem, path[t]), TOP, EXACT, last)

        def eigsh(t: int, last: Any, operators: list[Any] = operators) -> Any:
            return solve(operators[t], None if last is None else last[1][:, -1])

        def powers(t: int, _: Any, path: list[Tensor] = path) -> Any:
            return pyhessian(problem, path[t])

        tools = {"ours": ours, "eigsh": eigsh, "pyhessian": powers}
        rounds = [{name: walked(tool, len(path)) for name, tool in tools.items()} for _ in range(5)]
        spent = {name: median([each[name][0] for each in rounds]) for name in tools}
        found = {name: rounds[-1][name][1] for name in tools}
        values = {
            "ours": [each.values for each in found["ours"]],
            "eigsh": [each[0][::-1].copy() for each in found["eigsh"]],
            "pyhessian": found["pyhessian"],
        }
        wrong = {name: max(map(off, each[1:], true[1:])) for name, each in values.items()}
        for name, said, goal in (
            ("eigsh", "curvlinops and scipy's eigsh, uncertified", 40),
            ("pyhessian", "PyHessian at 1e-3, uncertified", 8),
        ):
            yield {
                "work": f"the 5 largest to 1e-8 with intervals at each step of gradient descent, digits, lr {lr:g}",
                "peer": said,
                "ours": spent["ours"],
                "theirs": spent[name],
                "goal": goal,
                "how": found["ours"][-1].enclosure.how,
                "width": max(each.enclosure.width for each in found["ours"][1:]),
                "off": [wrong["ours"], wrong[name]],
            }


def walked(tool: Callable[[int, Any], Any], steps: int) -> tuple[Seconds, list[Any]]:
    """How long a tool takes at steps 1, 2, … of a path in all, each from what it found at the one before; and that."""
    time.sleep(PAUSE)
    found = [tool(0, None)]
    begin = now()
    for t in range(1, steps):
        found.append(tool(t, found[-1]))
    return since(begin), found


def tracked() -> Iterator[Row]:
    """A step of mini-batch training with an interval for the whole training set's eigenvalues, over one without.

    The machine is faster at one minute than at the next by more than there is to see: so the runs go on by turns, 60
    steps each, and a ratio is of neighbours. A third run, without intervals too, says what is to be read into it.
    All three read the same X: of two that are equal, one may lie so in memory that its rows take 5 % more of a step to
    fetch. It is read through before each turn, and each is the first as often as the others, so that none is left with
    rows in the caches.
    """
    spectra: dict[str, Any] = {"spectrum": {"every": 100_000, "top": TOP}}
    arms = {"with": spectra, "without": {}, "without, again": {}}
    asked = {arm: config.from_mapping({**BATCHES, "probes": probes}) for arm, probes in arms.items()}
    one = assemble(asked["without"])
    made = {arm: replace(one, config=each, probes=each.probes) for arm, each in asked.items()}
    with tempfile.TemporaryDirectory() as root:
        first, folders = dict[str, Stint](), dict[str, RunFolder]()
        for arm, experiment in made.items():
            first[arm] = Stint(60)
            folders[arm] = launch.launch(experiment, f"{root}/{arm}", first[arm], []).folder
        rounds = []
        for turn in range(24):
            pace = dict[str, Seconds]()
            for arm in sorted(arms, key=lambda arm: (list(arms).index(arm) + turn) % len(arms)):
                one.full.X.sum()
                stint = Stint(60)
                launch.resume(folders[arm], made[arm], stint)
                later = stint.lasted[6:]  # of the first ones the caches are cold
                # Processor time is counted in ticks that are longer than a step: of that the mean says something.
                pace[arm] = Seconds(median(later).wall, mean(later).cpu)
            rounds.append(pace)
    ratios = {arm: sorted(pace[arm].wall / pace["without"].wall for pace in rounds) for arm in arms}
    yield {
        "work": "a step with an interval for each of 5 eigenvalues, 60,000 × 784 × 10, mini-batches of 128",
        "peer": "the same step without",
        "times": statistics.median(ratios["with"]),
        "cpu_times": sum(pace["with"].cpu for pace in rounds) / sum(pace["without"].cpu for pace in rounds),
        "quartiles": [ratios["with"][len(rounds) // 4], ratios["with"][-1 - len(rounds) // 4]],
        "itself": statistics.median(ratios["without, again"]),
        "step": median([pace["without"] for pace in rounds]).wall,
        "measuring": asdict(first["with"].lasted[0]),
        "goal": 1.10,
    }


def million() -> Iterator[Row]:
    """The five largest of a million parameters."""
    problem = made(5_000, 20_000, 50, decay=1.0)
    theta = start(problem)
    found: list[tracking.Tracked] = []
    began = time.perf_counter()
    rise = peak_bytes(lambda: found.append(tracking.track(Curvature(problem, theta), TOP, 1e-3)), warm=False)
    seconds = time.perf_counter() - began
    enclosure = found[-1].enclosure
    yield {
        "work": "the 5 largest eigenvalues of 1,000,000 parameters (5,000 × 20,000 × 50) to 1e-3",
        "peer": "3 GiB, the data's 0.75 among them",
        "held": ((rise or 0) + problem.X.numel() * 8) / 2**30,
        "seconds": seconds,
        "goal": 3,
        "how": enclosure.how,
        "width": enclosure.width,
        "products": found[-1].products,
        "intervals": list(zip(enclosure.lower.tolist(), enclosure.upper.tolist(), strict=True)),
    }


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "product": product,
    "cold": cold,
    "warm": warm,
    "tracked": tracked,
    "million": million,
}


def main(names: list[str]) -> None:
    """Run the named parts, or all; what came of each is written at once, beside what is there of the others."""
    results = HERE / "curvature.json"
    parts = dict(json.loads(results.read_text())["parts"]) if results.exists() else {}
    where = machine()
    for peer in ("curvlinops-for-pytorch", "pyhessian", "scipy"):
        where["packages"][peer] = metadata.version(peer)
    for name in names or PARTS:
        rows = []
        # numpy's and scipy's threads are of no use to vectors so short, and would wait busily into the next one's turn.
        with torch.no_grad(), threadpool_limits(1, user_api="blas"):
            for row in PARTS[name]():
                rows.append(told(row))
        parts[name] = rows
        results.write_text(json.dumps({"machine": where, "parts": parts}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

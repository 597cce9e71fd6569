"""Whatever runs on the CPU runs on another device, and says the same; no operation there is given tensors of both."""

import math

import pytest
import torch
from conftest import make_problem
from pretended import DEVICE, pretending, there

from lab import catalog, config, launch
from lab.curvature import tracking
from lab.curvature.operator import Curvature
from lab.experiment import assemble
from lab.launch import Silent

RUN = {
    "data": {"kind": "sklearn", "name": "iris", "validation": 0.2},
    "loss": {"kind": "softmax"},
    "steps": 4,
    "checkpoint_every": 2,
    "optimizer": {"kind": "sgd", "lr": 0.1},
    "init": 0.1,
}
FEW = {"spectrum": {"method": "krylov", "top": 2, "bottom": 1, "every": 3}}


def run(experiment, folder, watcher=None):
    return launch.launch(experiment, folder, watcher or Silent(), [])


def assert_same(ours, theirs):
    """The same tags at the same steps, with numbers that are apart by rounding, of which verdicts are made."""
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    for row, other in zip(ours, theirs, strict=True):
        for tag, value in row.items():
            if isinstance(value, float) and not tag.startswith("check/"):
                assert value == pytest.approx(other[tag], rel=1e-6, abs=1e-9, nan_ok=True), tag
            elif isinstance(value, float):
                assert value <= 1, tag


@pytest.mark.parametrize("rows", [None, 32], ids=["all rows", "mini-batches"])
@pytest.mark.parametrize("probe", catalog.names("probes"))
def test_a_probe_sees_there_what_it_sees_on_the_cpu(probe, rows, elsewhere, tmp_path):
    if probe == "hessian" and elsewhere(torch.ones(1)).device == DEVICE:
        pytest.skip("torch.func.hessian looks into memory that a pretended device does not have")
    probes = {"spectrum": {}} if probe == "ceiling" else {}
    experiment = assemble(config.from_mapping({**RUN, "batch_size": rows, "probes": {**probes, probe: {}}}))
    assert_same(
        run(elsewhere(experiment), tmp_path / "there").metrics.rows, run(experiment, tmp_path / "here").metrics.rows
    )


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sigmoid", {"loss": {"kind": "sigmoid"}, "data": {"kind": "sklearn", "name": "breast_cancer"}}),
        ("weights", {"loss": {"kind": "softmax", "class_weight": "balanced", "label_smoothing": 0.1}}),
        ("ridge", {"ridge": 0.1}),
        ("single precision", {"dtype": "float32"}),
        ("newton", {"optimizer": {"kind": "newton"}}),
        ("momentum", {"optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9}}),
        ("adam", {"optimizer": {"kind": "adam", "lr": 0.1}}),
        ("twin", {"twin": "autograd"}),
    ],
)
def test_what_a_run_is_made_of_is_the_same_there(name, changes, elsewhere, tmp_path):
    probes = {"gradient": {}, "hvp": {}, "sharpness": {}, **FEW}
    experiment = assemble(config.from_mapping({**RUN, "probes": probes, **changes}))
    assert_same(
        run(elsewhere(experiment), tmp_path / "there").metrics.rows, run(experiment, tmp_path / "here").metrics.rows
    )


class Stopping(Silent):
    """Asks a run to stop at a step, as Ctrl-C does."""

    def step(self, t, readings):
        if t == 2:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("rows", [None, 32], ids=["all rows", "mini-batches"])
def test_a_run_that_began_on_the_cpu_goes_on_there(rows, elsewhere, tmp_path):
    probes = {"eigenvectors": {}, "sharpness": {}, **FEW}
    changes = {"batch_size": rows, "optimizer": {"kind": "adam", "lr": 0.1}, "twin": "autograd", "probes": probes}
    experiment = assemble(config.from_mapping({**RUN, **changes}))
    whole = run(experiment, tmp_path / "whole").metrics.rows
    stopped = run(experiment, tmp_path / "stopped", Stopping())
    assert stopped.status == "interrupted"
    assert_same(launch.resume(stopped.folder, elsewhere(experiment), Silent()).metrics.rows, whole)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("P", [60, 600], ids=["small", "by a matrix in single precision"])
def test_eigenvalues_are_followed_there(kind, ridge, P, elsewhere, rng):
    problem, theta = make_problem(rng, loss=kind, N=4 * P // 5, D=P // 5, K=5, ridge=ridge)
    before = None
    for _ in range(3):
        found = tracking.track(Curvature(elsewhere(problem), elsewhere(theta)), 3, 1e-6, before)
        true = torch.linalg.eigvalsh(problem.hessian(theta)).flip(0)[:3]
        assert found.settled
        assert bool((found.enclosure.lower <= true + 1e-13).all() & (true <= found.enclosure.upper + 1e-13).all())
        before = tracking.Tracked.of(found.state(), elsewhere(theta))
        theta = theta - 0.2 * problem.gradient(theta)


def test_a_pretended_device_refuses_what_a_real_one_refuses():
    with pretending():
        a = there(torch.ones(3))
        for mixed in (lambda: a + torch.ones(3), lambda: torch.cat([a, torch.ones(3)]), lambda: a[torch.tensor([1])]):
            with pytest.raises(RuntimeError, match="on two devices"):
                mixed()
        with pytest.raises(TypeError, match="copy it to the CPU first"):
            a.numpy()
        for made in (a + torch.tensor(1.0), torch.zeros(3, device=a.device), a.new_tensor([1.0]), a * math.pi):
            assert made.device == DEVICE
        assert a.cpu().device.type == "cpu"
        assert (float(a.sum()), a.tolist()) == (3.0, [1.0, 1.0, 1.0])

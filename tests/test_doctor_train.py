"""A run whose derivation is wrong says what the mistake is, where it failed first."""

import json

from lab import launch
from lab.losses.softmax import Softmax
from lab.problem import Problem

RIGHT = Softmax.value_and_gradient


def flipped(self, z, y):
    value, gradient = RIGHT(self, z, y)
    return value, -gradient


def test_a_run_names_the_mistake_in_words_that_are_logged(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(Softmax, "value_and_gradient", flipped)
    run = launch.train(tiny | {"steps": 2}, runs=tmp_path)
    assert run.status == "failed"
    words = run.metrics.rows[0]["check/gradient/failure"]
    assert words.endswith("ours / truth = −1 everywhere: y − p in place of p − y; change the sign")
    assert f"step 0: {words}" in json.loads((run.path / "status.json").read_text())["failures"]["check/gradient"]


def test_a_hessian_and_its_product_are_named_too(tiny, tmp_path, monkeypatch):
    hvp, hessian = Problem.hvp, Problem.hessian
    monkeypatch.setattr(Problem, "hvp", lambda self, theta, V: hvp(self, theta, V) * self.N)
    monkeypatch.setattr(Problem, "hessian", lambda self, theta: -hessian(self, theta))
    run = launch.train(tiny | {"steps": 1}, runs=tmp_path)
    first = run.metrics.rows[0]
    assert "the mean's 1/N is missing; divide the sum by N = 150" in first["check/hvp/failure"]
    assert "the hessian's sign; change the sign" in first["check/hessian/failure"]

"""A sweep's axes are crossed, zipped, and refused in one line where they are wrong."""

import pytest
from conftest import BARE

from lab import config as configs
from lab.errors import InputError
from lab.study import grid, sweep


def points(*words, zipped=False, **more):
    return grid.points(configs.tree({**BARE, **more}), words, zipped)


def tasks(root, *words, **more):
    return sweep.tasks(points(*words, **more), root)


def lrs(found):
    return [(point.config.optimizer["lr"], point.config.seed) for point in found]


def test_values_are_crossed_the_last_key_fastest():
    found = points("optimizer.lr=0.1,1", "seed=0..2")
    assert lrs(found) == [(lr, seed) for lr in (0.1, 1.0) for seed in (0, 1, 2)]
    assert found[4].label == "optimizer.lr=1 seed=1"


def test_zipped_values_are_paired_and_a_single_one_goes_with_all():
    found = points("optimizer.lr=0.1,1,2", "seed=4..6", "steps=3", zipped=True)
    assert lrs(found) == [(0.1, 4), (1.0, 5), (2.0, 6)]
    assert {point.config.steps for point in found} == {3}
    assert found[0].label == "optimizer.lr=0.1 seed=4"


def test_a_block_in_the_file_crosses_its_pairs_with_its_grid_and_the_command_line_goes_over_it():
    block = {"grid": {"seed": "0..1", "ridge": [0.5]}, "zip": {"optimizer.lr": [0.1, 1.0], "steps": [5, 7]}}
    found = points(sweep=block)
    assert [(p.config.steps, p.config.optimizer["lr"], p.config.seed) for p in found] == [
        (5, 0.1, 0), (5, 0.1, 1), (7, 1.0, 0), (7, 1.0, 1)
    ]  # fmt: skip
    assert {p.config.ridge for p in found} == {0.5}
    assert [p.config.seed for p in points("seed=9", sweep=block)] == [9, 9]


def test_commas_inside_brackets_and_quotes_part_nothing():
    found = points("loss.weight=[1, 2, 3],[3, 2, 1]", 'name="tiny",other')
    assert [(p.config.loss["weight"], p.config.name) for p in found] == [
        ((1, 2, 3), "tiny"), ((1, 2, 3), "other"), ((3, 2, 1), "tiny"), ((3, 2, 1), "other")
    ]  # fmt: skip
    kinds = points("optimizer={kind: sgd, lr: 0.1},{kind: newton}")
    assert [p.config.optimizer["kind"] for p in kinds] == ["sgd", "newton"]


def test_a_block_in_braces_replaces_the_block_in_a_sweep_too():
    probes = [{"fit": {}}, {"gradient": {}}]
    for found in (points("probes={fit: {}},{gradient: {}}"), points(sweep={"grid": {"probes": probes}})):
        assert [list(p.config.probe_blocks) for p in found] == [["fit"], ["gradient"]]


def test_a_value_given_twice_is_run_once():
    assert len(points("optimizer.lr=0.1,0.10,1e-1", "seed=3..4,4")) == 2


@pytest.mark.parametrize(
    ("words", "more", "complaint"),
    [
        (["seed"], {}, "'seed' is not a key with values"),
        (["sed=1,2"], {}, "command line: sed: unknown key; did you mean 'seed'?"),
        (["seed=0..99999"], {}, "or more than 10000"),
        (["seed=4..0"], {}, "has no number"),
        (["seed=0..999", "optimizer.lr=1,2,3,4,5,6,7,8,9,10,11"], {}, "these are 11000 runs"),
        (["seed=1,,2"], {}, "seed: has no value"),
        (["seed="], {}, "seed: has no value"),
        (["seed=[1,2"], {}, "not YAML"),
        (["optimizer.lr=0.1,fast"], {}, "optimizer.lr: must be a number"),
        (["extends=a,b"], {}, "'extends' can stand in a config file only"),
        (["=1,2"], {}, "is not a key"),
        ([], {"sweep": 3}, "sweep: must be a mapping"),
        ([], {"sweep": {"gird": {}}}, "sweep.gird: unknown key; did you mean 'grid'?"),
        ([], {"sweep": {"grid": [1]}}, "sweep.grid: must be a mapping"),
        ([], {"sweep": {"grid": {"seed": []}}}, "sweep.seed: must be a list"),
        ([], {"sweep": {"grid": {"seed": {"a": 1}}}}, "sweep.seed: must be a list"),
        ([], {"sweep": {"zip": {"seed": [1, 2], "steps": [1, 2, 3]}}}, "seed has 2, steps has 3"),
    ],
)
def test_a_wrong_axis_is_one_line_before_anything_runs(words, more, complaint):
    with pytest.raises(InputError) as error:
        points(*words, **more)
    assert complaint in str(error.value)

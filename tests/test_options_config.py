"""Options of the losses come from a config, are trained with, and are refused in one line where they do not fit."""

from typing import Any

import pytest
import torch

from lab import launch
from lab.config import from_mapping
from lab.errors import InputError
from lab.experiment import assemble

CONFIG: dict[str, Any] = {
    "name": "options",
    "data": {"kind": "sklearn", "name": "wine"},
    "loss": {"kind": "softmax"},
    "steps": 3,
    "optimizer": {"kind": "sgd", "lr": 0.1},
}


@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": "balanced", "label_smoothing": 0.1},
        {"weight": [1, 2.5, 0], "ignore_index": 1},
        {"class_weight": [1, 2, 3], "reduction": "sum"},
    ],
    ids=str,
)
def test_options_from_a_config_are_trained_with_and_judged(options, tmp_path):
    run = launch.train(CONFIG | {"loss": {"kind": "softmax", **options}, "batch_size": 50}, runs=tmp_path)
    assert run.status == "finished"
    assert all(row["check/gradient"] <= 1 and row["check/hvp"] <= 1 for row in run.metrics.rows)


def test_balanced_weights_are_counted_on_the_training_rows_for_validation_too():
    config = CONFIG | {"loss": {"kind": "softmax", "class_weight": "balanced"}}
    config["data"] = {**CONFIG["data"], "validation": 0.3}
    made = assemble(from_mapping(config))
    counts = made.full.y.bincount().double()
    assert made.full.loss.weight == pytest.approx((made.full.N / (3 * counts)).tolist())
    assert made.validation is not None
    assert made.validation.loss == made.full.loss
    assert made.full.divisor == pytest.approx(made.full.N)


def test_a_balanced_sigmoid_weighs_both_sides_of_a_label_alike():
    config = CONFIG | {"loss": {"kind": "sigmoid", "class_weight": "balanced"}}
    config["data"] = {"kind": "sklearn", "name": "breast_cancer"}
    p = assemble(from_mapping(config)).full
    at_zero = p.loss.gradient(torch.zeros_like(p.y), p.y)  # ±weight/2
    assert float(at_zero.sum()) == pytest.approx(0, abs=1e-10)
    assert float(at_zero.abs().sum()) == pytest.approx(p.N / 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"label_smoothing": 2},
            "config: loss.label_smoothing: must be a number from 0 to 1, got 2",
        ),
        (
            {"weight": [1, -1, 1]},
            "config: loss.weight: must be a list of numbers of at least 0, or null, got [1, -1, 1]",
        ),
        (
            {"class_weight": "even"},
            "config: loss.class_weight: must be balanced or a list of numbers of at least 0, or",
        ),
        ({"weight": [1, 1, 1], "class_weight": "balanced"}, "config: loss: weight and class_weight are the same thing"),
        ({"weight": [1, 2]}, "loss: weight has 2 entries, and there are 3 outputs; give one for each"),
        ({"ignore_index": 3}, "loss: ignore_index: there is no class 3 among 3, counted from 0"),
        ({"reduction": "none"}, "loss: reduction 'none' leaves a value for each row, and no one loss to train on"),
        ({"pos_weight": [1]}, "config: loss.pos_weight: unknown key"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_option_that_does_not_fit_is_one_line(options, said):
    with pytest.raises(InputError) as caught:
        assemble(from_mapping(CONFIG | {"loss": {"kind": "softmax", **options}}))
    assert str(caught.value).startswith(said)
    assert len(str(caught.value).splitlines()) == 1
